/* SPDX-License-Identifier: MIT */
/*
 * The dispatch of a paid order: ten steps, by default one a second.
 */
#include "daemon/dispatch.h"

#include "daemon/notify.h"
#include "daemon/orders.h"

#define PROGRESS_STEPS 10

int dispatch_interval_ms = 1000;

static json_object *
dispatch(struct workflow *wf, json_object *input)
{
	int64_t order_id = json_object_get_int64(input);
	int i;

	for (i = 0; i < PROGRESS_STEPS; i++) {
		wf_sleep(wf, dispatch_interval_ms);
		update_order_progress(wf, order_id);
	}
	notify_of_order(wf, order_id, "dispatched");
	return NULL;
}

const struct workflow_type dispatch_type = { .name = "dispatch_order_workflow",
	.version = "1",
	.function = dispatch };
