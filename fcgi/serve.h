/* SPDX-License-Identifier: MIT */
/*
 * A worker process: threads that answer requests, around one client.
 */
#ifndef FCGI_SERVE_H
#define FCGI_SERVE_H

#include <stdbool.h>

struct metrics;
struct prefork_worker;

struct serve {
	const char *conninfo; /* libpq's; "" for the environment */
	int listen_fd;        /* shared by all workers */
	int workers;
	int threads;         /* of a worker, at most */
	int wait_timeout_ms; /* for an event */
	bool allow_crash;
	bool machine_room;
	struct metrics *metrics;
};

/*
 * The worker: answers requests until it is asked to stop; those that it has
 * then it answers first.  arg is the struct serve.  Returns its exit status:
 * PREFORK_EXIT_GIVE_UP when the database is not of our version.
 */
int serve_work(struct prefork_worker *self, void *arg);

#endif
