/* SPDX-License-Identifier: MIT */
/*
 * The rows that a turn takes: each row of other programs becomes a part of its
 * run, and no deadline is over before its run begins.
 *
 * Input: workflows, their steps and messages, one to a line, as
 *
 *	kind|id|number|name|value|error|format|other|at|until
 *
 * where a field of one tilde is SQL's null; they become the rows of
 * durable.turn_begin.  The harness keeps the server's constraints: workflows
 * come first, the other rows belong to one, numbers are numbers, and a step has
 * a number and a name.
 */
#include "fuzz.h"

#include <inttypes.h>

#include <durable/engine.h>
#include "base/strbuf.h"
#include "engine/journal_cache.h"
#include "engine/run.h"
#include "engine/turn_state.h"

#define FIELDS   10 /* of a line */
#define COLUMNS  19
#define STEPS    12 /* the first column of them */
#define ROWS_MAX 64
#define FAR      1024 /* beyond, a step makes the journal long */
#define TOO_FAR  (1 << 20)
#define NOW_MS   INT64_C(1700000000000)

struct db_rows {
	const char *values[ROWS_MAX + 1][COLUMNS];
	size_t count;
};

static struct db_rows rows;

/* The columns of each workflow's steps. */
static struct strbuf steps[ROWS_MAX][COLUMNS - STEPS];

size_t
db_row_count(const struct db_rows *taken)
{
	return taken->count;
}

const char *
db_value(const struct db_rows *taken, size_t row, int column)
{
	require(row < taken->count, "only existing rows are read");
	require(column >= 0 && column < COLUMNS,
	    "only existing columns are read");
	return taken->values[row][column];
}

void
db_queue(struct db *db, const char *sql, size_t nparams,
    const char *const params[])
{
	(void)db, (void)sql, (void)nparams, (void)params;
}

const struct db_rows *
db_query(struct db *db, struct arena *arena, const char *sql, size_t nparams,
    const char *const params[])
{
	(void)db, (void)arena, (void)sql, (void)nparams, (void)params;
	return &rows;
}

const struct db_error *
db_last_error(const struct db *db)
{
	(void)db;
	abort();
}

const struct workflow_type *
engine_type(const struct engine *engine, const char *name, const char *version)
{
	static const struct workflow_type type = { .name = "order" };

	(void)engine;
	return strcmp(name, type.name) == 0 && version == NULL ? &type : NULL;
}

/* Needed to link run.c. */

struct arena *
turn_arena(struct turn *turn)
{
	return turn->arena;
}

int64_t
turn_now_ms(const struct turn *turn)
{
	return turn->begun_ms;
}

void
turn_add_step(struct turn *turn, const struct workflow *wf, int number,
    const struct entry *entry)
{
	(void)turn, (void)wf, (void)number, (void)entry;
}

/* Rows as the server may send them. */

static const char *
number(struct arena *arena, const char *text, int64_t min, int64_t max)
{
	int64_t value = text == NULL ? 0 : strtoll(text, NULL, 10);

	return text == NULL || value < min || value > max
	    ? NULL
	    : arena_printf(arena, "%" PRId64, value);
}

static bool
is_kind(const char *const *row, const char *kind)
{
	return row[0] != NULL && strcmp(row[0], kind) == 0;
}

/* The row of a workflow, or the number of all rows. */
static size_t
find_workflow(const char *id)
{
	size_t i;

	for (i = 0; i < rows.count; i++)
		if (is_kind(rows.values[i], "workflow") &&
		    strcmp(rows.values[i][1], id) == 0)
			break;
	return i;
}

/* Whether a step of this number would make a journal slow, and nothing else. */
static bool
is_long(const char *text)
{
	long step = strtol(text, NULL, 10);

	return step > FAR && step < TOO_FAR;
}

static const char *
not_null(const char *text)
{
	return text == NULL ? "" : text;
}

static void
add_step(struct arena *arena, const char *const *line)
{
	const char *const values[COLUMNS - STEPS] = { number(arena, line[2],
							  INT32_MIN, INT32_MAX),
		not_null(line[3]), line[4], line[5], line[6], line[7],
		number(arena, line[8], INT64_MIN, INT64_MAX) };
	size_t at = find_workflow(line[1]), i;

	if (at == rows.count || values[0] == NULL || is_long(values[0]))
		return;
	for (i = 0; i < COLUMNS - STEPS; i++)
		strbuf_add_element(&steps[at][i], values[i]);
}

/* Adds a row that the constraints allow. */
static void
add_row(struct arena *arena, const char *const *line)
{
	bool first = is_kind(line, "workflow");
	const char **values = rows.values[rows.count];

	if (rows.count == ROWS_MAX ||
	    first != (find_workflow(line[1]) == rows.count))
		return;
	memset(values, 0, COLUMNS * sizeof(*values));
	memcpy(values, line, 5 * sizeof(*line));
	values[2] = number(arena, line[2], INT32_MIN, INT32_MAX);
	if (first) {
		values[3] = not_null(line[3]);
		values[9] = "(0,1)";
	}
	values[5] = line[6];
	values[6] = line[7];
	values[7] = number(arena, line[8], INT64_MIN, INT64_MAX);
	values[8] = number(arena, line[9], INT64_MIN, INT64_MAX);
	rows.count++;
}

static void
read_line(struct arena *arena, char *text, const char *kind)
{
	const char *line[FIELDS] = { NULL };
	char *field;
	size_t i;

	for (i = 0; i < FIELDS && (field = strsep(&text, "|")) != NULL; i++)
		line[i] = strcmp(field, "~") == 0 ? NULL : field;
	if (!is_kind(line, kind) || line[1] == NULL)
		return;
	if (strcmp(kind, "step") == 0)
		add_step(arena, line);
	else
		add_row(arena, line);
}

static void
read_lines(struct arena *arena, struct input input, const char *kind)
{
	while (input_has_more(&input))
		read_line(arena, input_line(arena, &input), kind);
}

/* Leaves null for a workflow without steps, as the aggregates do. */
static void
end_steps(struct arena *arena)
{
	size_t i, j;

	for (i = 0; i < rows.count; i++)
		for (j = 0; j < COLUMNS - STEPS && steps[i][j].len > 0; j++) {
			rows.values[i][STEPS + j] = arena_strdup(arena,
			    strbuf_end_array(&steps[i][j]));
			strbuf_reset(&steps[i][j]);
		}
}

static void
end_rows(struct arena *arena)
{
	const char **last = rows.values[rows.count++];

	memset(last, 0, COLUMNS * sizeof(*last));
	last[0] = "turn";
	last[7] = arena_printf(arena, "%" PRId64, NOW_MS);
}

/* A run has the values of its rows, and no others. */
static void
expect_run(const struct workflow *wf, const char *const *row)
{
	int i;

	require(strcmp(wf->id, row[1]) == 0,
	    "runs are in the order of the rows");
	require(wf->input == row[4], "a run has its row's input");
	require(wf->tid == row[9], "a run has the ctid of its wait");
	require(row[7] == NULL || *row[7] == '-' || row[8] != NULL ||
		wf->deadline_ms == 0 || wf->deadline_ms > NOW_MS,
	    "a deadline is after the turn's time");
	for (i = 0; i < wf->journal_len; i++)
		require(!wf->journal[i].known || wf->journal[i].name != NULL,
		    "an entry of the journal has a name");
	for (i = 0; i < wf->messages_len; i++)
		require(!wf->messages[i].consumed, "no message is consumed");
}

static void
take(struct turn *turn)
{
	static const struct turn_plan everything = { 0 };
	size_t i;

	require(turn_load_begin(turn, &everything), "a turn begins");
	for (i = 0; i < turn->count; i++)
		expect_run(turn->runs[i], rows.values[i]);
	require(i == rows.count - 1 || !is_kind(rows.values[i], "workflow"),
	    "each workflow has a run");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct engine engine = { .turn_size = 64 };
	struct arena *arena = arena_new();
	struct turn turn = { .engine = &engine,
		.arena = arena,
		.journal_cache = journal_cache_new() };

	rows.count = 0;
	read_lines(arena, input_of(data, size), "workflow");
	read_lines(arena, input_of(data, size), "step");
	end_steps(arena);
	read_lines(arena, input_of(data, size), "message");
	end_rows(arena);
	take(&turn);
	free(turn.runs);
	journal_cache_free(turn.journal_cache);
	strbuf_free(&turn.due_types);
	strbuf_free(&turn.due_queues);
	arena_free(arena);
	return 0;
}
