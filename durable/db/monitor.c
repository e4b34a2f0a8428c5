/* SPDX-License-Identifier: MIT */
/*
 * Registers workers in the monitor's tables, and signs them off.
 */
#include "db/monitor.h"

#include <sys/socket.h>

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/prefork.h"
#include "db/db.h"

#define NUMBER_LEN 24

static const char enter_sql[] =
    "select durable.monitor_enter($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
static const char leave_sql[] = "select durable.monitor_leave($1)";

static const char *
number(char text[NUMBER_LEN], int64_t value)
{
	snprintf(text, NUMBER_LEN, "%" PRId64, value);
	return text;
}

/*
 * The server's process id, or 0 when it is on another host: the kernel names
 * the listening process of a Unix socket only (unix(7), SO_PEERCRED).
 */
static int64_t
server_pid(const struct db *db)
{
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);

	if (getsockopt(db_fd(db), SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
		return 0;
	return peer.pid;
}

bool
monitor_enter(struct db *db, const struct monitor_member *member)
{
	const struct prefork_worker *self = member->self;
	char host[256] = "", text[9][NUMBER_LEN];
	const char *const params[] = { member->program, host,
		number(text[0], self->slot), number(text[1], self->pid),
		number(text[2], self->started_ms),
		number(text[3], self->master_pid),
		number(text[4], self->master_started_ms),
		number(text[5], self->deaths), number(text[6], self->dead_pid),
		number(text[7], self->died_ms),
		number(text[8], server_pid(db)) };

	if (gethostname(host, sizeof(host) - 1) != 0)
		snprintf(host, sizeof(host), "local");
	db_queue(db, enter_sql, sizeof(params) / sizeof(params[0]), params);
	return db_finish(db) == DB_DONE;
}

void
monitor_leave(struct db *db, const struct monitor_member *member)
{
	bool orphan = getppid() != member->self->master_pid;
	const char *const params[] = { orphan ? "true" : "false" };

	if (!db_connected(db))
		return;
	db_queue(db, leave_sql, 1, params);
	db_finish(db);
}
