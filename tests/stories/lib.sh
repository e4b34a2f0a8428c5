# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# For tests that are stories in bash: TAP, a throw-away PostgreSQL cluster,
# and daemon, web and nginx as ./demo runs them.
#
#	. "$(dirname "$0")/lib.sh"
#	stack_start
#	http POST /checkout/key-1
#	is "$status" 200 "a checkout gives a payment id"
#	finish
#
# Everything lives in the directory $work and ends with the test, however that
# ends.  PGHOST and its like are set for a superuser of the cluster, URL for
# nginx.  A program that dies is started again.

set -u

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
srcdir=${abs_top_srcdir:-$(dirname "$(dirname "$here")")}
builddir=${abs_top_builddir:-}
for builddir in "$builddir" "$srcdir/.build/check" "$srcdir/.build/demo" \
    "$srcdir"; do
	[ ! -x "$builddir/daemon/widget-stored" ] || break
done
DAEMON=${DAEMON:-$builddir/daemon/widget-stored}
WEB=${WEB:-$builddir/fcgi/widget-store.fcgi}
CLOCK=${CLOCK:-$builddir/tests/stories/clock.so}
PATH=$PATH:/usr/sbin:/sbin

work=$(mktemp -d /tmp/ws-test.XXXXXX) || exit 1
chmod 755 "$work"
declare -A supervisors=()


# TAP.

tests_planned=0
tests_run=0
tests_failed=0

plan() {
	tests_planned=$1
	echo "1..$1"
}

# skip_all REASON: skips the test, before its first assertion.
skip_all() {
	echo "1..0 # SKIP $*"
	exit 0
}

# need COMMAND...: skips the test unless all commands are there.
need() {
	local command

	for command in "$@"; do
		command -v "$command" >/dev/null ||
			skip_all "$command is not installed"
	done
}

diag() {
	printf '%s\n' "$*" | sed 's/^/# /'
}

# assert STATUS TITLE: counts; fails if STATUS is not 0.
assert() {
	tests_run=$((tests_run + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $tests_run - $2"
	else
		tests_failed=$((tests_failed + 1))
		echo "not ok $tests_run - $2"
	fi
	return "$1"
}

# ok TITLE COMMAND...: asserts that the command succeeds.
ok() {
	local title=$1

	shift
	"$@" >"$work/ok.out" 2>&1
	assert $? "$title" || diag "$* said: $(tail -n 20 "$work/ok.out")"
}

# is GOT WANTED TITLE
is() {
	[ "$1" = "$2" ]
	assert $? "$3" || diag "got '$1', wanted '$2'"
}

# like GOT REGEX TITLE
like() {
	[[ $1 =~ $2 ]]
	assert $? "$3" || diag "got '$1', wanted something like '$2'"
}

# Ends the test; the last line of every story.
finish() {
	[ "$tests_planned" -ne 0 ] || echo "1..$tests_run"
	[ "$tests_failed" -eq 0 ] || exit 1
	exit 0
}

# wait_for CONDITION SECONDS: evaluates until it succeeds; fails when the time
# is over.  Its pauses grow, because most conditions cost a process.
wait_for() {
	local end=$((EPOCHSECONDS + $2)) pauses=(0.05 0.05 0.1 0.1 0.2 0.5)

	until eval "$1" >/dev/null 2>&1; do
		[ "$EPOCHSECONDS" -lt "$end" ] || return 1
		pause "${pauses[0]}"
		[ ${#pauses[@]} -eq 1 ] || pauses=("${pauses[@]:1}")
	done
}

# pause SECONDS: sleeps without a process of its own, as there are many pauses.
pause() {
	read -rt "$1" -u "$silence" || :
}
exec {silence}<> <(:)


# Programs, each under ./supervise as in the demo.

# start NAME [OPTION...] PROGRAM...
start() {
	local name=$1

	shift
	"$srcdir/supervise" -n "$name" -l "$work/$name.log" \
		-p "$work/$name.pid" "$@" </dev/null \
		>>"$work/supervise.log" 2>&1 &
	supervisors[$name]=$!
}

is_gone() {
	! kill -0 "$1" 2>/dev/null
}

# stop NAME: ends its supervisor by SIGTERM; fails if it had to be killed.  A
# session may have to wait 30 s before it gives a silent server up.
stop() {
	local supervisor=${supervisors[$1]:-} pid

	[ -n "$supervisor" ] || return 0
	unset "supervisors[$1]"
	kill -TERM "$supervisor" 2>/dev/null
	wait_for "is_gone $supervisor" 40 && return
	pid=$(pid_of "$1")
	kill -KILL "$supervisor" 2>/dev/null
	[ -z "$pid" ] || kill -KILL -- "-$pid" 2>/dev/null
	return 1
}

# pid_of NAME: the process id of the program itself, a master.
pid_of() {
	local pid

	{ read -r pid <"$work/$1.pid"; } 2>/dev/null && echo "$pid"
}

# workers_of NAME: the process ids of its workers.
workers_of() {
	ps -o pid= --ppid "$(pid_of "$1")"
}

# kill_one NAME: kills the master, and waits for the next one.
kill_one() {
	local before

	before=$(pid_of "$1")
	kill -KILL "$before"
	wait_for "[ \"\$(pid_of $1)\" != $before ]" 10
}

# restart NAME: ends it by SIGTERM, and waits until it is started again.
restart() {
	local before

	before=$(pid_of "$1")
	kill -TERM "$before"
	wait_for "[ \"\$(pid_of $1)\" != $before ]" 30
}

clean_up() {
	local status=$? name log

	trap '' INT TERM HUP
	if [ "$status" -ne 0 ]; then
		for log in "$work"/*.log; do
			[ ! -s "$log" ] || diag "$(basename "$log"):" \
				"$(tail -n 30 "$log")"
		done
	fi
	for name in nginx web "${!supervisors[@]}"; do
		[ "$name" = cluster ] || stop "$name"
	done
	stop cluster
	rm -rf "$work"
	exit "$status"
}
trap clean_up EXIT
trap 'exit 1' INT TERM HUP


# PostgreSQL.  It refuses to run as root.

am_root() {
	[ "$(id -u)" -eq 0 ]
}

postgres_user=$(id -un)
! am_root || postgres_user=postgres

as_postgres() {
	if am_root; then
		(cd / && exec setpriv --reuid postgres \
			--regid "$(id -g postgres)" --init-groups "$@")
	else
		"$@"
	fi
}

# The newest server there is.
find_postgres() {
	local directory

	for directory in $(pg_config --bindir 2>/dev/null) \
	    $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV); do
		[ ! -x "$directory/postgres" ] || break
	done
	[ -x "$directory/postgres" ] || skip_all "PostgreSQL is not installed"
	PG_BIN=$directory
	PATH=$PG_BIN:$PATH
}

# A new cluster is a copy of the first one that a build made, because initdb
# takes more than a second; so does an install.
cluster_make() {
	local template

	template=$builddir/tests/cluster-$("$PG_BIN/postgres" --version |
		awk '{ print $3 }')
	(
		flock 9
		[ ! -d "$template" ] || exit 0
		mkdir "$work/template"
		! am_root || chown postgres "$work/template"
		as_postgres "$PG_BIN/initdb" -D "$work/template" -U postgres \
			-E UTF8 --no-locale --auth=trust --no-instructions \
			>"$work/initdb.log" 2>&1 &&
			cp -a "$work/template" "$template.new" &&
			mv "$template.new" "$template"
	) 9>"$builddir/tests/cluster.lock" || return
	[ "${cluster_kind:-}" != installed ] || {
		installed_make "$template" && template=$installed || return
	}
	cp -a "$template" "$work/cluster"
}

# installed_make TEMPLATE: sets installed to a copy of the cluster in which
# widget-store-install has run, made by the first test that needs it after a
# change of the SQL.
installed_make() {
	installed=$1-$(cat "$srcdir"/sql/*-install "$srcdir"/sql/*.sql \
		"$srcdir"/sql/*/*.sql | cksum | tr -d ' ')
	(
		flock 9
		[ ! -d "$installed" ] || exit 0
		find "$builddir/tests" -maxdepth 1 -name 'cluster-*-*' \
			-mmin +600 -exec rm -rf {} +
		cp -a "$1" "$work/cluster" && cluster_run &&
			cluster_install
		made=$?
		stop cluster && [ $made -eq 0 ] &&
			mv "$work/cluster" "$installed.new" &&
			mv "$installed.new" "$installed" &&
			rm -f "$work"/cluster.{log,pid}
	) 9>"$builddir/tests/cluster.lock"
}

# cluster_start [OPTION...]: takes options of postgres, such as
# -c work_mem=64MB.  The data outlive cluster_stop.
# shellcheck disable=SC2120 # it is the tests that have options
cluster_start() {
	local name

	if [ ! -d "$work/cluster" ]; then
		find_postgres
		for name in "${!PG@}"; do
			[ "$name" = PG_BIN ] || unset "$name"
		done
		export PGHOST=$work/socket PGPORT=5432 PGUSER=postgres
		export PGDATABASE=widget_store
		mkdir "$work/socket"
		! am_root || chown postgres "$work/socket"
		cluster_make || return 1
	fi
	cluster_run "$@"
}

# installed_start [OPTION...]: cluster_start and cluster_install.
installed_start() {
	cluster_kind=installed cluster_start "$@"
}

cluster_run() {
	start cluster -s INT -u "$postgres_user" "$PG_BIN/postgres" \
		-D "$work/cluster" -c listen_addresses= -c port=5432 \
		-c "unix_socket_directories=$work/socket" "$@"
	cluster_wait || return 1
	[ -n "$(psql -XAtqd postgres -c "select 1 from pg_database
	    where datname = 'widget_store'")" ] ||
		psql -XAtqd postgres -c "create database widget_store"
}

cluster_wait() {
	wait_for 'psql -XAtqd postgres -c select' 30
}

# cluster_install [OPTION...]: the schemas, by widget-store-install.
cluster_install() {
	"$srcdir/sql/widget-store-install" "$@" >"$work/install.log" 2>&1
}

# cluster_psql [ARGUMENT...]: psql as a superuser, which prints bare values.
cluster_psql() {
	psql -XAtq -v ON_ERROR_STOP=1 "$@"
}

cluster_stop() {
	stop cluster
}

# Kills all server processes, so that the cluster goes through crash recovery.
# Returns when it serves again.
cluster_crash() {
	local before

	before=$(pid_of cluster)
	# -W, because pg_ctl would take the next server for the last one, and
	# wait for its end.
	as_postgres "$PG_BIN/pg_ctl" -D "$work/cluster" -m immediate -W stop \
		>/dev/null 2>&1
	wait_for "[ \"\$(pid_of cluster)\" != $before ]" 10
	cluster_wait
}


# A clock that can be put wrong, for some of the programs.

clock_make() {
	need "$CLOCK"
	# The server's user may not read the build directory.
	cp "$CLOCK" "$work/clock.so"
	truncate -s 8 "$work/clock"
}

# by_clock COMMAND...: all that it starts uses the clock.
by_clock() {
	LD_PRELOAD=$work/clock.so CLOCK_OFFSET=$work/clock "$@"
}

# clock_set SECONDS: puts the clock wrong by this much.
clock_set() {
	local hex byte bytes=

	hex=$(printf %016x "$1")
	for byte in 14 12 10 8 6 4 2 0; do
		bytes+="\\x${hex:byte:2}"
	done
	# Eight bytes at once, least significant first.
	printf '%b' "$bytes" |
		dd "of=$work/clock" bs=8 conv=notrunc iflag=fullblock \
			status=none
}


# The store.

# daemon_start [OPTION...]
daemon_start() {
	start daemon -g 3 "$DAEMON" \
		--database "host=$PGHOST dbname=$PGDATABASE user=widget_store_daemon" \
		"$@"
}

daemon_stop() {
	stop daemon
}

# web_start [OPTION...]: on the socket $work/web.sock.
web_start() {
	need spawn-fcgi
	rm -f "$work/web.sock"
	spawn-fcgi -n -s "$work/web.sock" -M 0660 -- "$srcdir/supervise" \
		-n web -g 3 -l "$work/web.log" -p "$work/web.pid" "$WEB" \
		--database "host=$PGHOST dbname=$PGDATABASE user=widget_store_web" \
		"$@" </dev/null >>"$work/supervise.log" 2>&1 &
	supervisors[web]=$!
}

web_stop() {
	stop web
}

port_answers() {
	(exec 8<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null
}

# listen6: the sed command that makes the site listen on IPv6, too, where the
# host has it.
listen6() {
	if grep -q '^0*1 ' /proc/net/if_inet6 2>/dev/null; then
		echo "s|@LISTEN6@|[::1]:$port|g"
	else
		echo /@LISTEN6@/d
	fi
}

# nginx_start: sets port and URL.
nginx_start() {
	local file

	need nginx
	while
		port=$((20000 + RANDOM % 10000))
		port_answers
	do :; done
	URL=http://127.0.0.1:$port
	export URL
	mkdir -p "$work/nginx"
	for file in nginx.conf widget-store.conf; do
		sed -e "s|@LISTEN@|127.0.0.1:$port|g" \
		    -e "$(listen6)" -e "s|@WAITING@|1024|g" \
		    -e "s|@NGINX@|$srcdir/nginx|g" \
		    -e "s|@STATIC@|$srcdir/static|g" \
		    -e "s|@SOCKET@|$work/web.sock|g" \
		    -e "s|@ACCESS_LOG@|$work/access.log widget_store|g" \
		    -e "s|@CACHE@|$work/nginx/cache|g" \
		    -e "s|@MIME_TYPES@|/etc/nginx/mime.types|g" \
		    -e "s|@RUN@|$work/nginx|g" \
		    "$srcdir/nginx/$file.in" >"$work/nginx/$file"
	done
	nginx_run
}

# nginx_run: starts it with the configuration in $work/nginx.
nginx_run() {
	local user=()

	! am_root || user=(-g "user root;")
	start nginx nginx -p "$work/nginx" -c "$work/nginx/nginx.conf" \
		"${user[@]}"
	wait_for port_answers 10
}

nginx_stop() {
	stop nginx
}

# stack_start [DAEMON OPTION...]: everything, ready to serve; crashes are
# allowed.  Ends the test if it cannot.
stack_start() {
	need curl nginx spawn-fcgi
	# shellcheck disable=SC2119
	installed_start &&
	    cluster_psql -f "$srcdir/sql/crash.sql" &&
	    daemon_start --allow-crash=yes "$@" &&
	    web_start --allow-crash=yes &&
	    nginx_start &&
	    wait_for store_is_ready 30 &&
	    return
	echo "Bail out! The store does not start."
	exit 1
}

store_is_ready() {
	[ "$(curl -s -o "$work/readyz" -w '%{http_code}' "$URL/readyz")" = 200 ]
}

stack_stop() {
	nginx_stop && web_stop && daemon_stop && cluster_stop
}

# http METHOD PATH [CURL OPTION...]: sets status, body and the file
# $work/headers; status is 000 without an answer.
# shellcheck disable=SC2034 # for the tests
http() {
	local request=()

	http_request "$work/headers" "$work/body" "$@"
	status=$(curl "${request[@]}")
	take_body "$work/body"
}

# http_request HEADERS BODY METHOD PATH [CURL OPTION...]: adds to request the
# arguments of curl that write an answer to these files, and print its status.
http_request() {
	local headers=$1 body=$2 method=$3 path=$4

	shift 4
	: >"$headers"
	: >"$body"
	[ "$method" != HEAD ] || set -- --head "$@"
	request+=(-s --globoff --path-as-is --max-time 40 -X "$method"
		-D "$headers" -o "$body" -w '%{http_code}\n' "$@" "$URL$path")
}

# take_body FILE: sets body to its text, as $(<FILE) would, without a process.
take_body() {
	IFS= read -rd '' body <"$1"
	while [[ $body == *$'\n' ]]; do
		body=${body%$'\n'}
	done
}

headers_file=$work/headers

# header NAME: of the last answer.
header() {
	find_header "$1"
	echo "$found"
}

# find_header NAME: as header, but sets found, without a process.
find_header() {
	local line

	found=
	while read -r line; do
		[[ ${line,,} != "${1,,}: "* ]] || found=${line#*: }
	done <"$headers_file"
	found=${found%$'\r'}
}
