/* SPDX-License-Identifier: MIT */
#include "db/progress.h"

#include <sys/ioctl.h>

#include <linux/sockios.h>
#include <poll.h>
#include <stdbool.h>

#include "base/clock.h"

/*
 * After each LATE_MS in which no byte came or went, another connection asks
 * whether the server is reachable (see db.c).  A reachable server may be silent
 * until GIVE_UP_MS, which is longer than any statement's time-out.
 */
#ifndef LATE_MS
#define LATE_MS    1000
#define GIVE_UP_MS 30000
#endif

struct progress
progress_begin(void)
{
	return (struct progress){ .since_ms = clock_monotonic_ms() };
}

/* Bytes also leave the socket of a slow line while it is not ready for more. */
static void
note_progress(struct progress *progress, int fd, bool ready)
{
	int unsent = 0;

	if (!ready && ioctl(fd, SIOCOUTQ, &unsent) != 0)
		return;
	if (ready || unsent < progress->unsent)
		progress->since_ms = clock_monotonic_ms();
	progress->unsent = unsent;
}

enum progress_verdict
progress_wait(struct progress *progress, int fd, short events)
{
	struct pollfd polled = { .fd = fd, .events = events };
	int ready = poll(&polled, 1, LATE_MS);

	if (ready < 0)
		return PROGRESS_READY;
	note_progress(progress, fd, ready > 0);
	if (ready > 0)
		return PROGRESS_READY;
	return clock_monotonic_ms() - progress->since_ms < GIVE_UP_MS
	    ? PROGRESS_LATE
	    : PROGRESS_GIVE_UP;
}
