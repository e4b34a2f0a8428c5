/* SPDX-License-Identifier: MIT */
/*
 * What a worker does for the whole database.
 */
#include "engine/sweep.h"

#include <stddef.h>

#include <durable/engine.h>

#include "base/clock.h"
#include "db/db.h"
#include "engine/served.h"

/* One sweep in so many looks for sessions of frozen workers. */
#define FROZEN_SWEEPS 5

/*
 * No time-out ends the session of a worker that is frozen while the server
 * writes to it (ClientWrite; for longer than statement_timeout) or while it
 * sends a statement (ClientRead; for longer than that takes), because such a
 * session is not idle.
 */
static const char end_frozen[] =
    "select pg_terminate_backend(a.pid) "
    "from pg_stat_activity as a "
    "where a.usename = current_user "
    "and a.application_name = current_setting('application_name') "
    "and (a.wait_event = 'ClientWrite' "
    "and a.query_start < clock_timestamp() - interval '20 s' "
    "or a.state = 'active' and a.wait_event = 'ClientRead' "
    "and a.query_start < clock_timestamp() - interval '2 s')";

bool
sweep_register(struct sweep *sweep)
{
	const struct workflow_type *const *type = sweep->engine->types;
	const char *params[3];

	while (type[1] != NULL)
		type++;
	params[0] = sweep->engine->application;
	params[1] = (*type)->version;
	params[2] = served_queues(sweep->served, NULL);
	db_queue(sweep->db, "select durable.register($1, $2, $3)", 3, params);
	return db_finish(sweep->db) == DB_DONE;
}

bool
sweep_if_due(struct sweep *sweep)
{
	const char *const params[] = { served_runnable(sweep->served),
		sweep->engine->application };
	int64_t now_ms = clock_monotonic_ms();

	if (now_ms - sweep->swept_ms < sweep->interval_ms)
		return true;
	sweep->swept_ms = now_ms;
	db_queue(sweep->db, "select durable.sweep($1, $2)", 2, params);
	if (sweep->count++ % FROZEN_SWEEPS == 0)
		db_queue(sweep->db, end_frozen, 0, NULL);
	return db_finish(sweep->db) != DB_LOST;
}
