/* SPDX-License-Identifier: MIT */
/*
 * The checkout of one widget, from Buy Now to the payment's answer.
 */
#ifndef DAEMON_CHECKOUT_H
#define DAEMON_CHECKOUT_H

#include <stdint.h>

#include <durable/workflow.h>

/*
 * The workflow checkout_workflow; its input is the client's address, a string,
 * or none, and it returns null.  It sets the event payment_id to its own id, or
 * to null when the widget is sold out or the client has too many unpaid orders.
 * When it is paid, it sets order_id to the order's number, a string of digits;
 * when it is not, or not in time, to the same as a number.
 */
extern const struct workflow_type checkout_type;

/*
 * How long a checkout waits for its payment, in milliseconds, from 1; 60000 by
 * default.  main sets it before the first worker starts.
 */
extern int checkout_payment_timeout_ms;

/* How many unpaid orders a client may have, 0: any; as above, 20 by default. */
extern int checkout_max_unpaid;

#endif
