/* SPDX-License-Identifier: MIT */
/*
 * The checkout of one widget, from Buy Now to the payment's answer.
 */
#ifndef DAEMON_CHECKOUT_H
#define DAEMON_CHECKOUT_H

#include <stdint.h>

#include <durable/workflow.h>

/* checkout_workflow: takes no input, returns nothing; sets payment_id first. */
extern const struct workflow_type checkout_type;

/* How long a customer may take to pay, in milliseconds; 60000 by default. */
extern int checkout_payment_timeout_ms;

#endif
