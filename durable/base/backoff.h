/* SPDX-License-Identifier: MIT */
/*
 * Pauses between attempts that fail.  Each is twice as long as the last one, up
 * to a limit; half of it is random, so that processes that failed together do
 * not try again together.
 */
#ifndef DURABLE_BACKOFF_H
#define DURABLE_BACKOFF_H

/* Set min_ms and max_ms; pause_ms 0 means that the last attempt succeeded. */
struct backoff {
	int min_ms, max_ms, pause_ms;
};

/* Call after a failure: returns the milliseconds to wait before a new try. */
int backoff_next_ms(struct backoff *backoff);

/* Call after a success: the pauses begin again at min_ms. */
void backoff_reset(struct backoff *backoff);

#endif
