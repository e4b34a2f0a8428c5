/* SPDX-License-Identifier: MIT */
/*
 * The checkout of one widget, from Buy Now to the payment's answer.
 */
#ifndef DAEMON_CHECKOUT_H
#define DAEMON_CHECKOUT_H

#include <stdint.h>

#include <durable/workflow.h>

/*
 * The workflow checkout_workflow; it takes no input and returns null.  It sets
 * the event payment_id to its own id, or to null when the widget is sold out.
 * When the payment has been settled or its time is over, it sets order_id to
 * the order's number, a string of digits.
 */
extern const struct workflow_type checkout_type;

/*
 * How long a checkout waits for its payment, in milliseconds, from 1; 60000 by
 * default.  main sets it before the first worker starts.
 */
extern int checkout_payment_timeout_ms;

#endif
