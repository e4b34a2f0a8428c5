/* SPDX-License-Identifier: MIT */
/*
 * The steps of the store's workflows.  Each calls the SQL function of the same
 * name in schema store, exactly once: its effect commits with its journal row.
 * Like every call of workflow.h, a step may not return: the run ends, and a
 * later run replays the workflow and gets the recorded result here.
 */
#ifndef DAEMON_ORDERS_H
#define DAEMON_ORDERS_H

#include <stdbool.h>
#include <stdint.h>

#include <durable/workflow.h>

/* The numbers of the example's schema. */
enum order_status {
	ORDER_CANCELLED = -1,
	ORDER_PENDING = 0,
	ORDER_DISPATCHED = 1,
	ORDER_PAID = 2
};

/* Creates a pending order and returns its id, from 1. */
int64_t create_order(struct workflow *wf);

/*
 * Takes one widget from the stock for an order; returns false when it is sold
 * out, or the client, an IP address, has max_unpaid unpaid orders.  Without a
 * client, NULL, or with 0 there is no such limit.
 */
bool reserve_inventory(struct workflow *wf, int64_t order_id,
    const char *client, int max_unpaid);

/* Returns the order's widget to the stock, if the order is still pending. */
void undo_reserve_inventory(struct workflow *wf, int64_t order_id);

/*
 * Sets the status of an order and the time of its last change.  A paid order
 * stays paid, whatever a fork of its checkout comes to.
 */
void update_order_status(struct workflow *wf, int64_t order_id,
    enum order_status status);

/* Takes one of an order's ten steps; the last makes the order dispatched. */
void update_order_progress(struct workflow *wf, int64_t order_id);

#endif
