/* SPDX-License-Identifier: MIT */
/*
 * The calls that a client's callers share with its courier.  Private to
 * client.c and the files courier*.c.
 *
 * Caller and courier both hold a call, and the last holder to leave frees it,
 * because a caller leaves at its time-out although the courier may be using the
 * call.  The state decides which came first, time-out or answer.  It is atomic,
 * so that callers wake without a lock.  The courier keeps each call in one of
 * its lists until it answers it, so a lost connection loses no call.
 */
#ifndef DURABLE_COURIER_H
#define DURABLE_COURIER_H

#include <sys/queue.h>

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <durable/client.h>
#include "base/strbuf.h"
#include "base/backoff.h"
#include "db/session.h"

#define COURIER_BUCKETS 1024 /* of the table of waiting calls */
#define COURIER_COLUMNS 9    /* array parameters of client_submit */

enum call_kind { CALL_START, CALL_SEND, CALL_QUERY };

enum call_state { CALL_OPEN, CALL_ANSWERED, CALL_ABANDONED };

struct call {
	/* Set before the call is queued, and constant from then on. */
	enum call_kind kind;
	struct arena *arena; /* it has the call itself, too */
	const char *id, *name;
	const char *queue, *input;         /* of a start */
	const char *topic, *message, *key; /* of a send */
	const char *event;                 /* key of the event to wait for */
	const char *hint; /* payload of the event's notification */
	const char *sql;  /* of a query */
	const char *params[2];

	atomic_int holders;          /* caller, courier */
	atomic_int state;            /* enum call_state; it changes once */
	atomic_bool recorded;        /* the start or message has committed */
	sem_t ready;                 /* posted with the answer */
	struct client_answer answer; /* its value is in the call's arena */

	/* Used by the courier alone, except while the call is queued. */
	TAILQ_ENTRY(call) link;
	LIST_ENTRY(call) chain;
	bool due;         /* its event is to be fetched */
	int64_t retry_ms; /* after meeting a lock: when to try again; else 0 */
};

TAILQ_HEAD(call_list, call);
LIST_HEAD(call_bucket, call);

struct client {
	struct session_options options; /* of the courier's session */
	const char *application;
	pthread_t courier;
	int wake_fd;    /* eventfd: calls are queued, or the client closes */
	int give_up_fd; /* eventfd: the courier has given up */

	atomic_ulong waiting; /* callers of client_start and client_send */

	pthread_mutex_t lock;   /* of the members below */
	struct call_list queue; /* calls that the courier has not taken */
	bool closing;
	bool away; /* no database: calls are answered at once */
	struct client_stats stats;
};

struct courier {
	struct client *client;
	struct session *session;
	struct db *db;            /* the session's */
	struct arena *arena;      /* of one pass of courier_run's loop */
	struct call_list pending; /* starts and sends to be submitted */
	struct call_list queries;
	struct call_list due; /* waiting calls that fetch their event next */
	struct call_bucket waiting[COURIER_BUCKETS]; /* by hint; due or not */
	size_t waiting_count;
	struct strbuf columns[COURIER_COLUMNS];

	bool was_connected;  /* at least once */
	struct backoff rest; /* before calls are repeated */
	int rest_ms;
	int64_t unready_ms; /* when an incomplete schema was last logged */
	int64_t attempt_ms; /* when to connect */
	int64_t ping_ms;    /* when to test whether the server answers */
	int64_t safety_ms;  /* when to fetch the events of all waiting calls */
	int safety_interval_ms;
};

/* The thread of a client's courier; returns when the client closes. */
void *courier_run(void *client);

/* Removes all calls of a list and answers them, without a value. */
void courier_answer_list(struct call_list *list, enum client_outcome outcome);

/* Adds a submitted call to the calls that wait for their event. */
void courier_add_waiting(struct courier *courier, struct call *call, bool due);

/*
 * Answers a call, which the courier has removed from its list, and leaves it.
 * Copies the value.
 */
void courier_answer(struct call *call, enum client_outcome outcome,
    const char *value);

/* Removes a waiting call from the courier's lists and answers it. */
void courier_answer_waiting(struct courier *courier, struct call *call,
    enum client_outcome outcome, const char *value);

/* Counts a round trip and its operations in the client's statistics. */
void courier_count_batch(struct courier *courier, size_t operations);

/*
 * Logs what the schema lacks for the client's statements, at most every ten
 * seconds.
 */
void courier_log_unready(struct courier *courier);

/*
 * Makes the round trips for all pending and due calls and all queries; blocks.
 * Returns DB_RETRY when calls are left for a later attempt, and DB_LOST when
 * the connection is gone.
 */
enum db_outcome courier_batch_make(struct courier *courier);

/*
 * Runs each query once; blocks.  Moves one that fails with DB_RETRY to the end,
 * so that it does not delay the others.
 */
enum db_outcome courier_query_all(struct courier *courier);

/* Leaves a call; the last holder frees it. */
void call_leave(struct call *call);

/* Sets the state of an open call; false when it is not open any more. */
bool call_end(struct call *call, enum call_state state);

#endif
