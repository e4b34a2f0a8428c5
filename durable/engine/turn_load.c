/* SPDX-License-Identifier: MIT */
/*
 * Begins a turn: takes workflows and makes runs of their rows.
 */
#include <stdlib.h>
#include <string.h>

#include <durable/engine.h>

#include "base/arena.h"
#include "base/array_literal.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/strbuf.h"
#include "engine/served.h"
#include "engine/turn_private.h"

/* How long before its begin a turn looks for what was committed late. */
#define LOOK_BACK_MS      2000

/* Looking at everything, if it is not cheap, takes a twentieth of the time. */
#define LOOK_CHEAP_MS     10
#define LOOK_SHARE        20
#define LOOK_PAUSE_MAX_MS 5000

static const char admit_sql[] =
    "select durable.admit($1, $2, $3, $4, $5) as again_ms";

static const char begin_sql[] =
    "select present_ms, has_suspects, has_limits from durable.turn_begin($1)";

enum { BEGIN_PRESENT_MS, BEGIN_HAS_SUSPECTS, BEGIN_HAS_LIMITS };

static const char take_sql[] =
    "select workflow_uuid, source, timer_group, timer_group_size, held_since, "
    "left_out "
    "from durable.turn_take($1, $2, $3, $4, $5, $6, $7)";

enum {
	TAKE_ID,
	TAKE_SOURCE,
	TAKE_TIMER_GROUP,
	TAKE_TIMER_GROUP_SIZE,
	TAKE_HELD_SINCE,
	TAKE_LEFT_OUT
};

static const char load_sql[] =
    "select workflow_uuid, is_enqueued, name, version, input, serialization, "
    "timeout_ms, deadline_ms, is_cancelled, step_numbers, step_names, step_outputs, "
    "step_errors, step_serializations, step_children, step_started_ms "
    "from durable.turn_load(durable.taken())";

enum {
	LOAD_ID,
	LOAD_IS_ENQUEUED,
	LOAD_NAME,
	LOAD_VERSION,
	LOAD_INPUT,
	LOAD_SERIALIZATION,
	LOAD_TIMEOUT_MS,
	LOAD_DEADLINE_MS,
	LOAD_IS_CANCELLED,
	LOAD_STEPS /* the first of the columns that follow */
};

/* Arrays with an element a step, from LOAD_STEPS on. */
enum {
	STEP_NUMBER,
	STEP_NAME,
	STEP_OUTPUT,
	STEP_ERROR,
	STEP_SERIALIZATION,
	STEP_CHILD,
	STEP_STARTED_MS,
	STEP_COLUMNS
};

static const char inbox_sql[] =
    "select workflow_uuid, message_uuid, topic, message, serialization, "
    "sent_ms, unread_bytes "
    "from durable.turn_inbox(durable.taken())";

enum {
	INBOX_ID,
	INBOX_MESSAGE_ID,
	INBOX_TOPIC,
	INBOX_MESSAGE,
	INBOX_SERIALIZATION,
	INBOX_SENT_MS,
	INBOX_UNREAD_BYTES /* of messages that are left, in a row without one */
};

struct workflow *
turn_load_add_run(struct turn *turn)
{
	struct workflow *wf = arena_alloc(turn->arena, sizeof(*wf));

	if (turn->count == turn->size) {
		turn->size = turn->size * 2 + 16;
		turn->runs = memory_resize(turn->runs, turn->size,
		    sizeof(struct workflow *));
	}
	turn->runs[turn->count++] = wf;
	wf->turn = turn;
	return wf;
}

const char *
turn_list_ids(const struct turn *turn)
{
	struct strbuf ids = { 0 };
	const char *literal;
	size_t i;

	for (i = 0; i < turn->count; i++)
		strbuf_add_element(&ids, turn->runs[i]->id);
	literal = arena_strdup(turn->arena, strbuf_end_array(&ids));
	strbuf_free(&ids);
	return literal;
}

static int64_t
number_of(const char *text)
{
	return text == NULL ? 0 : strtoll(text, NULL, 10);
}

static int64_t
number_at(const struct db_rows *rows, size_t row, int column)
{
	return number_of(db_value(rows, row, column));
}

/* Whether a value of the server's type boolean is true. */
static bool
is_true(const struct db_rows *rows, size_t row, int column)
{
	const char *value = db_value(rows, row, column);

	return value != NULL && *value == 't';
}

/* Finds the run of a workflow from *at on: rows and runs have one order. */
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

/* Makes a run of each workflow that the turn has room for. */
static void
make_runs(struct turn *turn, const struct db_rows *rows)
{
	size_t row;

	for (row = 0; row < db_row_count(rows); row++) {
		struct workflow *wf;

		if (is_true(rows, row, TAKE_LEFT_OUT)) {
			turn->full = true;
			continue;
		}
		wf = turn_load_add_run(turn);
		wf->id = db_value(rows, row, TAKE_ID);
		wf->timer_group = db_value(rows, row, TAKE_TIMER_GROUP);
		wf->timer_group_size = (int)number_at(rows, row,
		    TAKE_TIMER_GROUP_SIZE);
		wf->held_ms = number_at(rows, row, TAKE_HELD_SINCE);
	}
	turn->taken = turn->count;
}

/* Whether two rows have one source: waits of a type, its timer groups, a queue. */
static bool
is_one_source(const struct db_rows *rows, size_t a, size_t b)
{
	return strcmp(db_value(rows, a, TAKE_SOURCE),
		   db_value(rows, b, TAKE_SOURCE)) == 0 &&
	    (db_value(rows, a, TAKE_TIMER_GROUP) == NULL) ==
	    (db_value(rows, b, TAKE_TIMER_GROUP) == NULL);
}

/* Whether one source gave as many rows as a turn may take. */
static bool
is_full(const struct turn *turn, const struct db_rows *rows)
{
	size_t first, row;
	int count;

	for (first = 0; first < db_row_count(rows); first++) {
		if (first > 0 && is_one_source(rows, first - 1, first))
			continue;
		for (count = 0, row = first; row < db_row_count(rows); row++)
			count += is_one_source(rows, first, row);
		if (count >= turn->max_workflows)
			return true;
	}
	return false;
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
		    db_value(rows, row, LOAD_STEPS + i));
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
load_workflow(struct workflow *wf, const struct db_rows *rows, size_t row)
{
	int64_t timeout_ms = number_at(rows, row, LOAD_TIMEOUT_MS);

	wf->type = served_type(wf->turn->engine, db_value(rows, row, LOAD_NAME),
	    db_value(rows, row, LOAD_VERSION));
	wf->input = db_value(rows, row, LOAD_INPUT);
	wf->bytes = wf->input == NULL ? 0 : strlen(wf->input);
	wf->serialization = db_value(rows, row, LOAD_SERIALIZATION);
	wf->begun = is_true(rows, row, LOAD_IS_ENQUEUED);
	wf->deadline_ms = number_at(rows, row, LOAD_DEADLINE_MS);
	wf->cancelled = is_true(rows, row, LOAD_IS_CANCELLED);
	if (wf->deadline_ms == 0 && timeout_ms != 0)
		wf->deadline_ms = run_later(wf->turn->begun_ms, timeout_ms);
	load_steps(wf, rows, row);
}

static void
load_message(struct workflow *wf, const struct db_rows *rows, size_t row)
{
	const char *id = db_value(rows, row, INBOX_MESSAGE_ID);

	if (id == NULL) {
		wf->has_unread = true;
		wf->unread_bytes = number_at(rows, row, INBOX_UNREAD_BYTES);
		return;
	}
	run_add_message(wf,
	    &(struct message){ .id = id,
		.topic = db_value(rows, row, INBOX_TOPIC),
		.text = db_value(rows, row, INBOX_MESSAGE),
		.serialization = db_value(rows, row, INBOX_SERIALIZATION),
		.sent_ms = db_value(rows, row, INBOX_SENT_MS) });
}

/* What the runs begin with. */
static void
load_runs(struct turn *turn, const struct db_rows *workflows,
    const struct db_rows *messages)
{
	size_t row, at = 0;

	for (row = 0; row < db_row_count(workflows); row++)
		load_workflow(find_run(turn, db_value(workflows, row, LOAD_ID),
				  &at),
		    workflows, row);
	for (row = 0; row < db_row_count(messages); row++)
		load_message(find_run(turn, db_value(messages, row, INBOX_ID),
				 &at),
		    messages, row);
}

/*
 * A turn that follows one with the same partition looks behind its begin only
 * now and then, if that takes long.
 */
static int64_t
begin_look(struct turn *turn, const struct standby_partition *partition)
{
	struct look *look = &turn->look;

	look->used_ms = clock_monotonic_ms() < look->all_at_ms &&
		look->partition.part == partition->part &&
		look->partition.parts == partition->parts
	    ? look->from_ms
	    : 0;
	look->partition = *partition;
	return look->used_ms;
}

void
turn_load_note_look(struct turn *turn)
{
	struct look *look = &turn->look;
	int64_t pause_ms = look->took_ms * LOOK_SHARE;

	if (turn->full) {
		look->all_at_ms = 0;
		return;
	}
	if (look->used_ms == 0)
		look->all_at_ms = look->took_ms < LOOK_CHEAP_MS
		    ? 0
		    : clock_monotonic_ms() +
			(pause_ms < LOOK_PAUSE_MAX_MS ? pause_ms
						      : LOOK_PAUSE_MAX_MS);
	look->from_ms = turn->begun_ms - LOOK_BACK_MS;
}

/*
 * Queues the admission to queues with limits, in a transaction of its own before
 * the turn's, so that no other one waits for the lock of a queue until the turn
 * ends.
 */
static void
queue_admission(struct turn *turn, const char *queues,
    const struct db_rows **admitted)
{
	const char *const params[] = { queues, served_runnable(turn->served),
		turn->engine->application, turn->engine->executor,
		arena_number(turn->arena, turn->engine->turn_size) };

	db_queue_rows(turn->db, turn->arena, admit_sql, 5, params, admitted);
	db_sync(turn->db);
}

/* Notes when to look at the queues with limits again: at once behind any work. */
static void
note_admission(struct turn *turn, const struct turn_plan *plan,
    const struct db_rows *admitted, bool had_limits)
{
	const char *again_ms = admitted == NULL ? NULL
						: db_value(admitted, 0, 0);

	if (plan->only != NULL || !turn->has_limits)
		return;
	if (turn->taken > 0 || !had_limits)
		turn_wait_note_due(turn, turn->begun_ms);
	else if (again_ms != NULL)
		turn_wait_note_due(turn, number_of(again_ms));
}

/*
 * One round trip, but a statement each, because what the workflows begin with
 * has to be seen by a later snapshot than the one that locked them.
 */
bool
turn_load(struct turn *turn, const struct turn_plan *plan)
{
	int64_t asked_ms = clock_monotonic_ms();
	const char *const params[] = { served_types(turn->served,
					   &plan->partition),
		served_queues(turn->served, &plan->partition),
		served_runnable(turn->served), turn->engine->application,
		arena_number(turn->arena, turn->max_workflows), plan->only,
		arena_number(turn->arena, begin_look(turn, &plan->partition)) };
	const struct db_rows *begun = NULL, *taken = NULL, *workflows = NULL,
			     *messages = NULL, *state = NULL, *admitted = NULL;
	bool had_limits = turn->has_limits;

	if (plan->only == NULL && had_limits)
		queue_admission(turn, params[1], &admitted);
	db_queue(turn->db, "begin", 0, NULL);
	/* Settings may have changed between two turns: see turn_session.c. */
	if (turn->session_state == NULL || plan->alone)
		turn_session_queue_state(turn, &state);
	db_queue_rows(turn->db, turn->arena, begin_sql, 1, &params[1], &begun);
	db_queue_rows(turn->db, turn->arena, take_sql, 7, params, &taken);
	db_queue_rows(turn->db, turn->arena, load_sql, 0, NULL, &workflows);
	db_queue_rows(turn->db, turn->arena, inbox_sql, 0, NULL, &messages);
	if (db_finish(turn->db) != DB_DONE) {
		turn->error = *db_last_error(turn->db);
		return false;
	}
	if (state != NULL)
		turn_session_keep(turn, state);
	turn->begun_ms = number_at(begun, 0, BEGIN_PRESENT_MS);
	turn->begun_own_ms = clock_monotonic_ms();
	turn->saw_suspects = is_true(begun, 0, BEGIN_HAS_SUSPECTS);
	turn->has_limits = is_true(begun, 0, BEGIN_HAS_LIMITS);
	make_runs(turn, taken);
	note_admission(turn, plan, admitted, had_limits);
	turn->full = turn->full || (plan->only == NULL && is_full(turn, taken));
	turn->look.took_ms = clock_monotonic_ms() - asked_ms;
	load_runs(turn, workflows, messages);
	return true;
}
