/* SPDX-License-Identifier: MIT */
/*
 * The statements of a turn's runs, gathered and sent together.
 */
#include "round.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "db.h"
#include "run.h"
#include "strbuf.h"

/* A run in a group, and what it wants of the answer. */
struct member {
	struct workflow *wf;
	const char *step;
	bool asks;
	struct asked asked;
};

/* One execution of one statement, for one run or many. */
struct group {
	const char *sql;
	size_t arrays, nparams;
	struct strbuf elements[ROUND_PARAMS_MAX]; /* of the arrays */
	const char *values[ROUND_PARAMS_MAX];     /* of the others */
	struct member *members;
	size_t count, size;
	bool asks;
	const struct db_rows *rows;
};

struct round {
	struct group **groups; /* in the order of their execution */
	size_t count, size;
	size_t queued; /* those of them that have been queued */
};

struct round *
round_new(void)
{
	struct round *round = calloc(1, sizeof(*round));

	if (round == NULL)
		abort();
	return round;
}

void
round_free(struct round *round)
{
	size_t i, column;

	if (round == NULL)
		return;
	for (i = 0; i < round->size; i++) {
		for (column = 0; column < ROUND_PARAMS_MAX; column++)
			strbuf_free(&round->groups[i]->elements[column]);
		free(round->groups[i]->members);
		free(round->groups[i]);
	}
	free(round->groups);
	free(round);
}

void
round_reset(struct round *round)
{
	round->count = round->queued = 0;
}

/* Groups are kept for the next turn: so are the buffers in them. */
static struct group *
insert_group(struct round *round, size_t at)
{
	struct group *group;

	if (round->count == round->size) {
		round->groups = reallocarray(round->groups, ++round->size,
		    sizeof(struct group *));
		if (round->groups == NULL ||
		    (round->groups[round->count] = calloc(1,
			 sizeof(struct group))) == NULL)
			abort();
	}
	group = round->groups[round->count];
	memmove(&round->groups[at + 1], &round->groups[at],
	    (round->count - at) * sizeof(struct group *));
	round->groups[at] = group;
	round->count++;
	return group;
}

static struct group *
begin_group(struct round *round, size_t at, struct arena *arena,
    const struct statement *statement)
{
	struct group *group = insert_group(round, at);
	size_t i;

	if (statement->nparams > ROUND_PARAMS_MAX)
		abort();
	group->sql = statement->sql;
	group->arrays = statement->arrays;
	group->nparams = statement->nparams;
	group->count = 0;
	group->asks = false;
	group->rows = NULL;
	for (i = 0; i < statement->arrays; i++)
		strbuf_reset(&group->elements[i]);
	for (; i < statement->nparams; i++)
		group->values[i] = arena_strdup(arena, statement->params[i]);
	return group;
}

/*
 * A group behind all that the run has added before: one of the statement, or
 * a new one, as far in front as may be, so that others find theirs behind it.
 */
static struct group *
find_group(struct round *round, struct arena *arena, const struct workflow *wf,
    const struct statement *statement)
{
	struct group *found = NULL;
	size_t i;

	for (i = round->count; i > round->queued; i--) {
		struct group *group = round->groups[i - 1];

		/* Only the run that is executing adds: it came last. */
		if (group->members[group->count - 1].wf == wf)
			break;
		if (group->sql == statement->sql && group->arrays > 0)
			found = group;
	}
	return found == NULL ? begin_group(round, i, arena, statement) : found;
}

void
round_add(struct round *round, struct arena *arena, struct workflow *wf,
    const struct statement *statement, const struct asked *asked)
{
	struct group *group = find_group(round, arena, wf, statement);
	size_t i;

	for (i = 0; i < group->arrays; i++)
		strbuf_add_element(&group->elements[i], statement->params[i]);
	if (group->count == group->size) {
		group->size = group->size * 2 + 8;
		group->members = reallocarray(group->members, group->size,
		    sizeof(struct member));
		if (group->members == NULL)
			abort();
	}
	group->members[group->count] = (struct member){ .wf = wf,
		.step = statement->step,
		.asks = asked != NULL };
	if (asked != NULL)
		group->members[group->count].asked = *asked;
	group->asks = group->asks || asked != NULL;
	group->count++;
}

void
round_queue(struct round *round, struct arena *arena, struct db *db)
{
	for (; round->queued < round->count; round->queued++) {
		struct group *group = round->groups[round->queued];
		size_t i;

		for (i = 0; i < group->arrays; i++)
			group->values[i] = strbuf_end_array(
			    &group->elements[i]);
		db_queue_rows(db, arena, group->sql, group->nparams,
		    group->values, group->asks ? &group->rows : NULL);
	}
}

/* Who takes an answer adds nothing. */
void
round_take(struct round *round, const struct db_error *refused)
{
	size_t i, j;

	for (i = 0; i < round->queued; i++) {
		const struct group *group = round->groups[i];

		for (j = 0; j < group->count; j++) {
			const struct member *member = &group->members[j];
			const struct answer answer = { .refused = refused,
				.rows = group->rows,
				.row = j };

			if (member->asks)
				member->asked.take(member->wf, &member->asked,
				    &answer);
		}
	}
	round_reset(round);
}

const char *
round_step_of(const struct round *round, const char *sql)
{
	size_t i;

	for (i = 0; i < round->queued; i++)
		if (round->groups[i]->sql == sql)
			return round->groups[i]->members[0].step;
	return NULL;
}

struct workflow *
round_next_of(const struct round *round, const char *sql, size_t *at)
{
	size_t i, before = 0;

	for (i = 0; i < round->queued; i++) {
		const struct group *group = round->groups[i];

		if (group->sql != sql)
			continue;
		if (*at - before < group->count)
			return group->members[(*at)++ - before].wf;
		before += group->count;
	}
	return NULL;
}
