/* SPDX-License-Identifier: MIT */
/*
 * The client half of the engine: starts workflows, sends them messages and
 * waits for their events, in a process that runs no workflow.
 *
 * A client has one connection and one thread, the courier.  The calls below
 * block the calling thread; any number of threads may call.  The courier puts
 * the calls of all threads into one transaction, and answers each call when its
 * event is set.  After a lost connection it repeats the unanswered calls, which
 * is safe because each is idempotent by its id or key.
 */
#ifndef DURABLE_CLIENT_H
#define DURABLE_CLIENT_H

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct client;
struct monitor_member;

enum client_outcome {
	CLIENT_ANSWERED,   /* value holds the answer */
	CLIENT_NOTHING,    /* there is no value and will be none */
	CLIENT_UNKNOWN,    /* no such workflow */
	CLIENT_CONFLICT,   /* the id belongs to another kind of workflow */
	CLIENT_LATE,       /* submitted, but the event was not set in time */
	CLIENT_REFUSED,    /* the database refused; the courier logged it */
	CLIENT_UNAVAILABLE /* no database: the call may be submitted or not */
};

struct client_answer {
	enum client_outcome outcome;
	char *value; /* NULL, or for the caller to free(3) */
};

struct client_start {
	const char *id;   /* of the workflow; also the idempotency key */
	const char *name; /* of the workflow function */
	const char *queue;
	const char *input; /* JSON of the argument; NULL for none */
	const char *event; /* key of the event to wait for */
	int timeout_ms;
};

struct client_send {
	const char *id;   /* of the destination workflow */
	const char *name; /* of its function; else CLIENT_UNKNOWN */
	const char *topic;
	const char *message; /* JSON */
	const char *key;     /* idempotency key, unique per workflow */
	const char *event;   /* key of the event to wait for */
	int timeout_ms;
};

struct client_stats {
	unsigned long batches;    /* transactions committed */
	unsigned long operations; /* starts, sends and distinct queries */
	unsigned long reconnects;
	unsigned long waiting; /* calls that wait for an event now */
};

/*
 * Makes a client and starts its courier, which connects in the background, as
 * often as it must.  application_name shows in pg_stat_activity; application
 * owns the started workflows (application_name in the system database);
 * member, unless NULL, is registered with the monitor.  All must outlive the
 * client, which the caller closes.
 */
struct client *client_open(const char *conninfo, const char *application_name,
    const char *application, const struct monitor_member *member);

/*
 * Ends the courier, which may block for some seconds, and frees the client.  No
 * thread may be in a call.
 */
void client_close(struct client *client);

/*
 * Starts a workflow, unless its id is known, and blocks until its event is set,
 * for at most timeout_ms.  The value is the event's JSON; CLIENT_NOTHING: the
 * event is JSON null, or the workflow ended without it.
 */
struct client_answer
client_start(struct client *client, const struct client_start *start);

/*
 * Sends a message, unless one with this key was sent to this workflow before,
 * and waits for the event as client_start does.
 */
struct client_answer
client_send(struct client *client, const struct client_send *send);

/*
 * Runs a query of at most two parameters and returns the first column of its
 * first row; CLIENT_NOTHING: there is no row, or it is null.  Blocks for at
 * most five seconds.  sql must be safe to repeat; CLIENT_REFUSED: it is empty,
 * or controls the transaction or the session.  Equal queries that wait at the
 * same time are run once.
 */
struct client_answer client_query(struct client *client, const char *sql,
    const char *param1, const char *param2);

/*
 * Returns the value at an offset, from 0, of a stream of a workflow, and does not
 * wait for it.  CLIENT_LATE: it has not been written yet; CLIENT_NOTHING: it will
 * not be, because the stream or its workflow has ended; CLIENT_UNKNOWN: there is
 * no such workflow.
 */
struct client_answer client_read_stream(struct client *client, const char *id,
    const char *key, int offset);

/*
 * Returns a descriptor, owned by the client, that becomes readable when the
 * courier has found and logged that the schema is not of this version, so
 * that the program may exit: trying again is useless.
 */
int client_give_up_fd(const struct client *client);

/* Returns the counts since client_open, and how many calls wait now. */
struct client_stats client_stats(struct client *client);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
