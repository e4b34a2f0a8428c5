/* SPDX-License-Identifier: MIT */
/*
 * The runs of a turn: they go on in turns, with a batch after each round, until
 * all have ended or wait.
 */
#include <durable/engine.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/fiber.h"
#include "engine/batch.h"
#include "engine/heartbeat.h"
#include "engine/turn_api.h"
#include "engine/turn_private.h"
#include "engine/write_set.h"

/* How long a workflow is postponed that met a lock at the end of its turn. */
#define POSTPONED_MS  1000

/*
 * After so long its runs leave the rest to the next turn, so that the others
 * commit; never later than after this part of the time limit.
 */
#define TURN_MS       1000
#define LIMIT_SHARE   3

/* How often stacks are given back: it costs as much as many runs to map one. */
#define TRIM_MS       1000

/* The same, when there are more runs than fibers. */
#define SHORT_TURN_MS 100

static void
add_status(struct turn *turn, const struct workflow *wf, const char *status)
{
	const char *const values[] = { wf->id, status, wf->begun ? "1" : "0",
		wf->type->version,
		wf->deadline_ms == 0
		    ? NULL
		    : arena_number(turn->arena, wf->deadline_ms),
		wf->output, wf->failure };

	write_set_add(turn->write_set, WRITE_STATUSES, values);
}

/* Lets the workflow run again when it is cancelled, or no more. */
static void
add_cleanup(struct turn *turn, const struct workflow *wf, bool may_run)
{
	const char *const values[] = { wf->id, may_run ? "true" : "false" };

	if (wf->has_pushed || wf->cancelled)
		write_set_add(turn->write_set, WRITE_CLEANUPS, values);
}

static void
end_workflow(struct turn *turn, const struct workflow *wf, const char *status)
{
	const char *const values[] = { wf->id };

	write_set_add(turn->write_set, WRITE_ENDED, values);
	add_cleanup(turn, wf, false);
	/* One that has not returned may have ended before its wait did. */
	if (wf->end != RUN_RETURNED || wf->has_external)
		write_set_add(turn->write_set, WRITE_FORGOTTEN, values);
	add_status(turn, wf, status);
}

static void
end_cancelled(struct turn *turn, const struct workflow *wf)
{
	turn_log(turn, LOG_LEVEL_INFO, "wf=%s workflow '%s' is cancelled%s",
	    wf->id, wf->type->name,
	    wf->cancelled ? " and has cleaned up"
			  : ": its deadline has passed");
	end_workflow(turn, wf, "CANCELLED");
}

/* Adds how a run ended to what the turn writes at its end. */
static void
settle_run(struct turn *turn, struct workflow *wf)
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
		end_cancelled(turn, wf);
		break;
	case RUN_SUSPENDED:
		turn_wait_round_up(turn, &wf->wait);
		wf->wait.bytes = wf->bytes;
		add_cleanup(turn, wf, true);
		if (wf->begun)
			add_status(turn, wf, "PENDING");
		break;
	case RUN_READY:
	case RUN_BROKEN:
		break;
	}
}

/* A run waits for a fiber: those that have one make room earlier. */
static void
shorten(struct turn *turn)
{
	if (turn->until_ms > turn->begun_own_ms + SHORT_TURN_MS)
		turn->until_ms = turn->begun_own_ms + SHORT_TURN_MS;
}

/* Forgets the answers that all runs have read. */
static void
forget_read(struct turn *turn)
{
	struct arena *read = turn->read_arena;

	arena_reset(read);
	turn->read_arena = turn->batch_arena;
	turn->batch_arena = read;
}

/*
 * Executes the ready runs, and the children that they add.  Returns whether any
 * run waits for an answer of the database, or for a fiber.  Stops at a run that
 * breaks the turn and leaves it in turn->running.
 */
static bool
run_ready(struct turn *turn, const struct turn_plan *plan)
{
	bool any_ready = false;
	size_t i;

	forget_read(turn);
	for (i = 0; i < turn->count; i++) {
		struct workflow *wf = turn->runs[i];

		if (wf->end != RUN_READY)
			continue;
		turn->running = wf;
		if (plan->fail_with != NULL) {
			run_fail(wf, "DBOSTransactionError", plan->fail_with);
		} else {
			heartbeat_watch(turn->heartbeat, wf);
			if (!run_execute(wf, turn->fibers))
				shorten(turn);
			heartbeat_watch(turn->heartbeat, NULL);
		}
		if (wf->end == RUN_BROKEN)
			return false;
		settle_run(turn, wf);
		any_ready = any_ready || wf->end == RUN_READY;
	}
	turn->running = NULL;
	return any_ready;
}

/* Suspends all runs for a while, before they begin. */
static void
postpone(struct turn *turn)
{
	size_t i;

	for (i = 0; i < turn->count; i++) {
		struct workflow *wf = turn->runs[i];

		wf->end = RUN_SUSPENDED;
		wf->wait = (struct wait){ .kind = WAIT_TIMER,
			.wake_ms = turn_now_ms(turn) + POSTPONED_MS };
		settle_run(turn, wf);
	}
}

/*
 * Until when the runs go on: for as long as loading took, so that this costs at
 * most as much as it brings.
 */
static int64_t
until_ms(const struct turn *turn, int64_t started_ms)
{
	int64_t now_ms = clock_monotonic_ms(), for_ms = now_ms - started_ms;
	int64_t most_ms = (int64_t)turn->engine->turn_limit_s * 1000 /
	    LIMIT_SHARE;

	if (for_ms < TURN_MS)
		for_ms = TURN_MS;
	return now_ms + (for_ms < most_ms ? for_ms : most_ms);
}

bool
turn_runs_execute(struct turn *turn, const struct turn_plan *plan,
    int64_t started_ms)
{
	turn->until_ms = until_ms(turn, started_ms);
	if (plan->postpone)
		postpone(turn);
	while (run_ready(turn, plan))
		if (!batch_is_empty(turn->batch) && !turn_execute_batch(turn))
			return false;
	return turn->running == NULL;
}

void
turn_runs_drop(struct turn *turn)
{
	size_t i;

	for (i = 0; i < turn->count; i++)
		run_drop(turn->runs[i]);
	if (turn->begun_own_ms - turn->trimmed_ms >= TRIM_MS) {
		fibers_trim(turn->fibers);
		turn->trimmed_ms = turn->begun_own_ms;
	}
}
