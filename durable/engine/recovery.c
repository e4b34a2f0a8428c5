/* SPDX-License-Identifier: MIT */
/*
 * Suspects, their attempts, and turns of one workflow.
 */
#include "engine/recovery.h"

#include <stdlib.h>

#include <durable/engine.h>

#include "base/arena.h"
#include "base/array_literal.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
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
	struct recovery *recovery = memory_new(sizeof(*recovery));

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

/*
 * The ids that the crash note names, as an array literal, and the process that
 * wrote it; NULL for none.
 */
static const char *
read_crash_note(struct recovery *recovery, int *pid)
{
	char *note = recovery->self->crash_note, *ids;

	*pid = (int)strtol(note, &ids, 10);
	/* The dead worker had more workflows than fit. */
	if (*ids == '?') {
		begin_recovering(recovery);
		*note = '\0';
	}
	return *note == '\0' ? NULL : ids;
}

/* The only id in an array literal; NULL when there are more, or none. */
static const char *
only_id(struct recovery *recovery, const char *ids)
{
	struct array_elements elements = array_literal_read(recovery->arena,
	    ids);
	const char *id, *other;

	return array_literal_next(&elements, &id) &&
		!array_literal_next(&elements, &other)
	    ? id
	    : NULL;
}

/*
 * Whether the worker before this one, and so one of the workflows of the crash
 * note that process pid wrote, ended the process.  What the machine, an operator
 * or the database ended is no workflow's fault; nor is the death of a worker
 * that only found the note.
 */
static bool
died_by_itself(const struct recovery *recovery, int pid)
{
	const struct prefork_worker *self = recovery->self;

	return pid == self->dead_pid && self->died_by_itself;
}

/* Whether that is an attempt at the one workflow of the crash note. */
static bool
is_attempt(struct recovery *recovery, const char *ids, int pid)
{
	return died_by_itself(recovery, pid) && only_id(recovery, ids) != NULL;
}

static void
log_death(struct recovery *recovery, const char *ids, int pid)
{
	const char *id = only_id(recovery, ids);

	if (id == NULL || pid != recovery->self->dead_pid)
		return;
	if (is_attempt(recovery, ids, pid))
		log_warning("wf=%s was running when process %d ended itself: "
			    "this is an attempt, of %d at most; see the log of "
			    "that process",
		    id, pid, recovery->engine->max_attempts);
	else
		log_warning("wf=%s was running when process %d was ended from "
			    "outside: it is run again, and no attempt is "
			    "counted",
		    id, pid);
}

bool
recovery_is_needed(struct recovery *recovery)
{
	int pid;

	return read_crash_note(recovery, &pid) != NULL || recovery->recovering;
}

/* The outcome when a statement of the recovery's own has failed. */
static enum turn_outcome
own_outcome(const struct recovery *recovery)
{
	return db_last_error(recovery->db)->outcome == DB_LOST ? TURN_LOST
							       : TURN_RETRY;
}

/* Has a turn of these workflows, an array literal. */
static enum turn_outcome
run_together(struct recovery *recovery, const char *ids)
{
	return turn_run(recovery->turn, &(struct turn_plan){ .only = ids });
}

/* The ids in the first column of these rows, as an array literal. */
static const char *
ids_of(struct recovery *recovery, const struct db_rows *rows, size_t row,
    size_t end)
{
	struct strbuf ids = { 0 };
	const char *copy;

	for (; row < end; row++)
		strbuf_add_element(&ids, db_value(rows, row, 0));
	copy = arena_strdup(recovery->arena, strbuf_end_array(&ids));
	strbuf_free(&ids);
	return copy;
}

/* Has turns of new suspects, as many in each as a turn may take now. */
static enum turn_outcome
run_suspects(struct recovery *recovery, const struct db_rows *rows)
{
	size_t row = 0, end, count = db_row_count(rows);
	enum turn_outcome outcome;

	do {
		end = row + (size_t)turn_max_workflows(recovery->turn);
		if (end > count)
			end = count;
		outcome = run_together(recovery,
		    ids_of(recovery, rows, row, end));
		row = end;
	} while (outcome == TURN_COMMITTED && row < count);
	return outcome;
}

enum turn_outcome
recovery_run(struct recovery *recovery)
{
	const struct engine *engine = recovery->engine;
	int pid;
	const char *note = read_crash_note(recovery, &pid);
	const char *const params[] = { served_types(recovery->served, NULL),
		served_queues(recovery->served, NULL),
		served_runnable(recovery->served), engine->application,
		arena_number(recovery->arena, engine->turn_size), note,
		note != NULL && is_attempt(recovery, note, pid)
		    ? arena_number(recovery->arena, recovery->self->died_ms)
		    : NULL,
		note != NULL && died_by_itself(recovery, pid) ? "t" : "f" };
	const struct db_rows *rows;
	enum turn_outcome outcome;

	rows = db_query(recovery->db, recovery->arena,
	    "select durable.turn_suspect($1, $2, $3, $4, $5, $6, $7, $8)", 8,
	    params);
	if (rows == NULL) {
		arena_reset(recovery->arena);
		return own_outcome(recovery);
	}
	if (note != NULL) {
		log_death(recovery, note, pid);
		*recovery->self->crash_note = '\0';
	} else {
		recovery->recovering = db_row_count(rows) >=
			(size_t)engine->turn_size &&
		    clock_monotonic_ms() < recovery->recovering_until_ms;
	}
	outcome = run_suspects(recovery, rows);
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

/* The session, or the process, has survived the attempt at these suspects. */
static void
end_attempt(struct recovery *recovery, const char *ids)
{
	db_queue(recovery->db, "select durable.turn_attempted($1)", 1, &ids);
	if (db_finish(recovery->db) == DB_LOST)
		db_disconnect(recovery->db);
}

static const char attempt_sql[] = "select workflow_uuid, attempts, pause_ms "
				  "from durable.turn_attempt($1, $2, $3, $4)";

enum { ATTEMPT_ID, ATTEMPT_ATTEMPTS, ATTEMPT_PAUSE_MS };

/* Runs the suspect that turn_attempt has returned alone. */
static enum turn_outcome
attempt_alone(struct recovery *recovery, const struct db_rows *rows)
{
	const char *id = db_value(rows, 0, ATTEMPT_ID);
	enum turn_outcome outcome = run_alone(recovery,
	    &(struct turn_suspect){ .id = id, .step = -1 }, NULL);

	if (outcome == TURN_LOST)
		log_warning("wf=%s ran alone when its session ended: %s; it is "
			    "tried again in %s ms, and later each time; if "
			    "that repeats, see the server's log for what its "
			    "steps do, or cancel it",
		    id, turn_error(recovery->turn)->message,
		    db_value(rows, 0, ATTEMPT_PAUSE_MS));
	return outcome;
}

/* Runs the suspects that turn_attempt has returned. */
static enum turn_outcome
attempt(struct recovery *recovery, const struct db_rows *rows)
{
	const char *attempts = db_value(rows, 0, ATTEMPT_ATTEMPTS);
	const char *ids;
	enum turn_outcome outcome;

	if (strtol(attempts, NULL, 10) >= recovery->engine->max_attempts) {
		log_error("wf=%s is given up: %s processes that ran it have "
			  "ended themselves; see the log of these processes, "
			  "then resume it",
		    db_value(rows, 0, ATTEMPT_ID), attempts);
		return TURN_COMMITTED;
	}
	ids = ids_of(recovery, rows, 0, db_row_count(rows));
	outcome = db_row_count(rows) == 1 ? attempt_alone(recovery, rows)
					  : run_together(recovery, ids);
	if (outcome != TURN_LOST)
		end_attempt(recovery, ids);
	return outcome;
}

bool
recovery_try_suspects(struct recovery *recovery, enum turn_outcome *outcome)
{
	const struct engine *engine = recovery->engine;
	const struct db_rows *rows;
	const char *params[4];

	/* Only ordinary turns find suspects, once recovering is over. */
	if (recovery->recovering || !turn_saw_suspects(recovery->turn))
		return false;
	arena_reset(recovery->arena);
	params[0] = served_runnable(recovery->served);
	params[1] = engine->application;
	params[2] = arena_number(recovery->arena, engine->max_attempts);
	params[3] = arena_number(recovery->arena,
	    turn_max_workflows(recovery->turn));
	rows = db_query(recovery->db, recovery->arena, attempt_sql, 4, params);
	if (rows == NULL)
		*outcome = own_outcome(recovery);
	else if (db_row_count(rows) == 0)
		return false;
	else
		*outcome = attempt(recovery, rows);
	return true;
}
