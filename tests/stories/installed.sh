# shellcheck shell=bash
# shellcheck disable=SC2154 # builddir and work are lib.sh's
# SPDX-License-Identifier: MIT
#
# For stories about what make install installs: behind lib.sh.

# installed_make: installs all below $work/root, and lets pkg-config, compilers
# and programs find it there.  Sets prefix and libdir, which begin with it.
installed_make() {
	[ -f "$builddir/Makefile" ] || skip_all "there is no build to install"
	env -u MAKEFLAGS -u MAKELEVEL make -C "$builddir" install \
		DESTDIR="$work/root" >"$work/make.log" 2>&1 || {
		echo "Bail out! make install fails: $(tail -n 3 "$work/make.log")"
		exit 1
	}
	libdir=$(dirname "$(find "$work/root" -path '*-crashtest' -prune \
		-o -name libdurable.so -print)")
	prefix=$(dirname "$libdir")
	export PKG_CONFIG_PATH=$libdir/pkgconfig PKG_CONFIG_SYSROOT_DIR=$work/root
	export LD_LIBRARY_PATH=$libdir PATH=$prefix/bin:$prefix/sbin:$PATH
}
