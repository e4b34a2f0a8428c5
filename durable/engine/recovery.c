/* SPDX-License-Identifier: MIT */
/*
 * Suspects, their attempts, and turns of one workflow.
 */
#include "engine/recovery.h"

#include <stdlib.h>

#include <durable/engine.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/prefork.h"
#include "base/strbuf.h"
#include "engine/served.h"

/* How long a worker recovers at most, when there is always more to do. */
#define RECOVERING_MS 10000

/* For how long a worker runs workflows one by one at a time. */
#define ONE_BY_ONE_MS 5000

struct recovery {
	const struct engine *engine;
	struct served *served;
	struct db *db;
	struct turn *turn;
	const struct prefork_worker *self;
	struct arena *arena; /* of one call */
	bool recovering;     /* notes due workflows as suspects first */
	int64_t recovering_until_ms;
};

static void
begin_recovering(struct recovery *recovery)
{
	recovery->recovering = true;
	recovery->recovering_until_ms = clock_monotonic_ms() + RECOVERING_MS;
}

struct recovery *
recovery_new(const struct engine *engine, struct served *served, struct db *db,
    struct turn *turn, const struct prefork_worker *self)
{
	struct recovery *recovery = calloc(1, sizeof(*recovery));

	if (recovery == NULL)
		abort();
	recovery->engine = engine;
	recovery->served = served;
	recovery->db = db;
	recovery->turn = turn;
	recovery->self = self;
	recovery->arena = arena_new();
	if (self->first)
		begin_recovering(recovery);
	return recovery;
}

void
recovery_free(struct recovery *recovery)
{
	arena_free(recovery->arena);
	free(recovery);
}

/* The ids that the crash note names; NULL for none. */
static const char *
read_crash_note(struct recovery *recovery)
{
	char *note = recovery->self->crash_note;

	/* The dead worker had more workflows than fit. */
	if (*note == '?') {
		begin_recovering(recovery);
		*note = '\0';
	}
	return *note == '\0' ? NULL : note;
}

bool
recovery_is_needed(struct recovery *recovery)
{
	return read_crash_note(recovery) != NULL || recovery->recovering;
}

/* The outcome when a statement of the recovery's own has failed. */
static enum turn_outcome
own_outcome(const struct recovery *recovery)
{
	return db_last_error(recovery->db)->outcome == DB_LOST ? TURN_LOST
							       : TURN_RETRY;
}

enum turn_outcome
recovery_run(struct recovery *recovery)
{
	const struct engine *engine = recovery->engine;
	const char *note = read_crash_note(recovery);
	const char *const params[] = { served_types(recovery->served, NULL),
		served_queues(recovery->served, NULL),
		served_runnable(recovery->served), engine->application,
		arena_number(recovery->arena, engine->turn_size), note };
	const struct db_rows *rows;
	struct strbuf ids = { 0 };
	enum turn_outcome outcome;
	size_t row;

	rows = db_query(recovery->db, recovery->arena,
	    "select durable.turn_suspect($1, $2, $3, $4, $5, $6)", 6, params);
	if (rows == NULL) {
		arena_reset(recovery->arena);
		return own_outcome(recovery);
	}
	for (row = 0; row < db_row_count(rows); row++)
		strbuf_add_element(&ids, db_value(rows, row, 0));
	if (note != NULL)
		*recovery->self->crash_note = '\0';
	else
		recovery->recovering = db_row_count(rows) >=
			(size_t)engine->turn_size &&
		    clock_monotonic_ms() < recovery->recovering_until_ms;
	outcome = turn_run(recovery->turn,
	    &(struct turn_plan){ .only = strbuf_end_array(&ids) });
	strbuf_free(&ids);
	arena_reset(recovery->arena);
	return outcome;
}

/*
 * Runs one workflow in a turn of one, where an error that it makes is its
 * own.  When this turn cannot be committed either, the workflow fails, or is
 * postponed if it met a lock.  step_error is the error that its suspected step
 * meets.
 */
static enum turn_outcome
run_alone(struct recovery *recovery, const struct turn_suspect *suspect,
    const struct db_error *step_error)
{
	struct strbuf ids = { 0 };
	struct turn_plan plan = { .alone = true,
		.step = suspect->step,
		.step_error = suspect->step < 0 ? NULL : step_error };
	enum turn_outcome outcome;

	strbuf_add_element(&ids, suspect->id);
	plan.only = strbuf_end_array(&ids);
	outcome = turn_run(recovery->turn, &plan);
	if (outcome == TURN_REFUSED) {
		const struct db_error *error = turn_error(recovery->turn);

		if (error->outcome == DB_RETRY)
			plan.postpone = true;
		else
			plan.fail_with = arena_strdup(recovery->arena,
			    error->message);
		outcome = turn_run(recovery->turn, &plan);
	}
	strbuf_free(&ids);
	return outcome;
}

enum turn_outcome
recovery_run_one_by_one(struct recovery *recovery)
{
	int64_t until_ms = clock_monotonic_ms() + ONE_BY_ONE_MS;
	enum turn_outcome outcome = TURN_COMMITTED;
	struct db_error error = *turn_error(recovery->turn);
	const struct turn_suspect *found;
	struct turn_suspect *suspects;
	size_t count, i;

	/* The turns of one reset what the turn has kept. */
	error.sql = arena_strdup(recovery->arena, error.sql);
	found = turn_error_suspects(recovery->turn, &count);
	suspects = arena_alloc(recovery->arena, count * sizeof(*suspects));
	for (i = 0; i < count; i++)
		suspects[i] = (struct turn_suspect){ .step = found[i].step,
			.id = arena_strdup(recovery->arena, found[i].id) };
	for (i = 0; i < count && outcome == TURN_COMMITTED &&
	     clock_monotonic_ms() < until_ms;
	     i++)
		outcome = run_alone(recovery, &suspects[i], &error);
	arena_reset(recovery->arena);
	return outcome;
}

/* An attempt counts only when it ended with the process or its session. */
static void
end_attempt(struct recovery *recovery, const char *id, bool survived)
{
	const char *const params[] = { id, survived ? "true" : "false" };

	db_queue(recovery->db, "select durable.turn_attempted($1, $2)", 2,
	    params);
	if (db_finish(recovery->db) == DB_LOST)
		db_disconnect(recovery->db);
}

bool
recovery_try_suspect(struct recovery *recovery, enum turn_outcome *outcome)
{
	const struct engine *engine = recovery->engine;
	const char *params[3], *id, *attempts;
	const struct db_rows *rows;

	/* Only ordinary turns find suspects, once recovering is over. */
	if (recovery->recovering || !turn_saw_suspects(recovery->turn))
		return false;
	arena_reset(recovery->arena);
	params[0] = served_runnable(recovery->served);
	params[1] = engine->application;
	params[2] = arena_number(recovery->arena, engine->max_attempts);
	rows = db_query(recovery->db, recovery->arena,
	    "select workflow_uuid, attempts "
	    "from durable.turn_attempt($1, $2, $3)",
	    3, params);
	if (rows == NULL) {
		*outcome = own_outcome(recovery);
		return true;
	}
	if (db_row_count(rows) == 0)
		return false;
	id = db_value(rows, 0, 0);
	attempts = db_value(rows, 0, 1);
	if (strtol(attempts, NULL, 10) >= engine->max_attempts) {
		log_error("wf=%s is given up: %s attempts to run it ended with "
			  "their process; see the log of these processes, then "
			  "resume it",
		    id, attempts);
		*outcome = TURN_COMMITTED;
	} else {
		*outcome = run_alone(recovery,
		    &(struct turn_suspect){ .id = id, .step = -1 }, NULL);
		if (*outcome != TURN_LOST)
			end_attempt(recovery, id, *outcome == TURN_RETRY);
	}
	return true;
}
