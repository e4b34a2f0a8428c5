/* SPDX-License-Identifier: MIT */
/*
 * What the runs of a turn ask of it.
 */
#include "engine/turn_api.h"

#include <stdarg.h>
#include <string.h>

#include <durable/engine.h>

#include "base/arena.h"
#include "base/clock.h"
#include "db/value.h"
#include "engine/served.h"
#include "engine/turn_private.h"
#include "engine/write_set.h"

/* After so many steps a turn is over, because it has to write them, too. */
#define STEPS_MANY     20000

/* How many runs, children among them, one turn may grow to. */
#define GROWTH         4

/* See max_bytes. */
#define TRIP_MAX_BYTES (32 << 20)

int64_t
turn_now_ms(const struct turn *turn)
{
	return turn->begun_ms + clock_monotonic_ms() - turn->begun_own_ms;
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

/* See turn_hold_off; for patience_ms at most when the schema is at fault. */
static const struct db_error *
hold_off(struct turn *turn, struct workflow *wf, const char *step,
    int64_t patience_ms)
{
	const struct held_step *held = hold_off_find(&turn->hold_off, step);
	int64_t now_ms = turn_now_ms(turn), since_ms = wf->held_ms;

	if (held == NULL)
		return NULL;
	if (since_ms == 0)
		since_ms = now_ms;
	if (held->error.outcome == DB_SCHEMA &&
	    now_ms - since_ms >= patience_ms)
		return &held->error;
	/* The next run comes here again, and logs it then. */
	turn_unlog(turn, wf->log_end);
	run_suspend(wf,
	    &(struct wait){ .kind = WAIT_HELD,
		.wake_ms = now_ms + held->until_ms - clock_monotonic_ms(),
		.held_ms = since_ms });
}

const struct db_error *
turn_hold_off(struct turn *turn, struct workflow *wf, const char *step)
{
	return hold_off(turn, wf, step,
	    (int64_t)turn->schema_patience_s * 1000);
}

const struct db_error *
turn_step_error(const struct turn *turn, int number, const char *sql)
{
	const struct db_error *error = turn->step_error;

	return error != NULL && number == turn->step &&
		strcmp(error->sql, sql) == 0
	    ? error
	    : NULL;
}

bool
turn_is_large(const struct turn *turn)
{
	return write_set_bytes(turn->write_set) + turn->asked_bytes >=
	    TURN_MAX_BYTES;
}

bool
turn_is_over(const struct turn *turn)
{
	return turn->steps >= STEPS_MANY || turn_is_large(turn) ||
	    clock_monotonic_ms() >= turn->until_ms;
}

static void
add_statement(struct turn *turn, struct workflow *wf,
    const struct batch_statement *statement, bool asks)
{
	size_t i;

	for (i = 0; i < statement->nparams; i++)
		if (statement->params[i] != NULL)
			turn->asked_bytes += strlen(statement->params[i]);
	wf->has_statements = turn->has_statements = true;
	batch_add(turn->batch, turn->batch_arena, wf, statement, asks);
}

void
turn_tell(struct turn *turn, struct workflow *wf,
    const struct batch_statement *statement)
{
	add_statement(turn, wf, statement, false);
	if (batch_is_long(turn->batch))
		run_pause(wf);
}

const struct answer *
turn_ask(struct turn *turn, struct workflow *wf,
    const struct batch_statement *statement)
{
	add_statement(turn, wf, statement, true);
	run_pause(wf);
	return &wf->answer;
}

/* Undoes what was done since the savepoint. */
static bool
undo(struct turn *turn)
{
	db_queue(turn->db, "rollback to savepoint step", 0, NULL);
	db_queue(turn->db, "release savepoint step", 0, NULL);
	return db_finish(turn->db) == DB_DONE;
}

/* Whether the turn's transaction is still open, by the server's word. */
static bool
is_open(struct turn *turn)
{
	if (db_in_transaction(turn->db))
		return true;
	turn->error = (struct db_error){ .outcome = DB_REFUSED,
		.own = DB_REFUSED,
		.message = "a statement ended the transaction of its turn" };
	return false;
}

/*
 * In a turn of one.  Its author's code goes on behind this, perhaps for long,
 * so nothing stays queued: db_beat keeps the session between round trips only.
 */
static bool
mark_step(struct turn *turn, const char *sql)
{
	if (!turn->alone)
		return true;
	db_queue(turn->db, sql, 0, NULL);
	if (db_finish(turn->db) == DB_DONE)
		return true;
	turn->error = *db_last_error(turn->db);
	return false;
}

/*
 * Whether the error may be that of the step alone: not when it has no
 * statement, because then the transaction is over.
 */
static bool
can_undo(const struct turn *turn)
{
	return turn->alone && turn->error.outcome == DB_REFUSED &&
	    turn->error.sql != NULL;
}

/*
 * How many bytes the parameters and answers of a round trip may have.  What has
 * more is tried again with fewer workflows, down to one of each type and queue.
 */
static size_t
max_bytes(const struct turn *turn)
{
	return turn->alone || turn->max_workflows == 1 ? SIZE_MAX
						       : TRIP_MAX_BYTES;
}

/*
 * Makes the round trip of a step; in a turn of one its last statement fails
 * when the session is not as it was.  Returns false, and why in turn->error,
 * when that failed.
 */
static bool
make_trip(struct turn *turn)
{
	const struct db_rows *state = NULL;

	if (turn->alone) {
		turn_session_queue_state(turn, &state);
		turn_session_queue_check(turn);
	}
	if (db_finish_within(turn->db, max_bytes(turn)) != DB_DONE) {
		turn->error = *db_last_error(turn->db);
		turn_session_blame(turn, state);
		return false;
	}
	return is_open(turn) && batch_check(turn->batch, &turn->error);
}

bool
turn_execute_batch(struct turn *turn)
{
	if (turn->alone)
		db_queue(turn->db, "savepoint step", 0, NULL);
	batch_queue(turn->batch, turn->batch_arena, turn->db);
	if (make_trip(turn)) {
		batch_answer(turn->batch, NULL);
		return mark_step(turn, "release savepoint step");
	}
	if (!can_undo(turn) || !undo(turn))
		return false;
	batch_answer(turn->batch, &turn->error);
	return true;
}

const struct db_rows *
turn_query(struct turn *turn, struct workflow *wf, const char *sql,
    size_t nparams, const char *const params[], const struct db_error **refused)
{
	const struct db_rows *rows = NULL;

	wf->has_statements = turn->has_statements = true;
	/* The run's earlier statements come first. */
	batch_queue(turn->batch, turn->batch_arena, turn->db);
	/* The error of the turn has the statement, and outlives the run. */
	sql = arena_strdup(turn->arena, sql);
	db_queue_rows(turn->db, wf->arena, sql, nparams, params, &rows);
	*refused = NULL;
	if (make_trip(turn)) {
		batch_answer(turn->batch, NULL);
		return rows;
	}
	if (!can_undo(turn))
		break_turn(turn, wf, &turn->error);
	turn_undo(turn, wf, &turn->error);
	*refused = &turn->error;
	return NULL;
}

void
turn_savepoint(struct turn *turn)
{
	if (!mark_step(turn, "savepoint step"))
		break_turn(turn, turn->running, &turn->error);
}

void
turn_release(struct turn *turn)
{
	if (!mark_step(turn, "release savepoint step"))
		break_turn(turn, turn->running, &turn->error);
}

void
turn_undo(struct turn *turn, struct workflow *wf, const struct db_error *error)
{
	if (!turn->alone)
		break_turn(turn, wf, error);
	turn->error = *error;
	if (!undo(turn))
		break_turn(turn, wf, db_last_error(turn->db));
}

void
turn_add_child(struct turn *turn, struct workflow *parent,
    const struct child *child)
{
	const struct wait start = { .kind = WAIT_START,
		.wake_ms = turn_now_ms(turn),
		.bytes = strlen(child->input) };
	struct workflow *wf;

	if (turn->alone ||
	    turn->count >= GROWTH * (size_t)turn->max_workflows) {
		turn_wait_add(turn, child->id, child->type, &start);
		return;
	}
	wf = turn_load_add_run(turn);
	wf->creator = parent;
	wf->type = child->type;
	wf->id = child->id;
	wf->input = child->input;
	wf->bytes = strlen(child->input);
	wf->serialization = VALUE_PORTABLE;
	wf->deadline_ms = child->deadline_ms;
}

const struct answer *
turn_ask_own(struct turn *turn, struct workflow *wf,
    const struct batch_statement *statement)
{
	hold_off(turn, wf, statement->sql, INT64_MAX);
	return turn_ask(turn, wf, statement);
}

const struct answer *
turn_start_child(struct turn *turn, struct workflow *wf,
    const struct child *child, int number)
{
	const char *const deadline = child->deadline_ms == 0
	    ? NULL
	    : arena_number(turn->arena, child->deadline_ms);
	const char *const application = turn->engine->application;
	const char *const executor = turn->engine->executor;
	const char *const params[] = { child->id, child->type->name,
		child->version, child->input, wf->id, deadline, application,
		executor };
	const char *const params_with[] = { child->id, child->type->name,
		child->version, child->input, wf->id, deadline, child->options,
		application, executor };
	struct batch_statement statement = { .step = child->type->name,
		.number = number,
		.sql = "select durable.turn_start($1, $2, $3, $4, $5, $6, $7, "
		       "$8)",
		.arrays = 6,
		.nparams = 8,
		.params = params };

	if (child->options != NULL) {
		statement.sql = "select durable.turn_start_with($1, $2, $3, "
				"$4, $5, $6, $7, $8, $9)";
		statement.arrays = 7;
		statement.nparams = 9;
		statement.params = params_with;
	}
	return turn_ask_own(turn, wf, &statement);
}

bool
turn_serves(const struct turn *turn, const struct workflow_type *type)
{
	return served_type(turn->engine, type->name, type->version) != NULL;
}

const struct answer *
turn_ask_messages(struct turn *turn, struct workflow *wf, const char *topic,
    const struct message *last, int number)
{
	const char *const params[] = { wf->id, topic,
		last == NULL ? NULL : last->sent_ms,
		last == NULL ? NULL : last->id };
	const struct batch_statement statement = { .step = "DBOS.recv",
		.number = number,
		.sql = "select message_uuid, message, serialization, sent_ms, "
		       "has_more from durable.turn_topic($1, $2, $3, $4)",
		.nparams = 4,
		.params = params };

	if (turn->message_bytes >= TURN_MAX_BYTES)
		run_wait_for_turn(wf);
	turn->message_bytes += wf->unread_bytes;
	return turn_ask_own(turn, wf, &statement);
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

void *
turn_log_end(const struct turn *turn)
{
	return turn->last_line;
}

void
turn_unlog(struct turn *turn, void *end)
{
	turn->last_line = end;
	*turn->last_line = NULL;
}
