/* SPDX-License-Identifier: MIT */
/*
 * The machine room: where the processes of a store say that they live, so that
 * people can watch.  sql/monitor.sql says what becomes of it.  Nobody enters it
 * unless configured, and who does not pays nothing.
 */
#ifndef DURABLE_ROOM_H
#define DURABLE_ROOM_H

#include <stdbool.h>
#include <stddef.h>

struct db;
struct prefork_worker;

/* Who enters; both must outlive the connection's owner. */
struct room_member {
	const char *program; /* "daemon" or "web" */
	const struct prefork_worker *self;
};

/*
 * Registers this worker, and for it its master, with the session of a new
 * connection: what ends the session ends its presence.  Makes a round trip;
 * returns false, and db_last_error says why, when that failed.
 */
bool room_enter(struct db *db, const struct room_member *member);

/*
 * Says that this worker ends as it was asked to, or because its master has
 * died.  Does nothing without a connection.
 */
void room_leave(struct db *db, const struct room_member *member);

#endif
