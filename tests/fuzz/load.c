/* SPDX-License-Identifier: MIT */
/*
 * The rows that a turn loads: each row of other programs becomes a part of its
 * run, and no deadline is over before its run begins.
 *
 * Input: workflows, their waits, steps and messages, one to a line, as
 *
 *	workflow|id|enqueued|name|input|format|version|timeout|deadline
 *	take|id|source|group|size|held
 *	step|id|number|name|output|error|format|child|started
 *	message|id|topic|text|format|message id
 *
 * where a field of one tilde is SQL's null; they become the rows of
 * durable.turn_take, turn_load and turn_inbox.  The harness keeps the server's
 * constraints: the lines of a workflow follow its own, numbers are numbers, and
 * a step has a number and a name.
 */
#include "fuzz.h"

#include <inttypes.h>

#include <durable/engine.h>
#include "base/strbuf.h"
#include "engine/run.h"
#include "engine/served.h"
#include "engine/turn_private.h"

#define FIELDS   9 /* of a line */
#define COLUMNS  16
#define STEPS    9 /* the first column of them in turn_load */
#define ROWS_MAX 64
#define FAR      1024  /* beyond, a step makes the journal long */
#define TOO_FAR  50000 /* run.c leaves it out */
#define NOW_MS   INT64_C(1700000000000)

struct db_rows {
	const char *values[ROWS_MAX][COLUMNS];
	size_t count;
};

/* What each call of a turn returns; a workflow has the same row in two. */
static struct db_rows begun, taken, loaded, messages;
static struct db_rows admitted = { .count = 1 };

/* The columns of each workflow's steps. */
static struct strbuf steps[ROWS_MAX][COLUMNS - STEPS];

static const struct workflow_type type = { .name = "order", .version = "1" };
static const struct workflow_type *const types[] = { &type, NULL };
static const char *const queues[] = { "main", NULL };
static const struct engine engine = { .application = "app",
	.types = types,
	.queues = queues,
	.turn_size = 2 };

size_t
db_row_count(const struct db_rows *rows)
{
	return rows->count;
}

const char *
db_value(const struct db_rows *rows, size_t row, int column)
{
	require(row < rows->count, "only existing rows are read");
	require(column >= 0 && column < COLUMNS,
	    "only existing columns are read");
	return rows->values[row][column];
}

void
db_queue(struct db *db, const char *sql, size_t nparams,
    const char *const params[])
{
	(void)db, (void)sql, (void)nparams, (void)params;
}

void
db_queue_rows(struct db *db, struct arena *arena, const char *sql,
    size_t nparams, const char *const params[], const struct db_rows **rows)
{
	(void)db, (void)arena, (void)nparams, (void)params;
	if (strstr(sql, "turn_begin") != NULL)
		*rows = &begun;
	else if (strstr(sql, "turn_take") != NULL)
		*rows = &taken;
	else if (strstr(sql, "turn_load") != NULL)
		*rows = &loaded;
	else if (strstr(sql, "turn_inbox") != NULL)
		*rows = &messages;
	else if (strstr(sql, "durable.admit") != NULL)
		*rows = &admitted;
	else
		require(false, "a turn loads by known functions");
}

void
db_sync(struct db *db)
{
	(void)db;
}

enum db_outcome
db_finish(struct db *db)
{
	(void)db;
	return DB_DONE;
}

const struct db_error *
db_last_error(const struct db *db)
{
	(void)db;
	abort();
}

/* Needed to link run.c. */

void
turn_wait_note_due(struct turn *turn, int64_t due_ms)
{
	(void)turn, (void)due_ms;
}

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

void *
turn_log_end(const struct turn *turn)
{
	(void)turn;
	return NULL;
}

void
turn_log(struct turn *turn, enum log_level level, const char *format, ...)
{
	(void)turn, (void)level, (void)format;
}

void
turn_unlog(struct turn *turn, void *end)
{
	(void)turn, (void)end;
}

bool
turn_is_over(const struct turn *turn)
{
	(void)turn;
	return false;
}

/* No run begins here. */
const char *
run_clean_up(struct workflow *wf, int number, const char *error)
{
	(void)wf, (void)number, (void)error;
	abort();
}

const char *
wf_number(struct workflow *wf, int64_t number)
{
	(void)wf, (void)number;
	abort();
}

void
turn_undo(struct turn *turn, struct workflow *wf, const struct db_error *error)
{
	(void)turn, (void)wf, (void)error;
	abort();
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

/* The row of a workflow, or the number of all rows. */
static size_t
find_workflow(const char *id)
{
	size_t i;

	for (i = 0; i < taken.count; i++)
		if (strcmp(taken.values[i][0], id) == 0)
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
add_workflow(struct arena *arena, const char *const *line)
{
	const char **row = loaded.values[loaded.count];

	if (taken.count == ROWS_MAX)
		return;
	taken.values[taken.count][0] = row[0] = line[1];
	taken.values[taken.count++][1] = "main";
	row[1] = line[2] != NULL && *line[2] == '1' ? "t" : "f";
	row[2] = not_null(line[3]);
	row[3] = line[6];
	row[4] = line[4];
	row[5] = line[5];
	row[6] = number(arena, line[7], INT64_MIN, INT64_MAX);
	row[7] = number(arena, line[8], INT64_MIN, INT64_MAX);
	loaded.count++;
}

static void
add_take(struct arena *arena, const char *const *line, size_t at)
{
	const char **row = taken.values[at];

	row[1] = not_null(line[2]);
	row[2] = number(arena, line[3], INT64_MIN, INT64_MAX);
	row[3] = number(arena, line[4], INT32_MIN, INT32_MAX);
	row[4] = number(arena, line[5], INT64_MIN, INT64_MAX);
}

static void
add_step(struct arena *arena, const char *const *line, size_t at)
{
	const char *const values[COLUMNS - STEPS] = { number(arena, line[2],
							  INT32_MIN, INT32_MAX),
		not_null(line[3]), line[4], line[5], line[6], line[7],
		number(arena, line[8], INT64_MIN, INT64_MAX) };
	size_t i;

	if (values[0] == NULL || is_long(values[0]))
		return;
	for (i = 0; i < COLUMNS - STEPS; i++)
		strbuf_add_element(&steps[at][i], values[i]);
}

static void
add_message(const char *const *line)
{
	const char **row;

	if (messages.count == ROWS_MAX)
		return;
	row = messages.values[messages.count];
	row[0] = line[1];
	row[1] = not_null(line[5]);
	row[2] = line[2];
	row[3] = not_null(line[3]);
	row[4] = line[4];
	messages.count++;
}

static void
read_line(struct arena *arena, char *text)
{
	const char *line[FIELDS] = { NULL };
	char *field;
	size_t at, i;

	for (i = 0; i < FIELDS && (field = strsep(&text, "|")) != NULL; i++)
		line[i] = strcmp(field, "~") == 0 ? NULL : field;
	if (line[0] == NULL || line[1] == NULL)
		return;
	at = find_workflow(line[1]);
	if (strcmp(line[0], "workflow") == 0) {
		if (at == taken.count)
			add_workflow(arena, line);
	} else if (at == taken.count) {
		return;
	} else if (strcmp(line[0], "take") == 0) {
		add_take(arena, line, at);
	} else if (strcmp(line[0], "step") == 0) {
		add_step(arena, line, at);
	} else if (strcmp(line[0], "message") == 0) {
		add_message(line);
	}
}

/* Leaves null for a workflow without steps, as the aggregates do. */
static void
end_steps(struct arena *arena)
{
	size_t i, j;

	for (i = 0; i < loaded.count; i++)
		for (j = 0; j < COLUMNS - STEPS && steps[i][j].len > 0; j++) {
			loaded.values[i][STEPS + j] = arena_strdup(arena,
			    strbuf_end_array(&steps[i][j]));
			strbuf_reset(&steps[i][j]);
		}
}

static void
read_rows(struct arena *arena, struct input input)
{
	memset(&taken, 0, sizeof(taken));
	memset(&loaded, 0, sizeof(loaded));
	memset(&messages, 0, sizeof(messages));
	begun.values[0][0] = arena_printf(arena, "%" PRId64, NOW_MS);
	begun.values[0][1] = "f";
	begun.count = 1;
	while (input_has_more(&input))
		read_line(arena, input_line(arena, &input));
	end_steps(arena);
}

/* A run has the values of its rows, and no others. */
static void
expect_run(const struct workflow *wf, size_t at)
{
	const char *const *take = taken.values[at],
			  *const *load = loaded.values[at];
	int i;

	require(strcmp(wf->id, take[0]) == 0,
	    "runs are in the order of the rows");
	require(wf->timer_group == take[2], "a run has its timer group");
	require(wf->held_ms ==
		(take[4] == NULL ? 0 : strtoll(take[4], NULL, 10)),
	    "a run has the time since its step is held");
	require(wf->begun == (*load[1] == 't'),
	    "a run knows whether it begins");
	require(wf->input == load[4] && wf->serialization == load[5],
	    "a run has its row's input");
	require(wf->type == NULL ||
		(strcmp(load[2], "order") == 0 &&
		    (load[3] == NULL || strcmp(load[3], "1") == 0)),
	    "a run has the type of its name and version");
	require(load[6] == NULL || *load[6] == '-' || load[7] != NULL ||
		wf->deadline_ms == 0 || wf->deadline_ms > NOW_MS,
	    "a deadline is after the turn's time");
	for (i = 0; i < wf->journal_len; i++)
		require(!wf->journal[i].known || wf->journal[i].name != NULL,
		    "an entry of the journal has a name");
	for (i = 0; i < wf->messages_len; i++)
		require(!wf->messages[i].consumed, "no message is consumed");
}

static void
load(struct turn *turn)
{
	static const struct turn_plan everything = { .only = NULL };
	size_t i, received = 0;

	require(turn_load(turn, &everything), "a turn begins");
	require(turn->count == taken.count, "each workflow has a run");
	require(!turn->full || turn->count >= (size_t)engine.turn_size,
	    "a turn is full with as many workflows as it may take");
	for (i = 0; i < turn->count; i++) {
		expect_run(turn->runs[i], i);
		received += (size_t)turn->runs[i]->messages_len;
	}
	require(received == messages.count, "each message has its run");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new();
	char state[] = "known";
	struct turn turn = { .engine = &engine,
		.has_limits = true,
		.max_workflows = engine.turn_size,
		.session_state = state,
		.served = served_new(&engine),
		.arena = arena };

	read_rows(arena, input_of(data, size));
	load(&turn);
	free(turn.runs);
	served_free(turn.served);
	arena_free(arena);
	return 0;
}
