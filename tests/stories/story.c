/* SPDX-License-Identifier: MIT */
/*
 * What the stories about the engine share.
 */
#include "tests/stories/story.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "tests/unit/tap.h"

struct db *db;
struct arena *arena;

void
story_begin(const char *setup)
{
	arena = arena_new();
	db = db_new("", "test");
	if (db_connect(db,
		arena_printf(arena,
		    "create schema test;"
		    "create table test.notes (id text not null);"
		    "create function test.run(statement text) returns text "
		    "language plpgsql as $$ declare got text; begin "
		    "if statement ~ '^(select|with)' then "
		    "execute statement into got; else execute statement; "
		    "end if; return got; end $$;%s",
		    setup)))
		return;
	printf("Bail out! %s\n", db_last_error(db)->message);
	exit(1);
}

void
story_end(void)
{
	db_free(db);
	arena_free(arena);
}

pid_t
story_start_daemon(const struct engine *engine,
    const struct workflow_type *types, size_t types_count, int workers)
{
	static const char *const queues[] = { "test", DURABLE_INTERNAL_QUEUE,
		NULL };
	struct engine tested = *engine;
	const struct workflow_type **list;
	pid_t pid = fork();
	size_t i;

	if (pid != 0)
		return pid;
	/* Else it outlives a test that dies, and make waits for its output. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	list = calloc(types_count + 1, sizeof(struct workflow_type *));
	if (list == NULL)
		abort();
	for (i = 0; i < types_count; i++)
		list[i] = &types[i];
	tested.conninfo = "";
	tested.application = "test";
	if (tested.executor == NULL)
		tested.executor = "tests";
	tested.types = list;
	tested.queues = queues;
	log_open("engine");
	_exit(durable_run(&tested, workers));
}

bool
story_stop_daemon(pid_t daemon)
{
	int status;

	kill(daemon, SIGTERM);
	return waitpid(daemon, &status, 0) == daemon && status == 0;
}

const char *
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

bool
wait_sql(const char *want, const char *query)
{
	struct timespec pause = { .tv_nsec = 2500000 };
	time_t end = time(NULL) + WAIT_S;
	const char *got = NULL;

	while (time(NULL) < end) {
		got = sql("%s", query);
		if (got != NULL && strcmp(got, want) == 0)
			return true;
		nanosleep(&pause, NULL);
		if (pause.tv_nsec < 40000000)
			pause.tv_nsec *= 2;
	}
	diag("%s: got %s, want %s", query, got == NULL ? "nothing" : got, want);
	return false;
}

void
start(const char *id, const char *name, const char *input)
{
	sql("select durable.client_submit(array['%s'], array['%s'], "
	    "array['test'], array['%s'], 'test', '{}', '{}', '{}', '{}', '{}')",
	    id, name, input);
}

void
start_together(const char *prefix, const char *type, const char *inputs)
{
	sql("select durable.client_submit(array_agg('%s' || n), "
	    "array_agg('%s'::text), array_agg('test'::text), array_agg(input), "
	    "'test', '{}', '{}', '{}', '{}', '{}') "
	    "from unnest('%s'::text[]) with ordinality as i (input, n)",
	    prefix, type, inputs);
}

const char *
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

const char *
output(const char *id)
{
	const char *got;

	ended(id);
	got = sql("select coalesce(output, error) from dbos.workflow_output "
		  "where workflow_uuid = '%s'",
	    id);
	return got == NULL ? "" : got;
}

const char *
steps(const char *id)
{
	return sql("select string_agg(function_id || ' ' || function_name, "
		   "', ' order by function_id) from dbos.operation_outputs "
		   "where workflow_uuid = '%s'",
	    id);
}

const char *
notes(const char *id)
{
	return sql("select count(*) from test.notes where id = '%s'", id);
}

void
take_note(struct workflow *wf, const char *name)
{
	const char *const params[] = { wf_id(wf) };

	wf_sql_void(wf, name, "insert into test.notes values ($1)", 1, params);
}

json_object *
good(struct workflow *wf, json_object *input)
{
	(void)input;
	take_note(wf, "note");
	wf_sleep(wf, 1);
	take_note(wf, "note");
	return NULL;
}

json_object *
ticker(struct workflow *wf, json_object *input)
{
	int i;

	for (i = 0; i < 3; i++) {
		wf_sleep(wf, json_object_get_int64(input));
		take_note(wf, "note");
	}
	return NULL;
}

json_object *
sleeper(struct workflow *wf, json_object *input)
{
	wf_sleep(wf, input == NULL ? 3600000 : 1000);
	wf_sleep(wf, json_object_get_int64(input));
	return NULL;
}

json_object *
listener(struct workflow *wf, json_object *input)
{
	(void)input;
	return json_object_get(wf_recv(wf, "topic", 60000));
}
