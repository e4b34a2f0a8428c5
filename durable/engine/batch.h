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
#ifndef DURABLE_BATCH_H
#define DURABLE_BATCH_H

#include <stddef.h>
#include <stdint.h>

struct arena;
struct child;
struct db;
struct db_error;
struct db_rows;
struct batch;
struct workflow;

#define BATCH_PARAMS_MAX 10

/* sql must be a string constant; so many of its first parameters are arrays. */
struct batch_statement {
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
struct pending_call {
	void (*on_result)(struct workflow *wf, const struct pending_call *call,
	    const struct answer *answer);
	int number;
	const char *name;
	int64_t started_ms;
	const struct child *child; /* that it starts, or NULL */
};

struct batch *batch_new(void);
void batch_free(struct batch *batch);

/* Forgets everything. */
void batch_reset(struct batch *batch);

/*
 * Adds a statement of a run; its values are copied into the arena.  call is
 * the one that wants the answer, copied too, its texts not; NULL when nobody
 * does.
 */
void batch_add(struct batch *batch, struct arena *arena, struct workflow *wf,
    const struct batch_statement *statement, const struct pending_call *call);

/* Queues what has been added, for the round trip that somebody makes next. */
void batch_queue(struct batch *batch, struct arena *arena, struct db *db);

/*
 * After that round trip: gives the answers to those who want them, or says
 * why they are refused (else NULL), and begins anew.
 */
void batch_answer(struct batch *batch, const struct db_error *refused);

/*
 * The runs that had the statement sql in the last round trip, one after the
 * other: *at counts from 0.  Returns NULL behind the last one.
 */
struct workflow *
batch_next_of(const struct batch *batch, const char *sql, size_t *at);

/* The name of the step whose statement it was, of the first run; or NULL. */
const char *batch_step_of(const struct batch *batch, const char *sql);

#endif
