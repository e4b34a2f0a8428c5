/* SPDX-License-Identifier: MIT */
/*
 * The connection's inside: what db.c, db_trip.c and db_error.c share.
 */
#ifndef DURABLE_DB_PRIVATE_H
#define DURABLE_DB_PRIVATE_H

#include <libpq-fe.h>

#include <pthread.h>

#include "db/db.h"
#include "db/prepared.h"

struct progress;

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

/* db.c */

/*
 * Waits for the socket.  Drops the connection and returns false when the server
 * is gone, or silent for too long: a slow line is not.  Never cancels a
 * statement: a cancelled commit that waits for its standby becomes visible at
 * once, although a failover can still lose it.
 */
bool db_wait(struct db *db, short events, struct progress *progress);

/* Waits until PQgetResult will not block; false: the connection is gone. */
bool db_await_answer(struct db *db);

/* db_error.c: each keeps only the first error of a round trip. */

void db_error_clear(struct db *db);

/* sqlstate: or NULL.  fatal: it ended the session. */
void db_error_note(struct db *db, const char *sqlstate, bool fatal,
    const char *message);
void db_error_note_lost(struct db *db);

/* expected: the statement that the error is about, or NULL. */
void db_error_note_result(struct db *db, const PGresult *result,
    const struct expected *expected);

/* Notes that a statement, which the server accepted, is of no use here. */
void db_error_note_useless(struct db *db, const struct expected *expected,
    const char *message);

#endif
