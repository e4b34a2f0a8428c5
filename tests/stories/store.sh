# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154,SC2317 # variables and functions of the tests
# SPDX-License-Identifier: MIT
#
# What tests ask of a running store, and how they assert that a request has
# written nothing.  After lib.sh and doors.sh.

BOOKS=${BOOKS:-$srcdir/sql/audit.sql}

stock() {
	cluster_psql -c "select inventory from store.stock"
}

orders() {
	cluster_psql -c "select count(*) from store.orders"
}

# order_status ORDER
order_status() {
	http GET "/order/$1"
	field order_status
}

is_dispatched() {
	[ "$(order_status "$1")" = 1 ]
}

# ms_since MICROSECONDS
ms_since() {
	echo $(((${EPOCHREALTIME//[!0-9]/} - $1) / 1000))
}

# quick MS TITLE COMMAND...: asserts that the command ends within the time.
quick() {
	local limit=$1 title=$2 begun=${EPOCHREALTIME//[!0-9]/} took

	shift 2
	"$@"
	took=$(ms_since "$begun")
	[ "$took" -lt "$limit" ]
	assert $? "$title" || diag "it took $took ms"
}

books() {
	local wrong

	wrong=$(cluster_psql "$@" -f "$BOOKS") && [ -z "$wrong" ] && return
	echo "$wrong"
	return 1
}

# processes_of DAEMON_OR_WEB: master and workers, sorted.
processes_of() {
	pid_of "$1"
	workers_of "$1" | sort
}

# The server processes that serve the web and the daemon.
sessions() {
	cluster_psql -c "select pid from pg_stat_activity
	    where usename like 'widget_store_%' order by 1"
}

all_connected() {
	[ "$(sessions | wc -l)" -eq 4 ]
}

# metric NAME: its value.
metric() {
	awk -v name="$1" '$1 == name { print $2 }' "$work/body"
}

# Succeeds if the body is Prometheus' text format 0.0.4; prints what is wrong.
check_metrics() {
	awk '
	function bad(why) { print NR ": " why ": " $0; wrong = 1 }
	/^# HELP [a-z_]+ .+$/ { if (helped[$3]++) bad("HELP again"); next }
	/^# TYPE [a-z_]+ (counter|gauge|histogram)$/ {
		if (type[$3] != "") bad("TYPE again")
		type[$3] = $4
		last = $3
		next
	}
	/^[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [0-9.e+-]+$/ {
		name = $1
		sub(/\{.*/, "", name)
		base = name
		if (type[last] == "histogram")
			sub(/_(bucket|sum|count)$/, "", base)
		if (base != last) bad("not below its TYPE")
		if (type[last] == "counter" && name !~ /_total$/)
			bad("a counter is a total")
		if (seen[$1]++) bad("again")
		route = $1
		if (name ~ /_bucket$/) {
			sub(/,le=.*/, "", route)
			sub(/_bucket/, "", route)
			if ($2 < bucket[route]) bad("bucket shrinks")
			bucket[route] = $2
		}
		if (name ~ /_count$/) {
			sub(/\}$/, "", route)
			sub(/_count/, "", route)
			if ($2 != bucket[route]) bad("not what is in +Inf")
		}
		next
	}
	{ bad("neither comment nor sample") }
	END { if (NR < 20) bad("too little"); exit wrong }
	' "$work/body"
}


# A count and a checksum of each table.
ledger() {
	cluster_psql <<-'END'
		select string_agg(format('%s %s', c.oid::regclass, (xpath(
		    '/row/c/text()', query_to_xml(format('select count(*)
		        || '' '' || coalesce(md5(string_agg(t::text, '','' order
		        by t::text)), '''') as c from %s as t', c.oid::regclass),
		    false, true, '')))[1]), e'\n' order by c.oid)
		from pg_class as c
		where c.relkind = 'r'
		    and c.oid <> 'durable.clock'::regclass
		    and c.relnamespace::regnamespace::text
		        in ('dbos', 'durable', 'store');
	END
}

# remember GROUP: begins a group of requests that must be refused and write
# nothing.
remember() {
	group=$1
	collected=()
	expected=()
	written=$(ledger)
}

# refused STATUS WHAT [ALLOW]: asserts that the last answer is this status, a
# JSON error, and names the allowed methods.
refused() {
	find_header allow
	[ "$status" = "$1" ] && [ "$found" = "${3:-$found}" ] && is_json_error
	assert $? "$2 is refused with $1${3:+, as $3 is allowed}" ||
		diag "status $status, body '$body', headers:" \
			"$(cat "$headers_file")"
}

# refuses STATUS WHAT METHOD PATH [CURL OPTION...]: collects a request to nginx
# for nothing_written, which asserts it.  With allow=METHODS as refused.
refuses() {
	local request=() n=${#expected[@]}

	expected+=("$1" "$2" "${allow:-}")
	shift 2
	http_request "$work/headers-$n" "$work/body-$n" "$@"
	collected+=(${collected:+--next} "${request[@]}")
}

# fcgi_refuses STATUS WHAT METHOD PATH [NAME=VALUE...]: asks the web at once.
fcgi_refuses() {
	local wanted=$1 title=$2

	shift 2
	fcgi "$@"
	refused "$wanted" "FastCGI: $title" "${allow:-}"
}

# both_refuse STATUS WHAT METHOD PATH [DECODED PATH]: of nginx and of the web.
both_refuse() {
	refuses "$1" "$2" "$3" "$4"
	fcgi_refuses "$1" "$2" "$3" "${5:-$4}"
}

# nothing_written: sends the collected requests in one process, asserts that
# each is refused, and that no table has changed since remember.
nothing_written() {
	local now n=0 headers_file

	curl "${collected[@]}" >"$work/statuses"
	while [ $n -lt ${#expected[@]} ]; do
		read -r status || status=000
		headers_file=$work/headers-$n
		take_body "$work/body-$n"
		refused "${expected[@]:n:3}"
		n=$((n + 3))
	done <"$work/statuses"
	now=$(ledger)
	[ "$now" = "$written" ]
	assert $? "refused requests write nothing: $group" ||
		diag "$(diff <(echo "$written") <(echo "$now"))"
}
