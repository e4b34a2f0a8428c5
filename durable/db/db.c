/* SPDX-License-Identifier: MIT */
/*
 * One connection to PostgreSQL in pipeline mode.  Only this file, connect.c,
 * which makes the connection, and pooler.c use libpq.
 */
#include "db/db.h"

#include <libpq-fe.h>

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/memory.h"
#include "db/connect.h"
#include "db/pooler.h"
#include "db/prepared.h"
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

/*
 * Texts that a slow line carries for long.  While the server reads one message
 * the time-outs of an idle transaction and of the statement before run on.
 */
#define LARGE_LEN     131072

#define SWOLLEN_BYTES (4 << 20) /* see db_take_swollen */

/* The SQLSTATE of a statement that is no statement. */
#define SYNTAX_ERROR  "42601"

/* The kinds of answers that the server sends, in the order of the requests. */
enum expected_kind { EXPECT_PREPARE, EXPECT_RESULT, EXPECT_SYNC };

struct expected {
	enum expected_kind kind;
	const char *sql;
	struct prepared *statement;  /* NULL: sent without a name */
	const struct db_rows **rows; /* where the result goes, or NULL */
	struct arena *arena;         /* that owns the result */
};

struct db {
	const char *conninfo;
	const char *application_name;
	PGconn *conn;
	struct db_error error;
	struct prepared_table prepared;
	struct expected *expected;
	size_t expected_count, expected_size;
	bool in_trip;       /* something was queued since the last round trip */
	unsigned long trip; /* the number of that round trip */
	unsigned long idle_trip; /* the last that began without transaction */
	size_t trip_bytes;       /* that it has sent and received */
	bool swollen;            /* see db_take_swollen */
	bool in_transaction;     /* at the end of the last one */

	/*
	 * Recursive; all of the above is used under it.  beaten_trip is the
	 * round trip at the last db_beat.
	 */
	pthread_mutex_t lock;
	unsigned long beaten_trip;
	PGnotify *notified;
	struct db_notification notification;
};

struct db_rows {
	PGresult *result;
};

/*
 * Whether a prepared statement must be prepared anew: a table has changed since
 * (the function tells it, because this error shares its SQLSTATE and its
 * message is translated), or the session no longer has the statement.
 */
static bool
is_stale(const char *sqlstate, const char *function)
{
	return strcmp(sqlstate, "26000") == 0 ||
	    (strcmp(sqlstate, "0A000") == 0 && function != NULL &&
		strcmp(function, "RevalidateCachedQuery") == 0);
}

/* Whether a text has several commands: no change of the schema mends that. */
static bool
is_several(const char *sqlstate, const char *function)
{
	return strcmp(sqlstate, SYNTAX_ERROR) == 0 && function != NULL &&
	    strcmp(function, "exec_parse_message") == 0;
}

/*
 * Whether a commit failed because the notification queue is full.  The function
 * tells it, because limits of a value share its SQLSTATE.
 */
static bool
is_queue_full(const char *sqlstate, const char *function)
{
	return sqlstate != NULL && strcmp(sqlstate, "54000") == 0 &&
	    function != NULL && strcmp(function, "PreCommit_Notify") == 0;
}

static void
clear_error(struct db *db)
{
	db->error = (struct db_error){ .outcome = DB_DONE, .own = DB_DONE };
}

/* Clears the last round trip's error when the first statement is queued. */
static void
begin_trip(struct db *db)
{
	if (db->in_trip)
		return;
	clear_error(db);
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

/* Keeps only the first error of a round trip: later ones follow from it. */
static void
note_error(struct db *db, const char *sqlstate, bool fatal, const char *message)
{
	struct db_error *error = &db->error;

	if (error->outcome != DB_DONE)
		return;
	error->outcome = fatal ? DB_LOST : sqlstate_rule(sqlstate)->step;
	error->own = fatal ? DB_LOST : sqlstate_rule(sqlstate)->own;
	snprintf(error->sqlstate, sizeof(error->sqlstate), "%s",
	    sqlstate == NULL ? "" : sqlstate);
	snprintf(error->message, sizeof(error->message), "%s", message);
	error->message[strcspn(error->message, "\n")] = '\0';
}

static void
note_lost(struct db *db)
{
	const char *message = db->conn == NULL ? "no connection"
					       : PQerrorMessage(db->conn);

	note_error(db, NULL, true,
	    *message == '\0' ? "connection lost" : message);
}

/*
 * The session has forgotten a statement, so perhaps all.  When it knew it in
 * this transaction, a statement of the transaction deallocated it, and would do
 * so again.
 */
static void
note_deallocated(struct db *db, const struct prepared *statement)
{
	if (statement->alive >= db->idle_trip) {
		db->error.outcome = DB_REFUSED;
		db->error.stale = false;
	}
	prepared_drop_all(&db->prepared);
}

/* expected: the statement that the error is about, or NULL. */
static void
note_result_error(struct db *db, const PGresult *result,
    const struct expected *expected)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *primary = PQresultErrorField(result,
	    PG_DIAG_MESSAGE_PRIMARY);
	const char *severity = PQresultErrorField(result,
	    PG_DIAG_SEVERITY_NONLOCALIZED);
	const char *function = PQresultErrorField(result,
	    PG_DIAG_SOURCE_FUNCTION);

	if (db->error.outcome != DB_DONE)
		return;
	note_error(db, sqlstate,
	    severity != NULL && strcmp(severity, "ERROR") != 0,
	    primary == NULL ? PQresultErrorMessage(result) : primary);
	if (is_queue_full(sqlstate, function))
		db->error.outcome = db->error.own = DB_RETRY;
	if (expected == NULL)
		return;
	db->error.sql = expected->sql;
	if (sqlstate == NULL)
		return;
	if (is_several(sqlstate, function))
		db->error.outcome = db->error.own = DB_REFUSED;
	if (expected->statement == NULL || !is_stale(sqlstate, function))
		return;
	db->error.outcome = db->error.own = DB_RETRY;
	db->error.stale = true;
	if (function != NULL && strcmp(function, "FetchPreparedStatement") == 0)
		note_deallocated(db, expected->statement);
	else
		prepared_drop(expected->statement);
}

/* Notes that a statement, which the server accepted, is of no use here. */
static void
note_useless(struct db *db, const struct expected *expected,
    const char *message)
{
	if (db->error.outcome != DB_DONE)
		return;
	note_error(db, SYNTAX_ERROR, false, message);
	db->error.outcome = db->error.own = DB_REFUSED;
	db->error.sql = expected->sql;
}

const struct db_error *
db_last_error(const struct db *db)
{
	return &db->error;
}

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
 * Waits for the socket.  Drops the connection and returns false when the server
 * is gone, or silent for too long: a slow line is not.  Never cancels a
 * statement: a cancelled commit that waits for its standby becomes visible at
 * once, although a failover can still lose it.
 */
static bool
wait_for_server(struct db *db, short events, struct progress *progress)
{
	enum progress_verdict verdict = progress_wait(progress,
	    PQsocket(db->conn), events);

	if (verdict == PROGRESS_READY ||
	    (verdict == PROGRESS_LATE && connect_alive(db->conn)))
		return true;
	note_error(db, NULL, true, "the server does not answer");
	db_disconnect(db);
	return false;
}

/* Waits until PQgetResult will not block; false: the connection is gone. */
static bool
await_answer(struct db *db)
{
	struct progress progress = progress_begin();

	while (PQisBusy(db->conn)) {
		if (!wait_for_server(db, POLLIN, &progress))
			return false;
		if (!PQconsumeInput(db->conn)) {
			note_lost(db);
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
		note_lost(db);
	while (await_answer(db) && (result = PQgetResult(db->conn)) != NULL) {
		if (PQresultStatus(result) == PGRES_FATAL_ERROR) {
			note_result_error(db, result, NULL);
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
	note_error(db, NULL, true,
	    "a pooler lends it a session of the server for each transaction, "
	    "and settings, locks and notifications belong to a session");
	db->error.name = "DBOSLentSession";
	return false;
}

bool
db_connect(struct db *db, const char *setup)
{
	db_disconnect(db);
	clear_error(db);
	db->conn = connect_open(db->conninfo, db->application_name);
	PQsetNoticeReceiver(db->conn, ignore_notice, NULL);
	if (PQstatus(db->conn) != CONNECTION_OK) {
		note_lost(db);
	} else if (has_own_session(db) && run_setup(db, session, NULL) &&
	    (setup == NULL || run_setup(db, setup, NULL))) {
		if (PQenterPipelineMode(db->conn) == 1 &&
		    PQsetnonblocking(db->conn, 1) == 0)
			return true;
		note_lost(db);
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
		note_lost(db);
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
		note_lost(db);
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
		note_lost(db);
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
		note_lost(db);
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
		if (!wait_for_server(db, POLLIN | POLLOUT, &progress) ||
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

	while (nothing < 2 && await_answer(db)) {
		PGresult *result = PQgetResult(db->conn);

		status = PQresultStatus(result);
		nothing = result == NULL ? nothing + 1 : 0;
		if (status == PGRES_FATAL_ERROR)
			note_result_error(db, result, NULL);
		PQclear(result);
		if (status == PGRES_PIPELINE_SYNC)
			return;
	}
	note_lost(db);
	db_disconnect(db);
}

/*
 * Takes the next expected answer.  Returns the result of a statement that
 * succeeded, which the caller clears; else NULL.
 */
static PGresult *
take_answer(struct db *db, const struct expected *expected)
{
	PGresult *result = await_answer(db) ? PQgetResult(db->conn) : NULL;
	ExecStatusType status = PQresultStatus(result);
	bool done = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;

	if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT ||
	    status == PGRES_COPY_BOTH) {
		/* libpq cannot leave the copy in a pipeline. */
		note_useless(db, expected, "COPY is not possible here");
		PQclear(result);
		db_disconnect(db);
		return NULL;
	}
	if (result == NULL || PQstatus(db->conn) != CONNECTION_OK)
		note_lost(db);
	else if (status == PGRES_FATAL_ERROR)
		note_result_error(db, result, expected);
	else if (status == PGRES_EMPTY_QUERY)
		note_useless(db, expected, "the statement is empty");
	if (expected->kind == EXPECT_PREPARE)
		expected->statement->state = done ? PREPARED : UNPREPARED;
	if (done && expected->statement != NULL)
		expected->statement->alive = db->trip;
	/* libpq returns NULL after each statement's result. */
	if (result != NULL && await_answer(db))
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

/* Takes the answers to all that was sent, in order. */
static void
take_answers(struct db *db)
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
		if (result != NULL && expected->rows != NULL)
			keep_rows(expected, result);
		else
			PQclear(result);
	}
	db->expected_count = 0;
}

enum db_outcome
db_finish(struct db *db)
{
	pthread_mutex_lock(&db->lock);
	failpoint("before-trip", db_fd(db));
	db_sync(db);
	if (db->error.outcome != DB_LOST && !flush(db))
		note_lost(db);
	failpoint("during-trip", db_fd(db));
	take_answers(db);
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
		clear_error(db);
	if (!db_connected(db) || !PQconsumeInput(db->conn)) {
		note_lost(db);
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
