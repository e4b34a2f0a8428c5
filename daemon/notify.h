/* SPDX-License-Identifier: MIT */
/*
 * News of an order for another program: a workflow of its own, so that neither
 * the order nor its customer waits for that program.
 */
#ifndef DAEMON_NOTIFY_H
#define DAEMON_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

#include <durable/step.h>
#include <durable/workflow.h>

/*
 * The workflow notify_workflow, and its external step post_event.  Its input is
 * {"type": "order.paid", "order_id": 7}; it returns the status of the answer of
 * the receiver that took the event, and fails when none has in about three days.
 */
extern const struct workflow_type notify_type;
extern const struct step_type post_event_type;

/* Whether orders tell of themselves; main sets it before the first worker. */
extern bool notify_is_on;

/*
 * Starts the workflow that tells the event "order.WHAT" of an order, unless it
 * has been started or notify_is_on is false.  It is the last call of a workflow,
 * so that a daemon with the option goes on with what began without it, and the
 * other way round.
 */
void notify_of_order(struct workflow *wf, int64_t order_id, const char *what);

#endif
