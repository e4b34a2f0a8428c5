/* SPDX-License-Identifier: MIT */
/*
 * The statements that the runs of a turn make, gathered until they are sent
 * together, in one round trip.  Private to the engine.
 *
 * The statements of one run are executed in the order in which it made them;
 * those of different runs are not.  That leaves the freedom to execute one
 * statement for many runs: where its parameters are arrays, each run adds an
 * element, and its answer is the row of the same place.
 */
#ifndef DURABLE_ROUND_H
#define DURABLE_ROUND_H

#include <stddef.h>
#include <stdint.h>

struct arena;
struct child;
struct db;
struct db_error;
struct db_rows;
struct round;
struct workflow;

#define ROUND_PARAMS_MAX 10

/* sql must be a string constant; so many of its first parameters are arrays. */
struct statement {
	const char *step; /* its name, a string of the turn or longer */
	const char *sql;
	size_t arrays;
	size_t nparams;
	const char *const *params; /* of one run: an element, or the value */
};

/* What the database says to one call. */
struct answer {
	const struct db_error *refused; /* why, or NULL */
	const struct db_rows *rows;
	size_t row; /* that of them which is the call's; there may be less */
};

/* A call that waits for an answer. */
struct asked {
	void (*take)(struct workflow *wf, const struct asked *asked,
	    const struct answer *answer);
	int number;
	const char *name;
	int64_t started_ms;
	const struct child *child; /* that it starts, or NULL */
};

struct round *round_new(void);
void round_free(struct round *round);

/* Forgets everything. */
void round_reset(struct round *round);

/*
 * Adds a statement of a run; its values are copied into the arena.  asked is
 * the call that wants the answer, copied too, its texts not; NULL when nobody
 * does.
 */
void round_add(struct round *round, struct arena *arena, struct workflow *wf,
    const struct statement *statement, const struct asked *asked);

/* Queues what has been added, for the round trip that somebody makes next. */
void round_queue(struct round *round, struct arena *arena, struct db *db);

/*
 * After that round trip: gives the answers to those who want them, or says
 * why they are refused (else NULL), and begins anew.
 */
void round_take(struct round *round, const struct db_error *refused);

/*
 * The runs that had the statement sql in the last round trip, one after the
 * other: *at counts from 0.  Returns NULL behind the last one.
 */
struct workflow *
round_next_of(const struct round *round, const char *sql, size_t *at);

/* The name of the step whose statement it was, of the first run; or NULL. */
const char *round_step_of(const struct round *round, const char *sql);

#endif
