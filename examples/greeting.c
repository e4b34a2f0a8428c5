/* SPDX-License-Identifier: MIT */
/*
 * The smallest program: greets a guest, waits for an answer for a day at most,
 * and returns it.  Needs the table guests (name text).
 *
 *	select dbos.enqueue_workflow('greet', 'greetings',
 *	    array['"Ada"'::json], workflow_id => 'ada');
 *	select dbos.send_message('ada', '"Well!"', 'answer');
 */
#include <durable/engine.h>

#define DAY_MS (INT64_C(24) * 3600 * 1000)

static json_object *
greet(struct workflow *wf, json_object *name)
{
	const char *const params[] = { json_object_get_string(name) };
	const char *answer;

	/* A step: the row and the record of it commit together. */
	wf_sql_void(wf, "remember_guest",
	    "insert into guests (name) values ($1)", 1, params);
	wf_set_event(wf, "greeting", wf_string(wf, "How are you?"));

	/* Here the process may die, or the machine, or a day go by. */
	answer = wf_recv_string(wf, "answer", DAY_MS);
	if (answer == NULL)
		wf_fail(wf, "NoAnswer", "%s never answered", params[0]);
	return wf_string(wf, answer);
}

int
main(void)
{
	static const struct workflow_type greet_type = { .name = "greet",
		.version = "1",
		.function = greet };
	static const struct workflow_type *const types[] = { &greet_type,
		NULL };
	static const char *const queues[] = { "greetings",
		DURABLE_INTERNAL_QUEUE, NULL };
	static const struct engine engine = { .conninfo = "",
		.application = "greeter",
		.executor = "here",
		.types = types,
		.queues = queues,
		.turn_size = 64,
		.turn_limit_s = 30,
		.max_attempts = 10 };

	return durable_run(&engine, 1);
}
