/* SPDX-License-Identifier: MIT */
/*
 * Gathers the statements of a turn's runs into executions, and sends those.
 */
#include "engine/batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/memory.h"
#include "base/strbuf.h"
#include "db/db.h"
#include "engine/run.h"

/* See batch_is_long. */
#define EXECUTIONS_MANY 1000

/* A run in an execution. */
struct member {
	struct workflow *wf;
	const char *step;
	int number; /* of the step, if asks */
	bool asks;
};

/* One execution of one statement, for one run or many. */
struct execution {
	const char *sql;
	size_t arrays, nparams;
	struct strbuf elements[BATCH_PARAMS_MAX]; /* of array parameters */
	const char *values[BATCH_PARAMS_MAX];     /* of other parameters */
	struct member *members;
	size_t count, size;
	bool asks;
	const struct db_rows *rows;
};

struct batch {
	struct execution **executions; /* in the order of their execution */
	size_t count, size;
	size_t queued; /* how many of them have been queued */
	const struct execution *miscounted; /* see batch_check */
};

struct batch *
batch_new(void)
{
	struct batch *batch = memory_new(sizeof(*batch));

	return batch;
}

void
batch_free(struct batch *batch)
{
	size_t i, column;

	if (batch == NULL)
		return;
	for (i = 0; i < batch->size; i++) {
		for (column = 0; column < BATCH_PARAMS_MAX; column++)
			strbuf_free(&batch->executions[i]->elements[column]);
		free(batch->executions[i]->members);
		free(batch->executions[i]);
	}
	free(batch->executions);
	free(batch);
}

void
batch_reset(struct batch *batch)
{
	batch->count = batch->queued = 0;
	batch->miscounted = NULL;
}

/* Reuses an execution of an earlier batch, with its buffers, if any. */
static struct execution *
insert_execution(struct batch *batch, size_t at)
{
	struct execution *execution;

	if (batch->count == batch->size) {
		batch->executions = memory_resize(batch->executions,
		    ++batch->size, sizeof(struct execution *));
		batch->executions[batch->count] = memory_new(
		    sizeof(struct execution));
	}
	execution = batch->executions[batch->count];
	memmove(&batch->executions[at + 1], &batch->executions[at],
	    (batch->count - at) * sizeof(struct execution *));
	batch->executions[at] = execution;
	batch->count++;
	return execution;
}

static struct execution *
begin_execution(struct batch *batch, size_t at, struct arena *arena,
    const struct batch_statement *statement)
{
	struct execution *execution = insert_execution(batch, at);
	size_t i;

	if (statement->nparams > BATCH_PARAMS_MAX)
		abort();
	execution->sql = arena_strdup(arena, statement->sql);
	execution->arrays = statement->arrays;
	execution->nparams = statement->nparams;
	execution->count = 0;
	execution->asks = false;
	execution->rows = NULL;
	for (i = 0; i < statement->arrays; i++)
		strbuf_reset(&execution->elements[i]);
	for (; i < statement->nparams; i++)
		execution->values[i] = arena_strdup(arena,
		    statement->params[i]);
	return execution;
}

/*
 * Finds the first execution of the statement behind all that the run has added
 * before, or inserts one there: as early as allowed, so that other runs can
 * join it and still add behind it.
 */
static struct execution *
find_execution(struct batch *batch, struct arena *arena,
    const struct workflow *wf, const struct batch_statement *statement)
{
	struct execution *found = NULL;
	size_t i;

	for (i = batch->count; i > batch->queued; i--) {
		struct execution *execution = batch->executions[i - 1];

		/* Only the running run adds, so it is the last member. */
		if (execution->members[execution->count - 1].wf == wf)
			break;
		if (execution->arrays > 0 &&
		    execution->arrays == statement->arrays &&
		    execution->nparams == statement->nparams &&
		    strcmp(execution->sql, statement->sql) == 0)
			found = execution;
	}
	return found == NULL ? begin_execution(batch, i, arena, statement)
			     : found;
}

void
batch_add(struct batch *batch, struct arena *arena, struct workflow *wf,
    const struct batch_statement *statement, bool asks)
{
	struct execution *execution = find_execution(batch, arena, wf,
	    statement);
	size_t i;

	for (i = 0; i < execution->arrays; i++)
		strbuf_add_element(&execution->elements[i],
		    statement->params[i]);
	if (execution->count == execution->size) {
		execution->size = execution->size * 2 + 8;
		execution->members = memory_resize(execution->members,
		    execution->size, sizeof(struct member));
	}
	execution->members[execution->count++] = (struct member){ .wf = wf,
		.step = arena_strdup(arena, statement->step),
		.number = statement->number,
		.asks = asks };
	execution->asks = execution->asks || asks;
}

bool
batch_is_empty(const struct batch *batch)
{
	return batch->count == 0;
}

bool
batch_is_long(const struct batch *batch)
{
	return batch->count >= EXECUTIONS_MANY;
}

void
batch_queue(struct batch *batch, struct arena *arena, struct db *db)
{
	for (; batch->queued < batch->count; batch->queued++) {
		struct execution *execution = batch->executions[batch->queued];
		size_t i;

		for (i = 0; i < execution->arrays; i++)
			execution->values[i] = strbuf_end_array(
			    &execution->elements[i]);
		db_queue_rows(db, arena, execution->sql, execution->nparams,
		    execution->values,
		    execution->asks ? &execution->rows : NULL);
	}
}

bool
batch_check(struct batch *batch, struct db_error *error)
{
	size_t i, rows;

	for (i = 0; i < batch->queued; i++) {
		const struct execution *execution = batch->executions[i];

		if (execution->arrays == 0 || !execution->asks)
			continue;
		rows = db_row_count(execution->rows);
		if (rows == execution->count)
			continue;
		batch->miscounted = execution;
		*error = (struct db_error){ .outcome = DB_REFUSED,
			.own = DB_REFUSED,
			.name = "DBOSInvalidBatch",
			.sql = execution->sql };
		snprintf(error->message, sizeof(error->message),
		    "the statement of batch step '%s' returned %zu row(s), not "
		    "one for each of its %zu element(s)",
		    execution->members[0].step, rows, execution->count);
		return false;
	}
	return true;
}

struct workflow *
batch_next_miscounted(const struct batch *batch, size_t *at, int *number)
{
	const struct execution *execution = batch->miscounted;

	while (execution != NULL && *at < execution->count) {
		const struct member *member = &execution->members[(*at)++];

		if (!member->asks)
			continue;
		*number = member->number;
		return member->wf;
	}
	return NULL;
}

void
batch_answer(struct batch *batch, const struct db_error *refused)
{
	size_t i, j;

	for (i = 0; i < batch->queued; i++) {
		const struct execution *execution = batch->executions[i];

		for (j = 0; j < execution->count; j++) {
			const struct member *member = &execution->members[j];

			if (member->asks)
				member->wf->answer = (struct answer){
					.refused = refused,
					.rows = execution->rows,
					.row = j
				};
		}
	}
	batch_reset(batch);
}

const char *
batch_step_of(const struct batch *batch, const char *sql)
{
	size_t i;

	for (i = 0; sql != NULL && i < batch->queued; i++)
		if (strcmp(batch->executions[i]->sql, sql) == 0)
			return batch->executions[i]->members[0].step;
	return NULL;
}

size_t
batch_elements_of(const struct batch *batch, const char *sql)
{
	size_t most = 0, i;

	for (i = 0; i < batch->queued; i++)
		if (strcmp(batch->executions[i]->sql, sql) == 0 &&
		    batch->executions[i]->count > most)
			most = batch->executions[i]->count;
	return most;
}

struct workflow *
batch_next_of(const struct batch *batch, const char *sql, size_t *at)
{
	size_t i, before = 0;

	for (i = 0; sql != NULL && i < batch->queued; i++) {
		const struct execution *execution = batch->executions[i];

		if (strcmp(execution->sql, sql) != 0)
			continue;
		if (*at - before < execution->count)
			return execution->members[(*at)++ - before].wf;
		before += execution->count;
	}
	return NULL;
}
