/* SPDX-License-Identifier: MIT */
/*
 * The steps of the store's workflows.
 */
#include "orders.h"

int64_t
create_order(struct workflow *wf)
{
	return wf_sql_int64(wf, "create_order", "select store.create_order()",
	    0, NULL);
}

bool
reserve_inventory(struct workflow *wf)
{
	return wf_sql_bool(wf, "reserve_inventory",
	    "select store.reserve_inventory()", 0, NULL);
}

void
undo_reserve_inventory(struct workflow *wf)
{
	wf_sql_void(wf, "undo_reserve_inventory",
	    "select store.undo_reserve_inventory()", 0, NULL);
}

void
update_order_status(struct workflow *wf, int64_t order_id,
    enum order_status status)
{
	const char *const params[] = { wf_number(wf, order_id),
		wf_number(wf, status) };

	wf_sql_void(wf, "update_order_status",
	    "select store.update_order_status($1, $2)", 2, params);
}

void
update_order_progress(struct workflow *wf, int64_t order_id)
{
	const char *const params[] = { wf_number(wf, order_id) };

	wf_sql_void(wf, "update_order_progress",
	    "select store.update_order_progress($1)", 1, params);
}
