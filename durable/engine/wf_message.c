/* SPDX-License-Identifier: MIT */
/*
 * The calls of a workflow's author for events, messages and sleep.  Their names
 * in the journal and their numbers are those of the DBOS SDKs.
 */
#include <stdlib.h>
#include <string.h>

#include <durable/workflow.h>
#include "base/arena.h"
#include "db/value.h"
#include "engine/run.h"
#include "engine/turn_api.h"

void
wf_set_event(struct workflow *wf, const char *key, json_object *value)
{
	const char *text;
	int number;

	run_take(wf, value);
	if (run_call(wf, "DBOS.setEvent", &number) != NULL)
		return;
	text = value_encode(wf->arena, value, VALUE_PORTABLE);
	if (text == NULL)
		wf_fail(wf, "DBOSInvalidInput",
		    "the value of event '%s' is not valid JSON", key);
	turn_add_event(wf->turn, wf, number, key, text);
	run_record_output(wf, number, "DBOS.setEvent", NULL,
	    turn_now_ms(wf->turn));
}

/* Whether the workflow exists; only in turns of one: the query may fail. */
static bool
workflow_exists(struct workflow *wf, const char *id)
{
	const char *const params[] = { id };
	const struct db_error *refused;
	const struct db_rows *rows;

	turn_savepoint(wf->turn);
	rows = turn_query(wf->turn, wf,
	    "select 1 from durable.workflow_result($1)", 1, params, &refused);
	if (rows == NULL)
		return false;
	turn_release(wf->turn);
	return db_row_count(rows) > 0;
}

void
wf_send(struct workflow *wf, const char *id, const char *topic,
    json_object *message)
{
	static const char name[] = "DBOS.send";
	const struct entry *entry;
	const char *text;
	int64_t started_ms;
	int number;

	run_take(wf, message);
	entry = run_call(wf, name, &number);
	if (entry != NULL) {
		run_answer(wf, entry);
		return;
	}
	text = value_encode(wf->arena, message, VALUE_PORTABLE);
	if (text == NULL)
		wf_fail(wf, "DBOSInvalidInput",
		    "the message to workflow '%s' is not valid JSON", id);
	started_ms = turn_now_ms(wf->turn);
	/*
	 * In a turn of many the foreign key refuses a wrong destination when
	 * the turn ends, and the workflow runs again in a turn of one.
	 */
	if (turn_is_alone(wf->turn) && !workflow_exists(wf, id)) {
		run_record_error(wf, number, name,
		    value_encode_error(wf->arena,
			"DBOSNonExistentWorkflowError",
			arena_printf(wf->arena,
			    "there is no workflow '%s' to send to", id),
			VALUE_PORTABLE),
		    started_ms);
	} else {
		turn_add_message(wf->turn, id,
		    topic == NULL ? RUN_DEFAULT_TOPIC : topic, text);
		run_record_output(wf, number, name, NULL, started_ms);
	}
	run_recorded(wf, number);
}

/* The oldest message on the topic that is loaded, or NULL. */
static struct message *
find_message(struct workflow *wf, const char *topic)
{
	int i;

	for (i = 0; i < wf->messages_len; i++) {
		struct message *message = &wf->messages[i];

		if (!message->consumed && message->topic != NULL &&
		    strcmp(message->topic, topic) == 0)
			return message;
	}
	return NULL;
}

/* Consumes and returns the oldest message on the topic, or NULL. */
static const struct message *
take_message(struct workflow *wf, const char *topic, int number)
{
	struct message *message = find_message(wf, topic);

	if (message == NULL)
		return NULL;
	message->consumed = true;
	turn_add_consumed(wf->turn, message, number);
	return message;
}

/* Removes the messages on a topic that the workflow has received. */
static void
forget_consumed(struct workflow *wf, const char *topic)
{
	int i, kept = 0;

	for (i = 0; i < wf->messages_len; i++)
		if (!wf->messages[i].consumed ||
		    strcmp(wf->messages[i].topic, topic) != 0)
			wf->messages[kept++] = wf->messages[i];
	wf->messages_len = kept;
}

/*
 * Adds the messages of an answer, which is soon forgotten; topic is in the turn's
 * arena.  If there are none the last one before them stays, for the next
 * question.
 */
static void
add_messages(struct workflow *wf, const char *topic, const struct db_rows *rows)
{
	struct arena *arena = turn_arena(wf->turn);
	size_t count = db_row_count(rows), i;

	if (count > 0)
		forget_consumed(wf, topic);
	for (i = 0; i < count; i++)
		run_add_message(wf,
		    &(struct message){ .topic = topic,
			.id = arena_strdup(arena, db_value(rows, i, 0)),
			.text = arena_strdup(arena, db_value(rows, i, 1)),
			.serialization = arena_strdup(arena,
			    db_value(rows, i, 2)),
			.sent_ms = arena_strdup(arena, db_value(rows, i, 3)) });
	if (count == 0 || *db_value(rows, 0, 4) != 't')
		wf->known_topic = topic;
}

/*
 * Called when the workflow has received all messages on the topic that are
 * loaded: asks for others, which cannot come later in the turn, because it has
 * locked the workflow's status (I5).  Returns the error if that is refused.
 */
static const struct db_error *
load_messages(struct workflow *wf, const char *topic, int number)
{
	const struct message *last = NULL;
	const struct answer *answer;
	int i;

	if (wf->known_topic != NULL && strcmp(wf->known_topic, topic) == 0)
		return NULL;
	for (i = 0; i < wf->messages_len; i++)
		if (strcmp(wf->messages[i].topic, topic) == 0)
			last = &wf->messages[i];
	answer = turn_ask_messages(wf->turn, wf, topic, last, number);
	if (answer->refused == NULL)
		add_messages(wf, topic, answer->rows);
	return answer->refused;
}

bool
run_has_message(struct workflow *wf, const char *topic, int number)
{
	const struct db_error *refused;

	if (find_message(wf, topic) != NULL || !wf->has_unread)
		return find_message(wf, topic) != NULL;
	refused = load_messages(wf, topic, number);
	if (refused != NULL)
		wf_fail(wf, "DatabaseError", "%s", refused->message);
	return find_message(wf, topic) != NULL;
}

json_object *
wf_recv(struct workflow *wf, const char *topic, int64_t timeout_ms)
{
	static const char name[] = "DBOS.recv";
	const struct db_error *refused;
	const struct message *message;
	const struct entry *entry;
	int64_t started_ms, wake_ms;
	int number, timeout_number;

	entry = run_call(wf, name, &number);
	timeout_number = wf->next++;
	if (entry != NULL)
		return run_answer(wf, entry);
	if (topic == NULL)
		topic = RUN_DEFAULT_TOPIC;
	wake_ms = run_timeout(wf, timeout_number, timeout_ms, &started_ms);
	message = take_message(wf, topic, number);
	if (message == NULL && wf->has_unread) {
		/* The author's text may change while the run pauses. */
		topic = arena_strdup(turn_arena(wf->turn), topic);
		refused = load_messages(wf, topic, number);
		if (refused != NULL) {
			run_record_error(wf, number, name,
			    run_database_error(wf, refused), started_ms);
			return run_recorded(wf, number);
		}
		message = take_message(wf, topic, number);
	}
	if (message == NULL && turn_now_ms(wf->turn) < wake_ms)
		run_suspend(wf,
		    &(struct wait){ .kind = WAIT_MESSAGE,
			.wake_ms = wake_ms,
			.key = topic });
	run_record(wf, number,
	    &(struct entry){ .name = name,
		.output = message == NULL ? NULL : message->text,
		.serialization = message == NULL ? NULL
						 : message->serialization,
		.started_ms = started_ms,
		.completed_ms = turn_now_ms(wf->turn) });
	return run_recorded(wf, number);
}

const char *
wf_recv_string(struct workflow *wf, const char *topic, int64_t timeout_ms)
{
	return value_text(wf_recv(wf, topic, timeout_ms));
}

json_object *
wf_get_event(struct workflow *wf, const char *id, const char *key,
    int64_t timeout_ms)
{
	static const char name[] = "DBOS.getEvent";
	const char *const params[] = { id, key };
	const struct db_error *refused;
	const struct db_rows *rows;
	const struct entry *entry;
	int64_t started_ms, wake_ms;
	int number, timeout_number;
	bool present;

	entry = run_call(wf, name, &number);
	timeout_number = wf->next++;
	if (entry != NULL)
		return run_answer(wf, entry);
	wake_ms = run_timeout(wf, timeout_number, timeout_ms, &started_ms);
	turn_savepoint(wf->turn);
	rows = turn_query(wf->turn, wf,
	    "select value, serialization "
	    "from durable.workflow_event($1, $2)",
	    2, params, &refused);
	if (rows == NULL)
		wf_fail(wf, "DatabaseError", "%s", refused->message);
	turn_release(wf->turn);
	present = db_row_count(rows) > 0;
	if (!present && turn_now_ms(wf->turn) < wake_ms)
		run_suspend(wf,
		    &(struct wait){ .kind = WAIT_EVENT,
			.wake_ms = wake_ms,
			.target = id,
			.key = key });
	run_record(wf, number,
	    &(struct entry){ .name = name,
		.output = present ? db_value(rows, 0, 0) : NULL,
		.serialization = present ? db_value(rows, 0, 1) : NULL,
		.started_ms = started_ms,
		.completed_ms = turn_now_ms(wf->turn) });
	run_pause(wf);
	return run_recorded(wf, number);
}

void
wf_sleep(struct workflow *wf, int64_t duration_ms)
{
	static const char name[] = "DBOS.sleep";
	const struct entry *entry;
	int64_t now_ms, wake_ms;
	int number;

	entry = run_call(wf, name, &number);
	now_ms = turn_now_ms(wf->turn);
	if (entry != NULL) {
		wake_ms = entry->output == NULL
		    ? 0
		    : strtoll(entry->output, NULL, 10);
	} else {
		wake_ms = run_later(now_ms, duration_ms < 0 ? 0 : duration_ms);
		run_record(wf, number,
		    &(struct entry){ .name = name,
			.output = wf_number(wf, wake_ms),
			.started_ms = now_ms,
			.completed_ms = wake_ms });
	}
	if (now_ms < wake_ms)
		run_suspend(wf,
		    &(struct wait){ .kind = WAIT_TIMER, .wake_ms = wake_ms });
}
