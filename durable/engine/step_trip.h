/* SPDX-License-Identifier: MIT */
/*
 * The round trips of a step master: what they write of the steps that have
 * ended, take and ask.  Private to the engine.
 */
#ifndef DURABLE_STEP_TRIP_H
#define DURABLE_STEP_TRIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/step_process.h"

struct arena;
struct db;
struct engine;
struct session;

/* How often a master looks for what no notification has told it. */
#define STEP_LOOK_MS 1000

/* Its maker sets the members up to count; the others begin as zero. */
struct step_trip {
	const struct engine *engine;
	struct session *session;
	struct db *db;       /* the session's */
	struct arena *arena; /* of one round trip */
	const char *types;   /* that it takes, an array literal */
	struct step_process *processes;
	size_t count;

	const char *number; /* of the session; NULL before the first one */
	char number_text[16];
	bool stopping;       /* takes no more */
	bool more;           /* some may be due now */
	bool may_be_lost;    /* a step that runs */
	int64_t due_ms;      /* clock: when the next one is */
	int64_t looked_ms;   /* clock */
	int64_t repeated_ms; /* when a repeated round trip was last logged */
};

/*
 * Opens the session, which owns what the master runs already.  Returns false
 * when the database is of no use to this program.  The session may be away
 * after this.
 */
bool step_trip_connect(struct step_trip *trip);

/* Whether there is something to write, take or ask. */
bool step_trip_is_due(const struct step_trip *trip);

/*
 * Makes the round trip, which blocks, and hands what it has taken to the
 * processes.  Returns false when it failed, and is to be repeated.
 */
bool step_trip_make(struct step_trip *trip);

/* When the next one is due, by clock_monotonic_ms, as far as is known. */
int64_t step_trip_due_ms(const struct step_trip *trip);

/* How many processes are in a state. */
size_t step_trip_count(const struct step_trip *trip, enum step_state state);

#endif
