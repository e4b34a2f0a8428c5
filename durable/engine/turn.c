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

/* How many fibers a worker has at most, if a part of its memory allows that. */
#define FIBERS_MAX        512
#define FIBERS_SHARE      8

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
	turn_stats_note(turn);
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

static void
reset(struct turn *turn)
{
	arena_reset(turn->arena);
	arena_reset(turn->batch_arena);
	arena_reset(turn->read_arena);
	write_set_reset(turn->write_set);
	batch_reset(turn->batch);
	hold_off_begin(&turn->hold_off);
	turn->has_statements = turn->hints_steps = false;
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
 * What took too long or was too large is tried again with half as much as it
 * was; each turn that commits work, and not too much, lets the next take twice
 * as much.
 */
static void
adapt_size(struct turn *turn, enum turn_outcome outcome)
{
	int turn_size = turn->engine->turn_size, taken = (int)turn->taken;

	if (outcome == TURN_COMMITTED && taken > 0 && !turn_is_large(turn))
		turn->max_workflows = turn->max_workflows > turn_size / 2
		    ? turn_size
		    : turn->max_workflows * 2;
	if (outcome == TURN_COMMITTED || !turn_error_may_fit(&turn->error))
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
	outcome = done ? TURN_COMMITTED : turn_error_abandon(turn);
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
