/* SPDX-License-Identifier: MIT */
/*
 * The dispatch of a paid order.
 */
#ifndef DAEMON_DISPATCH_H
#define DAEMON_DISPATCH_H

#include <durable/workflow.h>

/*
 * The workflow dispatch_order_workflow; its input is the id of a paid order, an
 * integer, and it returns null.  Once an interval it takes one of ten steps; the
 * last one makes the order dispatched.
 */
extern const struct workflow_type dispatch_type;

/*
 * The time between two steps of a dispatch, in milliseconds, from 1; 1000 by
 * default.  main sets it before the first worker starts.
 */
extern int dispatch_interval_ms;

#endif
