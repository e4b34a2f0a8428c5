/* SPDX-License-Identifier: MIT */
/*
 * The notifications and events that a courier receives: a notification makes the
 * calls due that wait for its event, and no others; each due call is answered
 * with the event that was fetched for it, as JSON, or with none.
 *
 * Input: one to a line,
 *
 *	=call|id|event
 *	=hint|payload
 *	=event|value|format
 *
 * where a field of one tilde is SQL's null; the n-th event is for the n-th due
 * call, and the calls without an event stay waiting.  The harness replaces
 * the courier's database.
 */
#include "fuzz.h"

/* The replaced functions, also for the included files' static functions. */
#define db_connected         fuzz_connected
#define db_consume           fuzz_consume
#define db_next_notification fuzz_next_notification
#define db_queue_rows        fuzz_queue_rows
#define db_finish            fuzz_finish
#define db_row_count         fuzz_row_count
#define db_value             fuzz_value

#include "client/courier.c"       /* NOLINT(bugprone-suspicious-include) */
#include "client/courier_batch.c" /* NOLINT(bugprone-suspicious-include) */

#define CALLS_MAX 16
#define LINES_MAX 64

struct db_rows {
	const char *values[CALLS_MAX], *formats[CALLS_MAX];
	size_t count, asked_for;
};

static struct {
	struct db_notification hints[LINES_MAX];
	size_t hints_len, heard;
	struct db_rows events;
	struct call *calls[CALLS_MAX];
	size_t calls_len;
} world;

/* The database. */

bool
db_connected(const struct db *db)
{
	(void)db;
	return true;
}

bool
db_consume(struct db *db)
{
	(void)db;
	return true;
}

const struct db_notification *
db_next_notification(struct db *db)
{
	(void)db;
	return world.heard == world.hints_len ? NULL
					      : &world.hints[world.heard++];
}

size_t
db_row_count(const struct db_rows *rows)
{
	return rows->count < rows->asked_for ? rows->count : rows->asked_for;
}

/* Columns of durable.client_events. */
const char *
db_value(const struct db_rows *rows, size_t row, int column)
{
	static char position[8];

	require(row < db_row_count(rows), "only existing rows are read");
	switch (column) {
	case 0:
		snprintf(position, sizeof(position), "%zu", row + 1);
		return position;
	case 1:
		return rows->values[row] == NULL ? "f" : "t";
	case 2:
		return rows->values[row];
	}
	require(column == 3, "only existing columns are read");
	return rows->formats[row];
}

static size_t
count_due(struct call *const calls[], size_t count)
{
	size_t due = 0, i;

	for (i = 0; i < count; i++)
		due += calls[i]->due;
	return due;
}

void
db_queue_rows(struct db *db, struct arena *arena, const char *sql,
    size_t nparams, const char *const params[], const struct db_rows **rows)
{
	(void)db, (void)arena, (void)params;
	require(nparams == 2 && strstr(sql, "client_events") != NULL,
	    "a courier without new calls queries only events");
	world.events.asked_for = count_due(world.calls, world.calls_len);
	*rows = &world.events;
}

enum db_outcome
db_finish(struct db *db)
{
	(void)db;
	return DB_DONE;
}

/* The input. */

/* The next field of a line, NULL for null. */
static const char *
field(char **line)
{
	const char *text = strsep(line, "|");

	return text == NULL || strcmp(text, "~") == 0 ? NULL : text;
}

static const char *
text_or_empty(const char *text)
{
	return text == NULL ? "" : text;
}

/* A waiting caller, which holds its call until the end. */
static void
read_call(struct courier *courier, char *line)
{
	struct arena *arena = arena_new();
	struct call *call = arena_alloc(arena, sizeof(*call));

	if (world.calls_len == CALLS_MAX) {
		arena_free(arena);
		return;
	}
	call->arena = arena;
	call->holders = 2;
	call->id = arena_strdup(arena, text_or_empty(field(&line)));
	call->event = arena_strdup(arena, text_or_empty(field(&line)));
	call->hint = arena_printf(arena, "%s::%s", call->id, call->event);
	sem_init(&call->ready, 0, 0);
	world.calls[world.calls_len++] = call;
	courier_add_waiting(courier, call, false);
}

static void
read_line(struct courier *courier, char *line)
{
	const char *kind = text_or_empty(field(&line));
	struct db_rows *events = &world.events;

	if (strcmp(kind, "=call") == 0) {
		read_call(courier, line);
	} else if (strcmp(kind, "=hint") == 0 && world.hints_len < LINES_MAX) {
		world.hints[world.hints_len++].payload = text_or_empty(line);
	} else if (strcmp(kind, "=event") == 0 && events->count < CALLS_MAX) {
		events->values[events->count] = field(&line);
		events->formats[events->count++] = field(&line);
	}
}

static bool
is_hinted(const struct call *call)
{
	size_t i;

	for (i = 0; i < world.hints_len; i++)
		if (strcmp(world.hints[i].payload, call->hint) == 0)
			return true;
	return false;
}

/* The answer of a call is JSON or nothing, and follows a hint. */
static void
expect_answer(struct arena *arena, const struct call *call)
{
	const char *text = call->answer.value;
	json_object *value;

	require(is_hinted(call), "a call without a hint is not answered");
	switch (call->answer.outcome) {
	case CLIENT_ANSWERED:
		require(value_decode(arena, text, VALUE_PORTABLE, &value),
		    "an event is JSON");
		break;
	case CLIENT_NOTHING:
	case CLIENT_REFUSED:
		require(text == NULL,
		    "an answer without an event has no value");
		break;
	default:
		require(false, "an answer is an event, nothing, or refused");
	}
}

/* Leaves all calls; those without an event are still waiting. */
static void
end_calls(struct courier *courier)
{
	size_t answered = 0, i;

	for (i = 0; i < world.calls_len; i++) {
		struct call *call = world.calls[i];

		answered += call->state == CALL_ANSWERED;
		if (call->state == CALL_ANSWERED)
			expect_answer(courier->arena, call);
		else
			courier_answer_waiting(courier, call, CLIENT_LATE,
			    NULL);
		call_leave(call);
	}
	require(answered == db_row_count(&world.events),
	    "every call that got an event is answered");
	require(courier->waiting_count == 0, "no call is left waiting");
}

static void
hear_and_fetch(struct courier *courier)
{
	size_t i;

	hear(courier);
	for (i = 0; i < world.calls_len; i++)
		require(world.calls[i]->due == is_hinted(world.calls[i]),
		    "the calls with a hint are due, and no others");
	if (!TAILQ_EMPTY(&courier->due))
		require(courier_batch_make(courier) == DB_DONE,
		    "the events are fetched");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct courier courier;
	struct client client = { .lock = PTHREAD_MUTEX_INITIALIZER };
	struct input input = input_of(data, size);
	int i;

	memset(&world, 0, sizeof(world));
	courier = (struct courier){ .client = &client, .arena = arena_new() };
	TAILQ_INIT(&courier.pending);
	TAILQ_INIT(&courier.queries);
	TAILQ_INIT(&courier.due);
	while (input_has_more(&input))
		read_line(&courier, input_line(courier.arena, &input));
	hear_and_fetch(&courier);
	end_calls(&courier);
	for (i = 0; i < COURIER_COLUMNS; i++)
		strbuf_free(&courier.columns[i]);
	arena_free(courier.arena);
	return 0;
}
