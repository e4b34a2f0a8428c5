/* SPDX-License-Identifier: MIT */
/*
 * What the engine does when a workflow, a row, a table or a session is at fault.
 * faults.tap starts the cluster and this program.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "tests/stories/story.h"
#include "tests/unit/tap.h"

static const struct workflow_type good_type = { .name = "good",
	.version = "1",
	.function = good };

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

static const struct workflow_type failing_child_type = {
	.name = "failing_child",
	.version = "1",
	.function = failing_child
};

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

static const struct workflow_type types[] = { TYPE(good), TYPE(ticker),
	TYPE(listener), TYPE(segfaulter), TYPE(looper), TYPE(blocked),
	TYPE(session_killer), TYPE(failing_child), TYPE(parent_of_failing),
	TYPE(watcher), TYPE(plodder), TYPE(far_reader) };

#define TYPES (sizeof(types) / sizeof(types[0]))

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
	/* What counts is the CPU time, of which it may get little. */
	ended("loop");
	is_str(ended("loop"), "MAX_RECOVERY_ATTEMPTS_EXCEEDED",
	    "a workflow that loops for ever is given up");
	is_str(sql("select count(*) from test.notes where id like 'healthy%%'"),
	    "100", "healthy workflows beside poison do each step once");
	ok(wait_sql("0", "select count(*) from durable.suspects"),
	    "no workflow stays suspect after the poison is given up");
}

/* As a host leaves them that lost its power in the midst of a recovery. */
static void
test_many_suspects(void)
{
	sql("with noted as (insert into durable.suspects "
	    "(workflow_uuid, attempts, cohort) "
	    "select 'left' || n, 0, 150 from generate_series(1, 300) as n) "
	    "select durable.client_submit(array_agg('left' || n), "
	    "array_agg('good'::text), array_agg('test'::text), "
	    "array_agg(null::text), 'test', "
	    "'{}', '{}', '{}', '{}', '{}') from generate_series(1, 300) as n");
	ok(wait_sql("300",
	       "select count(*) from dbos.workflow_status "
	       "where workflow_uuid like 'left%' and status = 'SUCCESS'"),
	    "hundreds of suspects end");
	ok(strtol(sql("select count(distinct xmin::text) from test.notes "
		      "where id like 'left%%'"),
	       NULL, 10) < 100,
	    "suspects that killed no process alone run in cohorts");
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
	struct db *frozen = db_new("user=widget_store_daemon",
	    "durable worker");
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
	ok(wait_sql("true",
	       "select bool_or(begun > 1) from durable.suspects "
	       "where workflow_uuid = 'session_killer'"),
	    "a workflow that keeps ending its session is tried alone");
	sql("update dbos.workflow_status set status = 'CANCELLED' "
	    "where workflow_uuid = 'session_killer'");

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

int
main(void)
{
	static const struct engine engine = { .turn_size = 16,
		.turn_limit_s = 1,
		.max_attempts = 3 };
	pid_t daemon;

	story_begin(
	    "create table test.locked as select 0 as n;"
	    "grant usage on schema test to widget_store_daemon;"
	    "grant select, update on test.locked to widget_store_daemon;"
	    "create sequence test.refusals;"
	    "create sequence test.readings;"
	    "create function test.refuse() returns int security definer "
	    "language plpgsql as $$ begin "
	    "perform nextval('test.refusals'); "
	    "raise 'refused by the test' using errcode = '42501'; end $$;"
	    "create function test.read_from_afar() returns void "
	    "language plpgsql as $$ begin "
	    "if nextval('test.readings') <= 4 then "
	    "raise 'the other server is away' using errcode = '08001'; "
	    "end if; end $$;");
	daemon = story_start_daemon(&engine, types, TYPES, 3);
	start("far reader", "far_reader", "null");
	start("plodder", "plodder", "null");
	test_circumstances();
	test_mended_tables();
	test_half_sent();
	test_poison();
	test_many_suspects();
	is_str(ended("plodder"), "SUCCESS",
	    "a workflow of many short steps may outlast the turn limit");
	is_str(steps("plodder"), "0 plod, 1 plod, 2 plod, 3 plod",
	    "each step of a turn that exceeds the limit is recorded once");
	is_str(ended("far reader"), "SUCCESS",
	    "a step's lost connection to another server is no poison");
	ok(story_stop_daemon(daemon), "SIGTERM ends the daemon with status 0");
	daemon = story_start_daemon(&engine, types, TYPES, 1);
	test_lost_commit();
	ok(story_stop_daemon(daemon), "SIGTERM ends the daemon with status 0");
	story_end();
	return done_testing();
}
