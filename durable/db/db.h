/* SPDX-License-Identifier: MIT */
/*
 * One connection to PostgreSQL, always in pipeline mode.
 *
 * db_queue adds a statement and returns at once; db_query and db_finish send
 * all queued statements in one round trip and block for the answers.  When one
 * fails, the server skips the others up to the next db_sync.  A statement is
 * prepared at its first use, and known by its text; of more than 256 the one
 * whose last use is longest ago is forgotten.  Parameters and results are text.
 * A struct db belongs to one thread; any other may call db_beat only.
 */
#ifndef DURABLE_DB_H
#define DURABLE_DB_H

#include <stdbool.h>
#include <stddef.h>

#include "db/sqlstate.h"

struct arena;
struct db;
struct db_rows;

/* The types of columns that a step's result tells apart. */
enum db_type {
	DB_TYPE_BOOLEAN,
	DB_TYPE_NUMBER, /* an integer */
	DB_TYPE_JSON,
	DB_TYPE_VOID,
	DB_TYPE_TEXT /* all others */
};

/*
 * outcome classifies the error for a workflow's step, own for a statement of
 * the engine or client.  stale: the prepared statement no longer fitted the
 * schema; it is prepared anew at its next use.  name is of an error that the
 * engine found, not the server, or NULL.
 */
struct db_error {
	enum db_outcome outcome, own;
	const char *name; /* static */
	bool stale;
	const char *sql; /* the statement that failed, as queued, or NULL */
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
 * Connects to the primary (see connect_open) and runs setup, a
 * semicolon-separated list of statements such as SET, or NULL.  Blocks for at
 * most connect_timeout, plus the time of setup.  Returns false when that fails;
 * db_last_error says why, and has a name when trying again is useless: a pooler
 * lends sessions (see pooler.h).
 */
bool db_connect(struct db *db, const char *setup);

/* Closes the connection, if any, and discards what is queued. */
void db_disconnect(struct db *db);

bool db_connected(const struct db *db);

/*
 * Whether a round trip since the last call had so many bytes that the process
 * should give memory back, and connect anew: libpq never makes its buffers
 * smaller.
 */
bool db_take_swollen(struct db *db);

/* Returns the socket, to be polled for input; -1 without a connection. */
int db_fd(const struct db *db);

/*
 * Adds a statement to the next round trip and discards its rows.  params has
 * nparams texts, which are copied; NULL is SQL's null.  sql must outlive the
 * round trip, and what reads the error of it.
 */
void db_queue(struct db *db, const char *sql, size_t nparams,
    const char *const params[]);

/*
 * db_queue, but the round trip sets *rows to the statement's rows, which the
 * arena owns, if it succeeds; else *rows is unchanged.
 */
void db_queue_rows(struct db *db, struct arena *arena, const char *sql,
    size_t nparams, const char *const params[], const struct db_rows **rows);

/*
 * Queues a Sync.  Outside BEGIN, the statements queued before it commit
 * together, and those queued after it run even when one before it fails.
 */
void db_sync(struct db *db);

/*
 * Adds a statement, makes the round trip, which blocks, and returns the
 * statement's rows, owned by the arena.  Returns NULL when any statement of the
 * round trip failed; db_last_error says why.
 */
const struct db_rows *db_query(struct db *db, struct arena *arena,
    const char *sql, size_t nparams, const char *const params[]);

/* Makes the round trip, which blocks.  Returns db_last_error's outcome. */
enum db_outcome db_finish(struct db *db);

/*
 * db_finish, but fails with SQLSTATE 53200 of no statement when the parameters
 * and the answers of the round trip have more than max_bytes, and keeps no
 * answer from there on.
 */
enum db_outcome db_finish_within(struct db *db, size_t max_bytes);

/*
 * Tells the server that this process lives, so that it does not end a session
 * that is idle in a transaction: sends a Sync, unless there was a round trip
 * since the last call.  Returns false, and sends nothing, while the thread of
 * the handle is sending or waits for answers.  Does not block.
 */
bool db_beat(struct db *db);

/* Returns the first error of the last round trip or connection attempt. */
const struct db_error *db_last_error(const struct db *db);

/*
 * Whether the server said, at the end of the last round trip, that a
 * transaction is open and has not failed.
 */
bool db_in_transaction(const struct db *db);

size_t db_row_count(const struct db_rows *rows);

/* Returns the value at a row and column as text, owned by rows; or NULL. */
const char *db_value(const struct db_rows *rows, size_t row, int column);
int db_column_count(const struct db_rows *rows);
const char *db_column_name(const struct db_rows *rows, int column);
enum db_type db_column_type(const struct db_rows *rows, int column);

/*
 * Reads the socket's input without blocking.  Returns false when the connection
 * is gone.
 */
bool db_consume(struct db *db);

/*
 * Returns the next notification that has arrived, or NULL; it is valid until
 * the next call of any db_ function.
 */
const struct db_notification *db_next_notification(struct db *db);

#endif
