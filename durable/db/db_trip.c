/* SPDX-License-Identifier: MIT */
/*
 * A round trip: statements go out, and their answers come back in the same
 * order.
 */
#include "db/db_private.h"

#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/failpoint.h"
#include "base/memory.h"
#include "db/progress.h"

/*
 * Texts that a slow line carries for long.  While the server reads one message
 * the time-outs of an idle transaction and of the statement before run on.
 */
#define LARGE_LEN     131072

#define SWOLLEN_BYTES (4 << 20) /* see db_take_swollen */

/* Clears the last round trip's error when the first statement is queued. */
static void
begin_trip(struct db *db)
{
	if (db->in_trip)
		return;
	db_error_clear(db);
	db->in_trip = true;
	db->trip++;
	db->trip_bytes = 0;
	if (db->conn != NULL && PQtransactionStatus(db->conn) == PQTRANS_IDLE)
		db->idle_trip = db->trip;
}

static void
count_bytes(struct db *db, size_t bytes)
{
	db->trip_bytes += bytes;
	db->swollen = db->swollen || db->trip_bytes >= SWOLLEN_BYTES;
}

static struct expected *
expect(struct db *db, enum expected_kind kind, const char *sql,
    struct prepared *statement)
{
	if (db->expected_count == db->expected_size) {
		db->expected_size = db->expected_size * 2 + 64;
		db->expected = memory_resize(db->expected, db->expected_size,
		    sizeof(*db->expected));
	}
	db->expected[db->expected_count] = (struct expected){ .kind = kind,
		.sql = sql,
		.statement = statement };
	return &db->expected[db->expected_count++];
}

/*
 * Finds or adds a statement by its text; the server deallocates the one that it
 * replaces.  NULL: there is no place for it.
 */
static struct prepared *
find_statement(struct db *db, const char *sql)
{
	char replaced[PREPARED_NAME_SIZE], deallocate[64];
	struct prepared *statement = prepared_find(&db->prepared, sql, db->trip,
	    replaced);

	if (*replaced == '\0')
		return statement;
	snprintf(deallocate, sizeof(deallocate), "deallocate %s", replaced);
	if (PQsendQueryParams(db->conn, deallocate, 0, NULL, NULL, NULL, NULL,
		0))
		expect(db, EXPECT_RESULT, NULL, NULL);
	else
		db_error_note_lost(db);
	return statement;
}

/*
 * Precedes a large message by a statement that does nothing.  A statement that
 * is complete stops the server's time-outs until the next one is; and its text,
 * which pg_stat_activity shows meanwhile, says for how long the rest may take
 * (see the sweep).
 */
static bool
announce(struct db *db, size_t len)
{
	char sql[64];

	if (len < LARGE_LEN)
		return true;
	snprintf(sql, sizeof(sql), "select 'a message of %zu bytes follows'",
	    len);
	if (!PQsendQueryParams(db->conn, sql, 0, NULL, NULL, NULL, NULL, 0))
		return false;
	expect(db, EXPECT_RESULT, NULL, NULL);
	return true;
}

static size_t
length_of(size_t nparams, const char *const params[])
{
	size_t len = 0, i;

	for (i = 0; i < nparams; i++)
		len += params[i] == NULL ? 0 : strlen(params[i]);
	return len;
}

/* Sends a statement, which is prepared before if it is not yet. */
static bool
send_prepared(struct db *db, struct prepared *statement, const char *sql,
    size_t nparams, const char *const params[])
{
	char name[PREPARED_NAME_SIZE];

	prepared_name(&db->prepared, statement, name);
	if (statement->state == UNPREPARED) {
		if (!announce(db, strlen(sql)))
			return false;
		if (!PQsendPrepare(db->conn, name, sql, 0, NULL))
			return false;
		statement->state = PREPARING;
		expect(db, EXPECT_PREPARE, sql, statement);
	}
	return announce(db, length_of(nparams, params)) &&
	    PQsendQueryPrepared(db->conn, name, (int)nparams, params, NULL,
		NULL, 0) == 1;
}

/* Sends a statement for which there is no place among the prepared ones. */
static bool
send_unprepared(struct db *db, const char *sql, size_t nparams,
    const char *const params[])
{
	return announce(db, strlen(sql) + length_of(nparams, params)) &&
	    PQsendQueryParams(db->conn, sql, (int)nparams, NULL, params, NULL,
		NULL, 0) == 1;
}

/*
 * Whether a statement makes or undoes what a failed step needs.  It is sent as
 * it is, because the step may have deallocated every prepared statement.
 */
static bool
undoes(const char *sql)
{
	static const char *const words[] = { "rollback", "savepoint",
		"release" };
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strncmp(sql, words[i], strlen(words[i])) == 0)
			return true;
	return false;
}

/*
 * Behind a rollback: what failed may have deallocated any statement, which no
 * rollback undoes.
 */
static void
deallocate_all(struct db *db)
{
	if (!PQsendQueryParams(db->conn, "deallocate all", 0, NULL, NULL, NULL,
		NULL, 0)) {
		db_error_note_lost(db);
		return;
	}
	expect(db, EXPECT_RESULT, NULL, NULL);
	prepared_drop_all(&db->prepared);
}

void
db_queue(struct db *db, const char *sql, size_t nparams,
    const char *const params[])
{
	db_queue_rows(db, NULL, sql, nparams, params, NULL);
}

void
db_queue_rows(struct db *db, struct arena *arena, const char *sql,
    size_t nparams, const char *const params[], const struct db_rows **rows)
{
	struct prepared *statement = NULL;
	struct expected *expected;
	size_t i;

	pthread_mutex_lock(&db->lock);
	begin_trip(db);
	if (db_connected(db) && !undoes(sql))
		statement = find_statement(db, sql);
	if (db_connected(db) &&
	    (statement != NULL
		    ? send_prepared(db, statement, sql, nparams, params)
		    : send_unprepared(db, sql, nparams, params))) {
		expected = expect(db, EXPECT_RESULT, sql, statement);
		expected->rows = rows;
		expected->arena = arena;
		if (strncmp(sql, "rollback", strlen("rollback")) == 0)
			deallocate_all(db);
	} else {
		db_error_note_lost(db);
	}
	for (i = 0; i < nparams; i++)
		if (params[i] != NULL)
			count_bytes(db, strlen(params[i]));
	pthread_mutex_unlock(&db->lock);
}

static bool
send_sync(struct db *db)
{
	if (!db_connected(db) || !PQpipelineSync(db->conn))
		return false;
	expect(db, EXPECT_SYNC, NULL, NULL);
	return true;
}

void
db_sync(struct db *db)
{
	pthread_mutex_lock(&db->lock);
	begin_trip(db);
	if (!send_sync(db))
		db_error_note_lost(db);
	pthread_mutex_unlock(&db->lock);
}

/*
 * Not in a round trip: the statements behind a Sync run even when one before it
 * has failed.
 */
bool
db_beat(struct db *db)
{
	if (pthread_mutex_trylock(&db->lock) != 0)
		return false;
	/* When this fails, so does the next round trip, and says why. */
	if (db->in_transaction && !db->in_trip && db->trip == db->beaten_trip)
		send_sync(db);
	db->beaten_trip = db->trip;
	pthread_mutex_unlock(&db->lock);
	return true;
}

/*
 * Sends all that is queued, and reads answers meanwhile, because a server that
 * cannot send its answers stops reading.
 */
static bool
flush(struct db *db)
{
	struct progress progress = progress_begin();
	int left;

	while ((left = PQflush(db->conn)) == 1)
		if (!db_wait(db, POLLIN | POLLOUT, &progress) ||
		    !PQconsumeInput(db->conn))
			return false;
	return left == 0;
}

/*
 * Takes the answer to a Sync; the error of the commit that it made may precede
 * it.  Drops the connection without that answer, because later answers could
 * not be matched to their statements.
 */
static void
take_sync(struct db *db)
{
	ExecStatusType status;
	int nothing = 0;

	while (nothing < 2 && db_await_answer(db)) {
		PGresult *result = PQgetResult(db->conn);

		status = PQresultStatus(result);
		nothing = result == NULL ? nothing + 1 : 0;
		if (status == PGRES_FATAL_ERROR)
			db_error_note_result(db, result, NULL);
		PQclear(result);
		if (status == PGRES_PIPELINE_SYNC)
			return;
	}
	db_error_note_lost(db);
	db_disconnect(db);
}

/*
 * Takes the next expected answer.  Returns the result of a statement that
 * succeeded, which the caller clears; else NULL.
 */
static PGresult *
take_answer(struct db *db, const struct expected *expected)
{
	PGresult *result = db_await_answer(db) ? PQgetResult(db->conn) : NULL;
	ExecStatusType status = PQresultStatus(result);
	bool done = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;

	if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT ||
	    status == PGRES_COPY_BOTH) {
		/* libpq cannot leave the copy in a pipeline. */
		db_error_note_useless(db, expected,
		    "COPY is not possible here");
		PQclear(result);
		db_disconnect(db);
		return NULL;
	}
	if (result == NULL || PQstatus(db->conn) != CONNECTION_OK)
		db_error_note_lost(db);
	else if (status == PGRES_FATAL_ERROR)
		db_error_note_result(db, result, expected);
	else if (status == PGRES_EMPTY_QUERY)
		db_error_note_useless(db, expected, "the statement is empty");
	if (expected->kind == EXPECT_PREPARE)
		expected->statement->state = done ? PREPARED : UNPREPARED;
	if (done && expected->statement != NULL)
		expected->statement->alive = db->trip;
	/* libpq returns NULL after each statement's result. */
	if (result != NULL && db_await_answer(db))
		PQclear(PQgetResult(db->conn));
	if (result != NULL)
		count_bytes(db, PQresultMemorySize(result));
	if (done && expected->kind == EXPECT_RESULT)
		return result;
	PQclear(result);
	return NULL;
}

static void
clear_result(void *result)
{
	PQclear(result);
}

/* Ties a result to its arena and stores its rows where they were asked for. */
static void
keep_rows(const struct expected *expected, PGresult *result)
{
	struct db_rows *rows = arena_alloc(expected->arena, sizeof(*rows));

	rows->result = result;
	arena_defer(expected->arena, clear_result, result);
	*expected->rows = rows;
}

/*
 * Takes the answers to all that was sent, in order.  Rows behind max_bytes are
 * read and discarded, because the server waits for a client that does not read.
 */
static void
take_answers(struct db *db, size_t max_bytes)
{
	size_t i;

	for (i = 0; i < db->expected_count; i++) {
		const struct expected *expected = &db->expected[i];
		PGresult *result;

		if (db->error.outcome == DB_LOST && !db_connected(db))
			break;
		if (expected->kind == EXPECT_SYNC) {
			take_sync(db);
			continue;
		}
		result = take_answer(db, expected);
		if (db->trip_bytes > max_bytes)
			db_error_note(db, "53200", false,
			    "the answers are too large");
		if (result != NULL && expected->rows != NULL &&
		    db->trip_bytes <= max_bytes)
			keep_rows(expected, result);
		else
			PQclear(result);
	}
	db->expected_count = 0;
}

enum db_outcome
db_finish(struct db *db)
{
	return db_finish_within(db, SIZE_MAX);
}

enum db_outcome
db_finish_within(struct db *db, size_t max_bytes)
{
	pthread_mutex_lock(&db->lock);
	failpoint("before-trip", db_fd(db));
	db_sync(db);
	if (db->error.outcome != DB_LOST && !flush(db))
		db_error_note_lost(db);
	failpoint("during-trip", db_fd(db));
	take_answers(db, max_bytes);
	db->in_trip = false;
	db->in_transaction = db_connected(db) &&
	    PQtransactionStatus(db->conn) == PQTRANS_INTRANS;
	failpoint("after-trip", db_fd(db));
	pthread_mutex_unlock(&db->lock);
	return db->error.outcome;
}

const struct db_rows *
db_query(struct db *db, struct arena *arena, const char *sql, size_t nparams,
    const char *const params[])
{
	const struct db_rows *rows = NULL;

	db_queue_rows(db, arena, sql, nparams, params, &rows);
	return db_finish(db) == DB_DONE ? rows : NULL;
}
