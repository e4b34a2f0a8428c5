/* SPDX-License-Identifier: MIT */
/*
 * The calls of a workflow's author that start children, wait for their results,
 * and let the workflow itself begin anew.
 */
#include <string.h>

#include <durable/workflow.h>
#include "base/arena.h"
#include "base/memory.h"
#include "db/value.h"
#include "engine/run.h"
#include "engine/turn_api.h"

#define RESULT "DBOS.getResult"

/* Starts a child and records the outcome. */
static void
start_child(struct workflow *wf, const struct child *child, int number,
    bool is_enqueued)
{
	static const char joined[] = "joined ";
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
	else if (strcmp(known, "duplicated") == 0)
		entry.error = value_encode_error(wf->arena,
		    "DBOSQueueDuplicatedError",
		    arena_printf(wf->arena,
			"workflow '%s' was not started: its queue has a "
			"workflow of this deduplication id",
			child->id),
		    VALUE_PORTABLE);
	else if (strncmp(known, joined, strlen(joined)) == 0)
		entry.child = arena_strdup(wf->arena, known + strlen(joined));
	else
		entry.child = child->id;
	run_record(wf, number, &entry);
	if (known == NULL || strcmp(known, "created") != 0)
		return;
	if (is_enqueued)
		turn_hint_due(wf->turn);
	else
		turn_add_child(wf->turn, wf, child);
}

/* Fails the workflow when the options contradict each other. */
static void
check_options(struct workflow *wf, const struct workflow_type *type,
    const struct wf_start_options *options)
{
	if (options->priority < 0)
		wf_fail(wf, "DBOSInvalidQueuePriorityError",
		    "the priority of a workflow is %d, and may be 0 to %d",
		    options->priority, INT32_MAX);
	if (options->queue != NULL)
		return;
	if (type->function == NULL || options->config_name != NULL ||
	    options->class_name != NULL || options->application != NULL ||
	    options->version != NULL || options->priority != 0 ||
	    options->delay_ms != 0 || options->deduplication_id != NULL ||
	    options->partition_key != NULL)
		wf_fail(wf, "DBOSInvalidInput",
		    "workflow '%s' is started with options that need a queue",
		    type->name);
}

/* json-c refuses what it has no memory for. */
static void
add(json_object *object, const char *key, json_object *value)
{
	if (value == NULL || json_object_object_add(object, key, value) != 0)
		memory_die();
}

static void
add_text(json_object *object, const char *key, const char *text)
{
	if (text != NULL)
		add(object, key, json_object_new_string(text));
}

static void
add_number(json_object *object, const char *key, int64_t number)
{
	if (number != 0)
		add(object, key, json_object_new_int64(number));
}

/* The options for durable.turn_start_with. */
static const char *
encode_options(struct workflow *wf, const struct wf_start_options *options)
{
	json_object *all = wf_own(wf, json_object_new_object());

	if (all == NULL)
		memory_die();
	add_text(all, "class_name", options->class_name);
	add_text(all, "config_name", options->config_name);
	add_text(all, "queue", options->queue);
	add_text(all, "owner", options->application);
	add_number(all, "priority", options->priority);
	if (options->delay_ms > 0)
		add_number(all, "delay_until",
		    run_later(turn_now_ms(wf->turn), options->delay_ms));
	add_number(all, "timeout_ms", options->timeout_ms);
	add_text(all, "deduplication_id", options->deduplication_id);
	add_text(all, "partition_key", options->partition_key);
	add_number(all, "join_duplicate", options->join_duplicate);
	if (options->attributes != NULL)
		add(all, "attributes", json_object_get(options->attributes));
	return value_encode(wf->arena, all, VALUE_PORTABLE);
}

/* A time-out in a queue begins when the workflow leaves it. */
static int64_t
deadline_of(const struct workflow *wf, const struct wf_start_options *options)
{
	if (options->deadline_ms != 0)
		return options->deadline_ms == INT64_MAX ? 0
							 : options->deadline_ms;
	if (options->timeout_ms == 0)
		return wf->deadline_ms;
	return options->queue != NULL
	    ? 0
	    : run_later(turn_now_ms(wf->turn), options->timeout_ms);
}

/* Which version runs the child. */
static const char *
version_of(const struct workflow_type *type,
    const struct wf_start_options *options)
{
	if (options->version != NULL)
		return options->version;
	/* The latest one of another application. */
	return options->application != NULL ? NULL : type->version;
}

/*
 * Begins the start of a child.  Returns its journal entry, or NULL and the child,
 * in the turn's arena, because it may outlive the run.
 */
static const struct entry *
begin_start(struct workflow *wf, const struct workflow_type *type,
    const char *id, int *number, struct child **child)
{
	struct arena *arena = turn_arena(wf->turn);
	const struct entry *entry = run_call(wf, type->name, number);

	if (entry != NULL) {
		run_answer(wf, entry);
		return entry;
	}
	*child = arena_alloc(arena, sizeof(**child));
	(*child)->type = type;
	(*child)->version = type->version;
	(*child)->id = id != NULL
	    ? arena_strdup(arena, id)
	    : arena_printf(arena, "%s-%d", wf->id, *number);
	(*child)->deadline_ms = wf->deadline_ms;
	return NULL;
}

/* Ends it, with the child's input; NULL: that is no JSON. */
static const char *
end_start(struct workflow *wf, struct child *child, int number,
    const char *input, bool is_enqueued)
{
	if (input == NULL)
		wf_fail(wf, "DBOSInvalidInput",
		    "the input of workflow '%s' is not valid JSON", child->id);
	/* Its turn would find no function, and it would wait for ever. */
	if (!is_enqueued && !turn_serves(wf->turn, child->type))
		wf_fail(wf, "DBOSNotRegisteredError",
		    "workflow type '%s' of version '%s' is not among the "
		    "engine's types, so workflow '%s' cannot start",
		    child->type->name, child->type->version, child->id);
	child->input = arena_strdup(turn_arena(wf->turn), input);
	start_child(wf, child, number, is_enqueued);
	run_recorded(wf, number);
	return run_lookup(wf, number, child->type->name)->child;
}

const char *
wf_start(struct workflow *wf, const struct workflow_type *type, const char *id,
    json_object *input)
{
	const struct entry *entry;
	struct child *child;
	int number;

	run_take(wf, input);
	entry = begin_start(wf, type, id, &number, &child);
	return entry != NULL
	    ? entry->child
	    : end_start(wf, child, number,
		  value_encode_argument(wf->arena, input), false);
}

const char *
wf_start_with(struct workflow *wf, const struct workflow_type *type,
    json_object *positional, json_object *named,
    const struct wf_start_options *options)
{
	static const struct wf_start_options none;
	const struct entry *entry;
	struct child *child;
	int number;

	if (options == NULL)
		options = &none;
	run_take(wf, positional);
	run_take(wf, named);
	run_take(wf, options->attributes);
	entry = begin_start(wf, type, options->id, &number, &child);
	if (entry != NULL)
		return entry->child;
	check_options(wf, type, options);
	child->version = arena_strdup(turn_arena(wf->turn),
	    version_of(type, options));
	child->deadline_ms = deadline_of(wf, options);
	child->options = encode_options(wf, options);
	if (child->options == NULL)
		wf_fail(wf, "DBOSInvalidInput",
		    "the options of workflow '%s' are not valid JSON",
		    child->id);
	return end_start(wf, child, number,
	    value_encode_arguments(wf->arena, positional, named),
	    options->queue != NULL);
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
	wf->wait = (struct wait){ .kind = WAIT_START,
		.wake_ms = turn_now_ms(wf->turn) };
	run_leave(wf, RUN_SUSPENDED);
}

/* Records how a child ended. */
static void
record_result(struct workflow *wf, int number, const struct entry *child,
    const char *status)
{
	struct entry entry = *child;

	/* A result without an output says that the time was over. */
	if (entry.output == NULL && entry.error == NULL) {
		entry.output = "null";
		entry.serialization = VALUE_PORTABLE;
	}
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

/* Whether a status is of a workflow that goes on. */
static bool
is_active(const char *status)
{
	return strcmp(status, "PENDING") == 0 ||
	    strcmp(status, "ENQUEUED") == 0 || strcmp(status, "DELAYED") == 0;
}

/*
 * Awaits the end of a workflow, as the step of this number, until wake_ms, and
 * returns its output.
 */
static json_object *
await_result(struct workflow *wf, int number, const char *id, int64_t wake_ms)
{
	const char *const params[] = { id };
	struct entry entry = { .name = RESULT, .child = id };
	const struct db_error *refused;
	const struct db_rows *rows;
	const char *status;
	bool over;

	turn_savepoint(wf->turn);
	rows = turn_query(wf->turn, wf,
	    "select status, output, error, serialization "
	    "from durable.workflow_result($1)",
	    1, params, &refused);
	if (rows == NULL)
		wf_fail(wf, "DatabaseError", "%s", refused->message);
	turn_release(wf->turn);
	entry.started_ms = entry.completed_ms = turn_now_ms(wf->turn);
	status = db_row_count(rows) == 0 ? NULL : db_value(rows, 0, 0);
	if (status == NULL || strcmp(id, wf->id) == 0)
		return refuse_result(wf, number, RESULT, id, entry.started_ms);
	over = is_active(status) && entry.started_ms >= wake_ms;
	if (is_active(status) && !over)
		run_suspend(wf,
		    &(struct wait){ .kind = WAIT_RESULT,
			.wake_ms = wake_ms,
			.target = id });
	if (!over) {
		entry.output = db_value(rows, 0, 1);
		entry.error = db_value(rows, 0, 2);
		entry.serialization = db_value(rows, 0, 3);
		record_result(wf, number, &entry, status);
	} else {
		run_record(wf, number, &entry);
	}
	run_pause(wf);
	return run_recorded(wf, number);
}

json_object *
wf_result(struct workflow *wf, const char *id)
{
	const struct entry *entry;
	int number;

	entry = run_call(wf, RESULT, &number);
	return entry != NULL ? run_answer(wf, entry)
			     : await_result(wf, number, id,
				   turn_now_ms(wf->turn) + RUN_FOR_EVER_MS);
}

bool
wf_result_within(struct workflow *wf, const char *id, int64_t timeout_ms,
    json_object **result)
{
	const struct entry *entry;
	int64_t started_ms, wake_ms;
	int number, timer;

	/* The SDKs give the time-out the number before the result's. */
	run_call(wf, "DBOS.sleep", &timer);
	wake_ms = run_timeout(wf, timer, timeout_ms, &started_ms);
	entry = run_call(wf, RESULT, &number);
	*result = entry != NULL ? run_answer(wf, entry)
				: await_result(wf, number, id, wake_ms);
	/* No output is null's: see record_result. */
	entry = run_lookup(wf, number, RESULT);
	return entry->output != NULL || entry->error != NULL;
}
