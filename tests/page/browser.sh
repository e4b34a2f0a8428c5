# shellcheck shell=bash
# shellcheck disable=SC2154 # srcdir is lib.sh's
# SPDX-License-Identifier: MIT
#
# For tests with a real browser: finds it, as CHROMIUM, and skips the test where
# it is missing; in CI that is a failure.  After lib.sh:
#
#	. "$(dirname "$0")/browser.sh"

without() {
	[ "${CI:-}" != true ] || {
		echo "Bail out! $1"
		exit 1
	}
	skip_all "$1"
}

CHROMIUM=$(command -v chromium-headless-shell || command -v chromium ||
	command -v chromium-browser) ||
	without "chromium is not installed"
command -v node >/dev/null || without "node is not installed"
for module in playwright-core axe-core; do
	[ -d "${NODE_MODULES:-$srcdir/tests/node_modules}/$module" ] ||
		without "$module is not installed: npm ci in tests/"
done
export CHROMIUM
