/* SPDX-License-Identifier: MIT */
/*
 * The calls of a workflow's author that write and read streams.  Their names in
 * the journal, and the mark of a stream's end, are those of the DBOS SDKs.
 */
#include <string.h>

#include <durable/workflow.h>
#include "base/arena.h"
#include "db/value.h"
#include "engine/batch.h"
#include "engine/run.h"
#include "engine/turn_api.h"

#define CLOSED      "__DBOS_STREAM_CLOSED__"
#define CLOSED_JSON "\"" CLOSED "\""

#define READ        "DBOS.readStreamOffset"

/* Appends a value, as stored JSON, as the step of this name. */
static void
append(struct workflow *wf, const char *name, int number, const char *key,
    const char *value)
{
	turn_add_stream(wf->turn, wf, number, key, value);
	run_record_output(wf, number, name, NULL, turn_now_ms(wf->turn));
}

void
wf_write_stream(struct workflow *wf, const char *key, json_object *value)
{
	static const char name[] = "DBOS.writeStream";
	const char *text;
	int number;

	run_take(wf, value);
	if (run_call(wf, name, &number) == NULL) {
		text = value_encode(wf->arena, value, VALUE_PORTABLE);
		if (text == NULL)
			wf_fail(wf, "DBOSInvalidInput",
			    "the value for stream '%s' is not valid JSON", key);
		append(wf, name, number, key, text);
	}
	run_recorded(wf, number);
}

void
wf_close_stream(struct workflow *wf, const char *key)
{
	static const char name[] = "DBOS.closeStream";
	int number;

	if (run_call(wf, name, &number) == NULL)
		append(wf, name, number, key, CLOSED_JSON);
	run_recorded(wf, number);
}

/* Asks for the value at an offset, as the step of this number. */
static const struct answer *
ask_value(struct workflow *wf, int number, const char *id, const char *key,
    int offset)
{
	const char *const params[] = { id, key, wf_number(wf, offset) };

	return turn_ask_own(wf->turn, wf,
	    &(struct batch_statement){ .step = READ,
		.number = number,
		.sql = "select is_active, value, serialization "
		       "from durable.stream_value($1, $2, $3)",
		.nparams = 3,
		.params = params });
}

/* Sets the entry to the value or to the end; false: there is neither yet. */
static bool
find_value(struct workflow *wf, struct entry *entry, const char *id,
    const struct answer *answer)
{
	const struct db_rows *rows = answer->rows;

	if (answer->refused != NULL)
		entry->error = run_database_error(wf, answer->refused);
	else if (db_row_count(rows) == 0)
		entry->error = value_encode_error(wf->arena,
		    "DBOSNonExistentWorkflowError",
		    arena_printf(wf->arena,
			"there is no workflow '%s' to read a stream of", id),
		    VALUE_PORTABLE);
	else if (db_value(rows, 0, 1) != NULL) {
		entry->output = db_value(rows, 0, 1);
		entry->serialization = db_value(rows, 0, 2);
	} else if (*db_value(rows, 0, 0) == 'f') {
		entry->output = CLOSED_JSON;
	} else {
		return false;
	}
	return true;
}

/* Reads as the step of this number, or suspends the run until wake_ms. */
static void
await_value(struct workflow *wf, int number, const char *id, const char *key,
    int offset, int64_t started_ms, int64_t wake_ms)
{
	struct entry entry = { .name = READ, .started_ms = started_ms };
	struct arena *arena = turn_arena(wf->turn);
	bool found;

	/* The author's texts may change while the run pauses. */
	id = arena_strdup(arena, id);
	key = arena_printf(arena, "%d:%s", offset, key);
	found = find_value(wf, &entry, id,
	    ask_value(wf, number, id, strchr(key, ':') + 1, offset));
	if (!found && turn_now_ms(wf->turn) < wake_ms)
		run_suspend(wf,
		    &(struct wait){ .kind = WAIT_STREAM,
			.wake_ms = wake_ms,
			.target = id,
			.key = key });
	entry.completed_ms = turn_now_ms(wf->turn);
	run_record(wf, number, &entry);
}

enum wf_stream
wf_read_stream(struct workflow *wf, const char *id, const char *key, int offset,
    int64_t timeout_ms, json_object **value)
{
	int64_t started_ms, wake_ms;
	const struct entry *entry;
	const char *text;
	int number, timer;

	entry = run_call(wf, READ, &number);
	timer = wf->next++;
	if (entry == NULL) {
		wake_ms = run_timeout(wf, timer, timeout_ms, &started_ms);
		await_value(wf, number, id, key, offset, started_ms, wake_ms);
	}
	*value = run_recorded(wf, number);
	entry = run_lookup(wf, number, READ);
	text = value_text(*value);
	if (entry->error == NULL && entry->output == NULL)
		return WF_STREAM_LATE;
	if (text == NULL || strcmp(text, CLOSED) != 0)
		return WF_STREAM_VALUE;
	*value = NULL;
	return WF_STREAM_END;
}
