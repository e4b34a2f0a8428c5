/* SPDX-License-Identifier: MIT */
/*
 * What every request of a worker shares.
 */
#ifndef FCGI_SITE_H
#define FCGI_SITE_H

#include <stdbool.h>

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
