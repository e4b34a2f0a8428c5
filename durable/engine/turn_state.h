/* SPDX-License-Identifier: MIT */
/*
 * A turn from the inside.  Private to turn.c (the transaction), turn_load.c
 * (what it takes) and turn_api.c (what its runs ask of it).
 */
#ifndef DURABLE_TURN_STATE_H
#define DURABLE_TURN_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "base/strbuf.h"
#include "db/db.h"
#include "engine/turn.h"

struct journal_cache;
struct write_set;
struct batch;

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
	struct write_set *write_set;
	struct journal_cache *journal_cache;
	/* Array literals: what it can run, and a turn's share of what is due. */
	struct strbuf types, queues, due_types, due_queues;
	int types_count, queues_count;
	char *crash_note; /* see turn_new */

	struct workflow **runs;
	size_t count, size;
	struct batch *batch;      /* what they want executed */
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

	/* The step that met a circumstance last; see turn_hold_off. */
	const char *blocked_step;
	int64_t blocked_until_ms; /* on our clock */
	int64_t blocked_for_ms;
	bool tries_blocked; /* this turn came to it again */
	const char **error_suspects;
	size_t error_suspects_count;
};

/*
 * Begins the transaction and takes what the plan says: makes the turn's runs.
 * Returns false, and why in turn->error, when that failed.
 */
bool turn_load_begin(struct turn *turn, const struct turn_plan *plan);

/* Adds an empty run, in the turn's arena. */
struct workflow *turn_load_add_run(struct turn *turn);

/* Makes the round trip of the turn's statements, and hands out the answers. */
bool turn_execute_batch(struct turn *turn);

/* Notes what a workflow waits for, to be written at the end of the turn. */
void turn_add_wait(struct turn *turn, const char *id,
    const struct workflow_type *type, const struct wait *wait);

#endif
