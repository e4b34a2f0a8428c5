/* SPDX-License-Identifier: MIT */
/*
 * The engine against a real cluster, through a real worker process: what each
 * call of the API promises.  engine.tap starts the cluster and this program.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <durable/engine.h>
#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "db/db.h"
#include "tests/unit/tap.h"

#define WAIT_S 30

static struct db *db;
static struct arena *arena;

/* Runs a statement that is made once, and returns its first value. */
static const char *
sql(const char *format, ...)
{
	const struct db_rows *rows;
	const char *params[1];
	va_list args;

	va_start(args, format);
	params[0] = arena_vprintf(arena, format, args);
	va_end(args);
	rows = db_query(db, arena, "select test.run($1)", 1, params);
	if (rows == NULL) {
		diag("%s: %s", params[0], db_last_error(db)->message);
		return NULL;
	}
	return db_value(rows, 0, 0);
}

/* Waits until a query returns what is wanted; false after WAIT_S seconds. */
static bool
wait_sql(const char *want, const char *query)
{
	const struct timespec pause = { .tv_nsec = 5000000 };
	time_t end = time(NULL) + WAIT_S;
	const char *got = NULL;

	while (time(NULL) < end) {
		got = sql("%s", query);
		if (got != NULL && strcmp(got, want) == 0)
			return true;
		nanosleep(&pause, NULL);
	}
	diag("%s: got %s, want %s", query, got == NULL ? "nothing" : got, want);
	return false;
}

static void
start(const char *id, const char *name, const char *input)
{
	sql("select durable.client_submit(array['%s'], array['%s'], "
	    "array['test'], array['%s'], 'test', '{}', '{}', '{}', '{}', '{}')",
	    id, name, input);
}

/* Waits for the end of a workflow and returns its status. */
static const char *
ended(const char *id)
{
	wait_sql("true",
	    arena_printf(arena,
		"select status not in ('PENDING', "
		"'ENQUEUED', 'DELAYED') from dbos.workflow_status "
		"where workflow_uuid = '%s'",
		id));
	return sql("select status from dbos.workflow_status "
		   "where workflow_uuid = '%s'",
	    id);
}

static const char *
output(const char *id)
{
	ended(id);
	return sql("select coalesce(output, error) from dbos.workflow_output "
		   "where workflow_uuid = '%s'",
	    id);
}

static const char *
steps(const char *id)
{
	return sql("select string_agg(function_id || ' ' || function_name, "
		   "', ' order by function_id) from dbos.operation_outputs "
		   "where workflow_uuid = '%s'",
	    id);
}

static const char *
notes(const char *id)
{
	return sql("select count(*) from test.notes where id = '%s'", id);
}

/* A step with an effect that other sessions see: one more row. */
static void
take_note(struct workflow *wf, const char *name)
{
	const char *const params[] = { wf_id(wf) };

	wf_sql_void(wf, name, "insert into test.notes values ($1)", 1, params);
}

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
good(struct workflow *wf, json_object *input)
{
	(void)input;
	take_note(wf, "note");
	wf_sleep(wf, 1);
	take_note(wf, "note");
	return NULL;
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

static const struct workflow_type child_type = { "child", "1", child };
static const struct workflow_type good_type = { "good", "1", good };

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

/* Sleeps an hour; with an input, a second and then that many ms. */
static json_object *
sleeper(struct workflow *wf, json_object *input)
{
	wf_sleep(wf, input == NULL ? 3600000 : 1000);
	wf_sleep(wf, json_object_get_int64(input));
	return NULL;
}

/* Two players send each other a ball, so each waits for the other. */
static json_object *
player(struct workflow *wf, json_object *input)
{
	const char *other = json_object_get_string(
	    json_object_object_get(input, "other"));
	int i;

	for (i = 0; i < 10; i++) {
		wf_send(wf, other, "ball", json_object_new_int(i));
		if (json_object_get_int(wf_recv(wf, "ball", 60000)) != i)
			wf_fail(wf, "Error", "the wrong ball");
	}
	return NULL;
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

static json_object *
segfaulter(struct workflow *wf, json_object *input)
{
	(void)wf;
	(void)input;
	raise(SIGSEGV);
	return NULL;
}

static json_object *
looper(struct workflow *wf, json_object *input)
{
	volatile bool forever = true;

	(void)wf;
	(void)input;
	while (forever)
		continue;
	return NULL;
}

/* Takes a note after each of three sleeps of that many milliseconds. */
static json_object *
ticker(struct workflow *wf, json_object *input)
{
	int i;

	for (i = 0; i < 3; i++) {
		wf_sleep(wf, json_object_get_int64(input));
		take_note(wf, "note");
	}
	return NULL;
}

/* Goes to sleep 2 ms later than the run before it in the turn. */
static json_object *
drowser(struct workflow *wf, json_object *input)
{
	const struct timespec moment = { .tv_nsec = 2000000 };

	(void)input;
	nanosleep(&moment, NULL);
	wf_sleep(wf, 2000);
	return NULL;
}

/* Sleeps twice, then waits for a message for that many milliseconds. */
static json_object *
dozer(struct workflow *wf, json_object *input)
{
	const char *message;

	wf_sleep(wf, 1000);
	wf_sleep(wf, 1000);
	message = wf_recv_string(wf, "topic", json_object_get_int64(input));
	return message == NULL ? NULL : json_object_new_string(message);
}

/* Updates a row that the test may keep locked. */
static json_object *
blocked(struct workflow *wf, json_object *input)
{
	(void)input;
	wf_sleep(wf, 1);
	take_note(wf, "before");
	wf_sql(wf, "locked", "update test.locked set n = n + 1", 0, NULL);
	return NULL;
}

/* Ends the worker's session, as a crashing server process would. */
static json_object *
session_killer(struct workflow *wf, json_object *input)
{
	(void)input;
	wf_sql(wf, "kill", "select pg_terminate_backend(pg_backend_pid())", 0,
	    NULL);
	return NULL;
}

static json_object *
failing_child(struct workflow *wf, json_object *input)
{
	(void)input;
	wf_sql(wf, "divide", "select 1 / 0", 0, NULL);
	return NULL;
}

static const struct workflow_type failing_child_type = { "failing_child", "1",
	failing_child };

static json_object *
parent_of_failing(struct workflow *wf, json_object *input)
{
	(void)input;
	wf_start(wf, &failing_child_type, NULL, NULL);
	return NULL;
}

/* Waits for a workflow that the test has enqueued, not this one. */
static json_object *
watcher(struct workflow *wf, json_object *input)
{
	const char *id = json_object_get_string(input);

	wf_start(wf, &good_type, id, NULL);
	wf_result(wf, id);
	return json_object_new_string("seen");
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

static json_object *
listener(struct workflow *wf, json_object *input)
{
	(void)input;
	return json_object_get(wf_recv(wf, "topic", 60000));
}

static const struct workflow_type listener_type = { "listener", "1", listener };

/* Sends to its child by a step in SQL instead of wf_send. */
static json_object *
teller(struct workflow *wf, json_object *input)
{
	const char *const params[] = { wf_start(wf, &listener_type, NULL,
	    NULL) };

	(void)input;
	wf_sql(wf, "send", "select dbos.send_message($1, '\"hello\"', 'topic')",
	    1, params);
	return NULL;
}

/* Each step is shorter than the turn limit; together they are longer. */
static json_object *
plodder(struct workflow *wf, json_object *input)
{
	int i;

	(void)input;
	for (i = 0; i < 4; i++)
		wf_sql(wf, "plod", "select pg_sleep(0.7)", 0, NULL);
	return NULL;
}

/* The first calls fail with the SQLSTATE of a lost connection. */
static json_object *
far_reader(struct workflow *wf, json_object *input)
{
	(void)input;
	wf_sql(wf, "read", "select test.read_from_afar()", 0, NULL);
	return NULL;
}

#define TYPE(function) \
	{ \
#function, "1", function \
	}
static const struct workflow_type all_types[] = { TYPE(values), TYPE(refused),
	TYPE(refused_later), TYPE(transaction), TYPE(parent),
	TYPE(event_reader), TYPE(event_setter), TYPE(sender), TYPE(receiver),
	TYPE(sleeper), TYPE(ticker), TYPE(player), TYPE(segfaulter),
	TYPE(looper), TYPE(blocked), TYPE(session_killer),
	TYPE(parent_of_failing), TYPE(watcher), TYPE(batcher), TYPE(teller),
	TYPE(plodder), TYPE(far_reader), TYPE(dozer), TYPE(drowser),
	{ "versioned", "1", first_version },
	{ "versioned", "2", second_version } };

static pid_t
start_daemon(struct engine *engine, int workers)
{
	pid_t pid = fork();

	if (pid == 0) {
		log_open("engine");
		_exit(durable_run(engine, workers));
	}
	return pid;
}

static void
stop_daemon(pid_t daemon)
{
	int status;

	kill(daemon, SIGTERM);
	ok(waitpid(daemon, &status, 0) == daemon && status == 0,
	    "SIGTERM ends the daemon with status 0");
}

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
test_wake_ups(void)
{
	start("teller", "teller", "null");
	is_str(output("teller-0"), "\"hello\"",
	    "a message by SQL wakes a wait that began in the same turn");

	sql("select durable.client_submit(array_agg('player' || n), "
	    "array_agg('player'::text), array_agg('test'::text), "
	    "array_agg(json_build_object('other', "
	    "'player' || (n + (n %% 2) * 2 - 1))::text), 'test', "
	    "'{}', '{}', '{}', '{}', '{}') from generate_series(1, 100) as n");
	ok(wait_sql("100",
	       "select count(*) from dbos.workflow_status "
	       "where workflow_uuid like 'player%' and status = 'SUCCESS'"),
	    "no wake-up of a thousand over three workers is lost");
	is_str(sql("select count(*) from dbos.notifications "
		   "where destination_uuid like 'player%%'"),
	    "1000", "no message of a thousand is sent twice");
}

/*
 * A session that does not listen polls once a second, so five workflows would
 * take at least four seconds.
 */
static void
test_listening(void)
{
	int64_t begin_ms;
	int i, done = 0;

	sql("select durable.client_submit(array_agg('busy' || n), "
	    "array_agg('good'::text), array_agg('test'::text), "
	    "array_agg(null::text), 'test', '{}', '{}', '{}', '{}', '{}') "
	    "from generate_series(1, 1000) as n");
	ok(wait_sql("1000",
	       "select count(*) from dbos.workflow_status "
	       "where workflow_uuid like 'busy%' and status = 'SUCCESS'"),
	    "a thousand workflows keep the workers busy");
	is_str(sql("select sum(calls) > 0 from test.pg_stat_statements "
		   "where query like 'unlisten%%'"),
	    "true", "a busy worker does not listen");
	begin_ms = clock_monotonic_ms();
	for (i = 0; i < 5; i++) {
		start(arena_printf(arena, "idle%d", i), "good", "null");
		sql("select pg_notify('durable_due', '')");
		done += strcmp(ended(arena_printf(arena, "idle%d", i)),
			    "SUCCESS") == 0;
	}
	is_int(done, 5, "an idle worker runs each notified workflow");
	ok(clock_monotonic_ms() - begin_ms < 2000,
	    "a notification reaches an idle worker at once");
}

static void
list_workers(pid_t daemon, pid_t workers[3])
{
	FILE *file = fopen(arena_printf(arena, "/proc/%d/task/%d/children",
			       (int)daemon, (int)daemon),
	    "r");
	char line[128] = "", *at = line;
	int i;

	if (file == NULL || fgets(line, sizeof(line), file) == NULL)
		abort();
	fclose(file);
	for (i = 0; i < 3; i++)
		if ((workers[i] = (pid_t)strtol(at, &at, 10)) <= 0)
			abort();
}

/* Freezes each worker in turn, because one of them is not on standby. */
static void
test_duty(pid_t daemon)
{
	int64_t begin_ms, slowest_ms = 0;
	pid_t workers[3];
	int done = 0, i;

	list_workers(daemon, workers);
	for (i = 0; i < 3; i++) {
		const char *id = arena_printf(arena, "awake %d", i);

		kill(workers[i], SIGSTOP);
		begin_ms = clock_monotonic_ms();
		start(id, "good", "null");
		sql("select pg_notify('durable_due', '')");
		done += strcmp(ended(id), "SUCCESS") == 0;
		if (clock_monotonic_ms() - begin_ms > slowest_ms)
			slowest_ms = clock_monotonic_ms() - begin_ms;
		kill(workers[i], SIGCONT);
	}
	is_int(done, 3,
	    "whichever worker is frozen, another worker takes over");
	ok(slowest_ms < 500, "a standby takes over within 500 ms");
	diag("%d ms", (int)slowest_ms);
}

/*
 * Enough work that each worker has a partition of the types; the others get
 * the partition of a frozen worker.
 */
static void
test_shares(pid_t daemon)
{
	pid_t workers[3];
	size_t i;

	list_workers(daemon, workers);
	for (i = 0; i < 3; i++) {
		sql("select durable.client_submit(array_agg(names.name || "
		    "' of %zu ' || n), array_agg(names.name), "
		    "array_agg('test'::text), array_agg('10'::text), 'test', "
		    "'{}', '{}', '{}', '{}', '{}') "
		    "from (values ('ticker'), ('good'), ('values')) "
		    "as names (name), generate_series(1, 150) as n",
		    i);
		kill(workers[i], SIGSTOP);
		ok(wait_sql("450",
		       arena_printf(arena,
			   "select count(*) from dbos.workflow_status "
			   "where workflow_uuid like '%% of %zu %%' "
			   "and status = 'SUCCESS'",
			   i)),
		    "saturated workers take over a frozen worker's partition");
		kill(workers[i], SIGCONT);
	}
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
	start("for ever", "ticker", "9223372036854775807");
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

static void
test_poison(void)
{
	start("poison", "segfaulter", "null");
	start("loop", "looper", "null");
	sql("select durable.client_submit(array_agg('healthy' || n), "
	    "array_agg('good'::text), array_agg('test'::text), "
	    "array_agg(null::text), 'test', "
	    "'{}', '{}', '{}', '{}', '{}') from generate_series(1, 50) as n");
	ok(wait_sql("50",
	       "select count(*) from dbos.workflow_status "
	       "where workflow_uuid like 'healthy%' and status = 'SUCCESS'"),
	    "a workflow that kills its process stops no other workflow");
	is_str(ended("poison"), "MAX_RECOVERY_ATTEMPTS_EXCEEDED",
	    "a workflow that keeps killing its process is given up");
	is_str(ended("loop"), "MAX_RECOVERY_ATTEMPTS_EXCEEDED",
	    "a workflow that loops for ever is given up");
	is_str(sql("select count(*) from test.notes where id like 'healthy%%'"),
	    "100", "healthy workflows beside poison do each step once");
	ok(wait_sql("0", "select count(*) from durable.suspects"),
	    "no workflow stays suspect after the poison is given up");
}

/*
 * A session that looks like a worker's freezes while it sends: the server waits
 * for the rest of a statement, and the transaction keeps its locks.
 */
static void
test_half_sent(void)
{
	static const char holders[] =
	    "select count(*) from pg_stat_activity where state = 'active' "
	    "and wait_event = 'ClientRead' and query = 'select length($1)'";
	struct db *frozen = db_new("", "durable worker");
	char much[64 * 1024];
	const char *const params[] = { much };

	memset(much, 'x', sizeof(much) - 1);
	much[sizeof(much) - 1] = '\0';
	if (!db_connect(frozen, NULL))
		abort();
	db_queue(frozen, "begin", 0, NULL);
	db_queue(frozen, "update test.locked set n = 0 + n", 0, NULL);
	/* More than libpq buffers, so that the statements before are sent. */
	db_queue(frozen, "select length($1)", 1, params);
	ok(wait_sql("1", holders),
	    "a frozen session has sent half of its turn");
	ok(wait_sql("0", holders),
	    "a session that sent half of its turn is ended");
	db_free(frozen);
}

/* A table that refuses the engine's own writes is no workflow's fault. */
static void
test_mended_tables(void)
{
	sql("alter table dbos.operation_outputs add column other int");
	sql("alter table dbos.operation_outputs "
	    "alter column other set default test.refuse()");
	start("in vain", "good", "null");
	ok(wait_sql("true", "select last_value > 6 from test.refusals"),
	    "a turn with a refused journal is repeated");
	sql("alter table dbos.operation_outputs drop column other");
	is_str(ended("in vain"), "SUCCESS",
	    "a refused journal fails no workflow");
}

/* Starts many healthy workflows, and waits until they are done. */
static bool
healthy_go_on(const char *prefix)
{
	sql("select durable.client_submit(array_agg('%s' || n), "
	    "array_agg('good'::text), array_agg('test'::text), "
	    "array_agg(null::text), 'test', "
	    "'{}', '{}', '{}', '{}', '{}') from generate_series(1, 40) as n",
	    prefix);
	return wait_sql("40",
	    arena_printf(arena,
		"select count(*) from dbos.workflow_status "
		"where workflow_uuid like '%s%%' and status = 'SUCCESS'",
		prefix));
}

static struct db *
transaction_of_another(const char *statement)
{
	struct db *other = db_new("", "another");

	if (!db_connect(other, NULL))
		abort();
	db_queue(other, "begin", 0, NULL);
	db_queue(other, statement, 0, NULL);
	if (db_finish(other) != DB_DONE)
		abort();
	return other;
}

/*
 * Keeps a row locked that no step wants, but the engine at the end of the turn:
 * the message that the workflow receives.
 */
static void
test_locked_message(void)
{
	struct db *holder, *locker;

	start("addressee", "listener", "null");
	ok(wait_sql("message",
	       "select kind from durable.waits where workflow_uuid = 'addressee'"),
	    "a workflow waits for a message");
	/* Until its message is locked, no turn takes it. */
	holder = transaction_of_another("select from dbos.workflow_status "
					"where workflow_uuid = 'addressee' "
					"for no key update");
	sql("select dbos.send_message('addressee', '1', 'topic')");
	locker = transaction_of_another("update dbos.notifications "
					"set message = message "
					"where destination_uuid = 'addressee'");
	db_free(holder);
	ok(wait_sql("timer",
	       "select kind from durable.waits where workflow_uuid = 'addressee'"),
	    "a workflow with a locked message is postponed");
	ok(healthy_go_on("besides"),
	    "a locked message stops no other workflow");
	db_free(locker);
	is_str(output("addressee"), "1",
	    "a postponed workflow goes on when its message is free");
}

/* What one workflow meets is not what the others meet. */
static void
test_circumstances(void)
{
	struct db *locker = db_new("", "locker");

	if (!db_connect(locker, NULL))
		abort();
	db_queue(locker, "begin", 0, NULL);
	db_queue(locker, "update test.locked set n = n", 0, NULL);
	db_finish(locker);
	start("blocked", "blocked", "null");
	ok(healthy_go_on("beside"), "a locked row stops no other workflow");
	ok(wait_sql("PENDING",
	       "select status from dbos.workflow_status "
	       "where workflow_uuid = 'blocked'"),
	    "a workflow that wants a locked row stays PENDING");
	db_queue(locker, "rollback", 0, NULL);
	db_finish(locker);
	db_free(locker);
	is_str(ended("blocked"), "SUCCESS",
	    "a workflow goes on when its row is free");
	is_str(notes("blocked"), "1",
	    "the step before a locked row happens once");
	is_str(sql("select n from test.locked"), "1",
	    "the step that met a locked row happens once");

	test_locked_message();
	start("session_killer", "session_killer", "null");
	ok(healthy_go_on("apart"),
	    "a workflow that ends its session stops no other workflow");
	is_str(ended("session_killer"), "MAX_RECOVERY_ATTEMPTS_EXCEEDED",
	    "a workflow that keeps ending its session is given up");

	start("failing", "parent_of_failing", "null");
	ok(healthy_go_on("near"),
	    "an error in a child stops no other workflow");
	is_str(ended("failing"), "SUCCESS",
	    "an error in a child that is not awaited spares its parent");
	is_str(ended("failing-0"), "ERROR",
	    "an error in a child fails the child");

	sql("insert into dbos.workflow_status (workflow_uuid, name, "
	    "queue_name, status, serialization, application_version) values "
	    "('watched', 'good', 'test', 'ENQUEUED', 'portable_json', '')");
	start("watcher", "watcher", "\"watched\"");
	is_str(output("watcher"), "\"seen\"",
	    "wf_result sees the end of a workflow without a parent");
}

/* For a daemon with one worker. */
static void
test_lost_commit(void)
{
	start("undone", "ticker", "1000");
	ok(wait_sql("1", "select count(*) from test.notes where id = 'undone'"),
	    "the first tick is committed");
	/* As after a failover to a server that lacks the last commits. */
	sql("with undone as (delete from test.notes where id = 'undone'), "
	    "unwritten as (delete from dbos.operation_outputs "
	    "where workflow_uuid = 'undone' and function_id > 0) "
	    "select count(pg_terminate_backend(pid)) from pg_stat_activity "
	    "where application_name = 'durable worker'");
	is_str(ended("undone"), "SUCCESS",
	    "a workflow ends after the server lost its last commit");
	is_str(notes("undone"), "3",
	    "a step that the server lost happens again in a new session");
	is_str(steps("undone"),
	    "0 DBOS.sleep, 1 note, 2 DBOS.sleep, 3 note, 4 DBOS.sleep, 5 note",
	    "the repeated step is in the journal");
}

/* Starts a workflow for each input, all in one turn. */
static void
start_together(const char *prefix, const char *type, const char *inputs)
{
	sql("select durable.client_submit(array_agg('%s' || n), "
	    "array_agg('%s'::text), array_agg('test'::text), array_agg(input), "
	    "'test', '{}', '{}', '{}', '{}', '{}') "
	    "from unnest('%s'::text[]) with ordinality as i (input, n)",
	    prefix, type, inputs);
}

/* A query of one value about the waits of workflows with this prefix. */
static const char *
in_chime(const char *value, const char *prefix)
{
	return arena_printf(arena,
	    "select %s from durable.waits where workflow_uuid like '%s%%'",
	    value, prefix);
}

/* For a daemon with one worker. */
static void
test_timer_groups(void)
{
	static const char sessions[] =
	    "select array_agg(pid order by pid) from pg_stat_activity "
	    "where application_name = 'durable worker'";
	static const char places_sql[] =
	    "array_agg(ctid || ' ' || timer_group order by workflow_uuid)";
	struct db *other = db_new("", "other");
	char places[200], chime[16];
	int n;

	/* Their times are equal unless the turn crosses a step of 16 ms. */
	for (n = 0; n < 20; n++) {
		snprintf(chime, sizeof(chime), "chime%c", 'a' + n);
		start_together(chime, "ticker", "{1000,1000,1000,1000}");
		wait_sql("4", in_chime("count(*)", chime));
		if (strcmp(sql("%s",
			       in_chime("count(distinct timer_group)", chime)),
			"1") == 0)
			break;
	}
	ok(n < 20,
	    "workflows that sleep equally long from one turn share a group");
	snprintf(places, sizeof(places), "%s",
	    sql("%s", in_chime(places_sql, chime)));
	ok(wait_sql("8",
	       arena_printf(arena,
		   "select count(*) from test.notes where id like '%s%%'",
		   chime)),
	    "a timer group's workflows tick");
	is_str(sql("%s", in_chime(places_sql, chime)), places,
	    "a timer group's next tick leaves the waits as they are");
	sql("update dbos.workflow_status set status = 'CANCELLED' "
	    "where workflow_uuid = '%s2'",
	    chime);
	is_str(ended(arena_printf(arena, "%s1", chime)), "SUCCESS",
	    "the first of a group with a cancelled workflow succeeds");
	is_str(ended(arena_printf(arena, "%s3", chime)), "SUCCESS",
	    "the third of a group with a cancelled workflow succeeds");
	is_str(ended(arena_printf(arena, "%s4", chime)), "SUCCESS",
	    "the fourth of a group with a cancelled workflow succeeds");
	is_str(sql("select string_agg(right(id, 1) || ' ' || count, ', ' "
		   "order by id) "
		   "from (select id, count(*) from test.notes "
		   "where id like '%s%%' group by id) as n",
		   chime),
	    "1 3, 2 2, 3 3, 4 3", "each tick of a timer group happens once");

	start_together("nap", "ticker", "{1000,1000,1000}");
	ok(wait_sql("3",
	       "select count(*) from durable.waits "
	       "where workflow_uuid like 'nap%'"),
	    "three workflows of one turn sleep");
	ok(db_connect(other, "begin") &&
		db_query(other, arena,
		    "select 1 from dbos.workflow_status "
		    "where workflow_uuid = 'nap2' for update",
		    0, NULL) != NULL,
	    "a workflow of a timer group is locked");
	ok(wait_sql("2",
	       "select count(*) from test.notes where id like 'nap%'"),
	    "a locked workflow does not delay its timer group");
	db_disconnect(other);
	is_str(ended("nap2"), "SUCCESS",
	    "a workflow that was locked at its group's time succeeds");
	ok(strcmp(sql("select t.started_at_epoch_ms - s.output::bigint < 600 "
		      "from dbos.operation_outputs as s "
		      "join dbos.operation_outputs as t using (workflow_uuid) "
		      "where workflow_uuid = 'nap2' and s.function_id = 0 "
		      "and t.function_id = 1"),
	       "true") == 0,
	    "a workflow goes on when unlocked, not at its group's next time");

	start_together("doze", "dozer", "{0,60000,0,60000}");
	ok(wait_sql("4",
	       "select count(*) from dbos.operation_outputs "
	       "where workflow_uuid like 'doze%' and function_id = 1"),
	    "four workflows begin their second sleep");
	sql("select count(dbos.send_message('doze' || n, to_json('m' || n), "
	    "'topic')) "
	    "from generate_series(1, 4) as n");
	is_str(ended("doze4"), "SUCCESS",
	    "a workflow of a timer group that waits for a message ends");
	is_str(ended("doze1"), "SUCCESS",
	    "a workflow of a timer group that only looks for one ends");
	is_str(sql("select string_agg(output, ' ' order by workflow_uuid) "
		   "from dbos.workflow_output "
		   "where workflow_uuid like 'doze%%'"),
	    "\"m1\" \"m2\" \"m3\" \"m4\"",
	    "messages sent to a sleeping timer group are received");
	ok(strcmp(sql("select max(r.completed_at_epoch_ms - s.output::bigint) "
		      "< 500 from dbos.operation_outputs as r "
		      "join dbos.operation_outputs as s using (workflow_uuid) "
		      "where r.function_name = 'DBOS.recv' "
		      "and s.function_id = 1 "
		      "and workflow_uuid like 'doze%%'"),
	       "true") == 0,
	    "a message sent during a sleep is received without delay");

	start_together("part", "sleeper", "{1300,300}");
	start_together("hear", "dozer", "{60000,60000}");
	is_str(ended("part1"), "SUCCESS",
	    "a workflow that leaves its timer group succeeds");
	ok(strcmp(sql("select completed_at - s.output::bigint < 600 "
		      "from dbos.workflow_status "
		      "join dbos.operation_outputs as s using (workflow_uuid) "
		      "where workflow_uuid = 'part2' and s.function_id = 1"),
	       "true") == 0,
	    "when a timer group parts, the shorter sleep ends on time");
	ok(wait_sql("2",
	       "select count(*) from durable.waits "
	       "where workflow_uuid like 'hear%' and kind = 'message'"),
	    "workflows of a timer group may next wait for messages");
	snprintf(places, sizeof(places), "%s", sql(sessions));
	start_together("drowse", "drowser",
	    "{0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0}");
	is_str(ended("drowse16"), "SUCCESS",
	    "a turn of long and short sleeps ends");
	is_str(sql(sessions), places,
	    "a turn of long and short sleeps keeps its session");
	ok(wait_sql("0", "select count(*) from durable.timer_groups"),
	    "no timer group is left without its workflows");
	db_free(other);
}

int
main(void)
{
	static const char *const queues[] = { "test", DURABLE_INTERNAL_QUEUE,
		NULL };
	const struct workflow_type
	    *types[sizeof(all_types) / sizeof(all_types[0]) + 5];
	struct engine engine = { .conninfo = "",
		.application = "test",
		.executor = "tests",
		.queues = queues,
		.turn_size = 16,
		.turn_limit_s = 2,
		.max_attempts = 3 };
	size_t n = 0;
	pid_t daemon;

	for (; n < sizeof(all_types) / sizeof(all_types[0]); n++)
		types[n] = &all_types[n];
	types[n++] = &child_type;
	types[n++] = &failing_child_type;
	types[n++] = &good_type;
	types[n++] = &listener_type;
	types[n] = NULL;
	engine.types = types;

	arena = arena_new();
	db = db_new("", "test");
	if (!db_connect(db,
		"create schema test;"
		"create extension pg_stat_statements schema test;"
		"create table test.notes (id text not null);"
		"create table test.locked as select 0 as n;"
		"create sequence test.refusals;"
		"create sequence test.readings;"
		"create function test.refuse() returns int security definer "
		"language plpgsql as $$ begin "
		"perform nextval('test.refusals'); "
		"raise 'refused by the test' using errcode = '42501'; end $$;"
		"create function test.read_from_afar() returns void "
		"language plpgsql as $$ begin "
		"if nextval('test.readings') <= 4 then "
		"raise 'the other server is away' using errcode = '08001'; end if; end $$;"
		"create table test.told (at serial, id text, what text, "
		"size int);"
		"create function test.tell(ids text[], whats text[]) "
		"returns void begin atomic "
		"insert into test.told (id, what, size) "
		"select u.id, u.what, cardinality(ids) "
		"from unnest(ids, whats) as u (id, what); end;"
		"create function test.run(statement text) returns text "
		"language plpgsql as $$ declare got text; begin "
		"if statement ~ '^(select|with)' then "
		"execute statement into got; else execute statement; end if; "
		"return got; end $$;"))
		return !ok(false, db_last_error(db)->message);
	daemon = start_daemon(&engine, 3);
	start("far reader", "far_reader", "null");
	start("plodder", "plodder", "null");
	test_steps();
	test_isolation();
	test_batches();
	test_children();
	test_events_and_messages();
	test_wake_ups();
	test_listening();
	test_duty(daemon);
	test_shares(daemon);
	test_control();
	test_circumstances();
	test_mended_tables();
	test_half_sent();
	test_poison();
	is_str(ended("plodder"), "SUCCESS",
	    "a workflow of many short steps may outlast the turn limit");
	is_str(steps("plodder"), "0 plod, 1 plod, 2 plod, 3 plod",
	    "each step of a turn that exceeds the limit is recorded once");
	is_str(ended("far reader"), "SUCCESS",
	    "a step's lost connection to another server is no poison");
	stop_daemon(daemon);
	daemon = start_daemon(&engine, 1);
	test_lost_commit();
	test_timer_groups();
	stop_daemon(daemon);
	db_free(db);
	arena_free(arena);
	return done_testing();
}
