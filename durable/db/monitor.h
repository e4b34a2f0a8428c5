/* SPDX-License-Identifier: MIT */
/*
 * The machine room: where the processes of a store say that they live, so that
 * people can watch.  sql/monitor.sql says what becomes of it.  Nobody enters it
 * unless configured, and who does not pays nothing.
 */
#ifndef DURABLE_MONITOR_H
#define DURABLE_MONITOR_H

#include <stdbool.h>
#include <stddef.h>

struct db;
struct prefork_worker;

/* Who enters; both must outlive the connection's owner. */
struct monitor_member {
	const char *program; /* "daemon" or "web" */
	const struct prefork_worker *self;
};

/*
 * Registers this worker, and for it its master, with the session of a new
 * connection: what ends the session ends its presence.  Makes a round trip;
 * returns false, and db_last_error says why, when that failed.
 */
bool monitor_enter(struct db *db, const struct monitor_member *member);

/*
 * Says that this worker ends as it was asked to, or because its master has
 * died.  Does nothing without a connection.
 */
void monitor_leave(struct db *db, const struct monitor_member *member);

#endif
