/* SPDX-License-Identifier: MIT */
/*
 * A worker, made of its parts by engine.c and run by worker.c.
 */
#ifndef DURABLE_WORKER_H
#define DURABLE_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/backoff.h"
#include "base/prefork.h"
#include "base/standby.h"
#include "db/session.h"
#include "engine/collector.h"
#include "engine/sweep.h"

/* The longest rest of a worker that knows of nothing due. */
#define WORKER_IDLE_MS 5000

/* Its maker sets the members up to backoff; the others begin as zero. */
struct worker {
	const struct engine *engine;
	struct prefork_worker *self;
	struct session *session;
	struct db *db; /* the session's */
	struct turn *turn;
	struct recovery *recovery;
	struct sweep sweep;
	struct collector collector;
	int workers; /* of its daemon */
	struct standby_member member;
	struct backoff backoff; /* between turns that are repeated */
	bool stood_by;          /* the last pass: another worker is active */
	bool rests;             /* listens and is active, as its lock says */
	bool first_rest;        /* the next rest is a short one */
	int busy_turns;         /* passes since the last rest */
	int64_t repeated_ms;    /* when a repeated turn was last logged */
	bool ready;             /* counts as alive in the database */
	int schema_errors;      /* in a row, of turns that were repeated */
};

/*
 * Runs turns until the process is asked to stop (it finishes the turn then).
 * Returns the exit status: PREFORK_EXIT_GIVE_UP when the database is not of
 * this version.
 */
int worker_loop(struct worker *worker);

#endif
