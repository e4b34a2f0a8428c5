/* SPDX-License-Identifier: MIT */
/*
 * The turn: one transaction in which many workflows go on.
 */
#include "turn.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "engine.h"
#include "monotonic.h"
#include "outbox.h"
#include "seam.h"
#include "strbuf.h"
#include "value.h"

/* Columns of durable.turn_begin. */
enum column {
	COLUMN_KIND,
	COLUMN_ID,
	COLUMN_NUMBER,
	COLUMN_NAME,
	COLUMN_VALUE,
	COLUMN_ERROR,
	COLUMN_SERIALIZATION,
	COLUMN_OTHER,
	COLUMN_AT_MS,
	COLUMN_UNTIL_MS
};

/* How many runs, children among them, one turn may grow to. */
#define GROWTH         4

/* For how long a statement that was blocked is not tried: doubling. */
#define BLOCKED_MIN_MS 1000
#define BLOCKED_MAX_MS 16000

/* A line for the log, kept until the commit. */
struct line {
	struct line *next;
	enum log_level level;
	const char *text;
};

struct turn {
	const struct engine *engine;
	struct db *db;
	struct arena *arena;     /* of the turn */
	struct arena *run_arena; /* of one run after the other */
	struct outbox *outbox;
	struct strbuf types, queues; /* array literals for turn_begin */

	struct workflow **runs;
	size_t count, size;
	size_t unsettled; /* first run with a statement on its way */
	size_t running;
	bool alone;
	struct db_error error; /* why the turn is broken */

	int64_t begun_ms;      /* the database's clock at the begin */
	int64_t begun_mono_ms; /* ours, at the same time */
	int64_t due_ms;        /* when something is due, 0: unknown */
	size_t taken;          /* workflows that turn_begin gave */
	bool suspects;
	struct line *lines, **last_line;

	/* The step that met a circumstance last; see turn_hold_off. */
	const char *blocked_step;
	int64_t blocked_until_ms; /* on our clock */
	int64_t blocked_for_ms;
	const char **culprits;
	size_t culprits_count;
};

/*
 * What the worker can run: name@version for each type, and name@ for rows
 * that do not ask for a version.
 */
static void
list_types(struct strbuf *types, const struct workflow_type *const *type,
    struct arena *arena)
{
	for (; *type != NULL; type++) {
		strbuf_add_element(types,
		    arena_printf(arena, "%s@%s", (*type)->name,
			(*type)->version));
		strbuf_add_element(types,
		    arena_printf(arena, "%s@", (*type)->name));
	}
	strbuf_end_array(types);
}

struct turn *
turn_new(const struct engine *engine, struct db *db)
{
	struct turn *turn = calloc(1, sizeof(*turn));
	const char *const *queue;

	if (turn == NULL)
		abort();
	turn->engine = engine;
	turn->db = db;
	turn->arena = arena_new();
	turn->run_arena = arena_new();
	turn->outbox = outbox_new(engine->application, engine->executor);
	list_types(&turn->types, engine->types, turn->arena);
	for (queue = engine->queues; *queue != NULL; queue++)
		strbuf_add_element(&turn->queues, *queue);
	strbuf_end_array(&turn->queues);
	return turn;
}

void
turn_free(struct turn *turn)
{
	if (turn == NULL)
		return;
	arena_free(turn->arena);
	arena_free(turn->run_arena);
	outbox_free(turn->outbox);
	strbuf_free(&turn->types);
	strbuf_free(&turn->queues);
	free(turn->runs);
	free(turn);
}

static struct workflow *
add_run(struct turn *turn)
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
number_at(const struct db_rows *rows, size_t row, enum column column)
{
	const char *text = db_value(rows, row, column);

	return text == NULL ? 0 : strtoll(text, NULL, 10);
}

static void
load_workflow(struct turn *turn, const struct db_rows *rows, size_t row)
{
	const char *version = db_value(rows, row, COLUMN_OTHER);
	const char *name = db_value(rows, row, COLUMN_NAME);
	int64_t timeout_ms = number_at(rows, row, COLUMN_AT_MS);
	struct workflow *wf = add_run(turn);

	wf->type = engine_type(turn->engine, name, version);
	wf->id = db_value(rows, row, COLUMN_ID);
	wf->input = db_value(rows, row, COLUMN_VALUE);
	wf->serialization = db_value(rows, row, COLUMN_SERIALIZATION);
	wf->begun = number_at(rows, row, COLUMN_NUMBER) == 1;
	wf->deadline_ms = number_at(rows, row, COLUMN_UNTIL_MS);
	if (wf->deadline_ms == 0 && timeout_ms != 0)
		wf->deadline_ms = turn->begun_ms + timeout_ms;
}

static void
load_step(struct workflow *wf, const struct db_rows *rows, size_t row)
{
	const struct entry entry = { .name = db_value(rows, row, COLUMN_NAME),
		.output = db_value(rows, row, COLUMN_VALUE),
		.error = db_value(rows, row, COLUMN_ERROR),
		.serialization = db_value(rows, row, COLUMN_SERIALIZATION),
		.child = db_value(rows, row, COLUMN_OTHER),
		.started_ms = number_at(rows, row, COLUMN_AT_MS),
		.completed_ms = number_at(rows, row, COLUMN_UNTIL_MS) };

	run_add_entry(wf, (int)number_at(rows, row, COLUMN_NUMBER), &entry);
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

/*
 * Makes the turn's runs from the rows of turn_begin.  The last row is about
 * the turn; steps and messages come in the order of their workflows.
 */
static void
load(struct turn *turn, const struct db_rows *rows)
{
	size_t last = db_row_count(rows) - 1, row, at = 0;

	turn->begun_ms = number_at(rows, last, COLUMN_AT_MS);
	turn->begun_mono_ms = monotonic_ms();
	turn->due_ms = number_at(rows, last, COLUMN_UNTIL_MS);
	turn->suspects = number_at(rows, last, COLUMN_NUMBER) == 1;
	for (row = 0; row < last; row++) {
		const char *kind = db_value(rows, row, COLUMN_KIND);
		const char *id = db_value(rows, row, COLUMN_ID);

		if (strcmp(kind, "workflow") == 0)
			load_workflow(turn, rows, row);
		else if (strcmp(kind, "step") == 0)
			load_step(find_run(turn, id, &at), rows, row);
		else
			load_message(find_run(turn, id, &at), rows, row);
	}
	turn->taken = turn->count;
}

/* Begins the transaction and takes workflows. */
static bool
begin(struct turn *turn, const struct turn_plan *plan)
{
	char size[16];
	const char *const params[] = { turn->types.text, turn->queues.text,
		turn->engine->application, size, plan->only };
	const struct db_rows *rows;

	snprintf(size, sizeof(size), "%d", turn->engine->turn_size);
	db_queue(turn->db, "begin", 0, NULL);
	rows = db_query(turn->db, turn->arena,
	    "select kind, workflow_uuid, number, name, value, error, "
	    "serialization, other, at_ms, until_ms "
	    "from durable.turn_begin($1, $2, $3, $4, $5)",
	    5, params);
	if (rows == NULL) {
		turn->error = *db_last_error(turn->db);
		return false;
	}
	load(turn, rows);
	return true;
}

static const char *
wait_name(enum wait_kind kind)
{
	switch (kind) {
	case WAIT_START:
		return "start";
	case WAIT_MESSAGE:
		return "message";
	case WAIT_EVENT:
		return "event";
	case WAIT_RESULT:
		return "result";
	case WAIT_TIMER:
		break;
	}
	return "timer";
}

static void
add_wait(struct turn *turn, const char *id, const struct workflow_type *type,
    const struct wait *wait)
{
	const char *const values[] = { id,
		arena_printf(turn->arena, "%" PRId64, wait->wake_ms),
		arena_printf(turn->arena, "%s@%s", type->name, type->version),
		wait_name(wait->kind), wait->target, wait->key };

	outbox_add(turn->outbox, OUTBOX_WAITS, values);
	if (turn->due_ms == 0 || wait->wake_ms < turn->due_ms)
		turn->due_ms = wait->wake_ms;
}

static void
add_status(struct turn *turn, const struct workflow *wf, const char *status)
{
	const char *const values[] = { wf->id, status, wf->begun ? "1" : "0",
		wf->type->version,
		wf->deadline_ms == 0
		    ? NULL
		    : arena_printf(turn->arena, "%" PRId64, wf->deadline_ms),
		wf->output, wf->failure };

	outbox_add(turn->outbox, OUTBOX_STATUSES, values);
}

static void
end_workflow(struct turn *turn, const struct workflow *wf, const char *status)
{
	const char *const values[] = { wf->id };

	outbox_add(turn->outbox, OUTBOX_OVER, values);
	add_status(turn, wf, status);
}

/* Notes what a run has come to, for the end of the turn. */
static void
settle(struct turn *turn, const struct workflow *wf)
{
	switch (wf->end) {
	case RUN_RETURNED:
		end_workflow(turn, wf, "SUCCESS");
		break;
	case RUN_FAILED:
		turn_log(turn, LOG_LEVEL_WARNING,
		    "wf=%s workflow '%s' failed: %s", wf->id, wf->type->name,
		    wf->failure);
		end_workflow(turn, wf, "ERROR");
		break;
	case RUN_CANCELLED:
		turn_log(turn, LOG_LEVEL_INFO,
		    "wf=%s workflow '%s' is past its deadline", wf->id,
		    wf->type->name);
		end_workflow(turn, wf, "CANCELLED");
		break;
	case RUN_SUSPENDED:
		add_wait(turn, wf->id, wf->type, &wf->wait);
		if (wf->begun)
			add_status(turn, wf, "PENDING");
		break;
	case RUN_AGAIN:
	case RUN_BROKEN:
		break;
	}
}

/* Runs the workflows, and the children that they add. */
static bool
run_all(struct turn *turn, const struct turn_plan *plan)
{
	for (turn->running = 0; turn->running < turn->count; turn->running++) {
		struct workflow *wf = turn->runs[turn->running];

		if (plan->condemned != NULL)
			run_condemn(wf, "DBOSTransactionError",
			    plan->condemned);
		else
			run_execute(wf);
		if (wf->end == RUN_BROKEN)
			return false;
		settle(turn, wf);
	}
	return true;
}

void
turn_log(struct turn *turn, enum log_level level, const char *format, ...)
{
	struct line *line = arena_alloc(turn->arena, sizeof(*line));
	va_list args;

	va_start(args, format);
	line->text = arena_vprintf(turn->arena, format, args);
	va_end(args);
	line->level = level;
	*turn->last_line = line;
	turn->last_line = &line->next;
}

static void
write_log(const struct turn *turn)
{
	const struct line *line;

	for (line = turn->lines; line != NULL; line = line->next)
		log_text(line->level, line->text);
}

/* Where a test build may die; a turn without runs is no place. */
static void
pass(const struct turn *turn, const char *point)
{
	if (turn->count > 0)
		seam(point);
}

/* Writes everything and commits, in one round trip with the hints. */
static bool
commit(struct turn *turn)
{
	outbox_queue(turn->outbox, turn->db);
	pass(turn, "before-commit");
	db_queue(turn->db, "commit", 0, NULL);
	db_sync(turn->db);
	outbox_queue_hints(turn->outbox, turn->db);
	pass(turn, "during-commit");
	if (db_finish(turn->db) == DB_DONE) {
		pass(turn, "after-commit");
		write_log(turn);
		return true;
	}
	turn->error = *db_last_error(turn->db);
	/* Whose rows were refused is not known: it may be anybody's. */
	turn->unsettled = 0;
	turn->running = turn->count - 1;
	return false;
}

/*
 * Notes the statement that met a circumstance (a row that somebody keeps
 * locked, say), so that for a while the workflows that come to its step wait
 * there, and the others of their turns go on.
 */
static void
note_blocked(struct turn *turn)
{
	const char *step = turn->error.sql;

	if (turn->error.outcome != DB_RETRY || step == NULL)
		return;
	/* In the middle of a C step nobody can wait: it is met at its begin. */
	if (turn->running < turn->count &&
	    turn->runs[turn->running]->step != NULL)
		step = turn->runs[turn->running]->step;
	turn->blocked_for_ms = step != turn->blocked_step
	    ? BLOCKED_MIN_MS
	    : turn->blocked_for_ms * 2;
	if (turn->blocked_for_ms > BLOCKED_MAX_MS)
		turn->blocked_for_ms = BLOCKED_MAX_MS;
	turn->blocked_step = step;
	turn->blocked_until_ms = monotonic_ms() + turn->blocked_for_ms;
}

void
turn_hold_off(const struct turn *turn, struct workflow *wf, const char *step)
{
	if (step != turn->blocked_step ||
	    monotonic_ms() >= turn->blocked_until_ms)
		return;
	run_suspend(wf,
	    &(struct wait){ .kind = WAIT_TIMER,
		.wake_ms = turn_now_ms(turn) + turn->blocked_for_ms });
}

/* The taken workflow that a run is the fault of: a child's is its creator. */
static const char *
culprit(const struct workflow *wf)
{
	while (wf->creator != NULL)
		wf = wf->creator;
	return wf->id;
}

/* Rolls back and says what follows from why. */
static enum turn_outcome
abandon(struct turn *turn)
{
	size_t i;

	turn->culprits_count = 0;
	note_blocked(turn);
	if (turn->error.outcome != DB_LOST) {
		db_queue(turn->db, "rollback", 0, NULL);
		if (db_finish(turn->db) != DB_DONE)
			turn->error = *db_last_error(turn->db);
	}
	if (turn->error.outcome == DB_LOST) {
		db_disconnect(turn->db);
		return TURN_LOST;
	}
	if (turn->error.outcome == DB_RETRY || turn->count == 0)
		return TURN_RETRY;
	turn->culprits = arena_alloc(turn->arena,
	    turn->count * sizeof(*turn->culprits));
	for (i = turn->unsettled; i <= turn->running; i++)
		turn->culprits[turn->culprits_count++] = culprit(turn->runs[i]);
	return TURN_REFUSED;
}

static void
reset(struct turn *turn)
{
	arena_reset(turn->arena);
	outbox_reset(turn->outbox);
	turn->count = turn->taken = turn->running = turn->unsettled = 0;
	turn->culprits = NULL;
	turn->lines = NULL;
	turn->last_line = &turn->lines;
	turn->error = (struct db_error){ .outcome = DB_DONE };
}

enum turn_outcome
turn_run(struct turn *turn, const struct turn_plan *plan)
{
	bool done;

	reset(turn);
	turn->alone = plan->alone;
	/* What no statement time-out ends, a function in a loop, this does. */
	alarm((unsigned)turn->engine->turn_limit_s);
	done = begin(turn, plan) && run_all(turn, plan) && commit(turn);
	alarm(0);
	return done ? TURN_COMMITTED : abandon(turn);
}

const char *const *
turn_culprits(const struct turn *turn, size_t *count)
{
	*count = turn->culprits_count;
	return turn->culprits;
}

const struct db_error *
turn_error(const struct turn *turn)
{
	return &turn->error;
}

const char *
turn_types(const struct turn *turn)
{
	return turn->types.text;
}

const char *
turn_queues(const struct turn *turn)
{
	return turn->queues.text;
}

bool
turn_saw_suspects(const struct turn *turn)
{
	return turn->suspects;
}

int
turn_due_in_ms(const struct turn *turn, int limit_ms)
{
	int64_t left_ms;

	if (turn->taken >= (size_t)turn->engine->turn_size)
		return 0;
	if (turn->due_ms == 0)
		return limit_ms;
	left_ms = turn->due_ms - turn_now_ms(turn);
	if (left_ms < 0)
		return 0;
	return left_ms < limit_ms ? (int)left_ms : limit_ms;
}

int64_t
turn_now_ms(const struct turn *turn)
{
	return turn->begun_ms + monotonic_ms() - turn->begun_mono_ms;
}

struct arena *
turn_arena(struct turn *turn)
{
	return turn->arena;
}

bool
turn_is_alone(const struct turn *turn)
{
	return turn->alone;
}

/* Breaks the turn: the run ends here. */
static void __attribute__((noreturn))
break_turn(struct turn *turn, struct workflow *wf, const struct db_error *error)
{
	turn->error = *error;
	run_leave(wf, RUN_BROKEN);
}

void
turn_queue(struct turn *turn, const char *sql, size_t nparams,
    const char *const params[])
{
	db_queue(turn->db, sql, nparams, params);
}

const struct db_rows *
turn_query(struct turn *turn, struct workflow *wf, const char *sql,
    size_t nparams, const char *const params[], const struct db_error **refused)
{
	const struct db_rows *rows = db_query(turn->db, turn->run_arena, sql,
	    nparams, params);
	*refused = NULL;
	if (rows != NULL) {
		turn->unsettled = turn->running;
		return rows;
	}
	turn->error = *db_last_error(turn->db);
	if (!turn->alone || turn->error.outcome != DB_REFUSED)
		break_turn(turn, wf, &turn->error);
	turn_undo(turn, wf, &turn->error);
	*refused = &turn->error;
	return NULL;
}

void
turn_savepoint(struct turn *turn)
{
	if (turn->alone)
		db_queue(turn->db, "savepoint step", 0, NULL);
}

void
turn_release(struct turn *turn)
{
	if (turn->alone)
		db_queue(turn->db, "release savepoint step", 0, NULL);
}

void
turn_undo(struct turn *turn, struct workflow *wf, const struct db_error *error)
{
	if (!turn->alone)
		break_turn(turn, wf, error);
	turn->error = *error;
	db_queue(turn->db, "rollback to savepoint step", 0, NULL);
	db_queue(turn->db, "release savepoint step", 0, NULL);
	if (db_finish(turn->db) != DB_DONE)
		break_turn(turn, wf, db_last_error(turn->db));
}

void
turn_add_step(struct turn *turn, const struct workflow *wf, int number,
    const struct entry *entry)
{
	struct arena *arena = turn->arena;
	const char *const values[] = { wf->id,
		arena_printf(arena, "%d", number), entry->name, entry->output,
		entry->error, entry->child, entry->serialization,
		arena_printf(arena, "%" PRId64, entry->started_ms),
		arena_printf(arena, "%" PRId64, entry->completed_ms) };

	outbox_add(turn->outbox, OUTBOX_JOURNAL, values);
}

void
turn_add_event(struct turn *turn, const struct workflow *wf, int number,
    const char *key, const char *value)
{
	const char *const values[] = { wf->id,
		arena_printf(turn->arena, "%d", number), key, value,
		VALUE_PORTABLE };
	const char *const hint[] = { arena_printf(turn->arena, "%s::%s", wf->id,
	    key) };

	outbox_add(turn->outbox, OUTBOX_EVENTS, values);
	outbox_add(turn->outbox, OUTBOX_HINTS, hint);
}

void
turn_add_message(struct turn *turn, const char *id, const char *topic,
    const char *text)
{
	const char *const values[] = { id, topic, text };

	outbox_add(turn->outbox, OUTBOX_MESSAGES, values);
}

void
turn_add_consumed(struct turn *turn, const struct message *message, int number)
{
	const char *const values[] = { message->id,
		arena_printf(turn->arena, "%d", number) };

	outbox_add(turn->outbox, OUTBOX_CONSUMED, values);
}

/*
 * Lets a new child run in this turn; a turn of one, or one that has grown
 * enough, leaves it to the next.
 */
static void
add_child(struct turn *turn, struct workflow *parent, const struct child *child)
{
	const struct wait start = { .kind = WAIT_START,
		.wake_ms = turn_now_ms(turn) };
	struct workflow *wf;

	if (turn->alone ||
	    turn->count >= GROWTH * (size_t)turn->engine->turn_size) {
		add_wait(turn, child->id, child->type, &start);
		return;
	}
	wf = add_run(turn);
	wf->creator = parent;
	wf->type = child->type;
	wf->id = arena_strdup(turn->arena, child->id);
	wf->input = arena_strdup(turn->arena, child->input);
	wf->serialization = VALUE_PORTABLE;
	wf->deadline_ms = parent->deadline_ms;
}

const char *
turn_start_child(struct turn *turn, struct workflow *wf,
    const struct child *child, const struct db_error **refused)
{
	const char *const params[] = { child->id, child->type->name,
		child->type->version, turn->engine->application,
		turn->engine->executor, child->input, wf->id,
		wf->deadline_ms == 0
		    ? NULL
		    : arena_printf(turn->arena, "%" PRId64, wf->deadline_ms) };
	const struct db_rows *rows;
	const char *known;

	rows = turn_query(turn, wf,
	    "select durable.turn_start($1, $2, $3, $4, $5, $6, $7, $8)", 8,
	    params, refused);
	if (rows == NULL)
		return NULL;
	known = db_value(rows, 0, 0);
	if (strcmp(known, "created") == 0)
		add_child(turn, wf, child);
	return known;
}
