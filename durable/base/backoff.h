/* SPDX-License-Identifier: MIT */
/*
 * Pauses between attempts that fail: each twice as long as the last one, up to
 * a limit, and one half of it left to chance, so that processes that failed
 * together do not try again together.
 */
#ifndef DURABLE_BACKOFF_H
#define DURABLE_BACKOFF_H

/* Set min_ms and max_ms; pause_ms 0 means that the last attempt succeeded. */
struct backoff {
	int min_ms, max_ms, pause_ms;
};

/* An attempt has failed: the pause before the next one, in milliseconds. */
int backoff_next_ms(struct backoff *backoff);

/* An attempt has succeeded: the next failure is followed by min_ms. */
void backoff_reset(struct backoff *backoff);

#endif
