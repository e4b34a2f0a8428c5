/* SPDX-License-Identifier: MIT */
/*
 * The courier's round trips: one transaction submits all starts and messages
 * and fetches the events that callers wait for.
 */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "client/courier.h"
#include "db/value.h"

/* How long after meeting a lock a call is tried again, alone. */
#define LOCKED_MS     4000

/* How long calls are executed one by one before the courier does the rest. */
#define ONE_BY_ONE_MS 3000

static const char submit_sql[] =
    "select kind, position, outcome from durable.client_submit("
    "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
static const char events_sql[] =
    "select position, present, value, serialization "
    "from durable.client_events($1, $2)";
static const char announce_sql[] =
    "select durable.hint('durable_due', '{\"\"}')";

/*
 * The calls of one transaction, by position: starts, sends, and the calls for
 * which events are looked up (looks): first the due calls, then the sends.
 */
struct courier_batch {
	struct call **starts, **sends, **looks;
	size_t starts_len, sends_len, looks_len;
};

static size_t
count_calls(const struct call_list *list)
{
	const struct call *call;
	size_t count = 0;

	TAILQ_FOREACH(call, list, link)
		count++;
	return count;
}

/* Makes an empty batch with room for so many submitted and due calls. */
static struct courier_batch
new_batch(struct courier *courier, size_t submits, size_t looks)
{
	struct arena *arena = courier->arena;

	return (struct courier_batch){
		.starts = arena_alloc(arena, submits * sizeof(struct call *)),
		.sends = arena_alloc(arena, submits * sizeof(struct call *)),
		.looks = arena_alloc(arena,
		    (submits + looks) * sizeof(struct call *)),
	};
}

static void
add_due(struct courier_batch *batch, const struct courier *courier)
{
	struct call *call;

	TAILQ_FOREACH(call, &courier->due, link)
		batch->looks[batch->looks_len++] = call;
}

static void
add_call(struct courier_batch *batch, struct call *call)
{
	if (call->kind == CALL_START) {
		batch->starts[batch->starts_len++] = call;
	} else {
		batch->sends[batch->sends_len++] = call;
		batch->looks[batch->looks_len++] = call;
	}
}

static void
add_pending(struct courier_batch *batch, const struct courier *courier)
{
	struct call *call;

	TAILQ_FOREACH(call, &courier->pending, link)
		if (call->retry_ms == 0)
			add_call(batch, call);
}

static void
clear_columns(struct courier *courier)
{
	size_t i;

	for (i = 0; i < COURIER_COLUMNS; i++)
		strbuf_reset(&courier->columns[i]);
}

static void
queue_submit(struct courier *courier, const struct courier_batch *batch,
    const struct db_rows **rows)
{
	struct strbuf *columns = courier->columns;
	const char *params[COURIER_COLUMNS + 1];
	size_t i;

	if (batch->starts_len + batch->sends_len == 0)
		return;
	clear_columns(courier);
	for (i = 0; i < batch->starts_len; i++) {
		const struct call *call = batch->starts[i];

		strbuf_add_element(&columns[0], call->id);
		strbuf_add_element(&columns[1], call->name);
		strbuf_add_element(&columns[2], call->queue);
		strbuf_add_element(&columns[3], call->input);
	}
	for (i = 0; i < batch->sends_len; i++) {
		const struct call *call = batch->sends[i];

		strbuf_add_element(&columns[4], call->id);
		strbuf_add_element(&columns[5], call->name);
		strbuf_add_element(&columns[6], call->topic);
		strbuf_add_element(&columns[7], call->message);
		strbuf_add_element(&columns[8], call->key);
	}
	for (i = 0; i < 4; i++)
		params[i] = strbuf_end_array(&columns[i]);
	params[4] = courier->client->application;
	for (i = 4; i < COURIER_COLUMNS; i++)
		params[i + 1] = strbuf_end_array(&columns[i]);
	db_queue_rows(courier->db, courier->arena, submit_sql,
	    COURIER_COLUMNS + 1, params, rows);
}

/*
 * Looks up events in the transaction that submits the calls.  An event that
 * commits later is notified after its commit, and the courier reads
 * notifications after this round trip, when the sends are waiting calls.
 */
static void
queue_looks(struct courier *courier, const struct courier_batch *batch,
    const struct db_rows **rows)
{
	const char *params[2];
	size_t i;

	if (batch->looks_len == 0)
		return;
	clear_columns(courier);
	for (i = 0; i < batch->looks_len; i++) {
		strbuf_add_element(&courier->columns[0], batch->looks[i]->id);
		strbuf_add_element(&courier->columns[1],
		    batch->looks[i]->event);
	}
	params[0] = strbuf_end_array(&courier->columns[0]);
	params[1] = strbuf_end_array(&courier->columns[1]);
	db_queue_rows(courier->db, courier->arena, events_sql, 2, params, rows);
}

/*
 * Notifies the daemons of new workflows, in a transaction of its own, because a
 * commit that notifies takes a lock of the whole cluster.  A batch with
 * messages notifies anyway, so there it is part of the transaction.
 */
static void
queue_announcement(struct courier *courier, const struct courier_batch *batch)
{
	if (batch->starts_len == 0)
		return;
	if (batch->sends_len == 0)
		db_sync(courier->db);
	db_queue(courier->db, announce_sql, 0, NULL);
}

/*
 * Handles the outcome of a submitted call.  Returns whether the call waits for
 * its event now; if not, it may have been freed.
 */
static bool
settle_call(struct courier *courier, struct call *call, const char *outcome)
{
	/* A turn has the workflow locked, or it was deleted just now. */
	if (strcmp(outcome, "busy") == 0)
		return false;
	TAILQ_REMOVE(&courier->pending, call, link);
	if (strcmp(outcome, "conflict") == 0) {
		courier_answer(call, CLIENT_CONFLICT, NULL);
		return false;
	}
	if (strcmp(outcome, "retired") == 0) {
		courier_answer(call, CLIENT_GONE, NULL);
		return false;
	}
	if (strcmp(outcome, "unknown") == 0) {
		courier_answer(call, CLIENT_UNKNOWN, NULL);
		return false;
	}
	/*
	 * Only a start of a known workflow is due: this round trip looks up the
	 * events of sends, and a new workflow cannot have run yet.
	 */
	courier_add_waiting(courier, call,
	    call->kind == CALL_START && strcmp(outcome, "created") != 0);
	return true;
}

/* Handles all outcomes; clears the looks of sends that do not wait now. */
static void
settle_batch(struct courier *courier, struct courier_batch *batch,
    const struct db_rows *rows)
{
	struct call **looks = batch->looks + batch->looks_len -
	    batch->sends_len;
	size_t row;

	courier_count_batch(courier, batch->starts_len + batch->sends_len);
	for (row = 0; row < db_row_count(rows); row++) {
		bool start = strcmp(db_value(rows, row, 0), "start") == 0;
		size_t at = strtoul(db_value(rows, row, 1), NULL, 10) - 1;

		if (at >= (start ? batch->starts_len : batch->sends_len))
			abort();
		if (start)
			settle_call(courier, batch->starts[at],
			    db_value(rows, row, 2));
		else if (!settle_call(courier, batch->sends[at],
			     db_value(rows, row, 2)))
			looks[at] = NULL;
	}
}

/* Answers a call with its event's JSON, or that the event is null. */
static void
answer_event(struct courier *courier, struct call *call, const char *text,
    const char *serialization)
{
	const char *json = NULL;
	json_object *value;

	if (!value_decode(courier->arena, text, serialization, &value)) {
		log_error("wf=%s cannot read event '%s', so its caller is "
			  "refused: the value is not JSON in a known format",
		    call->id, call->event);
		courier_answer_waiting(courier, call, CLIENT_REFUSED, NULL);
		return;
	}
	if (value != NULL)
		json = value_encode(courier->arena, value, VALUE_PORTABLE);
	courier_answer_waiting(courier, call,
	    json == NULL ? CLIENT_NOTHING : CLIENT_ANSWERED, json);
}

/* Answers the calls of the fetched events; other due calls go on waiting. */
static void
hand_out(struct courier *courier, const struct courier_batch *batch,
    const struct db_rows *rows)
{
	size_t row, i;

	for (i = 0; i < batch->looks_len; i++) {
		struct call *call = batch->looks[i];

		if (call != NULL && call->due) {
			TAILQ_REMOVE(&courier->due, call, link);
			call->due = false;
		}
	}
	for (row = 0; row < db_row_count(rows); row++) {
		size_t at = strtoul(db_value(rows, row, 0), NULL, 10) - 1;

		if (at >= batch->looks_len)
			abort();
		if (batch->looks[at] == NULL)
			continue;
		if (*db_value(rows, row, 1) == 't')
			answer_event(courier, batch->looks[at],
			    db_value(rows, row, 2), db_value(rows, row, 3));
		else
			courier_answer_waiting(courier, batch->looks[at],
			    CLIENT_NOTHING, NULL);
	}
}

/*
 * After a commit that met the full notification queue: from then on no call
 * notifies.  The sweep of a daemon usually sees it first.
 */
static void
heed_full_queue(struct courier *courier)
{
	if (strcmp(db_last_error(courier->db)->sqlstate, "54000") != 0)
		return;
	db_queue(courier->db, "select durable.heed_notification_queue()", 0,
	    NULL);
	db_finish(courier->db);
}

/* Makes the round trip of a batch: all its calls succeed, or none. */
static enum db_outcome
carry(struct courier *courier, struct courier_batch *batch)
{
	const struct db_rows *submitted = NULL, *events = NULL;

	queue_submit(courier, batch, &submitted);
	queue_looks(courier, batch, &events);
	queue_announcement(courier, batch);
	/* Ignore all results unless the commit has succeeded. */
	if (db_finish(courier->db) != DB_DONE) {
		enum db_outcome failed = db_last_error(courier->db)->own;

		heed_full_queue(courier);
		return failed;
	}
	if (submitted != NULL)
		settle_batch(courier, batch, submitted);
	if (events != NULL)
		hand_out(courier, batch, events);
	return DB_DONE;
}

/* Refuses all due calls, after a bug in the lookup; logs it once. */
static void
refuse_due(struct courier *courier)
{
	struct call *call;

	log_error("the database refused to look up events, so all due callers "
		  "are refused: %s",
	    db_last_error(courier->db)->message);
	while ((call = TAILQ_FIRST(&courier->due)) != NULL)
		courier_answer_waiting(courier, call, CLIENT_REFUSED, NULL);
}

static void
refuse_call(struct courier *courier, struct call *call)
{
	log_error("wf=%s the database refused a %s, so its caller is refused: "
		  "%s",
	    call->id, call->kind == CALL_START ? "start" : "message",
	    db_last_error(courier->db)->message);
	TAILQ_REMOVE(&courier->pending, call, link);
	courier_answer(call, CLIENT_REFUSED, NULL);
}

/* Whether the round trip failed because of another transaction's lock. */
static bool
met_lock(const struct courier *courier)
{
	return strcmp(db_last_error(courier->db)->sqlstate, "55P03") == 0;
}

/* Submits one call, so that a refusal or a lock concerns only this call. */
static enum db_outcome
carry_alone(struct courier *courier, struct call *call)
{
	struct courier_batch batch = new_batch(courier, 1, 0);
	enum db_outcome outcome;

	call->retry_ms = 0;
	add_call(&batch, call);
	outcome = carry(courier, &batch);
	if (outcome == DB_REFUSED) {
		refuse_call(courier, call);
		return DB_DONE;
	}
	if (outcome == DB_RETRY && met_lock(courier)) {
		call->retry_ms = clock_monotonic_ms() + LOCKED_MS;
		return DB_DONE;
	}
	return outcome;
}

/*
 * Fetches for the due calls, then submits one call at a time, so that a call
 * that is refused or meets a lock does not fail the others.
 */
static enum db_outcome
carry_one_by_one(struct courier *courier)
{
	struct courier_batch batch = new_batch(courier, 0,
	    count_calls(&courier->due));
	int64_t until_ms = clock_monotonic_ms() + ONE_BY_ONE_MS;
	enum db_outcome outcome;
	struct call *call, *next;

	add_due(&batch, courier);
	outcome = batch.looks_len == 0 ? DB_DONE : carry(courier, &batch);
	if (outcome == DB_REFUSED) {
		refuse_due(courier);
		outcome = DB_DONE;
	}
	for (call = TAILQ_FIRST(&courier->pending); call != NULL &&
	     outcome == DB_DONE && clock_monotonic_ms() < until_ms;
	     call = next) {
		next = TAILQ_NEXT(call, link);
		if (call->retry_ms == 0)
			outcome = carry_alone(courier, call);
	}
	return outcome;
}

/* Tries the first call again that has met a lock and is due for it. */
static enum db_outcome
carry_locked(struct courier *courier)
{
	struct call *call;

	TAILQ_FOREACH(call, &courier->pending, link)
		if (call->retry_ms != 0 &&
		    call->retry_ms <= clock_monotonic_ms())
			return carry_alone(courier, call);
	return DB_DONE;
}

/* Submits all pending calls and fetches the events of the due ones. */
static enum db_outcome
carry_all(struct courier *courier)
{
	size_t submits = count_calls(&courier->pending);
	size_t looks = count_calls(&courier->due);
	enum db_outcome outcome = DB_DONE;
	struct courier_batch batch;

	batch = new_batch(courier, submits, looks);
	add_due(&batch, courier);
	add_pending(&batch, courier);
	if (batch.starts_len + batch.looks_len > 0)
		outcome = carry(courier, &batch);
	if (outcome == DB_REFUSED || (outcome == DB_RETRY && met_lock(courier)))
		outcome = carry_one_by_one(courier);
	if (outcome == DB_DONE)
		outcome = carry_locked(courier);
	if (outcome == DB_SCHEMA) {
		courier_log_unready(courier);
		courier_answer_list(&courier->pending, CLIENT_UNAVAILABLE);
	}
	if (outcome != DB_DONE)
		return outcome;
	/* Calls to busy workflows are left for a later round trip. */
	return TAILQ_EMPTY(&courier->pending) ? DB_DONE : DB_RETRY;
}

enum db_outcome
courier_batch_make(struct courier *courier)
{
	enum db_outcome carried = carry_all(courier), asked;

	if (carried == DB_LOST)
		return DB_LOST;
	asked = courier_query_all(courier);
	return asked == DB_DONE ? carried : asked;
}
