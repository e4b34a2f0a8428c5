/* SPDX-License-Identifier: MIT */
/*
 * Steps that change the session which the workflows of a turn share, by
 * functions that their text does not show.  Each is in a turn with workflows
 * that would notice.  session.tap starts the cluster and this program.
 */
#include <string.h>

#include "tests/stories/story.h"
#include "tests/unit/tap.h"

static const char setup[] =
    "create table public.plain (n int);"
    "insert into public.plain values (1);"
    "create function test.make_table() returns text language plpgsql as $$ "
    "begin create temp table plain (n int); return null; end $$;"
    "create function test.lock_session() returns text language plpgsql as $$ "
    "begin perform pg_advisory_lock(77, 1); return null; end $$;"
    "create function test.execute(command text) returns text "
    "language plpgsql as $$ begin execute command; return null; end $$;"
    "create table test.sessions (id text, pid int);"
    "create function test.deallocate() returns text language plpgsql as $$ "
    "begin execute 'deallocate all'; return null; end $$;"
    "create function test.deallocate_and_fail() returns text "
    "language plpgsql as $$ begin execute 'deallocate all'; "
    "raise exception 'failed'; end $$;"
    "create function test.full() returns text language plpgsql as $$ begin "
    "if exists (select from test.notes where id = 'mended') then "
    "return null; end if; "
    "raise exception using errcode = '53100', message = 'no space'; end $$;";

/* Runs its input, a statement. */
static json_object *
runs(struct workflow *wf, json_object *input)
{
	wf_sql_void(wf, "runs", json_object_get_string(input), 0, NULL);
	return NULL;
}

/* Returns what its input, a query, returns. */
static json_object *
tells(struct workflow *wf, json_object *input)
{
	return json_object_get(
	    wf_sql(wf, "tells", json_object_get_string(input), 0, NULL));
}

static json_object *
run_in_step(struct step *step, void *arg)
{
	return json_object_get(step_sql(step, arg, 0, NULL));
}

/* Runs its input in a C step, and goes on; returns the error. */
static json_object *
catches(struct workflow *wf, json_object *input)
{
	const struct wf_error *error;

	wf_catch(wf);
	wf_transaction(wf, "step", run_in_step,
	    (void *)(uintptr_t)json_object_get_string(input));
	error = wf_error(wf);
	take_note(wf, "note");
	return error == NULL ? NULL : json_object_new_string(error->message);
}

/* Notices another search_path, a temporary table and a short time-out. */
static json_object *
reads(struct workflow *wf, json_object *input)
{
	int64_t n = wf_sql_int64(wf, "reads",
	    "select n from plain, pg_sleep(0.02)", 0, NULL);

	(void)input;
	wf_sql_void(wf, "notes", "insert into test.notes values ('reads')", 0,
	    NULL);
	return json_object_new_int64(n);
}

static json_object *
steps_only(struct workflow *wf, json_object *input)
{
	(void)input;
	return json_object_get(wf_transaction(wf, "quick", run_in_step,
	    (void *)(uintptr_t) "select 1"));
}

/* Starts a workflow of a type and six of another behind it, in one turn. */
static void
start_before(const char *id, const char *type, const char *input,
    const char *others)
{
	sql("select durable.client_submit(array_agg(id), array_agg(type), "
	    "array_agg('test'::text), array_agg(input), 'test', "
	    "'{}', '{}', '{}', '{}', '{}') from ("
	    "select '%s' as id, '%s' as type, to_json($$%s$$::text)::text "
	    "as input union all "
	    "select '%s beside ' || n, '%s', null "
	    "from generate_series(1, 6) as n) as s",
	    id, type, input, id, others);
}

static bool
beside_return(const char *id, const char *wanted)
{
	return wait_sql("6",
	    arena_printf(arena,
		"select count(*) from dbos.workflow_status as s "
		"join dbos.workflow_output as o using (workflow_uuid) "
		"where s.workflow_uuid like '%s beside %%' "
		"and s.status = 'SUCCESS' and o.output = '%s'",
		id, wanted));
}

/* Asserts that a statement is refused for what it changes. */
static void
refused(const char *id, const char *statement, const char *what)
{
	start_before(id, "runs", statement, "reads");
	is_str(output(id),
	    arena_printf(arena,
		"{\"name\":\"DBOSForbiddenStatement\",\"message\":"
		"\"a statement has changed the session, which the workflows "
		"of a turn share: %s\"}",
		what),
	    arena_printf(arena, "a step that changes %s is refused", what));
	ok(beside_return(id, "1"),
	    arena_printf(arena, "a step that changes %s touches no other",
		what));
}

static void
test_refused(void)
{
	refused("path", "select set_config('search_path', 'nowhere', false)",
	    "search_path");
	refused("local", "select set_config('search_path', 'nowhere', true)",
	    "search_path");
	refused("role", "select set_config('role', 'widget_store_web', true)",
	    "role");
	refused("commit",
	    "select set_config('synchronous_commit', 'off', true)",
	    "synchronous_commit");
	refused("timeout", "select set_config('statement_timeout', '1', true)",
	    "statement_timeout");
	refused("idle",
	    "select set_config('idle_in_transaction_session_timeout', '1', "
	    "false)",
	    "idle_in_transaction_session_timeout");
	refused("temporary", "select test.make_table()", "temporary objects");
}

static void
test_caught(void)
{
	start_before("caught", "catches", "select test.make_table()", "reads");
	ok(strstr(output("caught"), "temporary objects") != NULL,
	    "a C step that changes the session fails, and may be caught");
	is_str(notes("caught"), "1", "its workflow goes on behind it");
	ok(beside_return("caught", "1"),
	    "a caught change of the session touches no other workflow");
}

/* Asserts that a session in which a function has left something is ended. */
static void
leaves(const char *id, const char *call, const char *what)
{
	start_before(id, "runs",
	    arena_printf(arena,
		"insert into test.sessions select '%s', pg_backend_pid() "
		"from %s",
		id, call),
	    "reads");
	is_str(ended(id), "SUCCESS",
	    arena_printf(arena, "a function may leave %s", what));
	ok(beside_return(id, "1"),
	    arena_printf(arena, "%s touches no other workflow", what));
	ok(wait_sql("0",
	       arena_printf(arena,
		   "select count(*) from pg_stat_activity as a "
		   "join test.sessions as s using (pid) where s.id = '%s'",
		   id)),
	    arena_printf(arena, "a session with %s is ended", what));
}

/* Whether workflows soon find a setting empty, which a function has made. */
static bool
forgets(const char *setting)
{
	const char *id;
	int i;

	for (i = 0; i < WAIT_S; i++) {
		id = arena_printf(arena, "forgets %d", i);
		start(id, "tells",
		    arena_printf(arena,
			"\"select current_setting(''%s'', true)\"", setting));
		if (strstr(output(id), "x") == NULL)
			return true;
	}
	return false;
}

static void
test_left(void)
{
	/* First, because a worker with a new session does not listen yet. */
	leaves("unlistens", "test.execute('unlisten *')",
	    "none of its own channels");
	leaves("locks", "test.lock_session()", "a lock for the session");
	leaves("listens", "test.execute('listen other')", "another channel");
	start_before("tenant", "runs",
	    "select set_config('test.tenant', 'x', false)", "reads");
	ok(beside_return("tenant", "1") && forgets("test.tenant"),
	    "a session forgets a setting that only a function knows");
	start_before("gone", "catches", "select test.deallocate()", "reads");
	ended("gone");
	ok(beside_return("gone", "1"),
	    "a function that deallocates statements touches no other workflow");
	start_before("fails", "catches", "select test.deallocate_and_fail()",
	    "reads");
	is_str(output("fails"), "\"failed (SQLSTATE P0001)\"",
	    "a function that deallocates statements may fail");
}

/* A C step sends the statement of the other workflow before its own. */
static void
test_held(void)
{
	start_before("full", "runs", "select test.full()", "steps_only");
	ok(beside_return("full", "1"),
	    "a C step does not wait for another workflow's circumstance");
	ok(wait_sql("held",
	       "select kind from durable.waits where workflow_uuid = 'full'"),
	    "the workflow that met the circumstance does");
	sql("insert into test.notes values ('mended')");
	is_str(ended("full"), "SUCCESS", "until the circumstance is over");
}

int
main(void)
{
	static const struct workflow_type types[] = { TYPE(runs), TYPE(tells),
		TYPE(catches), TYPE(reads), TYPE(steps_only) };
	static const struct engine engine = { .turn_size = 16,
		.turn_limit_s = 5,
		.max_attempts = 3,
		.schema_patience_s = 300 };
	pid_t daemon;

	story_begin(setup);
	daemon = story_start_daemon(&engine, types,
	    sizeof(types) / sizeof(types[0]), 1);
	test_refused();
	test_caught();
	test_left();
	test_held();
	ok(story_stop_daemon(daemon), "SIGTERM ends the daemon with status 0");
	story_end();
	return done_testing();
}
