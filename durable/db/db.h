/* SPDX-License-Identifier: MIT */
/*
 * The only door to PostgreSQL: one connection, always in pipeline mode.
 *
 * db_queue adds a statement and returns at once; db_query and db_finish send
 * everything queued and wait, one round trip for all.  A statement that fails
 * makes those behind it in the round trip void.  Statements are prepared at
 * their first use.  All parameters and results are text.  A struct db
 * belongs to one thread.
 */
#ifndef DURABLE_DB_H
#define DURABLE_DB_H

#include <stdbool.h>
#include <stddef.h>

#include "db/sqlstate.h"

struct arena;
struct db;
struct db_rows;

/* The types that a step's result distinguishes. */
enum db_type {
	DB_TYPE_BOOLEAN,
	DB_TYPE_NUMBER, /* an integer */
	DB_TYPE_JSON,
	DB_TYPE_VOID,
	DB_TYPE_TEXT /* all else */
};

/*
 * outcome holds for a statement that an author wrote, own for one of the
 * engine or its client.  stale: the session's prepared statement did not fit
 * the schema any more; it is prepared anew at its next use.
 */
struct db_error {
	enum db_outcome outcome, own;
	bool stale;
	const char *sql; /* the statement, NULL when it was none of ours */
	char sqlstate[6];
	char message[512];
};

struct db_notification {
	const char *channel;
	const char *payload;
};

/*
 * Makes an unconnected handle.  conninfo is libpq's (a string or a URI; empty
 * means the PG* environment); application_name shows in pg_stat_activity.
 * Both must outlive the handle.
 */
struct db *db_new(const char *conninfo, const char *application_name);

/* Closes the connection, if any, and frees the handle. */
void db_free(struct db *db);

/*
 * Connects to the primary, blocking for at most five seconds (connect_open
 * says which of several hosts that is), and runs setup (a semicolon-separated
 * list of statements such as SET and LISTEN, or NULL).  Returns false when
 * that fails; db_last_error says why.
 */
bool db_connect(struct db *db, const char *setup);

/* Drops the connection without a word.  Idempotent. */
void db_disconnect(struct db *db);

bool db_connected(const struct db *db);

/* The socket, to be polled for input; -1 when there is no connection. */
int db_fd(const struct db *db);

/*
 * Adds a statement to the next round trip; its rows are thrown away.  params
 * holds nparams texts, NULL for SQL's null; they are copied.  sql must
 * outlive the handle: its address is the key of the prepared statement.
 */
void db_queue(struct db *db, const char *sql, size_t nparams,
    const char *const params[]);

/*
 * The same, and keeps its rows, owned by the arena: *rows is set by the round
 * trip when the statement went well, and is left alone else.
 */
void db_queue_rows(struct db *db, struct arena *arena, const char *sql,
    size_t nparams, const char *const params[], const struct db_rows **rows);

/*
 * Ends a transaction of its own: outside BEGIN, what is queued before this
 * point commits by itself, and what is queued behind it runs even when
 * something before it failed.
 */
void db_sync(struct db *db);

/*
 * Adds a statement, makes the round trip and returns the statement's rows,
 * owned by the arena; NULL when anything in the round trip failed, see
 * db_last_error.
 */
const struct db_rows *db_query(struct db *db, struct arena *arena,
    const char *sql, size_t nparams, const char *const params[]);

/* Makes the round trip.  Returns DB_DONE or why not, as db_last_error. */
enum db_outcome db_finish(struct db *db);

/* What went wrong first in the last round trip or connection attempt. */
const struct db_error *db_last_error(const struct db *db);

size_t db_row_count(const struct db_rows *rows);

/* The value at a row and column as text, NULL for SQL's null. */
const char *db_value(const struct db_rows *rows, size_t row, int column);
enum db_type db_column_type(const struct db_rows *rows, int column);

/*
 * Reads what the socket holds without blocking.  Returns false when the
 * connection is gone.
 */
bool db_consume(struct db *db);

/*
 * The next notification that has arrived, or NULL; valid until the next call
 * of any db_ function.
 */
const struct db_notification *db_next_notification(struct db *db);

#endif
