/* SPDX-License-Identifier: MIT */
/*
 * What every request of a worker shares.
 */
#ifndef FCGI_SITE_H
#define FCGI_SITE_H

#include <stdbool.h>

/* store.orders has no greater number: JSON holds it exactly. */
#define ORDER_ID_MAX 9007199254740991LL

struct client;
struct metrics;

struct site {
	struct client *client;
	struct metrics *metrics;
	const char *conninfo;
	int threads;     /* of all workers */
	int waiting_max; /* requests of this worker that wait */
	int wait_timeout_ms;
	bool allow_crash;
	bool machine_room;
};

#endif
