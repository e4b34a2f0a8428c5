/* SPDX-License-Identifier: MIT */
/*
 * The courier's round trips: what callers want goes into the database in one
 * transaction, what they wait for comes out.
 */
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "courier.h"
#include "log.h"
#include "value.h"

static const char submit_sql[] =
    "select kind, position, outcome from durable.client_submit("
    "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
static const char events_sql[] =
    "select position, present, value, serialization "
    "from durable.client_events($1, $2)";
static const char announce_sql[] = "select pg_notify('durable_due', '')";

/* The calls of one transaction: starts and sends, by position. */
struct batch {
	struct call **starts, **sends;
	size_t starts_len, sends_len;
};

static void
add_to_batch(struct batch *batch, struct call *call)
{
	if (call->kind == CALL_START)
		batch->starts[batch->starts_len++] = call;
	else
		batch->sends[batch->sends_len++] = call;
}

static struct batch
new_batch(struct courier *courier, size_t size)
{
	return (struct batch){ .starts = arena_alloc(courier->arena,
				   size * sizeof(struct call *)),
		.sends = arena_alloc(courier->arena,
		    size * sizeof(struct call *)) };
}

static void
clear_columns(struct courier *courier)
{
	size_t i;

	for (i = 0; i < COURIER_COLUMNS; i++)
		strbuf_reset(&courier->columns[i]);
}

/*
 * Tells the daemons of new workflows: behind the commit, because a commit that
 * notifies holds a lock of the whole cluster; but messages do that anyway, and
 * then it is one notification more or less.
 */
static void
announce(struct courier *courier, const struct batch *batch)
{
	if (batch->starts_len == 0)
		return;
	if (batch->sends_len == 0)
		db_sync(courier->db);
	db_queue(courier->db, announce_sql, 0, NULL);
}

/* Runs the transaction of a batch. */
static const struct db_rows *
submit(struct courier *courier, const struct batch *batch)
{
	struct strbuf *columns = courier->columns;
	const struct db_rows *rows = NULL;
	const char *params[COURIER_COLUMNS + 1];
	size_t i;

	clear_columns(courier);
	for (i = 0; i < batch->starts_len; i++) {
		const struct call *call = batch->starts[i];

		strbuf_add_element(&columns[0], call->id);
		strbuf_add_element(&columns[1], call->name);
		strbuf_add_element(&columns[2], call->place);
		strbuf_add_element(&columns[3], call->json);
	}
	for (i = 0; i < batch->sends_len; i++) {
		const struct call *call = batch->sends[i];

		strbuf_add_element(&columns[4], call->id);
		strbuf_add_element(&columns[5], call->name);
		strbuf_add_element(&columns[6], call->place);
		strbuf_add_element(&columns[7], call->json);
		strbuf_add_element(&columns[8], call->key);
	}
	for (i = 0; i < 4; i++)
		params[i] = strbuf_end_array(&columns[i]);
	params[4] = courier->client->application;
	for (i = 4; i < COURIER_COLUMNS; i++)
		params[i + 1] = strbuf_end_array(&columns[i]);
	db_queue_rows(courier->db, courier->arena, submit_sql,
	    COURIER_COLUMNS + 1, params, &rows);
	announce(courier, batch);
	/* Statements that went well are nothing without their commit. */
	return db_finish(courier->db) == DB_DONE ? rows : NULL;
}

/* What became of one call of the batch. */
static void
settle(struct courier *courier, struct call *call, const char *outcome)
{
	/* Its workflow is in a turn: it stays pending. */
	if (strcmp(outcome, "busy") == 0)
		return;
	TAILQ_REMOVE(&courier->pending, call, link);
	if (strcmp(outcome, "conflict") == 0) {
		courier_answer(courier, call, CLIENT_CONFLICT, NULL);
	} else if (strcmp(outcome, "unknown") == 0) {
		courier_answer(courier, call, CLIENT_UNKNOWN, NULL);
	} else if (strcmp(outcome, "created") == 0) {
		/* It cannot have run yet: its event will be announced. */
		courier_add_waiting(courier, call, false);
	} else {
		courier_add_waiting(courier, call, true);
	}
}

static void
count_batch(struct courier *courier, size_t operations)
{
	struct client *client = courier->client;

	pthread_mutex_lock(&client->lock);
	client->stats.batches++;
	client->stats.operations += operations;
	pthread_mutex_unlock(&client->lock);
}

static void
settle_batch(struct courier *courier, const struct batch *batch,
    const struct db_rows *rows)
{
	size_t row;

	count_batch(courier, batch->starts_len + batch->sends_len);
	for (row = 0; row < db_row_count(rows); row++) {
		bool start = strcmp(db_value(rows, row, 0), "start") == 0;
		size_t at = strtoul(db_value(rows, row, 1), NULL, 10) - 1;

		if (at >= (start ? batch->starts_len : batch->sends_len))
			abort();
		settle(courier, start ? batch->starts[at] : batch->sends[at],
		    db_value(rows, row, 2));
	}
}

/* Submits one call, so that what is refused is this call. */
static enum db_outcome
submit_alone(struct courier *courier, struct call *call)
{
	struct batch batch = new_batch(courier, 1);
	const struct db_rows *rows;

	add_to_batch(&batch, call);
	rows = submit(courier, &batch);
	if (rows != NULL) {
		settle_batch(courier, &batch, rows);
		return DB_DONE;
	}
	if (db_last_error(courier->db)->outcome != DB_REFUSED)
		return db_last_error(courier->db)->outcome;
	log_error("wf=%s refused by the database: %s", call->id,
	    db_last_error(courier->db)->message);
	TAILQ_REMOVE(&courier->pending, call, link);
	courier_answer(courier, call, CLIENT_REFUSED, NULL);
	return DB_DONE;
}

static enum db_outcome
submit_one_by_one(struct courier *courier)
{
	enum db_outcome outcome = DB_DONE;
	struct call *call, *next;

	for (call = TAILQ_FIRST(&courier->pending);
	     call != NULL && outcome == DB_DONE; call = next) {
		next = TAILQ_NEXT(call, link);
		outcome = submit_alone(courier, call);
	}
	return outcome;
}

/* What is left is busy, or vanished under its call: it is submitted again. */
static enum db_outcome
look_for_left(const struct courier *courier, enum db_outcome outcome)
{
	return outcome == DB_DONE && !TAILQ_EMPTY(&courier->pending) ? DB_RETRY
								     : outcome;
}

/* Starts and sends all that is pending. */
static enum db_outcome
submit_pending(struct courier *courier)
{
	const struct db_rows *rows;
	struct batch batch;
	struct call *call;
	size_t count = 0;

	for (call = TAILQ_FIRST(&courier->pending); call != NULL;
	     call = TAILQ_NEXT(call, link))
		count++;
	if (count == 0)
		return DB_DONE;
	batch = new_batch(courier, count);
	for (call = TAILQ_FIRST(&courier->pending); call != NULL;
	     call = TAILQ_NEXT(call, link))
		add_to_batch(&batch, call);
	rows = submit(courier, &batch);
	if (rows != NULL) {
		settle_batch(courier, &batch, rows);
		return look_for_left(courier, DB_DONE);
	}
	if (db_last_error(courier->db)->outcome == DB_REFUSED)
		return look_for_left(courier, submit_one_by_one(courier));
	return db_last_error(courier->db)->outcome;
}

/* Hands out an event that was set: its JSON, or that there is nothing. */
static void
answer_event(struct courier *courier, struct call *call, const char *text,
    const char *serialization)
{
	const char *json = NULL;
	json_object *value;

	if (!value_decode(courier->arena, text, serialization, &value)) {
		log_error("wf=%s cannot read event '%s'", call->id,
		    call->event);
		courier_answer_waiting(courier, call, CLIENT_REFUSED, NULL);
		return;
	}
	if (value != NULL)
		json = value_encode(courier->arena, value, VALUE_PORTABLE);
	courier_answer_waiting(courier, call,
	    json == NULL ? CLIENT_NOTHING : CLIENT_ANSWERED, json);
}

static void
hand_out(struct courier *courier, struct call *const fetched[], size_t count,
    const struct db_rows *rows)
{
	size_t row;

	for (row = 0; row < db_row_count(rows); row++) {
		size_t at = strtoul(db_value(rows, row, 0), NULL, 10) - 1;

		if (at >= count)
			abort();
		if (*db_value(rows, row, 1) == 't')
			answer_event(courier, fetched[at],
			    db_value(rows, row, 2), db_value(rows, row, 3));
		else
			courier_answer_waiting(courier, fetched[at],
			    CLIENT_NOTHING, NULL);
	}
}

/* The database does not want to say: a bug, which is logged once for all. */
static void
refuse_due(struct courier *courier)
{
	struct call *call;

	log_error("events refused by the database: %s",
	    db_last_error(courier->db)->message);
	while ((call = TAILQ_FIRST(&courier->due)) != NULL)
		courier_answer_waiting(courier, call, CLIENT_REFUSED, NULL);
}

static enum db_outcome
fetch_due(struct courier *courier)
{
	const char *params[2];
	const struct db_rows *rows;
	struct call **fetched, *call;
	size_t count = 0, i = 0;

	clear_columns(courier);
	for (call = TAILQ_FIRST(&courier->due); call != NULL;
	     call = TAILQ_NEXT(call, link)) {
		strbuf_add_element(&courier->columns[0], call->id);
		strbuf_add_element(&courier->columns[1], call->event);
		count++;
	}
	params[0] = strbuf_end_array(&courier->columns[0]);
	params[1] = strbuf_end_array(&courier->columns[1]);
	rows = db_query(courier->db, courier->arena, events_sql, 2, params);
	if (rows == NULL)
		return db_last_error(courier->db)->outcome;
	fetched = arena_alloc(courier->arena, count * sizeof(struct call *));
	while ((call = TAILQ_FIRST(&courier->due)) != NULL) {
		TAILQ_REMOVE(&courier->due, call, link);
		call->due = false;
		fetched[i++] = call;
	}
	hand_out(courier, fetched, count, rows);
	return DB_DONE;
}

/* Fetches what may be decided. */
static enum db_outcome
fetch(struct courier *courier)
{
	enum db_outcome outcome;

	if (TAILQ_EMPTY(&courier->due))
		return DB_DONE;
	outcome = fetch_due(courier);
	if (outcome == DB_REFUSED)
		refuse_due(courier);
	return outcome;
}

static bool
same_text(const char *one, const char *other)
{
	return one == NULL || other == NULL ? one == other
					    : strcmp(one, other) == 0;
}

static bool
same_query(const struct call *one, const struct call *other)
{
	return one->sql == other->sql &&
	    same_text(one->params[0], other->params[0]) &&
	    same_text(one->params[1], other->params[1]);
}

/* Gives the answer to all who asked the same; asked itself comes last. */
static void
answer_equals(struct courier *courier, struct call *asked,
    enum client_outcome outcome, const char *value)
{
	struct call *call, *next;

	TAILQ_REMOVE(&courier->queries, asked, link);
	for (call = TAILQ_FIRST(&courier->queries); call != NULL; call = next) {
		next = TAILQ_NEXT(call, link);
		if (!same_query(call, asked))
			continue;
		TAILQ_REMOVE(&courier->queries, call, link);
		courier_answer(courier, call, outcome, value);
	}
	courier_answer(courier, asked, outcome, value);
}

/* How many parameters a query has, of at most two. */
static size_t
count_parameters(const char *sql)
{
	return strstr(sql, "$2") != NULL ? 2 : strstr(sql, "$1") != NULL;
}

/* Runs one query. */
static enum db_outcome
ask(struct courier *courier, struct call *call)
{
	const struct db_rows *rows;
	const char *value;

	rows = db_query(courier->db, courier->arena, call->sql,
	    count_parameters(call->sql), call->params);
	if (rows != NULL) {
		value = db_row_count(rows) == 0 ? NULL : db_value(rows, 0, 0);
		answer_equals(courier, call,
		    value == NULL ? CLIENT_NOTHING : CLIENT_ANSWERED, value);
		count_batch(courier, 1);
		return DB_DONE;
	}
	if (db_last_error(courier->db)->outcome == DB_REFUSED) {
		log_error("a query was refused by the database: %s",
		    db_last_error(courier->db)->message);
		answer_equals(courier, call, CLIENT_REFUSED, NULL);
		return DB_DONE;
	}
	return db_last_error(courier->db)->outcome;
}

static enum db_outcome
ask_queries(struct courier *courier)
{
	enum db_outcome outcome = DB_DONE;

	while (!TAILQ_EMPTY(&courier->queries) && outcome == DB_DONE)
		outcome = ask(courier, TAILQ_FIRST(&courier->queries));
	return outcome;
}

enum db_outcome
trip_make(struct courier *courier)
{
	static enum db_outcome (*const parts[])(
	    struct courier *) = { submit_pending, fetch, ask_queries };
	enum db_outcome worst = DB_DONE;
	size_t i;

	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		enum db_outcome outcome = parts[i](courier);

		if (outcome == DB_LOST)
			return DB_LOST;
		if (outcome == DB_RETRY)
			worst = DB_RETRY;
	}
	return worst;
}
