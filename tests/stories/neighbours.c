/* SPDX-License-Identifier: MIT */
/*
 * Workflows whose code is wrong, in turns that they share with workflows whose
 * code is right.  A wrong one meets a named error alone, and the others end as
 * they would without it.  neighbours.tap starts the cluster and this program.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/stories/story.h"
#include "tests/unit/tap.h"

/* How many workflows with the right code are beside each wrong one. */
#define BESIDE "6"

/* More than a session has prepared statements. */
#define MANY   300

/*
 * Starts workflows of a type, "<type>1" and so on, and right ones beside them,
 * all in one turn.
 */
static void
start_beside(const char *type, int count, const char *input)
{
	sql("select durable.client_submit(array_agg(id), array_agg(type), "
	    "array_agg('test'::text), array_agg(input), 'test', "
	    "'{}', '{}', '{}', '{}', '{}') from ("
	    "select '%s' || n as id, '%s'::text as type, '%s'::text as input "
	    "from generate_series(1, %d) as n union all "
	    "select '%s beside ' || n, 'right', null "
	    "from generate_series(1, " BESIDE ") as n) as s",
	    type, type, input, count, type);
}

/* Whether those that were started beside a type are right. */
static bool
beside_are_right(const char *type)
{
	return wait_sql(BESIDE " " BESIDE,
		   arena_printf(arena,
		       "select count(*) || ' ' || "
		       "count(*) filter (where o.output = '\"' || "
		       "s.workflow_uuid || '\"') "
		       "from dbos.workflow_status as s "
		       "join dbos.workflow_output as o using (workflow_uuid) "
		       "where s.workflow_uuid like '%s beside %%' "
		       "and s.status = 'SUCCESS'",
		       type)) &&
	    wait_sql(BESIDE,
		arena_printf(arena,
		    "select count(*) from test.notes "
		    "where id like '%s beside %%'",
		    type));
}

/* Asserts the output or error of a wrong workflow; the others end right. */
static void
expect(const char *type, const char *wanted, const char *title)
{
	const char *id = arena_printf(arena, "%s1", type);

	start_beside(type, 1, "null");
	is_str(output(id), wanted, title);
	ok(beside_are_right(type),
	    arena_printf(arena, "%s: the workflows beside it end right",
		title));
}

static json_object *
right(struct workflow *wf, json_object *input)
{
	const char *const params[] = { wf_id(wf) };
	json_object *own;

	(void)input;
	take_note(wf, "note");
	own = wf_batch(wf, "own",
	    "select u.id from unnest($1::text[]) with ordinality "
	    "as u (id, place) order by u.place",
	    1, params);
	return json_object_get(own);
}

/* The name and the message of the last call's error, or null. */
static json_object *
error_of(struct workflow *wf)
{
	const struct wf_error *error = wf_error(wf);

	return error == NULL ? NULL
			     : json_object_new_string(wf_printf(wf, "%s: %s",
				   error->name, error->message));
}

/* Batches whose rows are not one for each element. */

static const char too_few[] =
    "with told as (insert into test.effects "
    "select u.x from unnest($1::text[]) as u (x)) "
    "select distinct u.x from unnest($1::text[]) as u (x)";

static json_object *
few_rows(struct workflow *wf, json_object *input)
{
	const char *const params[] = { "few" };

	(void)input;
	take_note(wf, "note");
	wf_catch(wf);
	wf_batch(wf, "few", too_few, 1, params);
	return error_of(wf);
}

static json_object *
many_rows(struct workflow *wf, json_object *input)
{
	const char *const params[] = { "many" };

	(void)input;
	wf_batch(wf, "many",
	    "select u.x from unnest($1::text[]) as u (x), "
	    "generate_series(1, 2)",
	    1, params);
	return NULL;
}

static json_object *
no_rows(struct workflow *wf, json_object *input)
{
	const char *const params[] = { "none" };

	(void)input;
	wf_batch_void(wf, "none",
	    "select u.x from unnest($1::text[]) as u (x) where false", 1,
	    params);
	return json_object_new_string("done");
}

static json_object *
two_batches(struct step *step, void *arg)
{
	(void)arg;
	return json_object_get(step_sql(step, "select 1", 0, NULL));
}

/* Some run a C step in the batch that the others wait for. */
static json_object *
few_with_step(struct workflow *wf, json_object *input)
{
	const char *const params[] = { "few" };

	(void)input;
	if (wf_id(wf)[strlen(wf_id(wf)) - 1] == '4') {
		wf_transaction(wf, "step", two_batches, NULL);
		return NULL;
	}
	wf_catch(wf);
	wf_batch(wf, "few", too_few, 1, params);
	return error_of(wf);
}

static void
test_batches(void)
{
	int i, failed = 0;

	start_beside("few_rows", 4, "null");
	for (i = 1; i <= 4; i++)
		failed += strcmp(output(arena_printf(arena, "few_rows%d", i)),
			      "\"DBOSInvalidBatch: the statement of batch "
			      "step 'few' returned 1 row(s), not one for each "
			      "of its 4 element(s)\"") == 0;
	if (!is_int(failed, 4,
		"a batch with too few rows fails the step of all"))
		diag("%s", output("few_rows1"));
	ok(beside_are_right("few_rows"),
	    "a batch with too few rows spares the workflows beside it");
	is_str(sql("select count(*) from test.effects"), "0",
	    "a batch with too few rows has no effect");
	is_str(notes("few_rows1"), "1",
	    "the step before a batch with too few rows happens once");

	start_beside("many_rows", 4, "null");
	for (i = 1, failed = 0; i <= 4; i++)
		failed += strcmp(ended(arena_printf(arena, "many_rows%d", i)),
			      "ERROR") == 0;
	is_int(failed, 4, "a batch with too many rows fails all its workflows");
	ok(strstr(output("many_rows1"), "DBOSInvalidBatch") != NULL,
	    "a batch with too many rows has a named error");
	ok(beside_are_right("many_rows"),
	    "a batch with too many rows spares the workflows beside it");

	start_beside("few_with_step", 4, "null");
	for (i = 1, failed = 0; i <= 3; i++)
		failed += strstr(output(
				     arena_printf(arena, "few_with_step%d", i)),
			      "returned 1 row(s)") != NULL;
	is_int(failed, 3, "a batch that a C step sends is checked");
	is_str(ended("few_with_step4"), "SUCCESS",
	    "the workflow of that C step succeeds");
	ok(beside_are_right("few_with_step"),
	    "a batch that a C step sends spares the workflows beside it");
	expect("no_rows", "\"done\"", "a void batch may return no rows");
}

/* Statements whose text is not a constant. */

static json_object *
changed_buffer(struct workflow *wf, json_object *input)
{
	static char buffer[64];
	json_object *all = wf_own(wf, json_object_new_array());
	int i;

	(void)input;
	for (i = 1; i <= 3; i++) {
		snprintf(buffer, sizeof(buffer), "select %d", i);
		json_object_array_add(all,
		    json_object_get(wf_sql(wf, "step", buffer, 0, NULL)));
	}
	return json_object_get(all);
}

/* Each workflow has another text at the same address. */
static json_object *
shared_buffer(struct workflow *wf, json_object *input)
{
	static char buffer[160];
	const char *const params[] = { "x" };

	(void)input;
	snprintf(buffer, sizeof(buffer),
	    "select '%s' from unnest($1::text[]) as u (x)", wf_id(wf));
	return json_object_get(wf_batch(wf, "step", buffer, 1, params));
}

/* Its texts and the names of its steps are in the run's memory. */
static json_object *
many_texts(struct workflow *wf, json_object *input)
{
	int64_t sum = 0;
	int i;

	(void)input;
	for (i = 0; i < MANY; i++)
		wf_sql_void(wf, wf_printf(wf, "effect %d", i),
		    wf_printf(wf, "insert into test.effects values ('%d')", i),
		    0, NULL);
	for (i = 0; i < MANY; i++)
		sum += wf_sql_int64(wf, wf_printf(wf, "number %d", i),
		    wf_printf(wf, "select %d", i), 0, NULL);
	return json_object_new_int64(sum);
}

static void
test_texts(void)
{
	int i, done = 0;

	expect("changed_buffer", "[1,2,3]",
	    "a changed text at the same address is another statement");
	start_beside("shared_buffer", 4, "null");
	for (i = 1; i <= 4; i++) {
		const char *id = arena_printf(arena, "shared_buffer%d", i);

		done += strcmp(output(id), arena_printf(arena, "\"%s\"", id)) ==
		    0;
	}
	is_int(done, 4, "different texts at one address are different batches");
	ok(beside_are_right("shared_buffer"),
	    "different texts at one address touch no other workflow");
	expect("many_texts", "44850",
	    "a workflow may have more texts than a session prepares");
	is_str(sql("select count(*) || ' ' || count(distinct id) "
		   "from test.effects"),
	    "300 300", "each of many texts in a batch has its effect once");
	is_str(sql("select count(distinct function_name) "
		   "from dbos.operation_outputs "
		   "where workflow_uuid = 'many_texts1'"),
	    "600", "names of steps may be in the memory of the run");
}

/* Statements that are not for authors. */

static const char *const forbidden[] = { "", " \n", "-- nothing", "/* no */",
	";;", "rollback", "COMMIT", "/* a /* b */ */ Begin", ";commit;", "end",
	"savepoint s", "set search_path = public", "reset all", "discard all",
	"listen x", "copy test.notes to stdout", "copy test.notes from stdin",
	"prepare p as select 1", "create temp table t (n int)",
	"declare c cursor for select 1", "vacuum" };

static json_object *
run_forbidden(struct step *step, void *arg)
{
	const char *const params[] = { "in a step" };

	step_sql(step, "insert into test.notes values ($1)", 1, params);
	return json_object_get(step_sql(step, arg, 0, NULL));
}

static int
is_forbidden(struct workflow *wf)
{
	const struct wf_error *error = wf_error(wf);

	return error != NULL &&
	    strcmp(error->name, "DBOSForbiddenStatement") == 0;
}

/* Counts the refusals of each way to run each statement. */
static json_object *
controlling(struct workflow *wf, json_object *input)
{
	const char *const params[] = { "x" };
	int refused = 0;
	size_t i;

	(void)input;
	take_note(wf, "note");
	for (i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
		wf_catch(wf);
		wf_sql(wf, "sql", forbidden[i], 0, NULL);
		refused += is_forbidden(wf);
		wf_catch(wf);
		wf_sql_void(wf, "void", forbidden[i], 0, NULL);
		refused += is_forbidden(wf);
		wf_catch(wf);
		wf_batch(wf, "batch", forbidden[i], 1, params);
		refused += is_forbidden(wf);
		wf_catch(wf);
		wf_transaction(wf, "step", run_forbidden,
		    (void *)(uintptr_t)forbidden[i]);
		refused += is_forbidden(wf);
	}
	return json_object_new_int(refused);
}

static json_object *
uncaught(struct workflow *wf, json_object *input)
{
	(void)input;
	wf_sql(wf, "end all", "Rollback", 0, NULL);
	return NULL;
}

static json_object *
two_commands(struct workflow *wf, json_object *input)
{
	(void)input;
	wf_catch(wf);
	wf_sql(wf, "two", "select 1; insert into test.effects values ('2')", 0,
	    NULL);
	return error_of(wf);
}

static json_object *
allowed(struct workflow *wf, json_object *input)
{
	(void)input;
	wf_sql(wf, "lock", "lock table test.notes in access share mode", 0,
	    NULL);
	wf_sql(wf, "notify", "notify nothing", 0, NULL);
	return json_object_get(
	    wf_sql(wf, "query", "/* one */ (select 1)", 0, NULL));
}

static json_object *
many_parameters(struct workflow *wf, json_object *input)
{
	const char *const params[11] = { NULL };

	(void)input;
	wf_catch(wf);
	wf_sql(wf, "many", "select 1", 11, params);
	return error_of(wf);
}

static void
test_forbidden(void)
{
	expect("controlling", "84",
	    "statements that control the transaction or session are refused");
	is_str(notes("controlling1"), "1",
	    "the steps around refused statements happen once");
	is_str(notes("in a step"), "0",
	    "a C step with a refused statement has no effect");
	expect("uncaught",
	    "{\"name\":\"DBOSForbiddenStatement\",\"message\":"
	    "\"step 'end all' may not run ROLLBACK, because the workflows of a "
	    "turn share a transaction and a session\"}",
	    "the error of a refused statement names the step and the command");
	expect("two_commands",
	    "\"DatabaseError: cannot insert multiple commands into a prepared "
	    "statement (SQLSTATE 42601)\"",
	    "a text of two commands fails its step at once");
	expect("allowed", "1", "other statements are not refused");
	expect("many_parameters",
	    "\"DBOSForbiddenStatement: step 'many' has more than 10 "
	    "parameters\"",
	    "too many parameters fail their step");
}

/* Values that are handed over without a reference of their own. */

static json_object *
returns_input(struct workflow *wf, json_object *input)
{
	(void)wf;
	return input;
}

static json_object *
returns_part(struct workflow *wf, json_object *input)
{
	(void)wf;
	return json_object_array_get_idx(json_object_object_get(input, "list"),
	    0);
}

static json_object *
returns_argument(struct step *step, void *arg)
{
	step_sql(step, "select 1", 0, NULL);
	return arg;
}

static json_object *
lends(struct workflow *wf, json_object *input)
{
	json_object *message, *fresh = json_object_new_object(), *again;
	json_object *all = wf_own(wf, json_object_new_array()), *part;

	wf_send(wf, wf_id(wf), "self", input);
	message = wf_recv(wf, "self", 60000);
	wf_set_event(wf, "message", message);
	wf_set_event(wf, "part", json_object_object_get(message, "list"));
	wf_set_event(wf, "fresh", fresh);
	wf_send(wf, wf_id(wf), "self", fresh);
	again = wf_transaction(wf, "step", returns_argument, message);
	wf_set_event(wf, "again", again);
	part = json_object_new_string("part");
	json_object_array_add(all, part);
	wf_set_event(wf, "own part", part);
	json_object_array_add(all, json_object_get(again));
	wf_sleep(wf, 1);
	return all;
}

static void
test_references(void)
{
	start_beside("returns_input", 4, "{\"list\":[1.50,2]}");
	is_str(output("returns_input4"), "{\"list\":[1.50,2]}",
	    "a workflow may return its input");
	ok(beside_are_right("returns_input"),
	    "a workflow that returns its input touches no other");
	start_beside("returns_part", 4, "{\"list\":[1.50,2]}");
	is_str(output("returns_part4"), "1.50",
	    "a workflow may return a part of its input");
	ok(beside_are_right("returns_part"),
	    "a workflow that returns a part of its input touches no other");
	start_beside("lends", 4, "{\"list\":[1.50,2]}");
	is_str(output("lends4"), "[\"part\",{\"list\":[1.50,2]}]",
	    "a call may get a value that another call returned");
	ok(beside_are_right("lends"),
	    "values of two calls touch no other workflow");
}

/* Calls of the workflow inside a C step. */

static const char *const inner_calls[] = { "sql", "sleep", "start", "fail",
	"event" };

struct inner {
	struct workflow *wf;
	const char *call;
};

static const struct workflow_type right_type = { .name = "right",
	.version = "1",
	.function = right };

static json_object *
calls_inside(struct step *step, void *arg)
{
	const struct inner *inner = arg;
	const char *const params[] = { "inside" };

	step_sql(step, "insert into test.notes values ($1)", 1, params);
	if (strcmp(inner->call, "sql") == 0)
		wf_sql(inner->wf, "inner", "select 1", 0, NULL);
	else if (strcmp(inner->call, "sleep") == 0)
		wf_sleep(inner->wf, 1);
	else if (strcmp(inner->call, "start") == 0)
		wf_start(inner->wf, &right_type, NULL, NULL);
	else if (strcmp(inner->call, "fail") == 0)
		wf_fail(inner->wf, "Error", "inside");
	else
		wf_set_event(inner->wf, "event", json_object_new_int(1));
	return NULL;
}

static json_object *
nested(struct workflow *wf, json_object *input)
{
	json_object *all = wf_own(wf, json_object_new_array());
	size_t i;

	(void)input;
	for (i = 0; i < sizeof(inner_calls) / sizeof(inner_calls[0]); i++) {
		struct inner inner = { wf, inner_calls[i] };

		wf_catch(wf);
		wf_transaction(wf, "outer", calls_inside, &inner);
		json_object_array_add(all, error_of(wf));
	}
	return json_object_get(all);
}

static void
test_nested(void)
{
	static const char format[] = "\"DBOSInvalidStep: step 'outer' calls "
				     "'%s', but a step calls nothing of its "
				     "workflow\"";

	expect("nested",
	    arena_printf(arena, "[%s,%s,%s,%s,%s]",
		arena_printf(arena, format, "inner"),
		arena_printf(arena, format, "DBOS.sleep"),
		arena_printf(arena, format, "right"),
		arena_printf(arena, format, "wf_fail"),
		arena_printf(arena, format, "DBOS.setEvent")),
	    "a call of the workflow in a C step fails the step");
	is_str(notes("inside"), "0",
	    "a C step that calls its workflow has no effect");
	is_str(sql("select string_agg(distinct function_name, ' ') "
		   "from dbos.operation_outputs "
		   "where workflow_uuid = 'nested1'"),
	    "outer", "the journal has none of the calls in a C step");
}

/* Values that cannot be read. */

static json_object *
reads(struct workflow *wf, json_object *input)
{
	int i, unreadable = 0;
	const char *text;

	(void)input;
	for (i = 0; i < 4; i++) {
		wf_catch(wf);
		wf_recv(wf, "bad", 60000);
		unreadable += wf_error(wf) != NULL &&
		    strcmp(wf_error(wf)->name, "DBOSInvalidInput") == 0;
	}
	wf_catch(wf);
	wf_get_event(wf, "events", "bad", 60000);
	unreadable += wf_error(wf) != NULL;
	wf_catch(wf);
	wf_sql(wf, "deep", "select (repeat('[', 70) || repeat(']', 70))::json",
	    0, NULL);
	unreadable += wf_error(wf) != NULL;
	text = wf_recv_string(wf, "text", 60000);
	wf_sleep(wf, 1);
	return json_object_new_string(
	    wf_printf(wf, "%d %s", unreadable, text == NULL ? "none" : text));
}

static json_object *
takes_whole(struct workflow *wf, json_object *input)
{
	(void)input;
	return json_object_get(wf_recv(wf, "text", 60000));
}

static void
send_to(const char *id, const char *topic, const char *message)
{
	sql("insert into dbos.notifications (destination_uuid, topic, message, "
	    "serialization) values ('%s', '%s', '%s', 'portable_json')",
	    id, topic, message);
}

static void
test_values(void)
{
	start_beside("reads", 1, "null");
	wait_sql("message",
	    "select kind from durable.waits where workflow_uuid = 'reads1'");
	sql("insert into dbos.workflow_status (workflow_uuid, name, status, "
	    "serialization) values ('events', 'x', 'SUCCESS', 'portable_json')");
	sql("insert into dbos.workflow_events (workflow_uuid, key, value, "
	    "serialization) values ('events', 'bad', '[1e', 'portable_json')");
	send_to("reads1", "bad", "{\"a\\u0000b\":1}");
	send_to("reads1", "bad", "[\"\\ud800\"]");
	send_to("reads1", "bad", "18446744073709551616");
	send_to("reads1", "bad",
	    sql("select repeat('[', 70) || repeat(']', 70)"));
	send_to("reads1", "text", "\"paid\\u0000refused\"");
	is_str(output("reads1"), "\"6 none\"",
	    "what cannot be read fails the call, which may catch that");
	ok(beside_are_right("reads"),
	    "what cannot be read touches no other workflow");
	start_beside("takes_whole", 1, "null");
	wait_sql("message",
	    "select kind from durable.waits "
	    "where workflow_uuid = 'takes_whole1'");
	send_to("takes_whole1", "text", "\"paid\\u0000refused\"");
	is_str(output("takes_whole1"), "\"paid\\u0000refused\"",
	    "a text with \\u0000 is received whole");
}

/* Ends of the process. */

static json_object *
leaves(struct workflow *wf, json_object *input)
{
	(void)wf;
	exit(json_object_get_int(input));
}

static void
test_exits(void)
{
	start_beside("leaves", 1, "3");
	is_str(ended("leaves1"), "MAX_RECOVERY_ATTEMPTS_EXCEEDED",
	    "a workflow that calls exit(3) is given up");
	ok(beside_are_right("leaves"),
	    "a workflow that calls exit(3) stops no other");
	sql("select durable.client_submit('{leaves0}', '{leaves}', '{test}', "
	    "'{0}', 'test', '{}', '{}', '{}', '{}', '{}')");
	is_str(ended("leaves0"), "MAX_RECOVERY_ATTEMPTS_EXCEEDED",
	    "a workflow that calls exit(0) is given up");
}

static const struct workflow_type types[] = { TYPE(right), TYPE(few_rows),
	TYPE(many_rows), TYPE(no_rows), TYPE(few_with_step),
	TYPE(changed_buffer), TYPE(shared_buffer), TYPE(many_texts),
	TYPE(controlling), TYPE(uncaught), TYPE(two_commands), TYPE(allowed),
	TYPE(many_parameters), TYPE(returns_input), TYPE(returns_part),
	TYPE(lends), TYPE(nested), TYPE(reads), TYPE(takes_whole),
	TYPE(leaves) };

#define TYPES (sizeof(types) / sizeof(types[0]))

int
main(void)
{
	static const struct engine engine = { .turn_size = 16,
		.turn_limit_s = 5,
		.max_attempts = 3 };
	pid_t daemon;

	story_begin("create table test.effects (id text not null);");
	daemon = story_start_daemon(&engine, types, TYPES, 1);
	test_batches();
	test_texts();
	test_forbidden();
	test_references();
	test_nested();
	test_values();
	test_exits();
	ok(story_stop_daemon(daemon), "SIGTERM ends the daemon with status 0");
	story_end();
	return done_testing();
}
