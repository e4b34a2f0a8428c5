/* SPDX-License-Identifier: MIT */
/*
 * Registers workers in the monitor's tables, and signs them off.
 */
#include "db/monitor.h"

#include <sys/socket.h>

#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/prefork.h"
#include "db/db.h"

static const char enter_sql[] =
    "select durable.monitor_enter($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
static const char leave_sql[] = "select durable.monitor_leave($1)";

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
monitor_enter(struct db *db, struct arena *arena,
    const struct monitor_member *member)
{
	const struct prefork_worker *self = member->self;
	char host[256] = "";
	const char *const params[] = { member->program, host,
		arena_number(arena, self->slot), arena_number(arena, self->pid),
		arena_number(arena, self->started_ms),
		arena_number(arena, self->master_pid),
		arena_number(arena, self->master_started_ms),
		arena_number(arena, self->deaths),
		arena_number(arena, self->dead_pid),
		arena_number(arena, self->died_ms),
		arena_number(arena, server_pid(db)) };

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
