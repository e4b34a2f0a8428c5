/* SPDX-License-Identifier: MIT */
/*
 * Finding the server: which of several hosts is the primary, and whether one
 * that says nothing is there at all.
 */
#ifndef DURABLE_CONNECT_H
#define DURABLE_CONNECT_H

#include <stdbool.h>

struct pg_conn; /* libpq's PGconn */

/*
 * Connects to the host of conninfo (libpq's, with everything that it may
 * name: environment, service, several hosts) that takes a session which can
 * write.  All hosts are asked at the same time, so that one which is frozen,
 * or whose network swallows packets, delays nobody; one that says no, as a
 * standby does, is asked again while another has yet to answer.  Blocks for
 * at most connect_timeout, five seconds unless conninfo says otherwise.
 * Never NULL: PQstatus says whether it went well, and the caller owns it.
 */
struct pg_conn *
connect_open(const char *conninfo, const char *application_name);

/*
 * Whether the server at the other end of a connection answers a new one,
 * which a frozen host and a vanished one do not.  Blocks for at most two
 * seconds.
 */
bool connect_alive(const struct pg_conn *conn);

#endif
