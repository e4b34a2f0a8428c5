/* SPDX-License-Identifier: MIT */
/*
 * What each call of a workflow promises to its author.  calls.tap starts the
 * cluster and this program.
 */
#include <string.h>

#include "tests/stories/story.h"
#include "tests/unit/tap.h"

static json_object *
values(struct workflow *wf, json_object *input)
{
	static const char text[] = "quote \" back \\ slash / \xc3\xa9";
	const char *const params[] = { text };
	json_object *all = wf_own(wf, json_object_new_object());

	json_object_object_add(all, "input", json_object_get(input));
	json_object_object_add(all, "boolean",
	    json_object_get(wf_sql(wf, "boolean", "select true", 0, NULL)));
	json_object_object_add(all, "int",
	    json_object_get(
		wf_sql(wf, "int", "select 9007199254740993", 0, NULL)));
	json_object_object_add(all, "text",
	    json_object_get(wf_sql(wf, "text", "select $1::text", 1, params)));
	json_object_object_add(all, "json",
	    json_object_get(wf_sql(wf, "json",
		"select json_build_object('a', 1.50)", 0, NULL)));
	json_object_object_add(all, "null",
	    json_object_get(wf_sql(wf, "null", "select null::int", 0, NULL)));
	json_object_object_add(all, "none",
	    json_object_get(
		wf_sql(wf, "none", "select 1 where false", 0, NULL)));
	wf_sleep(wf, 1);
	return json_object_get(all);
}

static json_object *
refused(struct workflow *wf, json_object *input)
{
	const struct wf_error *error;

	take_note(wf, "before");
	if (json_object_get_boolean(input))
		wf_catch(wf);
	wf_sql(wf, "divide", "select 1 / 0", 0, NULL);
	error = wf_error(wf);
	take_note(wf, "after");
	wf_sleep(wf, 1);
	return json_object_new_string(error->message);
}

/* The failing statement is a void step, so the run does not wait for it. */
static json_object *
refused_later(struct workflow *wf, json_object *input)
{
	(void)input;
	take_note(wf, "before");
	wf_sql_void(wf, "divide", "select 1 / 0", 0, NULL);
	take_note(wf, "after");
	return NULL;
}

static json_object *
two_rows(struct step *step, void *arg)
{
	const char *const *params = arg;
	json_object *first;

	first = step_sql(step, "insert into test.notes values ($1) returning 7",
	    1, params);
	step_sql(step, "insert into test.notes values ($1)", 1, params);
	if (params[1] != NULL)
		step_fail(step, "TooMany", "%s", params[1]);
	return json_object_get(first);
}

static json_object *
transaction(struct workflow *wf, json_object *input)
{
	const char *params[] = { wf_id(wf), NULL };
	json_object *result;

	(void)input;
	result = wf_transaction(wf, "two_rows", two_rows, params);
	if (json_object_get_int(result) != 7 || wf_error(wf) != NULL)
		wf_fail(wf, "Error", "the first result is wrong");
	params[1] = "on purpose";
	wf_catch(wf);
	result = wf_transaction(wf, "two_more_rows", two_rows, params);
	if (result != NULL || wf_error(wf) == NULL)
		wf_fail(wf, "Error", "the second did not fail");
	return json_object_new_string(wf_error(wf)->name);
}

static json_object *
child(struct workflow *wf, json_object *input)
{
	take_note(wf, "note");
	if (json_object_get_int(input) == 13)
		wf_fail(wf, "Unlucky", "%d is unlucky", 13);
	return json_object_new_int(json_object_get_int(input) * 2);
}

static const struct workflow_type child_type = { .name = "child",
	.version = "1",
	.function = child };

static const struct workflow_type good_type = { .name = "good",
	.version = "1",
	.function = good };

static json_object *
parent(struct workflow *wf, json_object *input)
{
	const char *id, *unlucky;
	json_object *doubled;

	(void)input;
	id = wf_start(wf, &child_type, NULL, json_object_new_int(21));
	doubled = wf_result(wf, id);
	unlucky = wf_start(wf, &child_type, NULL, json_object_new_int(13));
	wf_catch(wf);
	wf_result(wf, unlucky);
	if (wf_error(wf) == NULL || strcmp(wf_error(wf)->name, "Unlucky") != 0)
		wf_fail(wf, "Error", "no error came back");
	wf_catch(wf);
	wf_start(wf, &good_type, id, NULL);
	if (wf_error(wf) == NULL)
		wf_fail(wf, "Error", "no conflict");
	return json_object_get(doubled);
}

/* Starts what the engine does not have. */
static json_object *
stranger(struct workflow *wf, json_object *input)
{
	static const struct workflow_type none = { .name = "none",
		.version = "7",
		.function = good };

	(void)input;
	wf_start(wf, &none, NULL, NULL);
	return NULL;
}

/* Waits for the result of the workflow that input names, and catches that. */
static json_object *
awaiter(struct workflow *wf, json_object *input)
{
	const struct wf_error *error;

	wf_catch(wf);
	wf_result(wf, json_object_get_string(input));
	error = wf_error(wf);
	wf_sleep(wf, 1);
	return json_object_new_string(error == NULL ? "no error" : error->name);
}

static json_object *
event_reader(struct workflow *wf, json_object *input)
{
	const char *id = json_object_get_string(input);
	json_object *all = wf_own(wf, json_object_new_array());

	json_object_array_add(all,
	    json_object_get(wf_get_event(wf, id, "colour", 60000)));
	json_object_array_add(all,
	    json_object_get(wf_get_event(wf, id, "nothing", 50)));
	return json_object_get(all);
}

static json_object *
event_setter(struct workflow *wf, json_object *input)
{
	(void)input;
	wf_recv(wf, "go", 60000);
	wf_set_event(wf, "colour", json_object_new_string("red"));
	wf_set_event(wf, "colour", json_object_new_string("blue"));
	return NULL;
}

static json_object *
sender(struct workflow *wf, json_object *input)
{
	wf_catch(wf);
	wf_send(wf, "absent", "go", NULL);
	if (wf_error(wf) == NULL)
		wf_fail(wf, "Error", "the absent workflow was found");
	wf_send(wf, json_object_get_string(input), "go", NULL);
	return json_object_new_string(wf_error(wf) == NULL ? "sent" : "lost");
}

static json_object *
receiver(struct workflow *wf, json_object *input)
{
	json_object *all = wf_own(wf, json_object_new_array());
	int i;

	(void)input;
	for (i = 0; i < 3; i++)
		json_object_array_add(all,
		    json_object_get(wf_recv(wf, "topic", 60000)));
	json_object_array_add(all, json_object_get(wf_recv(wf, "topic", 20)));
	return json_object_get(all);
}

static json_object *
first_version(struct workflow *wf, json_object *input)
{
	(void)input;
	wf_recv(wf, "go", 60000);
	return json_object_new_string("first");
}

static json_object *
second_version(struct workflow *wf, json_object *input)
{
	(void)input;
	wf_sleep(wf, 1);
	return json_object_new_string("second");
}

/* Sleeps for as long as a number allows. */
static json_object *
endless(struct workflow *wf, json_object *input)
{
	wf_sleep(wf, json_object_get_int64(input));
	return NULL;
}

/* A batch step that all runs of the turn share. */
static void
tell(struct workflow *wf, const char *what)
{
	const char *const params[] = { wf_id(wf), what };

	wf_batch_void(wf, "tell", "select test.tell($1, $2)", 2, params);
}

/* Divides in a batch; the workflow with input 0 divides by zero. */
static json_object *
batcher(struct workflow *wf, json_object *input)
{
	const char *const params[] = { json_object_get_string(input) };
	const char *const id = wf_id(wf);
	int64_t quotient;

	tell(wf, "one");
	wf_sql_void(wf, "aside",
	    "insert into test.told (id, what, size) values ($1, 'two', 1)", 1,
	    &id);
	tell(wf, "three");
	take_note(wf, "note");
	quotient = wf_batch_int64(wf, "divide",
	    "select 1000 / u.n from unnest($1::int[]) "
	    "with ordinality as u (n, place) order by u.place",
	    1, params);
	tell(wf, "four");
	wf_sleep(wf, 1);
	return json_object_new_int64(quotient);
}

static const struct workflow_type types[] = { TYPE(values), TYPE(refused),
	TYPE(refused_later), TYPE(transaction), TYPE(parent), TYPE(awaiter),
	TYPE(event_reader), TYPE(event_setter), TYPE(sender), TYPE(receiver),
	TYPE(sleeper), TYPE(endless), TYPE(batcher), TYPE(good), TYPE(child),
	TYPE(stranger),
	{ .name = "versioned", .version = "1", .function = first_version },
	{ .name = "versioned", .version = "2", .function = second_version } };

#define TYPES (sizeof(types) / sizeof(types[0]))

static void
test_steps(void)
{
	start("values", "values", "{\"n\": 1.10}");
	is_str(output("values"),
	    "{\"input\":{\"n\":1.10},\"boolean\":true,"
	    "\"int\":9007199254740993,\"text\":\"quote \\\" back \\\\ slash / "
	    "\xc3\xa9\",\"json\":{\"a\":1.50},\"null\":null,\"none\":null}",
	    "a step's result is the same from the statement and the journal");

	start("caught", "refused", "true");
	is_str(output("caught"), "\"division by zero (SQLSTATE 22012)\"",
	    "a caught error of a step reaches the workflow");
	is_str(notes("caught"), "2",
	    "the steps around a caught error happen once");
	start("fatal", "refused", "false");
	is_str(ended("fatal"), "ERROR",
	    "an uncaught error of a step fails the workflow");
	is_str(notes("fatal"), "1", "the step before an uncaught error stands");
	is_str(output("fatal"),
	    "{\"name\":\"DatabaseError\",\"message\":"
	    "\"division by zero (SQLSTATE 22012)\"}",
	    "an uncaught error is the workflow's recorded result");

	start("transaction", "transaction", "null");
	is_str(output("transaction"), "\"TooMany\"",
	    "a failed transaction step returns its error");
	is_str(notes("transaction"), "2",
	    "a failed transaction step leaves no row");
	is_str(steps("transaction"), "0 two_rows, 1 two_more_rows",
	    "a failed transaction step is in the journal, as a good one is");
}

/* One bad workflow among many in the same turns. */
static void
test_isolation(void)
{
	sql("select durable.client_submit(array_agg(id), "
	    "array_agg(case n when 25 then 'refused_later' else 'good' end), "
	    "array_agg('test'::text), array_agg(null::text), 'test', "
	    "'{}', '{}', '{}', '{}', '{}') "
	    "from (select n, 'many' || n as id from generate_series(1, 50) n) "
	    "as s");
	ok(wait_sql("49",
	       "select count(*) from dbos.workflow_status "
	       "where workflow_uuid like 'many%' and status = 'SUCCESS'"),
	    "the other workflows of a refused turn succeed");
	is_str(ended("many25"), "ERROR",
	    "in a refused turn the workflow with the error fails");
	is_str(notes("many25"), "1",
	    "the failed workflow keeps the step before its error");
	is_str(sql("select count(*) from test.notes where id like 'many%%'"),
	    "99", "the other workflows' steps happen exactly once");
}

/* A run's statements keep their order and get their own results. */
static void
test_batches(void)
{
	sql("select durable.client_submit(array_agg('batch' || n), "
	    "array_agg('batcher'::text), array_agg('test'::text), "
	    "array_agg(n::text), 'test', '{}', '{}', '{}', '{}', '{}') "
	    "from generate_series(0, 40) as n");
	ok(wait_sql("40",
	       "select count(*) from dbos.workflow_status as s "
	       "join dbos.workflow_output as o using (workflow_uuid) "
	       "where s.workflow_uuid like 'batch%' and s.status = 'SUCCESS' "
	       "and o.output::int = 1000 / substr(s.workflow_uuid, 6)::int"),
	    "each workflow of a batch gets its own result");
	is_str(ended("batch0"), "ERROR",
	    "the workflow of a refused batch element fails");
	is_str(notes("batch0"), "1",
	    "a refused batch element leaves the steps before it");
	is_str(sql("select string_agg(distinct what, ';') from ("
		   "select string_agg(what, ' ' order by at) as what "
		   "from test.told where id <> 'batch0' group by id) as t"),
	    "one two three four",
	    "a run's batch steps happen once and in its order");
	is_str(sql("select max(size) > 1 from test.told"), "true",
	    "a batch statement carries several workflows");
}

static void
test_children(void)
{
	start("parent", "parent", "null");
	is_str(output("parent"), "42", "wf_result returns the child's result");
	is_str(steps("parent"),
	    "0 child, 1 DBOS.getResult, 2 child, "
	    "3 DBOS.getResult, 4 good",
	    "steps of a parent have the names of the DBOS SDKs");
	is_str(sql("select parent_workflow_id from dbos.workflow_status "
		   "where workflow_uuid = 'parent-0'"),
	    "parent",
	    "a child's id is <parent>-<step> and it knows its parent");
	is_str(notes("parent-0"), "1", "a child runs once");
	start("stranger", "stranger", "null");
	is_str(ended("stranger"), "ERROR",
	    "a type that the engine does not have is refused");
	ok(strstr(sql("select error from dbos.workflow_output "
		      "where workflow_uuid = 'stranger'"),
	       "'none' of version '7'") != NULL,
	    "the refusal names the type and its version");
	start("awaits none", "awaiter", "\"no such workflow\"");
	is_str(output("awaits none"), "\"DBOSNonExistentWorkflowError\"",
	    "wf_result of an unknown workflow fails at once");
	start("awaits itself", "awaiter", "\"awaits itself\"");
	is_str(output("awaits itself"), "\"DBOSInvalidInput\"",
	    "wf_result of the workflow itself fails at once");
}

static void
test_events_and_messages(void)
{
	start("reader", "event_reader", "\"setter\"");
	start("setter", "event_setter", "null");
	ok(wait_sql("2",
	       "select count(*) from durable.waits "
	       "where workflow_uuid in ('reader', 'setter')"),
	    "a workflow that waits has a row in durable.waits");
	start("sender", "sender", "\"setter\"");
	is_str(output("sender"), "\"sent\"",
	    "wf_send fails for an absent workflow and no other");
	is_str(output("reader"), "[\"blue\",null]",
	    "an event wakes its reader; a missing event times out");
	is_str(steps("reader"),
	    "0 DBOS.getEvent, 1 DBOS.sleep, "
	    "2 DBOS.getEvent, 3 DBOS.sleep",
	    "the journal has a time-out step for each wf_get_event");
	is_str(sql("select string_agg(value, ' ' order by function_id) "
		   "from dbos.workflow_events_history "
		   "where workflow_uuid = 'setter'"),
	    "\"red\" \"blue\"", "the event's history has both values");

	start("receiver", "receiver", "null");
	sql("select dbos.send_message('receiver', '1', 'topic')");
	sql("select dbos.send_message('receiver', '0', 'elsewhere')");
	ok(wait_sql("true",
	       "select consumed from dbos.notifications "
	       "where destination_uuid = 'receiver' and message = '1'"),
	    "a message sent by SQL reaches the workflow");
	sql("insert into dbos.notifications (destination_uuid, topic, message, "
	    "serialization, created_at_epoch_ms) values "
	    "('receiver', 'topic', '3', 'portable_json', 3), "
	    "('receiver', 'topic', '{\"json\":2,\"__dbos_serializer\":"
	    "\"superjson\"}', 'js_superjson', 2)");
	is_str(output("receiver"), "[1,2,3,null]",
	    "messages arrive in order and any format, then the time-out");
	is_str(sql("select string_agg(consumed_by_function_id::text, ',' "
		   "order by consumed_by_function_id) from dbos.notifications "
		   "where destination_uuid = 'receiver' and consumed"),
	    "0,2,4", "a consumed message names the step that took it");
}

static void
test_control(void)
{
	start("cancelled", "sleeper", "null");
	ok(wait_sql("1",
	       "select count(*) from durable.waits "
	       "where workflow_uuid = 'cancelled'"),
	    "a sleeping workflow has a row in durable.waits");
	is_str(sql("select w.wake_at %% 16 || ' ' "
		   "|| (w.wake_at - s.output::bigint between 0 and 15) "
		   "from durable.waits as w "
		   "join dbos.operation_outputs as s using (workflow_uuid) "
		   "where w.workflow_uuid = 'cancelled'"),
	    "0 true", "a sleep is rounded up to 16 ms and is never shorter");
	start("for ever", "endless", "9223372036854775807");
	ok(wait_sql("9223372036854775807",
	       "select wake_at from durable.waits "
	       "where workflow_uuid = 'for ever'"),
	    "a sleep of 2^63 - 1 ms has no end");
	sql("update dbos.workflow_status set status = 'CANCELLED', "
	    "owner_xid = null, queue_name = null, completed_at = 1 "
	    "where workflow_uuid = 'cancelled'");
	is_str(sql("select count(*) from durable.waits "
		   "where workflow_uuid = 'cancelled'"),
	    "0", "cancelling a workflow removes its wait");

	sql("select dbos.enqueue_workflow('sleeper', 'test', "
	    "workflow_id => 'late', timeout_ms => 100)");
	is_str(ended("late"), "CANCELLED",
	    "a workflow is cancelled at its deadline");
	is_str(sql("select count(*) from durable.waits "
		   "where workflow_uuid = 'late'"),
	    "0", "a workflow past its deadline has no wait");

	start("diverged", "receiver", "null");
	ok(wait_sql("1",
	       "select count(*) from durable.waits "
	       "where workflow_uuid = 'diverged'"),
	    "a receiving workflow has a row in durable.waits");
	sql("update dbos.operation_outputs set function_name = 'other' "
	    "where workflow_uuid = 'diverged'");
	sql("select dbos.send_message('diverged', '1', 'topic')");
	is_str(ended("diverged"), "ERROR",
	    "a replay that differs from its journal fails");
	ok(strstr(output("diverged"),
	       "recorded as 'other', but the function "
	       "now calls 'DBOS.sleep'") != NULL,
	    "the error of a differing replay names both calls");

	sql("select dbos.enqueue_workflow('versioned', 'test', "
	    "workflow_id => 'v1', app_version => '1')");
	sql("select dbos.enqueue_workflow('versioned', 'test', "
	    "workflow_id => 'v2')");
	is_str(output("v2"), "\"second\"",
	    "a new workflow gets the last registered version");
	sql("select dbos.send_message('v1', '1', 'go')");
	is_str(output("v1"), "\"first\"",
	    "a workflow of an old version keeps that version");

	sql("insert into dbos.workflow_status (workflow_uuid, name, "
	    "queue_name, status, inputs, serialization) values ('super', "
	    "'child', 'test', 'ENQUEUED', '{\"json\":[4],"
	    "\"__dbos_serializer\":\"superjson\"}', 'js_superjson'), "
	    "('pickle', 'child', 'test', 'ENQUEUED', 'gAS=', 'py_pickle')");
	is_str(output("super"),
	    "{\"json\":8,\"__dbos_serializer\":\"superjson\"}",
	    "a workflow of another SDK is answered in its format");
	is_str(ended("pickle"), "ERROR",
	    "an input in an unreadable format fails its workflow");
}

int
main(void)
{
	static const struct engine engine = { .turn_size = 16,
		.turn_limit_s = 2,
		.max_attempts = 3 };
	pid_t daemon;

	story_begin(
	    "create table test.told (at serial, id text, what text, size int);"
	    "create function test.tell(ids text[], whats text[]) "
	    "returns void begin atomic "
	    "insert into test.told (id, what, size) "
	    "select u.id, u.what, cardinality(ids) "
	    "from unnest(ids, whats) as u (id, what); end;");
	daemon = story_start_daemon(&engine, types, TYPES, 3);
	test_steps();
	test_isolation();
	test_batches();
	test_children();
	test_events_and_messages();
	test_control();
	ok(story_stop_daemon(daemon), "SIGTERM ends the daemon with status 0");
	story_end();
	return done_testing();
}
