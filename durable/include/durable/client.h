/* SPDX-License-Identifier: MIT */
/*
 * The client half of the engine: what starts workflows, sends them messages
 * and waits for their events, in a process that runs no workflow.
 *
 * A client has one connection and one thread of its own, the courier.  The
 * calls below block the calling thread (any number of them) while the courier
 * gathers what all callers want into one transaction, commits it, listens for
 * events and hands them out.  After a lost connection it repeats what is
 * unanswered: every operation is idempotent by its id or key.
 */
#ifndef DURABLE_CLIENT_H
#define DURABLE_CLIENT_H

struct arena;
struct client;
struct monitor_member;

enum client_outcome {
	CLIENT_ANSWERED,   /* value holds the answer */
	CLIENT_NOTHING,    /* there is none and there will be none */
	CLIENT_UNKNOWN,    /* no such workflow */
	CLIENT_CONFLICT,   /* the id belongs to another kind of workflow */
	CLIENT_LATE,       /* not yet: what was asked for is on record */
	CLIENT_REFUSED,    /* the database refused; the courier logged it */
	CLIENT_UNAVAILABLE /* the database is away, nothing is known */
};

struct client_answer {
	enum client_outcome outcome;
	const char *value; /* in the caller's arena */
};

struct client_start {
	const char *id;   /* the workflow's, and idempotency key */
	const char *name; /* of the workflow function */
	const char *queue;
	const char *input; /* JSON of the one argument, or NULL */
	const char *event; /* key of the event to wait for */
	int timeout_ms;
};

struct client_send {
	const char *id;   /* of the destination workflow */
	const char *name; /* its function; others are unknown */
	const char *topic;
	const char *message; /* JSON */
	const char *key;     /* idempotency: one message per key and id */
	const char *event;   /* key of the event to wait for then */
	int timeout_ms;
};

struct client_stats {
	unsigned long batches;    /* transactions committed */
	unsigned long operations; /* starts, sends and queries in them */
	unsigned long reconnects;
	unsigned long waiting; /* calls that wait for an event now */
};

/*
 * Makes a client and starts its courier, which connects by itself and goes on
 * trying.  application_name shows in pg_stat_activity; application is the
 * owner of the workflows that are started (application_name in the system
 * database); member, unless NULL, enters the machine room with the
 * connection.  All four must outlive the client.
 */
struct client *client_open(const char *conninfo, const char *application_name,
    const char *application, const struct monitor_member *member);

/*
 * Ends the courier and frees the client.  Nobody may be in a call.
 */
void client_close(struct client *client);

/*
 * Starts a workflow, unless its id is known, and waits for one of its events.
 * The value is the event's JSON; an event that is JSON null, and a workflow
 * that ended without the event, are CLIENT_NOTHING.
 */
struct client_answer client_start(struct client *client, struct arena *arena,
    const struct client_start *start);

/*
 * Sends a message, unless one with this key was sent to this workflow, and
 * waits for an event as client_start does.
 */
struct client_answer client_send(struct client *client, struct arena *arena,
    const struct client_send *send);

/*
 * Runs a query of at most two parameters and returns the first column of its
 * first row, CLIENT_NOTHING when there is no row or it is null.  Must be safe
 * to repeat.  Equal queries that wait at the same time are run once.
 */
struct client_answer client_query(struct client *client, struct arena *arena,
    const char *sql, const char *param1, const char *param2);

/* Whether the courier has a connection now. */
_Bool client_connected(struct client *client);

/*
 * A descriptor that becomes readable when the courier finds that the database
 * is not prepared for this program, and has logged that: no repetition helps.
 */
int client_give_up_fd(const struct client *client);

struct client_stats client_stats(struct client *client);

#endif
