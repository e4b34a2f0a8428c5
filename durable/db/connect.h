/* SPDX-License-Identifier: MIT */
/*
 * Finds out which of several hosts is the primary server, and whether a server
 * that sends no answer is still reachable.
 */
#ifndef DURABLE_CONNECT_H
#define DURABLE_CONNECT_H

#include <stdbool.h>

struct pg_conn; /* libpq's PGconn */

/*
 * Connects to the host of conninfo (libpq's; it may name a service or several
 * hosts) that accepts a session which can write.  Asks all hosts at the same
 * time, and all addresses of a name, which is looked up in a thread, so that no
 * host delays a connection that is frozen, unreachable or unknown to the name
 * service; a host that refuses, as a standby does, is asked again while another
 * has not answered.
 * Blocks for at most connect_timeout, five seconds unless conninfo sets it.
 * Never returns NULL: PQstatus tells success.  The caller owns the result.
 */
struct pg_conn *
connect_open(const char *conninfo, const char *application_name);

/*
 * Whether the server of a connection answers a new connection; a frozen or
 * vanished host does not.  Blocks for at most two seconds.
 */
bool connect_alive(const struct pg_conn *conn);

#endif
