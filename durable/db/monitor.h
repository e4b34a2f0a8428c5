/* SPDX-License-Identifier: MIT */
/*
 * Registers a program's workers in the monitor's tables (sql/monitor.sql), for
 * people to watch.  A program that is not configured for it runs none of these
 * statements.
 */
#ifndef DURABLE_MONITOR_H
#define DURABLE_MONITOR_H

#include <stdbool.h>

struct arena;
struct db;
struct prefork_worker;

/* A worker to register; both members must outlive the session. */
struct monitor_member {
	const char *program; /* "daemon" or "web" */
	const struct prefork_worker *self;
};

/*
 * Registers this worker and its master under the session of a new connection;
 * the worker is shown until the session ends.  The arena has the parameters.
 * Makes a round trip, which blocks.  Returns false when it fails; db_last_error
 * says why.
 */
bool monitor_enter(struct db *db, struct arena *arena,
    const struct monitor_member *member);

/*
 * Records that this worker stops as asked, or because its master has died.
 * Does nothing without a connection; else makes a round trip, which blocks.
 */
void monitor_leave(struct db *db, const struct monitor_member *member);

#endif
