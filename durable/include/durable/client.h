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

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct client;
struct monitor_member;
struct pg_conn; /* libpq's PGconn */

enum client_outcome {
	CLIENT_ANSWERED,    /* value holds the answer */
	CLIENT_NOTHING,     /* there is no value and will be none */
	CLIENT_UNKNOWN,     /* no such workflow */
	CLIENT_CONFLICT,    /* the id belongs to another kind of workflow */
	CLIENT_LATE,        /* submitted, but the event was not set in time */
	CLIENT_REFUSED,     /* the database refused; the courier logged it */
	CLIENT_UNAVAILABLE, /* no database: the call may be submitted or not */
	CLIENT_FAILED, /* the workflow failed or was cancelled: value holds why */
	CLIENT_GONE    /* the workflow of this id has ended and was deleted */
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

/* What is NULL or 0 is not asked for. */
struct client_enqueue {
	const char *id;   /* of the workflow; also the idempotency key */
	const char *name; /* of the workflow function */
	const char *queue;
	const char *input;       /* JSON of the argument */
	const char *application; /* whose workflow it is */
	const char *version;     /* the only one that may run it */
	const char *class_name, *config_name;
	const char *partition_key, *deduplication_id;
	const char *attributes; /* JSON object */
	int priority;           /* lower is earlier */
	int64_t delay_ms, timeout_ms;
};

struct client_filter {
	const char *const *statuses; /* ended by NULL */
	const char *name, *queue, *application, *id_prefix;
	int64_t from_ms, until_ms; /* of the creation, since the epoch */
	int limit;                 /* 0: 100 */
	int offset;
};

/* What is -1 stays as it is; a new policy has it from that of "*". */
struct client_retention {
	const char *name; /* of the workflow function; "*": all others */
	int keep_days;    /* after the end of a workflow; 0: for ever */
	int keep_count;   /* of the latest, only so many; 0: any number */
	int id_days;      /* for which its id starts nothing; 0: for ever */
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
 * event is JSON null, or the workflow ended without it; CLIENT_GONE: nothing is
 * started, because the workflow of this id has ended, and retention deleted it.
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
 * The calls from here to client_retain want a session whose role is a member of
 * durable_client, too; else they are CLIENT_UNAVAILABLE, and the log says why.  The
 * workflows may be those of any application, and of the SDKs of DBOS.  Each call
 * is safe to repeat.
 */

/*
 * Enqueues a workflow with options, unless its id is known, and waits for
 * nothing.  The value is its id.  CLIENT_REFUSED, too, when the workflow of this
 * id has ended and was deleted.
 */
struct client_answer
client_enqueue(struct client *client, const struct client_enqueue *enqueue);

/*
 * Waits until a workflow has ended, for at most timeout_ms, and looks at least
 * twice in a second.  The value is its output, JSON; CLIENT_NOTHING: that is
 * null; CLIENT_FAILED: the value is the error, a JSON object with name and
 * message; CLIENT_LATE: it has not ended.
 */
struct client_answer
client_result(struct client *client, const char *id, int timeout_ms);

/* A workflow, as a JSON object with the members of durable.workflow. */
struct client_answer client_get(struct client *client, const char *id);

/*
 * The workflows that pass a filter, the newest first: a JSON array of such
 * objects, without inputs and outputs.  CLIENT_REFUSED after five seconds:
 * durable.list_workflows says which filters are fast.
 */
struct client_answer
client_list(struct client *client, const struct client_filter *filter);

/* The steps of a workflow: a JSON array with the columns of durable.list_steps. */
struct client_answer client_steps(struct client *client, const char *id);

/*
 * Cancels a workflow, with children also what it has started, or enqueues it
 * again, unless it has ended by itself.  The value is its status.
 */
struct client_answer
client_cancel(struct client *client, const char *id, bool children);
struct client_answer client_resume(struct client *client, const char *id);

/*
 * Enqueues a copy of a workflow that goes on at a step, under the id fork.  The
 * value is that id.
 */
struct client_answer client_fork(struct client *client, const char *id,
    int start_step, const char *fork);

/*
 * Deletes a workflow, with children also what it has started.  CLIENT_UNKNOWN,
 * too, when an earlier attempt deleted it.
 */
struct client_answer
client_delete(struct client *client, const char *id, bool children);

/*
 * Sets how long finished workflows are kept.  CLIENT_NOTHING: it is done.
 */
struct client_answer
client_retain(struct client *client, const struct client_retention *retention);

/*
 * Enqueues a workflow or sends a message in the transaction that the caller has
 * begun on a connection of its own: both happen when it commits.  They need no
 * client, and block for one statement.  Without a key each message is another
 * one.  The value of an enqueued workflow is its id.  CLIENT_CONFLICT: the id is
 * that of another kind of workflow, or its queue has the deduplication id.
 * After any outcome but CLIENT_ANSWERED PostgreSQL has aborted the transaction,
 * and PQerrorMessage says why.
 */
struct client_answer
client_enqueue_in(struct pg_conn *conn, const struct client_enqueue *enqueue);
struct client_answer client_send_in(struct pg_conn *conn, const char *id,
    const char *topic, const char *message, const char *key);

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
