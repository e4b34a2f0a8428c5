/* SPDX-License-Identifier: MIT */
/*
 * The dispatch of a paid order.
 */
#ifndef DAEMON_DISPATCH_H
#define DAEMON_DISPATCH_H

#include <durable/workflow.h>

/* dispatch_order_workflow: its input is the order id, it returns nothing. */
extern const struct workflow_type dispatch_type;

#endif
