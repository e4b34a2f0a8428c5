/* SPDX-License-Identifier: MIT */
/*
 * The steps of the store's workflows.  Each is a batch: one statement serves
 * all workflows of a turn that come to the step.
 */
#include "daemon/orders.h"

/* The store sells one product; this is its id. */
static const char widget[] = "1";

int64_t
create_order(struct workflow *wf)
{
	const char *const params[] = { wf_number(wf, ORDER_PENDING),
		wf_id(wf) };

	return wf_batch_int64(wf, "create_order",
	    "select store.create_order($1, $2)", 2, params);
}

bool
reserve_inventory(struct workflow *wf, int64_t order_id, const char *client,
    int max_unpaid)
{
	const char *const params[] = { widget, wf_number(wf, order_id), client,
		wf_number(wf, max_unpaid) };

	if (client == NULL || max_unpaid == 0)
		return wf_batch_bool(wf, "reserve_inventory",
		    "select store.reserve_inventory($1)", 1, params);
	return wf_batch_bool(wf, "reserve_inventory",
	    "select store.reserve_inventory_for($1, $2, $3, $4)", 4, params);
}

void
undo_reserve_inventory(struct workflow *wf, int64_t order_id)
{
	const char *const params[] = { widget, wf_number(wf, order_id) };

	wf_batch_bool(wf, "undo_reserve_inventory",
	    "select store.undo_reserve_inventory($1, $2)", 2, params);
}

void
update_order_status(struct workflow *wf, int64_t order_id,
    enum order_status status)
{
	const char *const params[] = { wf_number(wf, order_id),
		wf_number(wf, status) };

	wf_batch_void(wf, "update_order_status",
	    "select store.update_order_status($1, $2)", 2, params);
}

void
update_order_progress(struct workflow *wf, int64_t order_id)
{
	const char *const params[] = { wf_number(wf, order_id) };

	wf_batch_void(wf, "update_order_progress",
	    "select store.update_order_progress($1)", 1, params);
}
