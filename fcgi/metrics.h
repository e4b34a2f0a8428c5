/* SPDX-License-Identifier: MIT */
/*
 * Counters of all workers, in memory that the workers share and that outlives
 * each of them.  No function here blocks on the database.
 */
#ifndef FCGI_METRICS_H
#define FCGI_METRICS_H

#include <stdint.h>

struct client;
struct metrics;
struct route;

/*
 * Makes the counters of at most so many workers in a generation, all zero.  The
 * master calls it before it forks, owns the result and frees it with
 * metrics_free.
 */
struct metrics *metrics_new(int workers_max);
void metrics_free(struct metrics *metrics);

/*
 * Chooses the counters of the slot for this worker, which goes on counting
 * where its predecessor ended: two generations have counters of their own,
 * because at a reload the workers of both count.  A worker calls it before it
 * starts a thread.
 */
void metrics_enter(struct metrics *metrics, int slot, int generation);

/* Counts one more busy thread; metrics_end counts it off. */
void metrics_begin(struct metrics *metrics);

/*
 * Counts an answered request: its status, and its duration in microseconds.
 * route is NULL for a request that matched none.  Copies the client's counters
 * into the shared memory, too.
 */
void metrics_end(struct metrics *metrics, const struct route *route, int status,
    int64_t duration_us, struct client *client);

#endif
