/* SPDX-License-Identifier: MIT */
/*
 * Compares the server's processes behind two connections.
 */
#include "db/pooler.h"

#include <libpq-fe.h>

#include <poll.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/clock.h"
#include "db/connect.h"

/* In session mode an exhausted pool lets the second connection wait. */
#define ANSWER_MS 1000

/* In a busy pool another client may take the session between two looks. */
#define LOOKS     5

/* Waits for an answer; false when none has come in time. */
static bool
await(PGconn *conn)
{
	int64_t until_ms = clock_monotonic_ms() + ANSWER_MS;

	while (PQisBusy(conn)) {
		struct pollfd fd = { .fd = PQsocket(conn), .events = POLLIN };
		int64_t left_ms = until_ms - clock_monotonic_ms();

		if (left_ms <= 0 || poll(&fd, 1, (int)left_ms) == 0 ||
		    !PQconsumeInput(conn))
			return false;
	}
	return true;
}

/* The process of the server that executes a statement; 0: not known. */
static int
process_of(PGconn *conn)
{
	PGresult *result;
	int process = 0;

	if (PQsendQuery(conn, "select pg_backend_pid()") != 1)
		return 0;
	while (await(conn) && (result = PQgetResult(conn)) != NULL) {
		if (PQresultStatus(result) == PGRES_TUPLES_OK)
			process = (int)strtol(PQgetvalue(result, 0, 0), NULL,
			    10);
		PQclear(result);
	}
	return process;
}

/*
 * Whether one process serves both connections, or several serve one.  A pooler
 * prefers the session that it got back last.
 */
static bool
shares(PGconn *conn, PGconn *other)
{
	int look, first, second, third;

	for (look = 0; look < LOOKS; look++) {
		first = process_of(conn);
		second = first == 0 ? 0 : process_of(other);
		third = second == 0 ? 0 : process_of(conn);
		if (third == 0)
			return first != 0 && second == first;
		if (second == first || third != first)
			return true;
	}
	return false;
}

bool
pooler_lends_sessions(PGconn *conn, int process, const char *conninfo,
    const char *application_name)
{
	PGconn *other;
	bool lends;

	/* A server says at the beginning which process serves a connection. */
	if (process == PQbackendPID(conn))
		return false;
	other = connect_open(conninfo, application_name);
	lends = PQstatus(other) == CONNECTION_OK && shares(conn, other);
	PQfinish(other);
	return lends;
}
