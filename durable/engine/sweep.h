/* SPDX-License-Identifier: MIT */
/*
 * What a worker does for the whole database beside its turns: it says what the
 * daemon serves, and once a second it tidies up.
 */
#ifndef DURABLE_SWEEP_H
#define DURABLE_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

struct db;
struct engine;
struct served;

/* Its maker sets the members up to interval_ms; the others begin as zero. */
struct sweep {
	const struct engine *engine;
	struct served *served;
	struct db *db;
	int interval_ms;
	int64_t swept_ms;
	unsigned count;
};

/*
 * Tells the database which version and queues this daemon serves.  Returns
 * false when that failed; db_last_error says why.
 */
bool sweep_register(struct sweep *sweep);

/*
 * Sweeps when the interval is over: wakes workflows that nothing else will
 * wake, enqueues delayed ones, cancels late ones, and ends the sessions of
 * frozen workers.  Returns false when the connection is lost.
 */
bool sweep_if_due(struct sweep *sweep);

#endif
