/* SPDX-License-Identifier: MIT */
/*
 * One connection to PostgreSQL in pipeline mode: it is opened, waited for and
 * closed here, and what came over it is read.  Only the files db*.c, connect.c,
 * which makes the connection, and pooler.c use libpq.
 */
#include "db/db_private.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "db/connect.h"
#include "db/pooler.h"
#include "db/progress.h"

/* Type oids, from PostgreSQL's pg_type.dat: they never change. */
enum {
	OID_BOOL = 16,
	OID_INT8 = 20,
	OID_INT2 = 21,
	OID_INT4 = 23,
	OID_JSON = 114,
	OID_VOID = 2278,
	OID_JSONB = 3802
};

/*
 * Run in every session.  The TCP settings let the server notice that our host
 * has vanished, perhaps in a transaction.  The planner is left alone, because
 * a workflow's statements run here, too: see sql/plans.sql.
 */
static const char session[] =
    "set default_transaction_isolation = 'read committed';"
    "set tcp_keepalives_idle = 10;"
    "set tcp_keepalives_interval = 5;"
    "set tcp_keepalives_count = 3;"
    "set tcp_user_timeout = 10000;";

struct db *
db_new(const char *conninfo, const char *application_name)
{
	struct db *db = memory_new(sizeof(*db));
	pthread_mutexattr_t recursive;

	db->conninfo = conninfo == NULL ? "" : conninfo;
	db->application_name = application_name;
	pthread_mutexattr_init(&recursive);
	pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&db->lock, &recursive);
	pthread_mutexattr_destroy(&recursive);
	return db;
}

static void
free_notification(struct db *db)
{
	if (db->notified != NULL)
		PQfreemem(db->notified);
	db->notified = NULL;
}

void
db_disconnect(struct db *db)
{
	pthread_mutex_lock(&db->lock);
	free_notification(db);
	if (db->conn != NULL)
		PQfinish(db->conn);
	db->conn = NULL;
	db->expected_count = 0;
	db->in_trip = db->in_transaction = false;
	prepared_clear(&db->prepared);
	pthread_mutex_unlock(&db->lock);
}

void
db_free(struct db *db)
{
	if (db == NULL)
		return;
	db_disconnect(db);
	pthread_mutex_destroy(&db->lock);
	free(db->expected);
	free(db);
}

/* Discards notices and warnings, which libpq would print. */
static void
ignore_notice(void *arg, const PGresult *result)
{
	(void)arg;
	(void)result;
}

/*
 * Whether libpq had no memory for an answer: it drops some answers then, and
 * waits for them.
 */
static bool
has_dropped_answer(const PGconn *conn)
{
	return strstr(PQerrorMessage(conn), "out of memory") != NULL;
}

bool
db_wait(struct db *db, short events, struct progress *progress)
{
	enum progress_verdict verdict = progress_wait(progress,
	    PQsocket(db->conn), events);

	if (verdict == PROGRESS_READY ||
	    (verdict == PROGRESS_LATE && !has_dropped_answer(db->conn) &&
		connect_alive(db->conn)))
		return true;
	db_error_note(db, NULL, true, "the server does not answer");
	db_disconnect(db);
	return false;
}

bool
db_await_answer(struct db *db)
{
	struct progress progress = progress_begin();

	while (PQisBusy(db->conn)) {
		if (!db_wait(db, POLLIN, &progress))
			return false;
		if (!PQconsumeInput(db->conn)) {
			db_error_note_lost(db);
			return false;
		}
	}
	return true;
}

/*
 * Runs a list of statements before pipeline mode, which takes one at a time.
 * Sets *number, unless it is NULL, to what the last of them returned.
 */
static bool
run_setup(struct db *db, const char *setup, int *number)
{
	PGresult *result;
	bool done = PQsendQuery(db->conn, setup) == 1;

	if (!done)
		db_error_note_lost(db);
	while (
	    db_await_answer(db) && (result = PQgetResult(db->conn)) != NULL) {
		if (PQresultStatus(result) == PGRES_FATAL_ERROR) {
			db_error_note_result(db, result, NULL);
			done = false;
		} else if (number != NULL && PQntuples(result) > 0) {
			*number = (int)strtol(PQgetvalue(result, 0, 0), NULL,
			    10);
		}
		PQclear(result);
	}
	return done && db_connected(db);
}

/* Whether the connection has a session of its own; notes if it has not. */
static bool
has_own_session(struct db *db)
{
	int process = 0;

	if (!run_setup(db, "select pg_backend_pid()", &process))
		return false;
	if (!pooler_lends_sessions(db->conn, process, db->conninfo,
		db->application_name))
		return true;
	db_error_note(db, NULL, true,
	    "a pooler lends it a session of the server for each transaction, "
	    "and settings, locks and notifications belong to a session");
	db->error.name = "DBOSLentSession";
	return false;
}

bool
db_connect(struct db *db, const char *setup)
{
	db_disconnect(db);
	db_error_clear(db);
	db->conn = connect_open(db->conninfo, db->application_name);
	PQsetNoticeReceiver(db->conn, ignore_notice, NULL);
	if (PQstatus(db->conn) != CONNECTION_OK) {
		db_error_note_lost(db);
	} else if (has_own_session(db) && run_setup(db, session, NULL) &&
	    (setup == NULL || run_setup(db, setup, NULL))) {
		if (PQenterPipelineMode(db->conn) == 1 &&
		    PQsetnonblocking(db->conn, 1) == 0)
			return true;
		db_error_note_lost(db);
	}
	db_disconnect(db);
	return false;
}

bool
db_connected(const struct db *db)
{
	return db->conn != NULL && PQstatus(db->conn) == CONNECTION_OK;
}

bool
db_take_swollen(struct db *db)
{
	bool swollen = db->swollen;

	db->swollen = false;
	return swollen;
}

int
db_fd(const struct db *db)
{
	return db->conn == NULL ? -1 : PQsocket(db->conn);
}

bool
db_in_transaction(const struct db *db)
{
	return db->in_transaction;
}

size_t
db_row_count(const struct db_rows *rows)
{
	return (size_t)PQntuples(rows->result);
}

const char *
db_value(const struct db_rows *rows, size_t row, int column)
{
	return PQgetisnull(rows->result, (int)row, column)
	    ? NULL
	    : PQgetvalue(rows->result, (int)row, column);
}

int
db_column_count(const struct db_rows *rows)
{
	return PQnfields(rows->result);
}

const char *
db_column_name(const struct db_rows *rows, int column)
{
	return PQfname(rows->result, column);
}

enum db_type
db_column_type(const struct db_rows *rows, int column)
{
	switch (PQftype(rows->result, column)) {
	case OID_BOOL:
		return DB_TYPE_BOOLEAN;
	case OID_INT2:
	case OID_INT4:
	case OID_INT8:
		return DB_TYPE_NUMBER;
	case OID_JSON:
	case OID_JSONB:
		return DB_TYPE_JSON;
	case OID_VOID:
		return DB_TYPE_VOID;
	}
	return DB_TYPE_TEXT;
}

bool
db_consume(struct db *db)
{
	if (!db->in_trip)
		db_error_clear(db);
	if (!db_connected(db) || !PQconsumeInput(db->conn)) {
		db_error_note_lost(db);
		return false;
	}
	return true;
}

const struct db_notification *
db_next_notification(struct db *db)
{
	free_notification(db);
	if (!db_connected(db) || (db->notified = PQnotifies(db->conn)) == NULL)
		return NULL;
	db->notification = (struct db_notification){
		.channel = db->notified->relname,
		.payload = db->notified->extra
	};
	return &db->notification;
}
