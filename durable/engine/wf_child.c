/* SPDX-License-Identifier: MIT */
/*
 * The calls of a workflow's author that start children, wait for their results,
 * and let the workflow itself begin anew.
 */
#include <string.h>

#include <durable/workflow.h>
#include "base/arena.h"
#include "db/value.h"
#include "engine/run.h"
#include "engine/turn_api.h"

/* The longest wait for a child's result: a hundred years, that is, for ever. */
#define FOR_EVER_MS (INT64_C(100) * 365 * 24 * 3600 * 1000)

/* Starts a child and records the outcome. */
static void
start_child(struct workflow *wf, const struct child *child, int number)
{
	struct entry entry = { .name = child->type->name,
		.started_ms = turn_now_ms(wf->turn) };
	const struct answer *answer = turn_start_child(wf->turn, wf, child,
	    number);
	const char *known = answer->refused != NULL
	    ? NULL
	    : db_value(answer->rows, answer->row, 0);

	entry.completed_ms = turn_now_ms(wf->turn);
	if (known == NULL)
		entry.error = run_database_error(wf, answer->refused);
	else if (strcmp(known, "conflict") == 0)
		entry.error = value_encode_error(wf->arena,
		    "DBOSConflictingWorkflowError",
		    arena_printf(wf->arena,
			"workflow '%s' exists and is not a '%s'", child->id,
			child->type->name),
		    VALUE_PORTABLE);
	else
		entry.child = child->id;
	run_record(wf, number, &entry);
	if (known != NULL && strcmp(known, "created") == 0)
		turn_add_child(wf->turn, wf, child);
}

const char *
wf_start(struct workflow *wf, const struct workflow_type *type, const char *id,
    json_object *input)
{
	struct arena *arena = turn_arena(wf->turn);
	const struct entry *entry;
	struct child *child;
	int number;

	run_take(wf, input);
	entry = run_call(wf, type->name, &number);
	if (entry != NULL) {
		run_answer(wf, entry);
		return entry->child;
	}
	child = arena_alloc(arena, sizeof(*child));
	child->type = type;
	child->id = id != NULL ? arena_strdup(arena, id)
			       : arena_printf(arena, "%s-%d", wf->id, number);
	child->input = arena_strdup(arena,
	    value_encode_argument(wf->arena, input));
	if (child->input == NULL)
		wf_fail(wf, "DBOSInvalidInput",
		    "the input of workflow '%s' is not valid JSON", child->id);
	start_child(wf, child, number);
	run_recorded(wf, number);
	return run_lookup(wf, number, type->name)->child;
}

void
wf_continue(struct workflow *wf, json_object *input)
{
	struct entry entry = { .name = RUN_CONTINUE,
		.serialization = VALUE_PORTABLE,
		.started_ms = turn_now_ms(wf->turn) };
	const char *argument;
	int number;

	run_take(wf, input);
	run_call(wf, RUN_CONTINUE, &number);
	argument = value_encode_argument(wf->arena, input);
	if (argument == NULL)
		wf_fail(wf, "DBOSInvalidInput",
		    "the input of wf_continue is not valid JSON");
	entry.completed_ms = entry.started_ms;
	turn_add_step(wf->turn, wf, number, &entry);
	turn_add_continue(wf->turn, wf, number, argument);
	wf->bytes = strlen(argument);
	run_suspend(wf,
	    &(struct wait){ .kind = WAIT_START,
		.wake_ms = turn_now_ms(wf->turn) });
}

/* Records how a child ended. */
static void
record_result(struct workflow *wf, int number, const struct entry *child,
    const char *status)
{
	struct entry entry = *child;

	if (strcmp(status, "CANCELLED") == 0)
		entry.error = value_encode_error(wf->arena,
		    "DBOSAwaitedWorkflowCancelledError",
		    arena_printf(wf->arena, "workflow '%s' was cancelled",
			child->child),
		    entry.serialization = VALUE_PORTABLE);
	else if (strcmp(status, "MAX_RECOVERY_ATTEMPTS_EXCEEDED") == 0)
		entry.error = value_encode_error(wf->arena,
		    "DBOSAwaitedWorkflowExceededMaxRecoveryAttempts",
		    arena_printf(wf->arena,
			"workflow '%s' was ended after too many attempts",
			child->child),
		    entry.serialization = VALUE_PORTABLE);
	run_record(wf, number, &entry);
}

/*
 * Records that there is no result to wait for: a workflow that waited for it
 * would wait for ever, and nothing would tell.
 */
static json_object *
refuse_result(struct workflow *wf, int number, const char *step, const char *id,
    int64_t now_ms)
{
	const char *error = strcmp(id, wf->id) == 0
	    ? value_encode_error(wf->arena, "DBOSInvalidInput",
		  "a workflow cannot wait for its own result", VALUE_PORTABLE)
	    : value_encode_error(wf->arena, "DBOSNonExistentWorkflowError",
		  arena_printf(wf->arena,
		      "there is no workflow '%s' to wait for", id),
		  VALUE_PORTABLE);

	run_record_error(wf, number, step, error, now_ms);
	run_pause(wf);
	return run_recorded(wf, number);
}

json_object *
wf_result(struct workflow *wf, const char *id)
{
	static const char name[] = "DBOS.getResult";
	const char *const params[] = { id };
	const struct db_error *refused;
	const struct db_rows *rows;
	const struct entry *entry;
	const char *status;
	int64_t now_ms;
	int number;

	entry = run_call(wf, name, &number);
	if (entry != NULL)
		return run_answer(wf, entry);
	turn_savepoint(wf->turn);
	rows = turn_query(wf->turn, wf,
	    "select status, output, error, serialization "
	    "from durable.workflow_result($1)",
	    1, params, &refused);
	if (rows == NULL)
		wf_fail(wf, "DatabaseError", "%s", refused->message);
	turn_release(wf->turn);
	now_ms = turn_now_ms(wf->turn);
	status = db_row_count(rows) == 0 ? NULL : db_value(rows, 0, 0);
	if (status == NULL || strcmp(id, wf->id) == 0)
		return refuse_result(wf, number, name, id, now_ms);
	if (strcmp(status, "PENDING") == 0 || strcmp(status, "ENQUEUED") == 0 ||
	    strcmp(status, "DELAYED") == 0)
		run_suspend(wf,
		    &(struct wait){ .kind = WAIT_RESULT,
			.wake_ms = now_ms + FOR_EVER_MS,
			.target = id });
	record_result(wf, number,
	    &(struct entry){ .name = name,
		.output = db_value(rows, 0, 1),
		.error = db_value(rows, 0, 2),
		.child = id,
		.serialization = db_value(rows, 0, 3),
		.started_ms = now_ms,
		.completed_ms = now_ms },
	    status);
	run_pause(wf);
	return run_recorded(wf, number);
}
