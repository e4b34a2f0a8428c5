/* SPDX-License-Identifier: MIT */
/*
 * The dispatch of a paid order: ten steps, one a second.
 */
#include "daemon/dispatch.h"

#include "daemon/orders.h"

#define PROGRESS_STEPS       10
#define PROGRESS_INTERVAL_MS 1000

static json_object *
dispatch(struct workflow *wf, json_object *input)
{
	int64_t order_id = json_object_get_int64(input);
	int i;

	for (i = 0; i < PROGRESS_STEPS; i++) {
		wf_sleep(wf, PROGRESS_INTERVAL_MS);
		update_order_progress(wf, order_id);
	}
	return NULL;
}

const struct workflow_type dispatch_type = { .name = "dispatch_order_workflow",
	.version = "1",
	.function = dispatch };
