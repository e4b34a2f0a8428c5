/* SPDX-License-Identifier: MIT */
/*
 * What a worker does for the whole database.
 */
#include "engine/sweep.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <durable/engine.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "db/session.h"
#include "engine/served.h"

/* One sweep in so many looks for sessions of frozen processes. */
#define FROZEN_SWEEPS 5

/* One sweep in so many looks at everything that is overdue. */
#define WHOLE_SWEEPS  60

/* How often a daemon notes what it serves, and may repeat a warning. */
#define NOTE_MS       30000
#define WARN_AGAIN_MS 600000

/*
 * What steps have left in this session by a function that turn_session.c does
 * not see: what the engine's own statements never leave there.  The engine's
 * advisory locks have these classes; the rest are its settings.  $1: the
 * channels on which the session should listen.
 */
static const char leftovers[] =
    "select left(string_agg(w.what, ', '), 300) from ("
    "select 'the setting ' || s.name as what from pg_catalog.pg_settings as s "
    "where s.source = 'session' and s.name !~ '^(durable[.]|tcp_)' "
    "and s.name <> all ('{default_transaction_isolation,lock_timeout,"
    "statement_timeout,idle_in_transaction_session_timeout}') "
    "union all select 'an advisory lock (' || l.classid || ', ' || l.objid "
    "|| ')' from pg_catalog.pg_locks as l where l.locktype = 'advisory' "
    "and l.pid = pg_catalog.pg_backend_pid() and l.classid <> all (array["
    "1146442305, 1146442306, 1146442307, 'durable.served'::pg_catalog.regclass, "
    "'durable.suspects'::pg_catalog.regclass]::oid[]) "
    "union all select 'the cursor ' || c.name from pg_catalog.pg_cursors as c "
    "where c.is_holdable "
    "union all select 'the prepared statement ' || p.name "
    "from pg_catalog.pg_prepared_statements as p where p.from_sql "
    "union all select 'the channel ' || coalesce(c.name, e.name || ' unheard') "
    "from pg_catalog.pg_listening_channels() as c (name) "
    "full join pg_catalog.unnest($1::text[]) as e (name) on c.name = e.name "
    "where c.name is null or e.name is null) as w";

/*
 * Ends settings of names that only their setter knows, such as "app.tenant",
 * because pg_settings does not show them: all settings but the engine's.
 */
static const char reset_settings[] =
    "do $$ declare names text[]; settings text[]; begin "
    "select pg_catalog.array_agg(s.name), pg_catalog.array_agg(s.setting) "
    "into names, settings from (select s.name, s.setting "
    "from pg_catalog.pg_settings as s where s.source = 'session' union all "
    "select 'durable.process_id', "
    "pg_catalog.current_setting('durable.process_id', true)) as s "
    "where s.setting is not null; reset all; "
    "perform pg_catalog.set_config(u.name, u.setting, false) "
    "from unnest(names, settings) as u (name, setting); end $$";

/* Heeds the answer of durable.superseded. */
static void
supersede(struct sweep *sweep, const struct db_rows *rows)
{
	const char *names = rows == NULL ? NULL : db_value(rows, 0, 0);

	if (names == NULL || !served_supersede(sweep->served, names))
		return;
	sweep->noted_ms = 0;
	if (strcmp(names, "{}") == 0)
		log_info("this daemon has the latest version of all its "
			 "workflows again, and takes new ones");
	else
		log_info("new workflows of these names are left to daemons "
			 "with a later version: %s",
		    names);
}

/* Asks for the queues, if the daemon serves all of its application. */
static void
queue_all_queues(struct sweep *sweep, struct arena *arena,
    const struct db_rows **queues)
{
	if (sweep->engine->all_queues)
		db_queue_rows(sweep->db, arena, "select durable.all_queues($1)",
		    1, &sweep->engine->application, queues);
}

/* Heeds the answer. */
static void
set_queues(struct sweep *sweep, const struct db_rows *rows)
{
	const char *queues = rows == NULL ? NULL : db_value(rows, 0, 0);

	if (queues == NULL || !served_set_queues(sweep->served, queues))
		return;
	sweep->noted_ms = 0;
	if (sweep->notes_served)
		log_info("this daemon serves the queues %s", queues);
}

bool
sweep_register(struct sweep *sweep)
{
	const struct workflow_type *const *type = sweep->engine->types;
	const char *const known[] = { sweep->engine->application,
		served_all(sweep->served) };
	const struct db_rows *superseded = NULL, *queues = NULL;
	struct arena *arena = arena_new();
	const char *params[3];
	bool done;

	while (type[1] != NULL)
		type++;
	/* What is served is the session's. */
	sweep->noted_ms = 0;
	params[0] = sweep->engine->application;
	params[1] = (*type)->version;
	params[2] = served_queues(sweep->served, NULL);
	db_queue(sweep->db, "select durable.register($1, $2, $3)", 3, params);
	db_queue_rows(sweep->db, arena, "select durable.register_types($1, $2)",
	    2, known, &superseded);
	queue_all_queues(sweep, arena, &queues);
	done = db_finish(sweep->db) == DB_DONE;
	supersede(sweep, superseded);
	set_queues(sweep, queues);
	arena_free(arena);
	return done;
}

/* The kinds of durable.note_served. */
static const struct {
	const char *kind, *before, *behind;
} texts[SWEEP_WARNINGS] = {
	{ "unserved", "workflows wait and no daemon serves them, such as ",
	    ": start a daemon with this name, version and queue, or cancel "
	    "them" },
	{ "partitions",
	    "workflows without a partition key wait for ever in queues that "
	    "have limits for partitions: ",
	    ": cancel them, or end these limits" },
	{ "schedules", "these schedules do not fire: ",
	    ": correct or delete them, or start a daemon that runs their "
	    "workflows" },
	{ "notifications",
	    "no notifications are sent, and workers and web look every second "
	    "instead, because PostgreSQL's notification queue is full to ",
	    ": end the session that listens and stays in a transaction; "
	    "PostgreSQL's log names its process id (NOTIFY queue)" }
};

/* Logs a warning that is new, or that ten minutes are over. */
static void
warn(struct sweep *sweep, const char *kind, const char *what)
{
	int64_t now_ms = clock_monotonic_ms();
	struct warning *last;
	size_t i = 0;

	while (i < SWEEP_WARNINGS && strcmp(texts[i].kind, kind) != 0)
		i++;
	if (i == SWEEP_WARNINGS)
		return;
	last = &sweep->warnings[i];
	if (strncmp(last->what, what, sizeof(last->what) - 1) == 0 &&
	    now_ms - last->said_ms < WARN_AGAIN_MS)
		return;
	snprintf(last->what, sizeof(last->what), "%s", what);
	last->said_ms = now_ms;
	log_warning("%s%s%s", texts[i].before, last->what, texts[i].behind);
}

/* Notes what this daemon serves; false when the connection is lost. */
static bool
note_served(struct sweep *sweep)
{
	const char *const params[] = { sweep->engine->application,
		served_runnable(sweep->served),
		served_queues(sweep->served, NULL) };
	struct arena *arena = arena_new();
	const struct db_rows *rows;
	bool lost;
	size_t i;

	rows = db_query(sweep->db, arena,
	    "select kind, what from durable.note_served($1, $2, $3)", 3,
	    params);
	for (i = 0; rows != NULL && i < db_row_count(rows); i++)
		warn(sweep, db_value(rows, i, 0), db_value(rows, i, 1));
	lost = rows == NULL && db_last_error(sweep->db)->outcome == DB_LOST;
	arena_free(arena);
	return !lost;
}

/* As sweep_due_in_ms, of the sweep alone. */
static int
interval_left_ms(const struct sweep *sweep)
{
	int64_t left_ms = sweep->swept_ms + sweep->interval_ms -
	    clock_monotonic_ms();

	return sweep->more || left_ms < 0 ? 0 : (int)left_ms;
}

int
sweep_due_in_ms(const struct sweep *sweep)
{
	int left_ms = interval_left_ms(sweep);
	int schedule_ms = schedule_due_in_ms(&sweep->schedule);

	return schedule_ms < left_ms ? schedule_ms : left_ms;
}

/*
 * Ends the session when a step has left something there, because the steps of
 * other workflows use it: the worker makes another one.
 */
static void
end_if_used(struct sweep *sweep, const struct db_rows *left)
{
	const char *what = left == NULL ? NULL : db_value(left, 0, 0);

	if (what == NULL)
		return;
	log_warning("a step has left %s in the session of its worker, which "
		    "gets a new one; correct the function that does it",
	    what);
	db_disconnect(sweep->db);
}

/* Queues the look at what steps have left in the session, and its end. */
static void
queue_leftovers(struct sweep *sweep, struct arena *arena,
    const struct db_rows **left)
{
	struct strbuf channels = { 0 };
	const char *param;

	session_add_channels(sweep->session, &channels);
	if (sweep->engine->crash_channel != NULL)
		strbuf_add_element(&channels, sweep->engine->crash_channel);
	param = strbuf_end_array(&channels);
	db_queue_rows(sweep->db, arena, leftovers, 1, &param, left);
	db_queue(sweep->db, reset_settings, 0, NULL);
	strbuf_free(&channels);
}

/* Whether a statement has left more to do. */
static bool
says_more(const struct db_rows *rows)
{
	return rows != NULL && *db_value(rows, 0, 0) == 't';
}

/* Returns false when the connection is lost. */
static bool
sweep_now(struct sweep *sweep)
{
	const char *const swept_params[] = { served_types(sweep->served, NULL),
		sweep->engine->application,
		sweep->count % WHOLE_SWEEPS == 0 ? "true" : "false" };
	const char *const params[] = { served_queues(sweep->served, NULL),
		served_runnable(sweep->served), sweep->engine->application };
	const char *const known[] = { sweep->engine->application,
		served_all(sweep->served) };
	const struct db_rows *swept = NULL, *enqueued = NULL, *left = NULL;
	const struct db_rows *superseded = NULL, *queues = NULL;
	const struct db_rows *schedule = NULL;
	struct arena *arena = arena_new();
	enum db_outcome outcome;

	db_queue_rows(sweep->db, arena, "select durable.sweep($1, $2, $3)", 3,
	    swept_params, &swept);
	db_queue_rows(sweep->db, arena,
	    "select durable.enqueue_delayed($1, $2, $3)", 3, params, &enqueued);
	db_queue_rows(sweep->db, arena, "select durable.superseded($1, $2)", 2,
	    known, &superseded);
	queue_all_queues(sweep, arena, &queues);
	schedule_queue_look(&sweep->schedule, arena, &schedule);
	if (sweep->count++ % FROZEN_SWEEPS == 0)
		db_queue(sweep->db, "select durable.end_frozen()", 0, NULL);
	/* In a transaction of its own, which holds no lock of the sweep's. */
	db_sync(sweep->db);
	queue_leftovers(sweep, arena, &left);
	outcome = db_finish(sweep->db);
	sweep->more = says_more(swept) || says_more(enqueued);
	supersede(sweep, superseded);
	set_queues(sweep, queues);
	schedule_note(&sweep->schedule, schedule);
	end_if_used(sweep, left);
	arena_free(arena);
	return outcome != DB_LOST;
}

/* A sweep, and every half a minute what is served and warned of. */
static bool
sweep_all(struct sweep *sweep)
{
	sweep->swept_ms = clock_monotonic_ms();
	if (sweep->notes_served &&
	    (sweep->noted_ms == 0 ||
		sweep->swept_ms - sweep->noted_ms >= NOTE_MS)) {
		sweep->noted_ms = sweep->swept_ms;
		if (!note_served(sweep))
			return false;
	}
	return sweep_now(sweep);
}

bool
sweep_if_due(struct sweep *sweep)
{
	if (interval_left_ms(sweep) == 0 && !sweep_all(sweep))
		return false;
	return schedule_fire_if_due(&sweep->schedule);
}
