/* SPDX-License-Identifier: MIT */
/*
 * A worker process: threads that answer requests and share one client.
 */
#ifndef FCGI_SERVE_H
#define FCGI_SERVE_H

#include <stdbool.h>

struct metrics;
struct prefork_worker;
struct signature_keys;

struct serve {
	const char *conninfo; /* libpq's; "" for the environment */
	int listen_fd;        /* shared by all workers */
	int workers;
	int threads;                   /* of one worker, at most */
	int wait_timeout_ms;           /* for an event; then 503 */
	const char *operator_conninfo; /* of a member of durable_client */
	char *operator_token;          /* NULL: there is no view of workflows */
	int memory_limit_mb;           /* of a worker; 0: none */
	int read_timeout_ms; /* for a request, and for taking its answer */
	const struct signature_keys
	    *webhook_keys; /* NULL: any payment counts */
	bool allow_crash;
	bool machine_room;
	struct metrics *metrics;
};

/*
 * The worker function of prefork_run; arg is the struct serve, which must
 * outlive it.  Answers requests until the worker is asked to stop, finishes
 * those that it has accepted, and returns the exit status: 0, 1 when it could
 * start no thread, or PREFORK_EXIT_GIVE_UP when the database has another
 * version of the schemas.
 */
int serve_work(struct prefork_worker *self, const void *arg);

#endif
