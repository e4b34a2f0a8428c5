/* SPDX-License-Identifier: MIT */
/*
 * What a turn takes, and the runs that it makes of it.
 */
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "cache.h"
#include "elements.h"
#include "engine.h"
#include "monotonic.h"
#include "run.h"
#include "turn_state.h"

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
	COLUMN_ALARM,
	COLUMN_ALARM_SIZE,
	COLUMN_HELD_MS,
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
take_add_run(struct turn *turn)
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
	struct elements columns[STEP_COLUMNS];
	const char *step[STEP_COLUMNS];
	int i;

	for (i = 0; i < STEP_COLUMNS; i++)
		columns[i] = elements_of(wf->turn->arena,
		    db_value(rows, row, COLUMN_STEPS + i));
	while (elements_next(&columns[STEP_NUMBER], &step[STEP_NUMBER])) {
		for (i = STEP_NUMBER + 1; i < STEP_COLUMNS; i++)
			elements_next(&columns[i], &step[i]);
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
	struct workflow *wf = take_add_run(turn);

	wf->type = engine_type(turn->engine, name, version);
	wf->id = db_value(rows, row, COLUMN_ID);
	wf->tid = db_value(rows, row, COLUMN_TID);
	wf->alarm = db_value(rows, row, COLUMN_ALARM);
	wf->alarm_size = (int)number_at(rows, row, COLUMN_ALARM_SIZE);
	wf->input = db_value(rows, row, COLUMN_VALUE);
	wf->serialization = db_value(rows, row, COLUMN_SERIALIZATION);
	wf->begun = number_at(rows, row, COLUMN_NUMBER) == 1;
	wf->held_ms = number_at(rows, row, COLUMN_HELD_MS);
	wf->deadline_ms = number_at(rows, row, COLUMN_UNTIL_MS);
	if (wf->deadline_ms == 0 && timeout_ms != 0)
		wf->deadline_ms = run_later(turn->begun_ms, timeout_ms);
	load_steps(wf, rows, row);
}

/* Some that nobody has run since this worker did; false: they are not. */
static bool
load_remembered(struct turn *turn, const struct db_rows *rows, size_t row)
{
	struct elements ids = elements_of(turn->arena,
	    db_value(rows, row, COLUMN_VALUE));
	struct elements tids = elements_of(turn->arena,
	    db_value(rows, row, COLUMN_OTHER));
	const char *id, *tid;

	while (elements_next(&ids, &id) && elements_next(&tids, &tid)) {
		struct workflow *wf = take_add_run(turn);

		wf->id = id;
		wf->tid = tid;
		wf->tag = number_at(rows, row, COLUMN_AT_MS);
		wf->alarm = db_value(rows, row, COLUMN_ALARM);
		wf->alarm_size = (int)number_at(rows, row, COLUMN_ALARM_SIZE);
		wf->deaf = wf->alarm != NULL;
		if (!cache_load(turn->cache, wf))
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
	turn->begun_mono_ms = monotonic_ms();
	turn->due_ms = number_at(rows, last, COLUMN_UNTIL_MS);
	turn->full = turn->due_ms == turn->begun_ms;
	turn->suspects = number_at(rows, last, COLUMN_NUMBER) == 1;
	for (row = 0; row < last; row++) {
		if (is_of_kind(rows, row, "workflow"))
			load_workflow(turn, rows, row);
		else if (is_of_kind(rows, row, "remembered") &&
		    !load_remembered(turn, rows, row))
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
types_in(struct turn *turn, const struct duty_share *share)
{
	const struct workflow_type *const *types = turn->engine->types;
	int i;

	strbuf_reset(&turn->due_types);
	for (i = 0; i < turn->types_count; i++)
		if (duty_share_has(share, i, turn->types_count))
			strbuf_add_element(&turn->due_types,
			    arena_printf(turn->arena, "%s@%s", types[i]->name,
				types[i]->version));
	return strbuf_end_array(&turn->due_types);
}

static const char *
queues_in(struct turn *turn, const struct duty_share *share)
{
	int i;

	strbuf_reset(&turn->due_queues);
	for (i = 0; i < turn->queues_count; i++)
		if (duty_share_has(share, i, turn->queues_count))
			strbuf_add_element(&turn->due_queues,
			    turn->engine->queues[i]);
	return strbuf_end_array(&turn->due_queues);
}

bool
take_begin(struct turn *turn, const struct turn_plan *plan)
{
	const struct tag_range tags = cache_begin(turn->cache);
	const char *const params[] = { turn->types.text,
		queues_in(turn, &plan->share), turn->engine->application,
		arena_number(turn->arena, turn->engine->turn_size), plan->only,
		arena_number(turn->arena, tags.from),
		arena_number(turn->arena, tags.to),
		types_in(turn, &plan->share), plan->again ? "true" : "false" };
	const struct db_rows *rows;

	db_queue(turn->db, "begin", 0, NULL);
	rows = db_query(turn->db, turn->arena,
	    "select kind, workflow_uuid, number, name, value, serialization, "
	    "other, at_ms, until_ms, tid, alarm, alarm_size, held_ms, "
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
	cache_forget(turn->cache);
	turn->error = (struct db_error){ .outcome = DB_RETRY,
		.message = "a wait has a tag that stands for others" };
	return false;
}
