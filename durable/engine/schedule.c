/* SPDX-License-Identifier: MIT */
/*
 * Fires schedules.
 */
#include "engine/schedule.h"

#include <limits.h>
#include <stdlib.h>
#include <time.h>

#include <durable/engine.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "db/db.h"
#include "engine/served.h"

/* After so long what could not fire is tried again. */
#define FAILED_MS 1000

void
schedule_queue_look(struct schedule *schedule, struct arena *arena,
    const struct db_rows **rows)
{
	const char *const params[] = { served_all(schedule->served),
		schedule->engine->application };

	db_queue_rows(schedule->db, arena,
	    "select durable.next_schedule($1, $2)", 2, params, rows);
}

void
schedule_note(struct schedule *schedule, const struct db_rows *rows)
{
	const char *left = rows == NULL ? NULL : db_value(rows, 0, 0);
	int64_t left_ms = left == NULL ? 0 : strtoll(left, NULL, 10);

	schedule->is_known = left != NULL && (schedule->wakes || left_ms <= 0);
	schedule->due_ms = clock_monotonic_ms() + left_ms;
}

int
schedule_due_in_ms(const struct schedule *schedule)
{
	int64_t left_ms = schedule->due_ms - clock_monotonic_ms();

	if (!schedule->is_known || left_ms > INT_MAX)
		return INT_MAX;
	return left_ms < 0 ? 0 : (int)left_ms;
}

/* For how long the daemon has lived. */
static const char *
alive_ms(const struct schedule *schedule, struct arena *arena)
{
	struct timespec now;
	int64_t ms;

	clock_gettime(CLOCK_REALTIME, &now);
	ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 -
	    schedule->began_ms;
	return arena_number(arena, ms < 0 ? 0 : ms);
}

/* What is due stays so, and is tried again. */
static void
note_failure(struct schedule *schedule)
{
	schedule->is_known = true;
	schedule->due_ms = clock_monotonic_ms() + FAILED_MS;
	if (log_is_due(&schedule->failed_ms))
		log_warning("schedules that are due cannot fire, and are tried "
			    "again: %s",
		    db_last_error(schedule->db)->message);
}

bool
schedule_fire_if_due(struct schedule *schedule)
{
	struct arena *arena;
	const struct db_rows *rows;
	const char *params[3];
	bool lost;

	if (schedule_due_in_ms(schedule) > 0)
		return true;
	arena = arena_new();
	params[0] = served_all(schedule->served);
	params[1] = schedule->engine->application;
	params[2] = alive_ms(schedule, arena);
	rows = db_query(schedule->db, arena,
	    "select durable.fire_schedules($1, $2, $3)", 3, params);
	lost = rows == NULL && db_last_error(schedule->db)->outcome == DB_LOST;
	if (rows != NULL)
		schedule_note(schedule, rows);
	else if (!lost)
		note_failure(schedule);
	arena_free(arena);
	return !lost;
}
