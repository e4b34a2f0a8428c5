/* SPDX-License-Identifier: MIT */
/*
 * The turn: one transaction in which many workflows go on.
 */
#include "engine/turn.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <durable/engine.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/fiber.h"
#include "base/memory.h"
#include "engine/batch.h"
#include "engine/heartbeat.h"
#include "engine/served.h"
#include "engine/turn_api.h"
#include "engine/turn_private.h"
#include "engine/write_set.h"

/* How long a step waits for the schema, unless the engine says so. */
#define SCHEMA_PATIENCE_S 300

/* The session's, which engine.c sets. */
#ifndef STATEMENT_TIMEOUT_MS
#define STATEMENT_TIMEOUT_MS 15000
#endif

/* How many fibers a worker has at most, if a part of its memory allows that. */
#define FIBERS_MAX   512
#define FIBERS_SHARE 8

static size_t
fibers_max(const struct engine *engine)
{
	size_t fit = ((size_t)engine->memory_limit_mb << 20) / FIBERS_SHARE /
	    FIBER_STACK_LEN;

	if (engine->memory_limit_mb == 0 || fit > FIBERS_MAX)
		return FIBERS_MAX;
	return fit == 0 ? 1 : fit;
}

struct turn *
turn_new(const struct engine *engine, struct served *served, struct db *db,
    char *crash_note)
{
	struct turn *turn = memory_new(sizeof(*turn));

	turn->engine = engine;
	turn->served = served;
	turn->db = db;
	turn->crash_note = crash_note;
	turn->max_workflows = engine->turn_size;
	turn->arena = arena_new();
	turn->fibers = fibers_new(fibers_max(engine));
	turn->batch_arena = arena_new();
	turn->read_arena = arena_new();
	turn->write_set = write_set_new(engine->application, engine->executor);
	turn->batch = batch_new();
	turn->heartbeat = heartbeat_new(db, engine->turn_limit_s);
	turn->schema_patience_s = engine->schema_patience_s > 0
	    ? engine->schema_patience_s
	    : SCHEMA_PATIENCE_S;
	return turn;
}

void
turn_free(struct turn *turn)
{
	if (turn == NULL)
		return;
	heartbeat_free(turn->heartbeat);
	arena_free(turn->arena);
	fibers_free(turn->fibers);
	arena_free(turn->batch_arena);
	arena_free(turn->read_arena);
	write_set_free(turn->write_set);
	batch_free(turn->batch);
	hold_off_clear(&turn->hold_off);
	turn_session_forget(turn);
	free(turn->runs);
	free(turn);
}

/* Failpoints count only turns that run a workflow. */
static void
pass(const struct turn *turn, const char *point)
{
	if (turn->count > 0)
		failpoint(point, db_fd(turn->db));
}

/*
 * Notes the workflows that this process has taken, for its successor, in case
 * that one of them kills it.  The first byte makes the note valid, and is
 * written last.
 */
static void
write_crash_note(const struct turn *turn)
{
	const char *pid = arena_number(turn->arena, getpid()), *note;

	if (turn->count == 0)
		return;
	note = arena_printf(turn->arena, "%s%s", pid, turn_list_ids(turn));
	if (strlen(note) >= PREFORK_CRASH_NOTE_SIZE)
		note = arena_printf(turn->arena, "%s?", pid);
	memcpy(turn->crash_note + 1, note + 1, strlen(note));
	atomic_signal_fence(memory_order_release);
	turn->crash_note[0] = note[0];
}

static void
queue_monitor_note(struct turn *turn)
{
	const char *const param = turn_list_ids(turn);

	db_queue(turn->db, "select durable.monitor_note_runs($1)", 1, &param);
}

/* Asks when something is due next, if the worker may sleep after this turn. */
static void
queue_next_due(struct turn *turn, const struct turn_plan *plan,
    const struct db_rows **next)
{
	const char *const params[] = { served_types(turn->served,
					   &plan->partition),
		served_queues(turn->served, &plan->partition),
		served_runnable(turn->served), turn->engine->application,
		arena_number(turn->arena, turn->begun_ms),
		arena_number(turn->arena, turn->look.used_ms) };

	if (plan->only != NULL || turn->full)
		return;
	if (plan->polls_again && turn->taken > 0) {
		/* The worker looks again at once, and its standbys know. */
		turn_wait_note_due(turn, turn->begun_ms);
		return;
	}
	db_queue_rows(turn->db, turn->arena,
	    "select durable.next_due($1, $2, $3, $4, $5, $6)", 6, params, next);
}

/* After the commit: logs what the runs have logged, and steps that work. */
static void
note_commit(struct turn *turn, const struct db_rows *next)
{
	const char *due_ms = next == NULL ? NULL : db_value(next, 0, 0);
	const struct line *line;
	int64_t failed_ms;

	if (due_ms != NULL)
		turn_wait_note_due(turn, strtoll(due_ms, NULL, 10));
	for (line = turn->lines; line != NULL; line = line->next)
		log_text(line->level, line->text);
	while ((failed_ms = hold_off_take_mended(&turn->hold_off)) >= 0)
		log_info("a step that was held off for %lld ms works again",
		    (long long)failed_ms);
}

/*
 * Writes everything and commits, in one round trip.  The notifications follow
 * the commit, so that their failure does not undo it.
 */
static bool
commit(struct turn *turn, const struct turn_plan *plan)
{
	const struct db_rows *committed = NULL, *next = NULL;

	turn_wait_write(turn);
	batch_queue(turn->batch, turn->batch_arena, turn->db);
	if (turn->has_statements && !turn->alone)
		turn_session_queue_check(turn);
	write_set_queue(turn->write_set, turn->db);
	if (plan->only != NULL)
		db_queue(turn->db, "select durable.turn_cleared()", 0, NULL);
	if (turn->engine->machine_room && turn->count > 0)
		queue_monitor_note(turn);
	queue_next_due(turn, plan, &next);
	pass(turn, "before-commit");
	db_queue_rows(turn->db, turn->arena, "commit", 0, NULL, &committed);
	db_sync(turn->db);
	write_set_queue_hints(turn->write_set, turn->db);
	pass(turn, "during-commit");
	db_finish(turn->db);
	if (committed == NULL) {
		turn->error = *db_last_error(turn->db);
		return false;
	}
	pass(turn, "after-commit");
	note_commit(turn, next);
	return true;
}

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

/* Whether what failed may succeed when there is less of it. */
static bool
is_time_out(const struct db_error *error)
{
	return error->outcome == DB_LOST ||
	    strcmp(error->sqlstate, "57014") == 0;
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
	if (is_time_out(error) && batch_elements_of(turn->batch, step) > 1)
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

/* Rolls back; returns what follows from the error. */
static enum turn_outcome
abandon(struct turn *turn)
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

static void
reset(struct turn *turn)
{
	arena_reset(turn->arena);
	arena_reset(turn->batch_arena);
	arena_reset(turn->read_arena);
	write_set_reset(turn->write_set);
	batch_reset(turn->batch);
	hold_off_begin(&turn->hold_off);
	turn->has_statements = false;
	turn->count = turn->taken = turn->steps = 0;
	turn->asked_bytes = 0;
	turn->message_bytes = 0;
	turn->due_ms = 0;
	turn->full = false;
	turn->running = NULL;
	turn->error_suspects = NULL;
	turn->lines = NULL;
	turn->last_line = &turn->lines;
	turn->error = (struct db_error){ .outcome = DB_DONE, .own = DB_DONE };
}

void
turn_shrink(struct turn *turn)
{
	reset(turn);
	write_set_free(turn->write_set);
	batch_free(turn->batch);
	free(turn->runs);
	turn->runs = NULL;
	turn->size = 0;
	turn->write_set = write_set_new(turn->engine->application,
	    turn->engine->executor);
	turn->batch = batch_new();
}

/*
 * What took too long is tried again with half as much as it was; each turn that
 * commits work lets the next take twice as much.
 */
static void
adapt_size(struct turn *turn, enum turn_outcome outcome)
{
	int turn_size = turn->engine->turn_size, taken = (int)turn->taken;

	if (outcome == TURN_COMMITTED && taken > 0)
		turn->max_workflows = turn->max_workflows > turn_size / 2
		    ? turn_size
		    : turn->max_workflows * 2;
	if (outcome == TURN_COMMITTED || !is_time_out(&turn->error))
		return;
	if (taken > 0 && taken < turn->max_workflows)
		turn->max_workflows = taken;
	turn->max_workflows = (turn->max_workflows + 1) / 2;
}

enum turn_outcome
turn_run(struct turn *turn, const struct turn_plan *plan)
{
	int64_t started_ms = clock_monotonic_ms();
	enum turn_outcome outcome;
	bool done;

	reset(turn);
	turn->alone = plan->alone;
	turn->step_error = plan->step_error;
	turn->step = plan->step;
	heartbeat_begin(turn->heartbeat);
	done = turn_load(turn, plan);
	write_crash_note(turn);
	done = done && turn_runs_execute(turn, plan, started_ms) &&
	    commit(turn, plan);
	outcome = done ? TURN_COMMITTED : abandon(turn);
	turn_runs_drop(turn);
	heartbeat_end(turn->heartbeat);
	if (!done)
		turn->look.all_at_ms = 0;
	else if (plan->only == NULL)
		turn_load_note_look(turn);
	if (outcome != TURN_LOST)
		turn->crash_note[0] = '\0';
	adapt_size(turn, outcome);
	return outcome;
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

bool
turn_saw_suspects(const struct turn *turn)
{
	return turn->saw_suspects;
}

bool
turn_took_any(const struct turn *turn)
{
	return turn->taken > 0;
}

bool
turn_was_full(const struct turn *turn)
{
	return turn->full;
}

int
turn_max_workflows(const struct turn *turn)
{
	return turn->max_workflows;
}

int
turn_due_in_ms(const struct turn *turn, int limit_ms)
{
	int64_t left_ms;

	if (turn->full)
		return 0;
	if (turn->look.used_ms != 0) {
		left_ms = turn->look.all_at_ms - clock_monotonic_ms();
		if (left_ms < limit_ms)
			limit_ms = left_ms < 0 ? 0 : (int)left_ms;
	}
	if (turn->due_ms == 0)
		return limit_ms;
	left_ms = turn->due_ms - turn_now_ms(turn);
	if (left_ms < 0)
		return 0;
	return left_ms < limit_ms ? (int)left_ms : limit_ms;
}
