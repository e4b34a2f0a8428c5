/* SPDX-License-Identifier: MIT */
/*
 * Deletes finished workflows.
 */
#include "engine/collector.h"

#include <stdlib.h>

#include <durable/engine.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "db/db.h"

/*
 * A pause of so many times as long as a bite follows it: what is deleted takes a
 * tenth of the time of one session.
 */
#define SHARE     "9"

/* After so long a bite that failed is tried again. */
#define FAILED_MS 10000

int64_t
collector_due_in_ms(const struct collector *collector)
{
	int64_t left_ms = collector->due_ms - clock_monotonic_ms();

	return left_ms < 0 ? 0 : left_ms;
}

/* The workflows stay, and are tried again. */
static int64_t
after_failure(struct collector *collector)
{
	if (log_is_due(&collector->failed_ms))
		log_warning("finished workflows cannot be deleted, and are "
			    "tried again: %s",
		    db_last_error(collector->db)->message);
	return FAILED_MS;
}

bool
collector_collect(struct collector *collector)
{
	const char *const params[] = { collector->engine->application, SHARE };
	struct arena *arena = arena_new();
	const struct db_rows *rows = NULL;
	enum db_outcome outcome;
	int64_t wait_ms;

	db_queue_rows(collector->db, arena,
	    "select wait_ms from durable.collect($1, $2)", 2, params, &rows);
	failpoint("before-collect", db_fd(collector->db));
	db_sync(collector->db);
	failpoint("during-collect", db_fd(collector->db));
	outcome = db_finish(collector->db);
	failpoint("after-collect", db_fd(collector->db));
	wait_ms = rows == NULL ? after_failure(collector)
			       : strtoll(db_value(rows, 0, 0), NULL, 10);
	collector->due_ms = clock_monotonic_ms() + wait_ms;
	arena_free(arena);
	return outcome != DB_LOST;
}
