/* SPDX-License-Identifier: MIT */
/*
 * Pauses between attempts that fail.
 */
#include "base/backoff.h"

#include <time.h>

int
backoff_next_ms(struct backoff *backoff)
{
	struct timespec now;
	int half;

	backoff->pause_ms *= 2;
	if (backoff->pause_ms < backoff->min_ms)
		backoff->pause_ms = backoff->min_ms;
	if (backoff->pause_ms > backoff->max_ms)
		backoff->pause_ms = backoff->max_ms;
	half = backoff->pause_ms / 2;
	/* The clock is random enough here, and unlike rand(3) thread-safe. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	return half + (int)(now.tv_nsec % (half + 1));
}

void
backoff_reset(struct backoff *backoff)
{
	backoff->pause_ms = 0;
}
