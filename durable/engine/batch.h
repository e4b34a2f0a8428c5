/* SPDX-License-Identifier: MIT */
/*
 * The statements of a turn's runs, gathered and sent in one round trip.  Only
 * the statements of the same run keep their order, so that one execution of a
 * statement with array parameters can serve many runs: each adds an element,
 * and its answer is the row with the same number.  Private to the engine.
 */
#ifndef DURABLE_BATCH_H
#define DURABLE_BATCH_H

#include <stdbool.h>
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

/* A statement of one run; its first parameters are arrays. */
struct batch_statement {
	const char *step; /* name of the step */
	const char *sql;
	size_t arrays; /* how many parameters are arrays */
	size_t nparams;
	const char *const *params; /* an array's element, or the value */
};

/* The database's answer to one call. */
struct answer {
	const struct db_error *refused; /* the error, or NULL */
	const struct db_rows *rows;
	size_t row; /* number of the call's row, which may be missing */
};

/* A call that waits for an answer. */
struct pending_call {
	void (*on_result)(struct workflow *wf, const struct pending_call *call,
	    const struct answer *answer);
	int number;
	const char *name;
	int64_t started_ms;
	const struct child *child; /* that the call starts, or NULL */
};

struct batch *batch_new(void);
void batch_free(struct batch *batch);

/* Removes all statements. */
void batch_reset(struct batch *batch);

/*
 * Adds a statement of a run and copies its texts into the arena.  Copies call,
 * whose name becomes the step's; batch_answer passes it the answer.  NULL: the
 * answer is discarded.  Statements are the same when their texts are.
 */
void batch_add(struct batch *batch, struct arena *arena, struct workflow *wf,
    const struct batch_statement *statement, const struct pending_call *call);

/* Queues the statements; the caller makes the round trip. */
void batch_queue(struct batch *batch, struct arena *arena, struct db *db);

/*
 * After that round trip: whether each statement with array parameters returned
 * a row per element, unless its rows are discarded.  If not, sets *error, and
 * batch_next_miscounted returns the next run that waits for a row of the first
 * such execution, and its step's number; it counts in *at, from 0.
 */
bool batch_check(struct batch *batch, struct db_error *error);
struct workflow *
batch_next_miscounted(const struct batch *batch, size_t *at, int *number);

/*
 * After that round trip: passes each pending call its answer, or the error that
 * refused the batch (else NULL), and removes all statements.
 */
void batch_answer(struct batch *batch, const struct db_error *refused);

/*
 * Returns the next run with the statement sql in the last round trip, and
 * counts in *at, from 0.  Returns NULL after the last run.
 */
struct workflow *
batch_next_of(const struct batch *batch, const char *sql, size_t *at);

/* How many elements the largest execution of this statement had; 0: none. */
size_t batch_elements_of(const struct batch *batch, const char *sql);

/* Returns the name of the first run's step with this statement, or NULL. */
const char *batch_step_of(const struct batch *batch, const char *sql);

#endif
