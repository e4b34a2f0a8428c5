/* SPDX-License-Identifier: MIT */
/*
 * What all requests of a worker share; it does not change while they run.
 */
#ifndef FCGI_SITE_H
#define FCGI_SITE_H

#include <stdbool.h>

/* store.orders has no greater number: JSON holds it exactly. */
#define ORDER_ID_MAX 9007199254740991LL

struct client;
struct metrics;
struct signature_keys;

struct site {
	struct client *client;
	struct metrics *metrics;
	const char *conninfo;          /* libpq's; "" for the environment */
	const char *operator_conninfo; /* of a member of durable_client */
	const char *operator_token;    /* NULL: there is no view of workflows */
	int threads;                   /* of all workers, at most */
	int waiting_max;     /* requests of this worker that may wait */
	int wait_timeout_ms; /* for an event */
	const struct signature_keys
	    *webhook_keys; /* NULL: any payment counts */
	bool allow_crash;
	bool machine_room;
};

#endif
