/* SPDX-License-Identifier: MIT */
/*
 * What follows from a turn's error: which step is held off, which workflows are
 * at fault, and whether they are tried alone.
 */
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "engine/batch.h"
#include "engine/turn_private.h"

/* The session's, which engine.c sets. */
#ifndef STATEMENT_TIMEOUT_MS
#define STATEMENT_TIMEOUT_MS 15000
#endif

/* Says which step of which workflow is held off, and what can be done. */
static void
log_held(const struct turn *turn)
{
	const struct db_error *error = &turn->error;
	const char *name = batch_step_of(turn->batch, error->sql);
	size_t at = 0;
	const struct workflow *wf = batch_next_of(turn->batch, error->sql, &at);

	if (wf == NULL) {
		wf = turn->running;
		name = wf->step->name;
	}
	if (error->outcome == DB_SCHEMA)
		log_warning(
		    "wf=%s step=%s is held off and retried, because the "
		    "schema lacks something: %s (SQLSTATE %s); mend "
		    "it within %d s, or the step fails",
		    wf->id, name, error->message, error->sqlstate,
		    turn->schema_patience_s);
	else
		log_warning("wf=%s step=%s is held off and retried: %s "
			    "(SQLSTATE %s)",
		    wf->id, name, error->message, error->sqlstate);
}

bool
turn_error_may_fit(const struct db_error *error)
{
	return error->outcome == DB_LOST ||
	    strcmp(error->sqlstate, "57014") == 0 ||
	    strcmp(error->sqlstate, "53200") == 0;
}

/*
 * Notes the step that met a circumstance, so that for a while the workflows
 * that come to it wait there, and the others of their turns go on.
 */
static void
note_held(struct turn *turn)
{
	const struct db_error *error = &turn->error;
	const char *step = error->sql;

	if ((error->outcome != DB_RETRY && error->outcome != DB_SCHEMA) ||
	    error->stale || step == NULL)
		return;
	/* A smaller turn may succeed where the batch took too long. */
	if (turn_error_may_fit(error) &&
	    batch_elements_of(turn->batch, step) > 1)
		return;
	/*
	 * A C step sends the other runs' statements before its own.  A run
	 * cannot wait in the middle of a C step, only before it.
	 */
	if (batch_step_of(turn->batch, step) == NULL) {
		if (turn->running == NULL || turn->running->step == NULL)
			return;
		step = turn->running->step->key;
	}
	if (hold_off_add(&turn->hold_off, step, error))
		log_held(turn);
}

/*
 * Whether a statement that the turn writes for all runs met a lock, or its
 * commit the full notification queue, because a step of one run notifies.
 */
static bool
end_met_circumstance(const struct turn *turn)
{
	const struct db_error *error = &turn->error;

	return error->outcome == DB_RETRY &&
	    (strcmp(error->sqlstate, "55P03") == 0 ||
		strcmp(error->sqlstate, "54000") == 0) &&
	    turn->count > 0 && turn->running == NULL &&
	    batch_step_of(turn->batch, error->sql) == NULL;
}

/*
 * Adds a workflow; for a child of this turn, which is undone, its creator,
 * which does not have the child's step.
 */
static void
add_error_suspect(struct turn *turn, const struct workflow *wf, int step)
{
	for (; wf->creator != NULL; wf = wf->creator)
		step = -1;
	turn->error_suspects[turn->error_suspects_count++] =
	    (struct turn_suspect){ .id = wf->id, .step = step };
}

/*
 * Finds the workflows that may be at fault: the runs with the statement that
 * failed, or the run that was executing.  When the statement is one that the
 * turn writes for all runs, it is any run, unless the schema is at fault; when
 * the session is not what it was, any run with a statement.
 */
static void
find_error_suspects(struct turn *turn)
{
	bool session_failed = turn_session_blame(turn, NULL);
	struct workflow *wf;
	size_t at = 0, i;
	int step;

	while (batch_next_of(turn->batch, turn->error.sql, &at) != NULL)
		;
	turn->error_suspects = arena_alloc(turn->arena,
	    (at + 1 + turn->count) * sizeof(*turn->error_suspects));
	at = 0;
	while ((wf = batch_next_miscounted(turn->batch, &at, &step)) != NULL)
		add_error_suspect(turn, wf, step);
	if (at > 0)
		return;
	while ((wf = batch_next_of(turn->batch, turn->error.sql, &at)) != NULL)
		add_error_suspect(turn, wf, -1);
	/* It may have sent the same text. */
	if (turn->running != NULL)
		add_error_suspect(turn, turn->running, -1);
	else if (at == 0 && turn->error.own != DB_SCHEMA)
		for (i = 0; i < turn->count; i++)
			if (!session_failed || turn->runs[i]->has_statements)
				add_error_suspect(turn, turn->runs[i], -1);
}

/*
 * Whether what failed beside other workflows is to be tried alone, because one
 * of them may have changed what the statement sees, or for how long it may run:
 * a step that the schema refuses, or a time-out that came before ours.
 */
static bool
is_to_be_tried_alone(const struct turn *turn)
{
	const struct db_error *error = &turn->error;

	if (turn->alone || turn->count < 2)
		return false;
	if (error->outcome == DB_SCHEMA)
		return turn->running != NULL ||
		    batch_step_of(turn->batch, error->sql) != NULL;
	return strcmp(error->sqlstate, "57014") == 0 &&
	    clock_monotonic_ms() - turn->begun_own_ms < STATEMENT_TIMEOUT_MS;
}

enum turn_outcome
turn_error_abandon(struct turn *turn)
{
	bool postpones = end_met_circumstance(turn);
	bool alone = is_to_be_tried_alone(turn);

	turn->error_suspects_count = 0;
	if (!postpones && !alone)
		note_held(turn);
	if (turn->error.outcome != DB_LOST) {
		db_queue(turn->db, "rollback", 0, NULL);
		if (db_finish(turn->db) != DB_DONE)
			turn->error = *db_last_error(turn->db);
	}
	if (turn->error.outcome == DB_LOST) {
		db_disconnect(turn->db);
		turn_session_forget(turn);
		return TURN_LOST;
	}
	if (turn->count == 0 || (turn->error.outcome == DB_SCHEMA && !alone) ||
	    (turn->error.outcome == DB_RETRY && !postpones && !alone))
		return TURN_RETRY;
	find_error_suspects(turn);
	return turn->error_suspects_count == 0 ? TURN_RETRY : TURN_REFUSED;
}

const struct turn_suspect *
turn_error_suspects(const struct turn *turn, size_t *count)
{
	*count = turn->error_suspects_count;
	return turn->error_suspects;
}

const struct db_error *
turn_error(const struct turn *turn)
{
	return &turn->error;
}
