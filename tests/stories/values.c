/* SPDX-License-Identifier: MIT */
/*
 * What a workflow reads besides its first argument: recorded values, its other
 * arguments, and all rows of a statement.  values.tap starts the cluster and
 * this program.
 */
#include <string.h>

#include "tests/stories/story.h"
#include "tests/unit/tap.h"

/* Adds a value that the run owns to an array. */
static void
push(json_object *all, json_object *value)
{
	json_object_array_add(all, json_object_get(value));
}

/*
 * What the calls return in the run that records it, then, behind the message,
 * in a replay.
 */
static json_object *
recorder(struct workflow *wf, json_object *input)
{
	json_object *all = wf_own(wf, json_object_new_array());
	int i;

	(void)input;
	json_object_array_add(all, json_object_new_int64(wf_now_ms(wf)));
	json_object_array_add(all, json_object_new_string(wf_uuid(wf)));
	json_object_array_add(all, json_object_new_double(wf_random(wf)));
	for (i = 0; i < 2; i++) {
		wf_set_event(wf, i == 0 ? "first" : "replayed",
		    json_object_get(all));
		wf_recv(wf, "go", 60000);
	}
	return json_object_get(all);
}

/* Whether the calls' values are where they have to be. */
static json_object *
ranges(struct workflow *wf, json_object *input)
{
	int i;

	(void)input;
	for (i = 0; i < 500; i++)
		if (wf_random(wf) < 0 || wf_random(wf) >= 1)
			wf_fail(wf, "Error", "no fraction");
	return NULL;
}

static json_object *
arguments(struct workflow *wf, json_object *input)
{
	json_object *all = wf_own(wf, json_object_new_object());
	json_object *positional = json_object_new_array();
	size_t i;

	json_object_object_add(all, "first", json_object_get(input));
	json_object_object_add(all, "positional", positional);
	for (i = 0; i < wf_arguments(wf); i++)
		push(positional, wf_argument(wf, i));
	json_object_object_add(all, "beyond",
	    json_object_get(wf_argument(wf, i)));
	json_object_object_add(all, "name",
	    json_object_get(wf_named(wf, "name")));
	json_object_object_add(all, "none",
	    json_object_get(wf_named(wf, "none")));
	wf_sleep(wf, 1);
	return json_object_get(all);
}

static json_object *
rows(struct workflow *wf, json_object *input)
{
	const char *const params[] = { json_object_get_string(input) };
	json_object *all = wf_own(wf, json_object_new_array());

	push(all,
	    wf_sql_rows(wf, "rows",
		"select n, n % 2 = 0 as even, 'text ' || n as \"a \"\"name\"\"\","
		" nullif(n, 1) as other, json_build_object('n', n) as json, "
		"n + 0.5 as numeric from generate_series(1, $1::int) as n",
		1, params));
	push(all, wf_sql_rows(wf, "none", "select 1 where false", 0, NULL));
	push(all,
	    wf_sql_rows(wf, "changed",
		"insert into test.notes values ('row'), ('row') returning id",
		0, NULL));
	wf_catch(wf);
	push(all, wf_sql_rows(wf, "refused", "select 1 / 0", 0, NULL));
	json_object_array_add(all,
	    json_object_new_string(wf_error(wf)->message));
	wf_sleep(wf, 1);
	return json_object_get(all);
}

/* Rows of 40 MB, then a step. */
static json_object *
many_rows(struct workflow *wf, json_object *input)
{
	(void)input;
	wf_sql_rows(wf, "rows",
	    "select repeat('x', 1000000) from generate_series(1, 40)", 0, NULL);
	take_note(wf, "note");
	return NULL;
}

static const struct workflow_type types[] = { TYPE(recorder), TYPE(ranges),
	TYPE(arguments), TYPE(rows), TYPE(many_rows) };

static void
test_recorded(void)
{
	start("recorder", "recorder", "null");
	ok(wait_sql("message",
	       "select kind from durable.waits "
	       "where workflow_uuid = 'recorder'"),
	    "the workflow has recorded its values and waits");
	sql("select dbos.send_message('recorder', '1', 'go')");
	ok(wait_sql("true",
	       "select a.value = b.value from dbos.workflow_events as a "
	       "join dbos.workflow_events as b using (workflow_uuid) "
	       "where a.key = 'first' and b.key = 'replayed'"),
	    "a replay returns the time, UUID and number of the first run");
	is_str(steps("recorder"),
	    "0 DBOS.now, 1 DBOS.randomUUID, 2 DBOS.random, 3 DBOS.setEvent, "
	    "4 DBOS.recv, 5 DBOS.sleep, 6 DBOS.setEvent, 8 DBOS.sleep",
	    "recorded values have the names of the DBOS SDKs");
	is_str(sql("select bool_and(abs(output::bigint - started_at_epoch_ms) "
		   "<= 1) from dbos.operation_outputs "
		   "where workflow_uuid = 'recorder' and function_id = 0"),
	    "true", "wf_now_ms is the time of the database");
	ok(sql("select regexp_match(output, '^\"[0-9a-f]{8}-[0-9a-f]{4}-"
	       "4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\"$') "
	       "from dbos.operation_outputs "
	       "where workflow_uuid = 'recorder' and function_id = 1") != NULL,
	    "wf_uuid is a UUID of version 4");
	sql("select dbos.send_message('recorder', '1', 'go')");
	is_str(ended("recorder"), "SUCCESS", "the workflow of the values ends");
	start("ranges", "ranges", "null");
	is_str(ended("ranges"), "SUCCESS", "wf_random is from 0 to below 1");
	is_str(sql("select count(distinct output) from dbos.operation_outputs "
		   "where workflow_uuid = 'ranges'"),
	    "1000", "random numbers differ");
}

static void
test_arguments(void)
{
	sql("select dbos.enqueue_workflow('arguments', 'test', "
	    "array['\"one\"', 'null', '{\"a\":[1]}']::json[], "
	    "'{\"name\": \"Ada\"}', workflow_id => 'several')");
	is_str(output("several"),
	    "{\"first\":\"one\",\"positional\":[\"one\",null,{\"a\":[1]}],"
	    "\"beyond\":null,\"name\":\"Ada\",\"none\":null}",
	    "a workflow reads arguments by place and by name");
	sql("select dbos.enqueue_workflow('arguments', 'test', "
	    "named_args => '{\"name\": 2}', workflow_id => 'named')");
	is_str(output("named"),
	    "{\"first\":null,\"positional\":[],\"beyond\":null,\"name\":2,"
	    "\"none\":null}",
	    "a workflow has arguments with names only");
	start("one", "arguments", "7");
	is_str(output("one"),
	    "{\"first\":7,\"positional\":[7],\"beyond\":null,\"name\":null,"
	    "\"none\":null}",
	    "one argument is the first one");
	sql("insert into dbos.workflow_status (workflow_uuid, name, queue_name, "
	    "status, inputs, serialization) values ('super', 'arguments', "
	    "'test', 'ENQUEUED', '{\"json\":[4,5],\"__dbos_serializer\":"
	    "\"superjson\"}', 'js_superjson'), ('no input', 'arguments', "
	    "'test', 'ENQUEUED', null, 'portable_json'), ('odd', 'arguments', "
	    "'test', 'ENQUEUED', '{\"positionalArgs\":3,\"namedArgs\":[]}', "
	    "'portable_json')");
	is_str(output("super"),
	    "{\"json\":{\"first\":4,\"positional\":[4,5],\"beyond\":null,"
	    "\"name\":null,\"none\":null},\"__dbos_serializer\":\"superjson\"}",
	    "superjson has arguments by place");
	is_str(output("no input"),
	    "{\"first\":null,\"positional\":[],\"beyond\":null,\"name\":null,"
	    "\"none\":null}",
	    "a workflow without an input has no arguments");
	is_str(output("odd"), output("no input"),
	    "arguments of another form are none");
}

static void
test_rows(void)
{
	start("rows", "rows", "2");
	is_str(output("rows"),
	    "[[{\"n\":1,\"even\":false,\"a \\\"name\\\"\":\"text 1\","
	    "\"other\":null,\"json\":{\"n\":1},\"numeric\":\"1.5\"},"
	    "{\"n\":2,\"even\":true,\"a \\\"name\\\"\":\"text 2\",\"other\":2,"
	    "\"json\":{\"n\":2},\"numeric\":\"2.5\"}],[],"
	    "[{\"id\":\"row\"},{\"id\":\"row\"}],null,"
	    "\"division by zero (SQLSTATE 22012)\"]",
	    "wf_sql_rows returns all rows and columns");
	is_str(notes("row"), "2", "a statement with rows runs exactly once");
#ifndef __SANITIZE_ADDRESS__
	/* The sanitizer would take minutes for so much. */
	start("many rows", "many_rows", "null");
	is_str(ended("many rows"), "ERROR",
	    "rows beyond the history's limit fail the workflow");
	ok(strstr(output("many rows"), "DBOSHistoryLimitExceeded") != NULL,
	    "the error of too many rows names the history's limit");
#endif
}

int
main(void)
{
	static const struct engine engine = { .turn_size = 16,
		.turn_limit_s = 10,
		.max_attempts = 3 };
	pid_t daemon;

	story_begin("");
	daemon = story_start_daemon(&engine, types,
	    sizeof(types) / sizeof(types[0]), 2);
	test_recorded();
	test_arguments();
	test_rows();
	ok(story_stop_daemon(daemon), "SIGTERM ends the daemon with status 0");
	story_end();
	return done_testing();
}
