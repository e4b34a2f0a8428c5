/* SPDX-License-Identifier: MIT */
/*
 * Retention: a worker that has nothing else to do deletes finished workflows, in
 * bites.  What may go, and how long a pause is kept behind each bite,
 * durable.collect decides.
 */
#ifndef DURABLE_COLLECTOR_H
#define DURABLE_COLLECTOR_H

#include <stdbool.h>
#include <stdint.h>

struct db;
struct engine;

/* Its maker sets the members up to db; the others begin as zero. */
struct collector {
	const struct engine *engine;
	struct db *db;
	int64_t due_ms; /* by the monotonic clock */
	int64_t failed_ms;
};

/* For how many milliseconds no bite is due; 0: one is. */
int64_t collector_due_in_ms(const struct collector *collector);

/*
 * Takes a bite, which is a transaction of some ten milliseconds, if this session
 * is the one that may.  Returns false when the connection is lost.
 */
bool collector_collect(struct collector *collector);

#endif
