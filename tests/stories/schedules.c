/* SPDX-License-Identifier: MIT */
/*
 * A daemon of application "test" that runs one workflow, for schedules: it takes
 * a note and returns its context.  schedules.tap starts several.
 */
#include <stddef.h>

#include <json-c/json_object.h>

#include <durable/engine.h>

static json_object *
scheduled(struct workflow *wf, json_object *at)
{
	const char *const params[] = { wf_id(wf), json_object_get_string(at) };

	wf_sql_void(wf, "note", "insert into notes values ($1, $2)", 2, params);
	return json_object_get(wf_argument(wf, 1));
}

int
main(void)
{
	static const struct workflow_type type = { .name = "scheduled",
		.version = "1",
		.function = scheduled };
	static const struct workflow_type *const types[] = { &type, NULL };
	static const char *const queues[] = { "test", DURABLE_INTERNAL_QUEUE,
		NULL };
	static const struct engine engine = { .conninfo = "",
		.application = "test",
		.executor = "tests",
		.types = types,
		.queues = queues,
		.turn_size = 256,
		.turn_limit_s = 10,
		.max_attempts = 3 };

	return durable_run(&engine, 2);
}
