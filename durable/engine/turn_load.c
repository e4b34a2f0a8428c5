/* SPDX-License-Identifier: MIT */
/*
 * What a turn takes, and the runs that it makes of it.
 */
#include <stdlib.h>
#include <string.h>

#include <durable/engine.h>
#include "base/arena.h"
#include "base/array_literal.h"
#include "base/clock.h"
#include "engine/journal_cache.h"
#include "engine/run.h"
#include "engine/turn_state.h"

/* Columns of durable.turn_begin. */
enum column {
	COLUMN_KIND,
	COLUMN_ID,
	COLUMN_NUMBER,
	COLUMN_NAME,
	COLUMN_VALUE,
	COLUMN_SERIALIZATION,
	COLUMN_OTHER,
	COLUMN_AT_MS,
	COLUMN_UNTIL_MS,
	COLUMN_TID,
	COLUMN_TIMER_GROUP,
	COLUMN_TIMER_GROUP_SIZE,
	COLUMN_STEPS /* the first of them */
};

/* What there is of each step, an array each. */
enum step_column {
	STEP_NUMBER,
	STEP_NAME,
	STEP_OUTPUT,
	STEP_ERROR,
	STEP_SERIALIZATION,
	STEP_CHILD,
	STEP_STARTED_MS,
	STEP_COLUMNS
};

struct workflow *
turn_load_add_run(struct turn *turn)
{
	struct workflow *wf = arena_alloc(turn->arena, sizeof(*wf));

	if (turn->count == turn->size) {
		turn->size = turn->size * 2 + 16;
		turn->runs = reallocarray(turn->runs, turn->size,
		    sizeof(struct workflow *));
		if (turn->runs == NULL)
			abort();
	}
	turn->runs[turn->count++] = wf;
	wf->turn = turn;
	wf->arena = turn->run_arena;
	return wf;
}

static int64_t
number_of(const char *text)
{
	return text == NULL ? 0 : strtoll(text, NULL, 10);
}

static int64_t
number_at(const struct db_rows *rows, size_t row, enum column column)
{
	return number_of(db_value(rows, row, column));
}

/* The journal of a run, from the arrays in its row. */
static void
load_steps(struct workflow *wf, const struct db_rows *rows, size_t row)
{
	struct array_elements columns[STEP_COLUMNS];
	const char *step[STEP_COLUMNS];
	int i;

	for (i = 0; i < STEP_COLUMNS; i++)
		columns[i] = array_literal_read(wf->turn->arena,
		    db_value(rows, row, COLUMN_STEPS + i));
	while (array_literal_next(&columns[STEP_NUMBER], &step[STEP_NUMBER])) {
		for (i = STEP_NUMBER + 1; i < STEP_COLUMNS; i++)
			array_literal_next(&columns[i], &step[i]);
		run_add_entry(wf, (int)number_of(step[STEP_NUMBER]),
		    &(struct entry){ .name = step[STEP_NAME],
			.output = step[STEP_OUTPUT],
			.error = step[STEP_ERROR],
			.serialization = step[STEP_SERIALIZATION],
			.child = step[STEP_CHILD],
			.started_ms = number_of(step[STEP_STARTED_MS]) });
	}
}

static void
load_workflow(struct turn *turn, const struct db_rows *rows, size_t row)
{
	const char *version = db_value(rows, row, COLUMN_OTHER);
	const char *name = db_value(rows, row, COLUMN_NAME);
	int64_t timeout_ms = number_at(rows, row, COLUMN_AT_MS);
	struct workflow *wf = turn_load_add_run(turn);

	wf->type = engine_type(turn->engine, name, version);
	wf->id = db_value(rows, row, COLUMN_ID);
	wf->tid = db_value(rows, row, COLUMN_TID);
	wf->timer_group = db_value(rows, row, COLUMN_TIMER_GROUP);
	wf->timer_group_size = (int)number_at(rows, row,
	    COLUMN_TIMER_GROUP_SIZE);
	wf->input = db_value(rows, row, COLUMN_VALUE);
	wf->serialization = db_value(rows, row, COLUMN_SERIALIZATION);
	wf->begun = number_at(rows, row, COLUMN_NUMBER) == 1;
	wf->deadline_ms = number_at(rows, row, COLUMN_UNTIL_MS);
	if (wf->deadline_ms == 0 && timeout_ms != 0)
		wf->deadline_ms = run_later(turn->begun_ms, timeout_ms);
	load_steps(wf, rows, row);
}

/* Some that nobody has run since this worker did; false: they are not. */
static bool
load_cached(struct turn *turn, const struct db_rows *rows, size_t row)
{
	struct array_elements ids = array_literal_read(turn->arena,
	    db_value(rows, row, COLUMN_VALUE));
	struct array_elements tids = array_literal_read(turn->arena,
	    db_value(rows, row, COLUMN_OTHER));
	const char *id, *tid;

	while (
	    array_literal_next(&ids, &id) && array_literal_next(&tids, &tid)) {
		struct workflow *wf = turn_load_add_run(turn);

		wf->id = id;
		wf->tid = tid;
		wf->cache_tag = number_at(rows, row, COLUMN_AT_MS);
		wf->timer_group = db_value(rows, row, COLUMN_TIMER_GROUP);
		wf->timer_group_size = (int)number_at(rows, row,
		    COLUMN_TIMER_GROUP_SIZE);
		wf->messages_unloaded = wf->timer_group != NULL;
		if (!journal_cache_load(turn->journal_cache, wf))
			return false;
	}
	return true;
}

static void
load_message(struct workflow *wf, const struct db_rows *rows, size_t row)
{
	const struct message message = { .id = db_value(rows, row,
					     COLUMN_OTHER),
		.topic = db_value(rows, row, COLUMN_NAME),
		.text = db_value(rows, row, COLUMN_VALUE),
		.serialization = db_value(rows, row, COLUMN_SERIALIZATION) };

	run_add_message(wf, &message);
}

/* The run of a workflow; *at is where the last one was, and is often it. */
static struct workflow *
find_run(const struct turn *turn, const char *id, size_t *at)
{
	size_t tried;

	for (tried = 0; tried < turn->count; tried++) {
		struct workflow *wf = turn->runs[*at];

		if (strcmp(wf->id, id) == 0)
			return wf;
		*at = (*at + 1) % turn->count;
	}
	abort();
}

static bool
is_of_kind(const struct db_rows *rows, size_t row, const char *kind)
{
	return strcmp(db_value(rows, row, COLUMN_KIND), kind) == 0;
}

/*
 * Makes the turn's runs from the rows of turn_begin, of which the last is about
 * the turn.  Returns false when one is not remembered whose wait says so.
 */
static bool
load(struct turn *turn, const struct db_rows *rows)
{
	size_t last = db_row_count(rows) - 1, row, at = 0;

	turn->begun_ms = number_at(rows, last, COLUMN_AT_MS);
	turn->begun_mono_ms = clock_monotonic_ms();
	turn->due_ms = number_at(rows, last, COLUMN_UNTIL_MS);
	turn->full = turn->due_ms == turn->begun_ms;
	turn->suspects = number_at(rows, last, COLUMN_NUMBER) == 1;
	for (row = 0; row < last; row++) {
		if (is_of_kind(rows, row, "workflow"))
			load_workflow(turn, rows, row);
		else if (is_of_kind(rows, row, "cached") &&
		    !load_cached(turn, rows, row))
			return false;
	}
	for (row = 0; row < last; row++)
		if (is_of_kind(rows, row, "message"))
			load_message(find_run(turn,
					 db_value(rows, row, COLUMN_ID), &at),
			    rows, row);
	turn->taken = turn->count;
	return true;
}

/* The array literals of the types and the queues in a share. */
static const char *
types_in(struct turn *turn, const struct standby_partition *partition)
{
	const struct workflow_type *const *types = turn->engine->types;
	int i;

	strbuf_reset(&turn->due_types);
	for (i = 0; i < turn->types_count; i++)
		if (standby_partition_has(partition, i, turn->types_count))
			strbuf_add_element(&turn->due_types,
			    arena_printf(turn->arena, "%s@%s", types[i]->name,
				types[i]->version));
	return strbuf_end_array(&turn->due_types);
}

static const char *
queues_in(struct turn *turn, const struct standby_partition *partition)
{
	int i;

	strbuf_reset(&turn->due_queues);
	for (i = 0; i < turn->queues_count; i++)
		if (standby_partition_has(partition, i, turn->queues_count))
			strbuf_add_element(&turn->due_queues,
			    turn->engine->queues[i]);
	return strbuf_end_array(&turn->due_queues);
}

bool
turn_load_begin(struct turn *turn, const struct turn_plan *plan)
{
	const struct cache_tag_range tags = journal_cache_begin(
	    turn->journal_cache);
	const char *const params[] = { turn->types.text,
		queues_in(turn, &plan->partition), turn->engine->application,
		arena_number(turn->arena, turn->engine->turn_size), plan->only,
		arena_number(turn->arena, tags.from),
		arena_number(turn->arena, tags.to),
		types_in(turn, &plan->partition),
		plan->again ? "true" : "false" };
	const struct db_rows *rows;

	db_queue(turn->db, "begin", 0, NULL);
	rows = db_query(turn->db, turn->arena,
	    "select kind, workflow_uuid, number, name, value, serialization, "
	    "other, at_ms, until_ms, tid, timer_group, timer_group_size, "
	    "step_numbers, step_names, step_outputs, step_errors, "
	    "step_serializations, step_children, step_started_ms "
	    "from durable.turn_begin($1, $2, $3, $4, $5, $6, $7, $8, $9)",
	    9, params);
	if (rows == NULL) {
		turn->error = *db_last_error(turn->db);
		return false;
	}
	if (load(turn, rows))
		return true;
	/* Somebody wrote that tag; the next turn reads all journals. */
	journal_cache_forget(turn->journal_cache);
	turn->error = (struct db_error){ .outcome = DB_RETRY,
		.message = "the journal cache has no entry for a wait's tag; "
			   "the cache was dropped" };
	return false;
}
