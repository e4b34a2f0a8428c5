/* SPDX-License-Identifier: MIT */
/*
 * A session: a connection that is made again whenever it is lost, and checked
 * for the version of the schema each time.  A worker and a courier have one
 * each.
 */
#ifndef DURABLE_SESSION_H
#define DURABLE_SESSION_H

#include <stdbool.h>

#include "db/db.h"

struct monitor_member;
struct session;

/* The version of the database that this program needs. */
#define SCHEMA_VERSION 1

/* All of it outlives the session. */
struct session_options {
	const char *conninfo;         /* libpq's; "" for the environment */
	const char *application_name; /* shown in pg_stat_activity */
	const char *setup;            /* statements, run at each connection */
	const char *const *listen;    /* LISTEN statements, ended by NULL */
	const struct monitor_member *member; /* enters the monitor, or NULL */
};

enum session_state {
	SESSION_READY,
	SESSION_AWAY,        /* no connection: wait for session_pause_ms */
	SESSION_WRONG_SCHEMA /* logged; no repetition helps */
};

/* Makes a session without a connection.  The caller frees it. */
struct session *session_new(const struct session_options *options);

/* Leaves the monitor, closes the connection and frees the session. */
void session_free(struct session *session);

/* The connection, for as long as the session lives. */
struct db *session_db(const struct session *session);

/*
 * Connects, checks the schema and enters the monitor; blocks for some seconds
 * at most.  Logs the first failure of a series, and the success that ends it.
 */
enum session_state session_open(struct session *session);

bool session_is_open(const struct session *session);

/* Drops a connection that is of no use, and logs why, once in a series. */
void session_lose(struct session *session);

/*
 * Milliseconds until session_open is to be called again, after it returned
 * SESSION_AWAY or after session_lose: 0 when the connection that was lost had
 * lasted, otherwise more each time.
 */
int session_pause_ms(struct session *session);

/*
 * Begins to listen for notifications, or ends that; a bare round trip when
 * nothing changes.  Returns what became of it.
 */
enum db_outcome session_listen(struct session *session, bool listen);

bool session_is_listening(const struct session *session);

#endif
