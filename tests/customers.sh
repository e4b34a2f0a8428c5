# shellcheck shell=bash
# shellcheck disable=SC2154 # port, work and body are lib.sh's
# SPDX-License-Identifier: MIT
#
# For tests in which somebody dies while customers buy: a load in the
# background, single customers who keep what was acknowledged to them, and the
# books.  After lib.sh:
#
#	. "$(dirname "$0")/customers.sh"
#	load_start 10
#	buy
#	load_end "no customer had a wrong answer"
#	ok "nothing that was acknowledged is lost" acknowledged
#	ok "the books are right" books

LOAD=${LOAD:-$builddir/bench/load}
BOOKS=${BOOKS:-$srcdir/sql/audit.sql}

# What there is before the first checkout.
stock=1000000

load_bought=0
customer=0

# load_start SECONDS: 25 a second, in the background.
load_start() {
	"$LOAD" --port "$port" --clients 64 --rate 25 --seconds "$1" --json \
		>"$work/load" 2>"$work/load.log" &
	loading=$!
}

# load_end TITLE: every purchase was answered in the end, and none wrongly.
load_end() {
	local count

	wait "$loading"
	assert $? "$1" || diag "$(cat "$work/load" "$work/load.log")"
	count=$(sed 's/.*"purchase": {"count": \([0-9]*\).*/\1/' "$work/load")
	load_bought=$((load_bought + count))
}

# ask PATH: until it is answered, as the page does.
ask() {
	local end=$((SECONDS + 60))

	while
		http POST "$1"
		[ "$status" != 200 ]
	do
		case $status in
		000 | 502 | 503 | 504) ;;
		*) return 1 ;;
		esac
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.02
	done
}

# buy: keeps the order that was acknowledged.
buy() {
	customer=$((customer + 1))
	ask "/checkout/customer-$customer" &&
	    ask "/payment_webhook/customer-$customer/paid" &&
	    echo "customer-$customer $body" >>"$work/acknowledged"
}

now_ms() {
	echo $((${EPOCHREALTIME//[!0-9]/} / 1000))
}

all_ended() {
	[ "$(cluster_psql -c "select count(*) from dbos.workflow_status
	    where status <> 'SUCCESS'")" = 0 ]
}

# The orders that were acknowledged to single customers, with the ids that
# were.
acknowledged() {
	local key order status=0

	while read -r key order; do
		[ "$(cluster_psql -c "select count(*) from dbos.workflow_events
		    where workflow_uuid = '$key' and key = 'order_id'
			and value = to_json('$order'::text)::text")" = 1 ] &&
			continue
		echo "$key has not order $order"
		status=1
	done <"$work/acknowledged"
	return "$status"
}

# Everybody has paid: what the load bought and single customers did is
# dispatched, and nothing else was bought.
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
	local wrong

	wrong=$(cluster_psql -v "stock=$stock" -v settled=1 -f "$BOOKS") &&
	    [ -z "$wrong" ] && return
	echo "$wrong"
	return 1
}
