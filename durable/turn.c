/* SPDX-License-Identifier: MIT */
/*
 * The turn: one transaction in which many workflows go on.
 */
#include "turn.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "cache.h"
#include "engine.h"
#include "hold_off.h"
#include "monotonic.h"
#include "outbox.h"
#include "round.h"
#include "seam.h"
#include "strbuf.h"
#include "turn_state.h"

/* How long a workflow waits that met a lock at the end of its own turn. */
#define POSTPONED_MS 1000

/* A turn makes no more rounds after this share of its time limit. */
#define ROUNDS_SHARE 3

/* A wait ends with others of so many milliseconds, a 32nd of it at most. */
#define GRAIN_MAX_MS 16
#define LATE_RATIO   32

/*
 * What the worker can run: name@version for each type, and name@ for rows
 * that do not ask for a version.
 */
static void
list_types(struct turn *turn)
{
	const struct workflow_type *const *type = turn->engine->types;

	for (; *type != NULL; type++) {
		strbuf_add_element(&turn->types,
		    arena_printf(turn->arena, "%s@%s", (*type)->name,
			(*type)->version));
		strbuf_add_element(&turn->types,
		    arena_printf(turn->arena, "%s@", (*type)->name));
		turn->types_count++;
	}
	strbuf_end_array(&turn->types);
}

static void
list_queues(struct turn *turn)
{
	const char *const *queue = turn->engine->queues;

	for (; *queue != NULL; queue++) {
		strbuf_add_element(&turn->queues, *queue);
		turn->queues_count++;
	}
	strbuf_end_array(&turn->queues);
}

struct turn *
turn_new(const struct engine *engine, struct db *db, char *in_hand)
{
	struct turn *turn = calloc(1, sizeof(*turn));

	if (turn == NULL)
		abort();
	turn->engine = engine;
	turn->db = db;
	turn->in_hand = in_hand;
	turn->arena = arena_new();
	turn->run_arena = arena_new();
	turn->outbox = outbox_new(engine->application, engine->executor);
	turn->cache = cache_new();
	turn->round = round_new();
	turn->hold_off = hold_off_new();
	list_types(turn);
	list_queues(turn);
	return turn;
}

void
turn_free(struct turn *turn)
{
	if (turn == NULL)
		return;
	arena_free(turn->arena);
	arena_free(turn->run_arena);
	outbox_free(turn->outbox);
	cache_free(turn->cache);
	round_free(turn->round);
	hold_off_free(turn->hold_off);
	strbuf_free(&turn->types);
	strbuf_free(&turn->queues);
	strbuf_free(&turn->due_types);
	strbuf_free(&turn->due_queues);
	free(turn->runs);
	free(turn);
}

void
turn_forget(struct turn *turn)
{
	cache_forget(turn->cache);
}

static const char *
wait_name(enum wait_kind kind)
{
	switch (kind) {
	case WAIT_START:
		return "start";
	case WAIT_MESSAGE:
		return "message";
	case WAIT_EVENT:
		return "event";
	case WAIT_RESULT:
		return "result";
	case WAIT_HELD:
		return "held";
	case WAIT_TIMER:
		break;
	}
	return "timer";
}

static void
come_back_by(struct turn *turn, int64_t wake_ms)
{
	if (turn->due_ms == 0 || wake_ms < turn->due_ms)
		turn->due_ms = wake_ms;
}

void
turn_add_wait(struct turn *turn, const char *id,
    const struct workflow_type *type, const struct wait *wait)
{
	const char *const values[] = { id,
		arena_number(turn->arena, wait->wake_ms),
		arena_printf(turn->arena, "%s@%s", type->name, type->version),
		wait_name(wait->kind), wait->target, wait->key,
		wait->tag == 0 ? NULL : arena_number(turn->arena, wait->tag),
		wait->tid,
		wait->held_ms == 0 ? NULL
				   : arena_number(turn->arena, wait->held_ms) };

	outbox_add(turn->outbox, OUTBOX_WAITS, values);
	come_back_by(turn, wait->wake_ms);
}

static void
add_status(struct turn *turn, const struct workflow *wf, const char *status)
{
	const char *const values[] = { wf->id, status, wf->begun ? "1" : "0",
		wf->type->version,
		wf->deadline_ms == 0
		    ? NULL
		    : arena_number(turn->arena, wf->deadline_ms),
		wf->output, wf->failure };

	outbox_add(turn->outbox, OUTBOX_STATUSES, values);
}

static void
end_workflow(struct turn *turn, const struct workflow *wf, const char *status)
{
	const char *const values[] = { wf->id };

	outbox_add(turn->outbox, OUTBOX_OVER, values);
	add_status(turn, wf, status);
}

/*
 * When a wait until then is over: with others of a few milliseconds, in one
 * turn instead of some.
 */
static int64_t
with_others_ms(const struct turn *turn, int64_t wake_ms)
{
	int64_t left_ms = wake_ms - turn_now_ms(turn), grain_ms = 1;

	while (grain_ms < GRAIN_MAX_MS && left_ms >= grain_ms * 2 * LATE_RATIO)
		grain_ms *= 2;
	return run_later(wake_ms, (grain_ms - wake_ms % grain_ms) % grain_ms);
}

/* Notes what a run has come to, for the end of the turn. */
static void
settle(struct turn *turn, struct workflow *wf)
{
	switch (wf->end) {
	case RUN_RETURNED:
		end_workflow(turn, wf, "SUCCESS");
		break;
	case RUN_FAILED:
		turn_log(turn, LOG_LEVEL_WARNING,
		    "wf=%s workflow '%s' failed: %s", wf->id, wf->type->name,
		    wf->failure);
		end_workflow(turn, wf, "ERROR");
		break;
	case RUN_CANCELLED:
		turn_log(turn, LOG_LEVEL_INFO,
		    "wf=%s workflow '%s' is past its deadline", wf->id,
		    wf->type->name);
		end_workflow(turn, wf, "CANCELLED");
		break;
	case RUN_SUSPENDED:
		wf->wait.wake_ms = with_others_ms(turn, wf->wait.wake_ms);
		/* Of one time all are remembered, or none: see wait_of_all. */
		if (wf->wait.kind != WAIT_HELD &&
		    wf->wait.wake_ms - turn->begun_ms <= TURN_SOON_MS)
			wf->wait.tag = cache_tag(turn->cache);
		wf->wait.tid = wf->tid;
		if (wf->begun)
			add_status(turn, wf, "PENDING");
		break;
	case RUN_READY:
	case RUN_AGAIN:
	case RUN_BROKEN:
		break;
	}
}

/* How many of the runs from this one on the same alarm has woken: one, if none. */
static size_t
woken_together(const struct turn *turn, size_t from)
{
	const char *alarm = turn->runs[from]->alarm;
	size_t i = from + 1;

	while (alarm != NULL && i < turn->count &&
	    turn->runs[i]->alarm != NULL &&
	    strcmp(turn->runs[i]->alarm, alarm) == 0)
		i++;
	return i - from;
}

/*
 * What those of the runs wait for that have not ended: all for the same time,
 * and so with the same tag or none, and for nothing else.  NULL if it is not so,
 * or if all have ended.
 */
static const struct wait *
wait_of_all(struct workflow *const runs[], size_t count, int *waiting)
{
	const struct wait *of_all = NULL;
	size_t i;

	*waiting = 0;
	for (i = 0; i < count; i++) {
		const struct wait *wait = &runs[i]->wait;

		if (runs[i]->end != RUN_SUSPENDED)
			continue;
		if (of_all == NULL)
			of_all = wait;
		if (wait->kind != WAIT_TIMER ||
		    wait->wake_ms != of_all->wake_ms)
			return NULL;
		(*waiting)++;
	}
	return of_all;
}

static void
add_alarm(struct turn *turn, const char *alarm, const struct wait *wait,
    int size)
{
	const char *const values[] = { alarm,
		wait == NULL ? NULL : arena_number(turn->arena, wait->wake_ms),
		arena_number(turn->arena, size),
		wait == NULL || wait->tag == 0
		    ? NULL
		    : arena_number(turn->arena, wait->tag) };

	outbox_add(turn->outbox, OUTBOX_ALARMS, values);
	if (wait != NULL)
		come_back_by(turn, wait->wake_ms);
}

/*
 * Notes what they wait for that have come to wait.  All whom an alarm wakes
 * leave it to that if they can; else they leave it.
 */
static void
add_waits(struct turn *turn)
{
	size_t from, count, i;

	for (from = 0; from < turn->count; from += count) {
		struct workflow *const *runs = &turn->runs[from];
		const struct wait *of_all = NULL;
		int size = 0;

		count = woken_together(turn, from);
		if (runs[0]->alarm != NULL) {
			if (count == (size_t)runs[0]->alarm_size)
				of_all = wait_of_all(runs, count, &size);
			add_alarm(turn, runs[0]->alarm, of_all, size);
		}
		for (i = 0; i < count && of_all == NULL; i++)
			if (runs[i]->end == RUN_SUSPENDED)
				turn_add_wait(turn, runs[i]->id, runs[i]->type,
				    &runs[i]->wait);
	}
}

/*
 * Runs those that are ready, and the children that they add.  Returns whether
 * some of them wait for an answer of the database.
 */
static bool
run_ready(struct turn *turn, const struct turn_plan *plan)
{
	bool asked = false;
	size_t i;

	for (i = 0; i < turn->count; i++) {
		struct workflow *wf = turn->runs[i];

		if (wf->end != RUN_READY)
			continue;
		turn->running = wf;
		if (plan->condemned != NULL)
			run_condemn(wf, "DBOSTransactionError",
			    plan->condemned);
		else
			run_execute(wf);
		if (wf->end == RUN_BROKEN)
			return false;
		settle(turn, wf);
		asked = asked || wf->end == RUN_READY;
	}
	turn->running = NULL;
	return asked;
}

/* Leaves those that could go on at once for another turn. */
static void
put_off(struct turn *turn, int wait_ms)
{
	size_t i;

	for (i = 0; i < turn->count; i++) {
		struct workflow *wf = turn->runs[i];

		if (wf->end != RUN_READY)
			continue;
		wf->end = RUN_SUSPENDED;
		wf->wait = (struct wait){ .kind = WAIT_TIMER,
			.wake_ms = turn_now_ms(turn) + wait_ms };
		settle(turn, wf);
	}
}

/*
 * Runs all workflows.  What they ask of the database is sent for all together,
 * and who got an answer is run again from its top, which finds it recorded; in
 * another turn, when this one has taken long.
 */
static bool
run_all(struct turn *turn, const struct turn_plan *plan)
{
	int64_t until_ms = turn->begun_mono_ms +
	    (int64_t)turn->engine->turn_limit_s * 1000 / ROUNDS_SHARE;

	if (plan->put_off)
		put_off(turn, POSTPONED_MS);
	while (run_ready(turn, plan)) {
		if (!turn_make_round(turn))
			return false;
		if (monotonic_ms() >= until_ms)
			put_off(turn, 0);
	}
	return turn->running == NULL;
}

/* Remembers what has been committed. */
static void
remember(struct turn *turn)
{
	size_t i;

	for (i = 0; i < turn->count; i++)
		cache_keep(turn->cache, turn->runs[i]);
}

static void
write_log(const struct turn *turn)
{
	const struct line *line;

	for (line = turn->lines; line != NULL; line = line->next)
		log_text(line->level, line->text);
}

/* A turn without runs is no place. */
static void
pass(const struct turn *turn, const char *point)
{
	if (turn->count > 0)
		seam(point, db_fd(turn->db));
}

/* The array literal of the turn's workflows, valid until the turn ends. */
static const char *
ids(const struct turn *turn)
{
	struct strbuf ids = { 0 };
	const char *literal;
	size_t i;

	for (i = 0; i < turn->count; i++)
		strbuf_add_element(&ids, turn->runs[i]->id);
	literal = arena_strdup(turn->arena, strbuf_end_array(&ids));
	strbuf_free(&ids);
	return literal;
}

/*
 * Leaves word of what this process has in hand, for its successor, should a
 * workflow kill it.  Its first byte makes it valid, and comes last.
 */
static void
note_in_hand(const struct turn *turn)
{
	const char *word;

	if (turn->count == 0)
		return;
	word = ids(turn);
	if (strlen(word) >= TURN_IN_HAND_SIZE)
		word = "?";
	memcpy(turn->in_hand + 1, word + 1, strlen(word));
	atomic_signal_fence(memory_order_release);
	turn->in_hand[0] = word[0];
}

/* Notes which process ran these workflows: all that the turn ran. */
static void
queue_runs(struct turn *turn)
{
	const char *const param = ids(turn);

	db_queue(turn->db, "select durable.turn_runs($1)", 1, &param);
}

/* Says of each step that was held and went well in this turn that it did. */
static void
log_mended(struct turn *turn)
{
	int64_t failed_ms;

	while ((failed_ms = hold_off_take_mended(turn->hold_off)) >= 0)
		log_info("a step that was held off for %lld ms works again",
		    (long long)failed_ms);
}

/*
 * Writes everything and commits, in one round trip with the hints.  What
 * happens to these does not undo the commit.
 */
static bool
commit(struct turn *turn)
{
	const struct db_rows *committed = NULL;

	add_waits(turn);
	round_queue(turn->round, turn->arena, turn->db);
	outbox_queue(turn->outbox, turn->db);
	if (turn->engine->machine_room && turn->count > 0)
		queue_runs(turn);
	pass(turn, "before-commit");
	db_queue_rows(turn->db, turn->arena, "commit", 0, NULL, &committed);
	db_sync(turn->db);
	outbox_queue_hints(turn->outbox, turn->db);
	pass(turn, "during-commit");
	db_finish(turn->db);
	if (committed != NULL) {
		log_mended(turn);
		pass(turn, "after-commit");
		remember(turn);
		write_log(turn);
		return true;
	}
	turn->error = *db_last_error(turn->db);
	return false;
}

/* Says which step of which workflow is held off, and what can be done. */
static void
log_held(const struct turn *turn, const char *step)
{
	const struct db_error *error = &turn->error;
	const struct workflow *wf = turn->running;
	const char *name = round_step_of(turn->round, error->sql);
	size_t at = 0;

	if (wf == NULL)
		wf = round_next_of(turn->round, error->sql, &at);
	if (name == NULL)
		name = step;
	if (error->outcome == DB_SCHEMA)
		log_warning(
		    "wf=%s step=%s is held off and retried, because the "
		    "schema lacks something: %s (SQLSTATE %s); mend "
		    "it within %d s, or the step fails",
		    wf->id, name, error->message, error->sqlstate,
		    turn->engine->schema_patience_s);
	else
		log_warning("wf=%s step=%s is held off and retried: %s "
			    "(SQLSTATE %s)",
		    wf->id, name, error->message, error->sqlstate);
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
	size_t at = 0;

	if ((error->outcome != DB_RETRY && error->outcome != DB_SCHEMA) ||
	    error->stale || step == NULL)
		return;
	/* In the middle of a C step no run can wait: it waits before it. */
	if (turn->running != NULL && turn->running->step != NULL)
		step = turn->running->step;
	else if (round_next_of(turn->round, step, &at) == NULL)
		return;
	if (hold_off_add(turn->hold_off, step, error))
		log_held(turn, step);
}

/* Whether it was a statement of the engine's, at the end, that met a lock. */
static bool
end_was_blocked(const struct turn *turn)
{
	size_t at = 0;

	return strcmp(turn->error.sqlstate, "55P03") == 0 && turn->count > 0 &&
	    turn->running == NULL &&
	    round_next_of(turn->round, turn->error.sql, &at) == NULL;
}

/* Adds the taken workflow that a run comes from: a child's is its creator. */
static void
add_culprit(struct turn *turn, const struct workflow *wf)
{
	while (wf->creator != NULL)
		wf = wf->creator;
	turn->culprits[turn->culprits_count++] = wf->id;
}

/*
 * Whose fault it may be: those whose statement it was, or who was executing.
 * Else it was what the turn writes, and that is everybody's; but nobody's when
 * no row would be taken: a table that somebody has changed is to be mended.
 */
static void
find_culprits(struct turn *turn)
{
	struct workflow *wf;
	size_t at = 0, i;

	while (round_next_of(turn->round, turn->error.sql, &at) != NULL)
		;
	turn->culprits = arena_alloc(turn->arena,
	    (at + turn->count) * sizeof(*turn->culprits));
	at = 0;
	while ((wf = round_next_of(turn->round, turn->error.sql, &at)) != NULL)
		add_culprit(turn, wf);
	if (at == 0 && turn->running != NULL)
		add_culprit(turn, turn->running);
	else if (at == 0 && turn->error.own != DB_SCHEMA)
		for (i = 0; i < turn->count; i++)
			add_culprit(turn, turn->runs[i]);
}

/* Rolls back and says what follows from why. */
static enum turn_outcome
abandon(struct turn *turn)
{
	bool blocked = end_was_blocked(turn);

	turn->culprits_count = 0;
	if (!blocked)
		note_held(turn);
	if (turn->error.outcome != DB_LOST) {
		db_queue(turn->db, "rollback", 0, NULL);
		if (db_finish(turn->db) != DB_DONE)
			turn->error = *db_last_error(turn->db);
	}
	if (turn->error.outcome == DB_LOST) {
		db_disconnect(turn->db);
		return TURN_LOST;
	}
	if (turn->count == 0 || turn->error.outcome == DB_SCHEMA ||
	    (turn->error.outcome == DB_RETRY && !blocked))
		return TURN_RETRY;
	find_culprits(turn);
	return turn->culprits_count == 0 ? TURN_RETRY : TURN_REFUSED;
}

static void
reset(struct turn *turn)
{
	arena_reset(turn->arena);
	outbox_reset(turn->outbox);
	round_reset(turn->round);
	turn->count = turn->taken = 0;
	turn->full = false;
	turn->running = NULL;
	hold_off_begin(turn->hold_off);
	turn->culprits = NULL;
	turn->lines = NULL;
	turn->last_line = &turn->lines;
	turn->error = (struct db_error){ .outcome = DB_DONE, .own = DB_DONE };
}

enum turn_outcome
turn_run(struct turn *turn, const struct turn_plan *plan)
{
	enum turn_outcome outcome;
	bool done;

	reset(turn);
	turn->alone = plan->alone;
	/* What no statement time-out ends, a function in a loop, this does. */
	alarm((unsigned)turn->engine->turn_limit_s);
	done = take_begin(turn, plan);
	note_in_hand(turn);
	done = done && run_all(turn, plan) && commit(turn);
	alarm(0);
	outcome = done ? TURN_COMMITTED : abandon(turn);
	if (outcome != TURN_LOST)
		turn->in_hand[0] = '\0';
	return outcome;
}

const char *const *
turn_culprits(const struct turn *turn, size_t *count)
{
	*count = turn->culprits_count;
	return turn->culprits;
}

const struct db_error *
turn_error(const struct turn *turn)
{
	return &turn->error;
}

const char *
turn_types(const struct turn *turn)
{
	return turn->types.text;
}

const char *
turn_queues(const struct turn *turn)
{
	return turn->queues.text;
}

bool
turn_saw_suspects(const struct turn *turn)
{
	return turn->suspects;
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
turn_due_in_ms(const struct turn *turn, int limit_ms)
{
	int64_t left_ms;

	if (turn->due_ms == 0)
		return limit_ms;
	left_ms = turn->due_ms - turn_now_ms(turn);
	if (left_ms < 0)
		return 0;
	return left_ms < limit_ms ? (int)left_ms : limit_ms;
}
