/* SPDX-License-Identifier: MIT */
/*
 * The workers of an engine, behind its two doors: durable_run and durable_start.
 */
#ifndef DURABLE_CREW_H
#define DURABLE_CREW_H

#include <stdbool.h>

#include <durable/engine.h>

#include "base/prefork.h"

struct crew {
	const struct engine *engine;
	int workers;
	struct durable_stats
	    *stats; /* of each worker, in shared memory; or NULL */
};

/* Whether the engine can run as it is set; logs why not. */
bool engine_can_run(const struct engine *engine, int workers);

/* How many processes the master starts: the workers and the step master. */
int engine_processes(const struct crew *crew);

/* A process of the crew: a worker, or behind these the step master. */
int engine_work(struct prefork_worker *self, const void *arg);

#endif
