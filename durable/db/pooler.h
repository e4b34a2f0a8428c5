/* SPDX-License-Identifier: MIT */
/*
 * Tells a connection with a session of its own from one through a pooler that
 * lends a server's session for a transaction.
 */
#ifndef DURABLE_POOLER_H
#define DURABLE_POOLER_H

#include <stdbool.h>

struct pg_conn; /* libpq's PGconn */

/*
 * Whether conn, a connection to conninfo without a transaction, goes through a
 * pooler in transaction or statement mode, so that the state of a session
 * (settings, locks, LISTEN) is lost or left to other clients.  process is the
 * server's process that has just served it (pg_backend_pid).  False for a
 * server, for a pooler in session mode, and when it cannot be found out.
 * Blocks only when there is a pooler, for up to a few seconds: it then opens a
 * second connection for comparison.
 */
bool pooler_lends_sessions(struct pg_conn *conn, int process,
    const char *conninfo, const char *application_name);

#endif
