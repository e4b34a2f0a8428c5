/* SPDX-License-Identifier: MIT */
/*
 * Counters of all workers, in memory that they share and that outlives them.
 */
#ifndef FCGI_METRICS_H
#define FCGI_METRICS_H

#include <stdint.h>

struct client;
struct metrics;
struct route;

/* In the master, before there are workers: makes room for so many. */
struct metrics *metrics_new(int workers);
void metrics_free(struct metrics *metrics);

/* In a worker, before there are threads: says whose counters it goes on. */
void metrics_enter(struct metrics *metrics, int slot);

/* A thread has a request. */
void metrics_begin(struct metrics *metrics);

/*
 * A thread has answered the request; route is NULL for one that has none.
 * Publishes the client's counters, too.
 */
void metrics_end(struct metrics *metrics, const struct route *route, int status,
    int64_t duration_us, struct client *client);

#endif
