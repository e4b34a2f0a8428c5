/* SPDX-License-Identifier: MIT */
/*
 * The steps of the store's workflows.  Each is the SQL function of the same
 * name in schema store, and happens exactly once.
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

/* Creates a pending order and returns its id. */
int64_t create_order(struct workflow *wf);

/* Takes one widget from the stock; false when it is sold out. */
bool reserve_inventory(struct workflow *wf);

/* Puts one widget back. */
void undo_reserve_inventory(struct workflow *wf);

void update_order_status(struct workflow *wf, int64_t order_id,
    enum order_status status);

/* One step towards dispatch; the last one dispatches the order. */
void update_order_progress(struct workflow *wf, int64_t order_id);

#endif
