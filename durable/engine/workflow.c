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
#include "db/references.h"
#include "db/sqltext.h"
#include "db/value.h"
#include "engine/run.h"
#include "engine/turn_api.h"

/* The error of a statement that an author may not run. */
#define FORBIDDEN "DBOSForbiddenStatement"

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
	run_fail(wf, name, message);
	run_leave(wf, RUN_FAILED);
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

/* The first column of a row, as stored JSON; NULL for no row or null. */
static const char *
first_value(struct workflow *wf, const struct db_rows *rows, size_t row)
{
	const char *value;

	if (db_row_count(rows) <= row ||
	    (value = db_value(rows, row, 0)) == NULL)
		return NULL;
	switch (db_column_type(rows, 0)) {
	case DB_TYPE_BOOLEAN:
		return *value == 't' ? "true" : "false";
	case DB_TYPE_NUMBER:
	case DB_TYPE_JSON:
		return value;
	case DB_TYPE_VOID:
		return NULL;
	case DB_TYPE_TEXT:
		break;
	}
	return value_encode(wf->arena,
	    value_own(wf->arena, json_object_new_string(value)),
	    VALUE_PORTABLE);
}

/* Records the database's answer to a step's statement. */
static void
take_step(struct workflow *wf, const struct pending_call *call,
    const struct answer *answer)
{
	if (answer->refused != NULL)
		run_record_error(wf, call->number, call->name,
		    run_database_error(wf, answer->refused), call->started_ms);
	else
		run_record_output(wf, call->number, call->name,
		    first_value(wf, answer->rows, answer->row),
		    call->started_ms);
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
		error = value_encode_error(wf->arena, FORBIDDEN, reason,
		    VALUE_PORTABLE);
	else if ((step_error = turn_step_error(wf->turn, number, sql)) != NULL)
		error = run_database_error(wf, step_error);
	else
		return is_held_too_long(wf, number, name, sql);
	run_record_error(wf, number, name, error, turn_now_ms(wf->turn));
	return true;
}

static json_object *
ask_step(struct workflow *wf, const char *name,
    const struct batch_statement *statement)
{
	struct pending_call call = { .on_result = take_step, .name = name };
	const struct entry *entry = run_call(wf, name, &call.number);

	if (entry != NULL)
		return run_answer(wf, entry);
	if (is_refused(wf, call.number, statement))
		return run_recorded(wf, call.number);
	call.started_ms = turn_now_ms(wf->turn);
	turn_ask(wf->turn, wf, statement, &call);
}

/* Runs a step without a result; waits for its answer only in a turn of one. */
static void
tell_step(struct workflow *wf, const char *name,
    const struct batch_statement *statement)
{
	const struct entry *entry;
	int number;

	if (turn_is_alone(wf->turn)) {
		ask_step(wf, name, statement);
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
	turn_tell(wf->turn, wf, statement);
	run_record_output(wf, number, name, NULL, turn_now_ms(wf->turn));
	wf->catching = false;
}

json_object *
wf_sql(struct workflow *wf, const char *name, const char *sql, size_t nparams,
    const char *const params[])
{
	return ask_step(wf, name,
	    &(struct batch_statement){ .step = name,
		.sql = sql,
		.nparams = nparams,
		.params = params });
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
	tell_step(wf, name,
	    &(struct batch_statement){ .step = name,
		.sql = sql,
		.nparams = nparams,
		.params = params });
}

json_object *
wf_batch(struct workflow *wf, const char *name, const char *sql, size_t nparams,
    const char *const params[])
{
	return ask_step(wf, name,
	    &(struct batch_statement){ .step = name,
		.sql = sql,
		.arrays = nparams,
		.nparams = nparams,
		.params = params });
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
	tell_step(wf, name,
	    &(struct batch_statement){ .step = name,
		.sql = sql,
		.arrays = nparams,
		.nparams = nparams,
		.params = params });
}

json_object *
wf_transaction(struct workflow *wf, const char *name, step_function *function,
    void *arg)
{
	struct arena *arena = turn_arena(wf->turn);
	struct step *step;
	const struct entry *entry;
	json_object *result;
	const char *output;
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
	turn_savepoint(wf->turn);
	wf->step = step;
	result = run_take(wf, function(step, arg));
	output = value_encode(wf->arena, result, VALUE_PORTABLE);
	if (output == NULL)
		step_fail(step, "DBOSInvalidOutput",
		    "the result of step '%s' is not valid JSON", name);
	turn_release(wf->turn);
	wf->step = NULL;
	run_record_output(wf, number, name, output, step->started_ms);
	return run_recorded(wf, number);
}

/* Records a step's error and reruns the workflow, which replays the error. */
static void __attribute__((noreturn))
leave_step(struct step *step, const char *error)
{
	run_record_error(step->wf, step->number, step->name, error,
	    step->started_ms);
	run_leave(step->wf, RUN_AGAIN);
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
		step_fail(step, FORBIDDEN, "%s", reason);
	rows = turn_query(wf->turn, wf, sql, nparams, params, &refused);
	if (rows == NULL)
		leave_step(step, run_database_error(wf, refused));
	if (!value_decode(wf->arena, first_value(wf, rows, 0), VALUE_PORTABLE,
		&value))
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
