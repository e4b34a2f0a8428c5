# shellcheck shell=bash
# shellcheck disable=SC2154 # port, work and body are lib.sh's
# SPDX-License-Identifier: MIT
#
# For tests in which processes die while customers buy: a load in the
# background, single customers, the answers that all of them got, and the books.
# After lib.sh:
#
#	. "$(dirname "$0")/customers.sh"
#	load_start 10
#	buy
#	load_end "no customer had a wrong answer"
#	ok "the books are right, and every answer was true" books

LOAD=${LOAD:-$builddir/bench/load}
AUDIT=${AUDIT:-$srcdir/sql/widget-store-audit}

# The inventory before the first checkout.
stock=1000000

load_bought=0
customer=0

# load_start SECONDS [OPTION...]: starts 25 purchases a second, in the
# background.
load_start() {
	"$LOAD" --port "$port" --clients 64 --rate 25 --seconds "$@" --json \
		--acknowledged "$work/acknowledged" >"$work/load" \
		2>"$work/load.log" &
	loading=$!
}

# load_end TITLE: asserts that every purchase was answered, and none wrongly.
load_end() {
	local count

	wait "$loading"
	assert $? "$1" || diag "$(cat "$work/load" "$work/load.log")"
	count=$(sed 's/.*"purchase": {"count": \([0-9]*\).*/\1/' "$work/load")
	load_bought=$((load_bought + count))
}

# no_request_repeated TITLE: asserts that no request of the load was repeated.
no_request_repeated() {
	grep -q '"repeated": 0,' "$work/load"
	assert $? "$1" || diag "$(cat "$work/load")"
}

# ask PATH: repeats a POST until it is answered, as the page does.
ask() {
	local end=$((SECONDS + 60)) wait=0.02

	while
		http POST "$1"
		[ "$status" != 200 ]
	do
		case $status in
		000 | 502 | 503 | 504) ;;
		*) return 1 ;;
		esac
		[ "$SECONDS" -lt "$end" ] || return 1
		pause $wait
		wait=0.1
	done
}

# buy: one purchase; its answers are kept as those of the load.
buy() {
	local key=customer-$((++customer))

	ask "/checkout/$key" &&
	    printf 'checkout\t%s\t\t%s\n' "$key" "$body" \
		>>"$work/acknowledged" &&
	    ask "/payment_webhook/$key/paid" &&
	    printf 'payment\t%s\tpaid\t%s\n' "$key" "$body" \
		>>"$work/acknowledged"
}

now_ms() {
	echo $((${EPOCHREALTIME//[!0-9]/} / 1000))
}

all_ended() {
	[ "$(cluster_psql -c "select count(*) from dbos.workflow_status
	    where status <> 'SUCCESS'")" = 0 ]
}

# Whether every purchase of the load and of single customers is dispatched, and
# nothing else was bought.
all_dispatched() {
	local count

	count=$(cluster_psql -c "select count(*) from store.orders
	    where order_status = 1")
	[ "$count" = $((load_bought + customer)) ] && return
	echo "$count orders are dispatched, the load bought $load_bought" \
		"and $customer customers one each"
	return 1
}

books() {
	"$AUDIT" --stock "$stock" --settled --acknowledged "$work/acknowledged"
}
