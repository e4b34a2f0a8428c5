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

struct arena;
struct db;
struct db_error;
struct batch;
struct workflow;

#define BATCH_PARAMS_MAX 10

/* A statement of one run; its first parameters are arrays. */
struct batch_statement {
	const char *step; /* name of the step */
	int number;       /* of the step, when the run asks for an answer */
	const char *sql;
	size_t arrays; /* how many parameters are arrays */
	size_t nparams;
	const char *const *params; /* an array's element, or the value */
};

struct batch *batch_new(void);
void batch_free(struct batch *batch);

/* Removes all statements. */
void batch_reset(struct batch *batch);

/*
 * Adds a statement of a run and copies its texts into the arena.  asks: the run
 * waits for the answer, which else is discarded.  Statements are the same when
 * their texts are.
 */
void batch_add(struct batch *batch, struct arena *arena, struct workflow *wf,
    const struct batch_statement *statement, bool asks);

/* Whether there is no statement. */
bool batch_is_empty(const struct batch *batch);

/* Whether the batch has so many statements that it is to be executed soon. */
bool batch_is_long(const struct batch *batch);

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
 * After that round trip: gives each run that asked its answer, or the error that
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
