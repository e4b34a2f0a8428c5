/* SPDX-License-Identifier: MIT */
/*
 * The turn, as a worker sees it: one transaction in which many workflows go on,
 * each up to its next wait.  docs/design.md says why.
 */
#ifndef DURABLE_TURN_H
#define DURABLE_TURN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/prefork.h"
#include "base/standby.h"
#include "db/db.h"

struct durable_stats;
struct engine;
struct served;
struct turn;

enum turn_outcome {
	TURN_COMMITTED,
	TURN_REFUSED, /* rolled back: one of turn_error_suspects is at fault */
	TURN_RETRY,   /* rolled back: a circumstance */
	TURN_LOST     /* the connection is gone */
};

/* Which workflows a turn takes, and how it runs them. */
struct turn_plan {
	const char *only; /* array literal of ids; NULL: all that are due */
	struct standby_partition partition; /* of types, queues; parts 0: all */
	bool polls_again;      /* has another turn at once if this took any */
	bool alone;            /* one workflow, its steps in savepoints */
	const char *fail_with; /* fails the workflows and runs none; or NULL */
	/*
	 * Fails the step of this number, if it has the error's statement,
	 * instead of running it; NULL: none.
	 */
	const struct db_error *step_error;
	int step;
	bool postpone; /* lets them wait for a second and runs none */
};

/*
 * A workflow that may be at fault.  step is the number of its step that the
 * error is about, if the same step would succeed alone; else -1.
 */
struct turn_suspect {
	const char *id;
	int step;
};

/*
 * A worker makes one and uses it for all its turns.  While a turn has taken
 * workflows, and after TURN_LOST, crash_note, which is of
 * PREFORK_CRASH_NOTE_SIZE bytes and outlives the process, has the number of the
 * process and behind it their ids: as an array literal, or as "?" when they are
 * too long.  Otherwise it is empty.
 */
struct turn *turn_new(const struct engine *engine, struct served *served,
    struct db *db, char *crash_note);
void turn_free(struct turn *turn);

/* Counts the turns to come in stats, which outlives the turn. */
void turn_count_in(struct turn *turn, struct durable_stats *stats);

/* Between two turns: frees the memory that the last ones have needed. */
void turn_shrink(struct turn *turn);

/*
 * Takes, runs, writes and commits.  Blocks while the runs compute, each for
 * turn_limit_s at most, and while the database works.
 */
enum turn_outcome turn_run(struct turn *turn, const struct turn_plan *plan);

/*
 * After TURN_REFUSED: the workflows one of which is at fault, or met a lock
 * (DB_RETRY), *count of them, valid until the next turn.
 */
const struct turn_suspect *
turn_error_suspects(const struct turn *turn, size_t *count);

/* After any other outcome than TURN_COMMITTED: what went wrong. */
const struct db_error *turn_error(const struct turn *turn);

/* Whether there were suspects, which run alone, when the turn began. */
bool turn_saw_suspects(const struct turn *turn);

/* Whether the turn took any workflow. */
bool turn_took_any(const struct turn *turn);

/* Whether it took as many as it may of a type or queue: more may be due. */
bool turn_was_full(const struct turn *turn);

/*
 * How many workflows of a type or queue the next turn may take: turn_size, or
 * fewer for a while after one that took too long or lost its session.
 */
int turn_max_workflows(const struct turn *turn);

/*
 * For how many milliseconds nothing will be due that the turn saw, at most
 * limit_ms; 0 when more may be due now.
 */
int turn_due_in_ms(const struct turn *turn, int limit_ms);

#endif
