/* SPDX-License-Identifier: MIT */
/*
 * The checkout of one widget.
 */
#include "daemon/checkout.h"

#include <arpa/inet.h>

#include <inttypes.h>
#include <string.h>

#include "daemon/dispatch.h"
#include "daemon/notify.h"
#include "daemon/orders.h"

#define PAYMENT_STATUS "payment_status"
#define PAYMENT_ID     "payment_id"
#define ORDER_ID       "order_id"

int checkout_payment_timeout_ms = 60 * 1000;
int checkout_max_unpaid = 20;

/* The client's address, which the web gives when the site does; or NULL. */
static const char *
client_of(json_object *input)
{
	unsigned char address[sizeof(struct in6_addr)];
	const char *text = json_object_get_string(input);

	return text != NULL &&
		(inet_pton(AF_INET, text, address) == 1 ||
		    inet_pton(AF_INET6, text, address) == 1)
	    ? text
	    : NULL;
}

static json_object *
checkout(struct workflow *wf, json_object *input)
{
	const char *payment_status;
	int64_t order_id;
	bool paid;

	order_id = create_order(wf);

	if (!reserve_inventory(wf, order_id, client_of(input),
		checkout_max_unpaid)) {
		wf_log(wf,
		    "order %" PRId64 " is cancelled: sold out, or the client "
		    "has too many unpaid orders",
		    order_id);
		update_order_status(wf, order_id, ORDER_CANCELLED);
		wf_set_event(wf, PAYMENT_ID, NULL);
		notify_of_order(wf, order_id, "cancelled");
		return NULL;
	}

	/* POST /checkout waits for this event and answers with the id. */
	wf_set_event(wf, PAYMENT_ID, wf_string(wf, wf_id(wf)));

	payment_status = wf_recv_string(wf, PAYMENT_STATUS,
	    checkout_payment_timeout_ms);

	paid = payment_status != NULL && strcmp(payment_status, "paid") == 0;
	if (paid) {
		wf_log(wf, "order %" PRId64 " is paid: dispatching it",
		    order_id);
		update_order_status(wf, order_id, ORDER_PAID);
		/*
		 * The order's alone, so that a fork finds it: a key has no
		 * colon, and order ids do not repeat.
		 */
		wf_start(wf, &dispatch_type,
		    wf_printf(wf, "order:%" PRId64, order_id),
		    wf_int64(wf, order_id));
	} else {
		wf_log(wf, "order %" PRId64 " is cancelled: not paid",
		    order_id);
		undo_reserve_inventory(wf, order_id);
		update_order_status(wf, order_id, ORDER_CANCELLED);
	}

	/*
	 * POST /payment_webhook waits for this event and answers with it: a
	 * text when the payment was taken, a number when it was not.
	 */
	wf_set_event(wf, ORDER_ID,
	    paid ? wf_string(wf, wf_number(wf, order_id))
		 : wf_int64(wf, order_id));
	notify_of_order(wf, order_id, paid ? "paid" : "cancelled");
	return NULL;
}

static const struct workflow_type *const children[] = { &dispatch_type, NULL };

const struct workflow_type checkout_type = { .name = "checkout_workflow",
	.version = "1",
	.function = checkout,
	.children = children };
