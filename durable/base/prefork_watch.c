/* SPDX-License-Identifier: MIT */
/*
 * What the master says to a service manager about its workers.
 */
#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/prefork_private.h"
#include "base/service.h"

void
prefork_tell_ready(const struct master *master)
{
	if (!master->is_under)
		service_notify("READY=1\nSTATUS=%d workers work",
		    master->newest->count);
}

/* Whether all workers have made progress lately; logs which has not. */
static bool
all_progress(struct master *master, int64_t now_ms)
{
	int64_t limit_ms = master->watchdog_ms > PREFORK_PROGRESS_MS
	    ? master->watchdog_ms
	    : PREFORK_PROGRESS_MS;
	bool all = true;
	int i;

	for (i = 0; i < master->newest->count; i++) {
		struct slot *slot = &master->newest->slots[i];
		unsigned long beats = atomic_load(&slot->shared->beats);

		if (slot->pid == 0 || beats != slot->beats)
			slot->progress_ms = now_ms;
		slot->beats = beats;
		if (now_ms - slot->progress_ms < limit_ms)
			continue;
		all = false;
		if (log_is_due(&master->hung_ms))
			log_error("worker %d has made no progress for %" PRId64
				  " s, so the service manager is not told that "
				  "all is well",
			    (int)slot->pid,
			    (now_ms - slot->progress_ms) / 1000);
	}
	return all;
}

int64_t
prefork_keep_watch(struct master *master)
{
	int64_t now_ms = clock_monotonic_ms(),
		due_ms = master->watched_ms + master->watchdog_ms / 2;

	if (master->watchdog_ms == 0)
		return -1;
	if (now_ms < due_ms)
		return due_ms - now_ms;
	master->watched_ms = now_ms;
	if (all_progress(master, now_ms))
		service_notify("WATCHDOG=1");
	return master->watchdog_ms / 2;
}
