/* SPDX-License-Identifier: MIT */
/*
 * A session: a connection to the database that its owner, a worker or a
 * courier, opens again after each loss.  Each opening checks the version of the
 * schema.
 */
#ifndef DURABLE_SESSION_H
#define DURABLE_SESSION_H

#include <stdbool.h>

#include "db/db.h"

struct monitor_member;
struct session;
struct strbuf;

/*
 * The version of the schema that this program needs, and the number of the
 * signatures of its functions (durable.signatures in sql/durable/tables.sql).
 */
#define SCHEMA_VERSION    1
#define SCHEMA_SIGNATURES 1

/* All of it outlives the session. */
struct session_options {
	const char *conninfo;         /* libpq's; "" for the environment */
	const char *application_name; /* shown in pg_stat_activity */
	const char *setup;            /* statements for each new connection */
	const char *const *listen;    /* "listen <channel>", ended by NULL */
	const struct monitor_member *member; /* enters the monitor, or NULL */
};

enum session_state {
	SESSION_READY,
	SESSION_AWAY,   /* no connection: wait for session_pause_ms */
	SESSION_REFUSED /* of no use to this program, as logged */
};

/* Makes a session without a connection.  The caller frees it. */
struct session *session_new(const struct session_options *options);

/* Leaves the monitor, closes the connection and frees the session. */
void session_free(struct session *session);

/* The connection, for as long as the session lives. */
struct db *session_db(const struct session *session);

/*
 * Connects, checks the schema and enters the monitor, which blocks as
 * db_connect does.  Refuses a schema of another version, or with other
 * functions, and a pooler that lends sessions.  Logs the first failure of a
 * series and the success after.
 */
enum session_state session_open(struct session *session);

bool session_is_open(const struct session *session);

/* Closes a broken connection; logs why, once until one succeeds again. */
void session_lose(struct session *session);

/*
 * Returns the milliseconds to wait before the next session_open, after it
 * returned SESSION_AWAY or after session_lose: 0 when the lost connection had
 * lasted for a second, else longer each time.
 */
int session_pause_ms(struct session *session);

/*
 * Begins or ends to listen for notifications; without a change it is an empty
 * round trip.  Blocks.  Returns the outcome of the round trip.
 */
enum db_outcome session_listen(struct session *session, bool listen);

bool session_is_listening(const struct session *session);

/*
 * Adds to an array literal the channels on which the session listens by
 * session_listen.
 */
void
session_add_channels(const struct session *session, struct strbuf *channels);

#endif
