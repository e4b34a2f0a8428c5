/* SPDX-License-Identifier: MIT */
/*
 * The calls of a workflow's author for memory, errors, logs and steps.  A step
 * that the journal has is replayed; any other runs now, in the turn's
 * transaction, and is recorded.
 */
#include <durable/workflow.h>

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/memory.h"
#include "db/references.h"
#include "db/sqltext.h"
#include "db/value.h"
#include "engine/rows.h"
#include "engine/run.h"
#include "engine/turn_api.h"

const char *
wf_id(const struct workflow *wf)
{
	return wf->id;
}

void *
wf_alloc(struct workflow *wf, size_t len)
{
	return arena_alloc(wf->arena, len);
}

const char *
wf_printf(struct workflow *wf, const char *format, ...)
{
	const char *text;
	va_list args;

	va_start(args, format);
	text = arena_vprintf(wf->arena, format, args);
	va_end(args);
	return text;
}

json_object *
wf_own(struct workflow *wf, json_object *value)
{
	return references_take(&wf->references, wf->arena, value, true);
}

static json_object *
made(struct workflow *wf, json_object *value)
{
	if (value == NULL)
		memory_die();
	return wf_own(wf, value);
}

json_object *
wf_string(struct workflow *wf, const char *text)
{
	return made(wf, json_object_new_string(text));
}

json_object *
wf_int64(struct workflow *wf, int64_t number)
{
	return made(wf, json_object_new_int64(number));
}

const char *
wf_number(struct workflow *wf, int64_t number)
{
	return arena_number(wf->arena, number);
}

void
wf_log(struct workflow *wf, const char *format, ...)
{
	va_list args;

	if (run_replaying(wf))
		return;
	va_start(args, format);
	turn_log(wf->turn, LOG_LEVEL_INFO, "wf=%s %s", wf->id,
	    arena_vprintf(wf->arena, format, args));
	va_end(args);
}

void
wf_fail(struct workflow *wf, const char *name, const char *format, ...)
{
	const char *message;
	va_list args;

	run_refuse_in_step(wf, "wf_fail");
	va_start(args, format);
	message = arena_vprintf(wf->arena, format, args);
	va_end(args);
	run_end_failed(wf, name, message);
}

void
wf_catch(struct workflow *wf)
{
	run_refuse_in_step(wf, "wf_catch");
	wf->catching = true;
}

const struct wf_error *
wf_error(const struct workflow *wf)
{
	return wf->error;
}

/* The first column of the answer's row. */
static const char *
first_value(struct workflow *wf, const struct answer *answer)
{
	return rows_value(wf->arena, answer->rows, answer->row, 0);
}

static const char *
all_values(struct workflow *wf, const struct answer *answer)
{
	return rows_all(wf->arena, answer->rows);
}

/*
 * Called before a step runs; key identifies it.  Returns true, and records the
 * step's error, when it has waited too long for the schema.  Does not return
 * while the step must wait.
 */
static bool
is_held_too_long(struct workflow *wf, int number, const char *name,
    const char *key)
{
	const struct db_error *error = turn_hold_off(wf->turn, wf, key);

	if (error != NULL)
		run_record_error(wf, number, name,
		    run_database_error(wf, error), turn_now_ms(wf->turn));
	return error != NULL;
}

/* Why an author's statement is not sent; NULL: it may be. */
static const char *
reason_against(struct workflow *wf, const char *step, const char *sql)
{
	const char *command = sqltext_forbidden(sql);

	if (command == NULL)
		return NULL;
	if (*command == '\0')
		return arena_printf(wf->arena,
		    "the statement of step '%s' is empty", step);
	return arena_printf(wf->arena,
	    "step '%s' may not run %s, because the workflows of a turn share a "
	    "transaction and a session",
	    step, command);
}

/*
 * Called before a statement runs as a step.  Returns true, and records the
 * step's error, when it may not run.
 */
static bool
is_refused(struct workflow *wf, int number,
    const struct batch_statement *statement)
{
	const char *name = statement->step, *sql = statement->sql, *error;
	const char *reason = reason_against(wf, name, sql);
	const struct db_error *step_error;

	if (reason == NULL && statement->nparams > BATCH_PARAMS_MAX)
		reason = arena_printf(wf->arena,
		    "step '%s' has more than %d parameters", name,
		    BATCH_PARAMS_MAX);
	if (reason != NULL)
		error = value_encode_error(wf->arena, RUN_FORBIDDEN, reason,
		    VALUE_PORTABLE);
	else if ((step_error = turn_step_error(wf->turn, number, sql)) != NULL)
		error = run_database_error(wf, step_error);
	else
		return is_held_too_long(wf, number, name, sql);
	run_record_error(wf, number, name, error, turn_now_ms(wf->turn));
	return true;
}

/* Runs a step whose recorded output encode makes of the answer. */
static json_object *
ask_step(struct workflow *wf, struct batch_statement *statement,
    const char *encode(struct workflow *wf, const struct answer *answer))
{
	const struct entry *entry = run_call(wf, statement->step,
	    &statement->number);
	const struct answer *answer;
	int64_t started_ms;

	if (entry != NULL)
		return run_answer(wf, entry);
	if (is_refused(wf, statement->number, statement))
		return run_recorded(wf, statement->number);
	started_ms = turn_now_ms(wf->turn);
	/* Other runs may change the name's memory until the answer comes. */
	statement->step = arena_strdup(wf->arena, statement->step);
	answer = turn_ask(wf->turn, wf, statement);
	if (answer->refused != NULL)
		run_record_error(wf, statement->number, statement->step,
		    run_database_error(wf, answer->refused), started_ms);
	else
		run_record_output(wf, statement->number, statement->step,
		    encode(wf, answer), started_ms);
	return run_recorded(wf, statement->number);
}

/* Runs a step without a result; waits for its answer only in a turn of one. */
static void
tell_step(struct workflow *wf, struct batch_statement *statement)
{
	const char *name = statement->step;
	const struct entry *entry;
	int number;

	if (turn_is_alone(wf->turn)) {
		ask_step(wf, statement, first_value);
		return;
	}
	entry = run_call(wf, name, &number);
	if (entry != NULL) {
		run_answer(wf, entry);
		return;
	}
	if (is_refused(wf, number, statement)) {
		run_recorded(wf, number);
		return;
	}
	run_record_output(wf, number, name, NULL, turn_now_ms(wf->turn));
	turn_tell(wf->turn, wf, statement);
	wf->catching = false;
}

json_object *
wf_sql(struct workflow *wf, const char *name, const char *sql, size_t nparams,
    const char *const params[])
{
	return ask_step(wf,
	    &(struct batch_statement){ .step = name,
		.sql = sql,
		.nparams = nparams,
		.params = params },
	    first_value);
}

json_object *
wf_sql_rows(struct workflow *wf, const char *name, const char *sql,
    size_t nparams, const char *const params[])
{
	return ask_step(wf,
	    &(struct batch_statement){ .step = name,
		.sql = sql,
		.nparams = nparams,
		.params = params },
	    all_values);
}

bool
wf_sql_bool(struct workflow *wf, const char *name, const char *sql,
    size_t nparams, const char *const params[])
{
	return json_object_get_boolean(wf_sql(wf, name, sql, nparams, params));
}

int64_t
wf_sql_int64(struct workflow *wf, const char *name, const char *sql,
    size_t nparams, const char *const params[])
{
	return json_object_get_int64(wf_sql(wf, name, sql, nparams, params));
}

void
wf_sql_void(struct workflow *wf, const char *name, const char *sql,
    size_t nparams, const char *const params[])
{
	tell_step(wf,
	    &(struct batch_statement){ .step = name,
		.sql = sql,
		.nparams = nparams,
		.params = params });
}

json_object *
wf_batch(struct workflow *wf, const char *name, const char *sql, size_t nparams,
    const char *const params[])
{
	return ask_step(wf,
	    &(struct batch_statement){ .step = name,
		.sql = sql,
		.arrays = nparams,
		.nparams = nparams,
		.params = params },
	    first_value);
}

bool
wf_batch_bool(struct workflow *wf, const char *name, const char *sql,
    size_t nparams, const char *const params[])
{
	return json_object_get_boolean(
	    wf_batch(wf, name, sql, nparams, params));
}

int64_t
wf_batch_int64(struct workflow *wf, const char *name, const char *sql,
    size_t nparams, const char *const params[])
{
	return json_object_get_int64(wf_batch(wf, name, sql, nparams, params));
}

void
wf_batch_void(struct workflow *wf, const char *name, const char *sql,
    size_t nparams, const char *const params[])
{
	tell_step(wf,
	    &(struct batch_statement){ .step = name,
		.sql = sql,
		.arrays = nparams,
		.nparams = nparams,
		.params = params });
}

/* Runs a C step and records its result, or returns when it has failed. */
static void
run_step(struct step *step, step_function *function, void *arg)
{
	struct workflow *wf = step->wf;
	json_object *result;
	const char *output;

	if (setjmp(wf->step_failed) != 0)
		return;
	turn_savepoint(wf->turn);
	result = run_take(wf, function(step, arg));
	output = value_encode(wf->arena, result, VALUE_PORTABLE);
	if (output == NULL)
		step_fail(step, "DBOSInvalidOutput",
		    "the result of step '%s' is not valid JSON", step->name);
	turn_release(wf->turn);
	run_record_output(wf, step->number, step->name, output,
	    step->started_ms);
}

json_object *
wf_transaction(struct workflow *wf, const char *name, step_function *function,
    void *arg)
{
	struct arena *arena = turn_arena(wf->turn);
	const struct entry *entry;
	struct step *step;
	int number;

	entry = run_call(wf, name, &number);
	if (entry != NULL)
		return run_answer(wf, entry);
	step = arena_alloc(arena, sizeof(*step));
	step->wf = wf;
	step->name = arena_strdup(arena, name);
	step->key = arena_printf(arena, "%s@%s %s", wf->type->name,
	    wf->type->version, name);
	step->number = number;
	if (is_held_too_long(wf, number, name, step->key))
		return run_recorded(wf, number);
	step->started_ms = turn_now_ms(wf->turn);
	wf->step = step;
	run_step(step, function, arg);
	wf->step = NULL;
	/* It had a round trip of its own: now the others. */
	run_pause(wf);
	return run_recorded(wf, number);
}

json_object *
step_sql(struct step *step, const char *sql, size_t nparams,
    const char *const params[])
{
	struct workflow *wf = step->wf;
	const char *reason = reason_against(wf, step->name, sql);
	const struct db_error *refused;
	const struct db_rows *rows;
	json_object *value;

	if (reason != NULL)
		step_fail(step, RUN_FORBIDDEN, "%s", reason);
	rows = turn_query(wf->turn, wf, sql, nparams, params, &refused);
	if (rows == NULL)
		run_leave_step(wf, run_database_error(wf, refused));
	if (!value_decode(wf->arena, rows_value(wf->arena, rows, 0, 0),
		VALUE_PORTABLE, &value))
		step_fail(step, "DBOSInvalidOutput",
		    "cannot read what a statement of step '%s' returned",
		    step->name);
	return value;
}

void
step_fail(struct step *step, const char *name, const char *format, ...)
{
	const char *message;
	va_list args;

	va_start(args, format);
	message = arena_vprintf(step->wf->arena, format, args);
	va_end(args);
	run_fail_step(step->wf, name, message);
}
