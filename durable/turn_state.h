/* SPDX-License-Identifier: MIT */
/*
 * A turn from the inside.  Private to turn.c (the transaction), take.c (what
 * it takes) and turn_runs.c (what its runs ask of it).
 */
#ifndef DURABLE_TURN_STATE_H
#define DURABLE_TURN_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "db.h"
#include "log.h"
#include "strbuf.h"
#include "turn.h"

struct cache;
struct hold_off;
struct outbox;
struct round;

/* A line for the log, kept until the commit. */
struct line {
	struct line *next;
	enum log_level level;
	const char *text;
};

struct turn {
	const struct engine *engine;
	struct db *db;
	struct arena *arena;     /* of the turn */
	struct arena *run_arena; /* of one run after the other */
	struct outbox *outbox;
	struct cache *cache;
	/* Array literals: what it can run, and a turn's share of what is due. */
	struct strbuf types, queues, due_types, due_queues;
	int types_count, queues_count;
	char *in_hand; /* see turn_new */

	struct workflow **runs;
	size_t count, size;
	struct round *round;      /* what they want executed */
	struct workflow *running; /* that of them which is executing */
	bool alone;
	struct db_error error; /* why the turn is broken */

	int64_t begun_ms;      /* the database's clock at the begin */
	int64_t begun_mono_ms; /* ours, at the same time */
	int64_t due_ms;        /* when something is due, 0: unknown */
	size_t taken;          /* workflows that turn_begin gave */
	bool full;             /* and there may be more, due at once */
	bool suspects;
	struct line *lines, **last_line;

	struct hold_off *hold_off; /* steps that met a circumstance */
	const char **culprits;
	size_t culprits_count;
};

/*
 * Begins the transaction and takes what the plan says: makes the turn's runs.
 * Returns false, and why in turn->error, when that failed.
 */
bool take_begin(struct turn *turn, const struct turn_plan *plan);

/* Adds an empty run, in the turn's arena. */
struct workflow *take_add_run(struct turn *turn);

/* Makes the round trip of the turn's statements, and hands out the answers. */
bool turn_make_round(struct turn *turn);

/* Notes what a workflow waits for, to be written at the end of the turn. */
void turn_add_wait(struct turn *turn, const char *id,
    const struct workflow_type *type, const struct wait *wait);

#endif
