/* SPDX-License-Identifier: MIT */
/*
 * What a client's callers and its courier share.  Private to client.c,
 * courier.c and courier_batch.c.
 *
 * A call belongs to its caller and to the courier, whoever leaves last frees
 * it: a caller whose time is over leaves while the courier may be working on
 * the call.  Which came first, that or the answer, its state decides, once and
 * without a lock: a caller that is woken need not wait for the next one's
 * answer.  The courier keeps every call in one of its lists until it is
 * answered, so that a lost connection loses none.
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
	/* Set before the courier knows the call, constant from then on. */
	enum call_kind kind;
	struct arena *arena; /* the call itself is in it, too */
	const char *id, *name;
	const char *place; /* a start's queue, a send's topic */
	const char *json;  /* a start's input, a send's message */
	const char *key;   /* of a send */
	const char *event; /* key of the event to wait for */
	const char *hint;  /* the notification about the event */
	const char *sql;   /* of a query */
	const char *params[2];

	atomic_int holders;          /* caller, courier */
	atomic_int state;            /* enum call_state; it changes once */
	atomic_bool recorded;        /* what was asked for is on record */
	sem_t ready;                 /* posted when it is answered */
	struct client_answer answer; /* its value is in the call's arena */

	/* The courier's, but for the client's queue. */
	TAILQ_ENTRY(call) link;
	LIST_ENTRY(call) chain;
	bool due;         /* to be fetched */
	int64_t retry_ms; /* after a lock: when to try again; else 0 */
};

TAILQ_HEAD(call_list, call);
LIST_HEAD(call_bucket, call);

struct client {
	const char *conninfo;
	const char *application_name;
	const char *application;
	const struct monitor_member *member; /* NULL: nobody watches */
	pthread_t courier;
	int wake_fd;    /* eventfd: the courier has news */
	int give_up_fd; /* eventfd: the courier has given up */

	atomic_ulong waiting; /* callers, but for those of queries */

	pthread_mutex_t lock;   /* of all that follows */
	struct call_list queue; /* what the courier has not seen */
	bool closing;
	bool connected;
	bool away; /* calls are answered at once */
	struct client_stats stats;
};

struct courier {
	struct client *client;
	struct session_options options;
	struct session *session;
	struct db *db;            /* the session's */
	struct arena *arena;      /* of one pass */
	struct call_list pending; /* starts and sends to be submitted */
	struct call_list queries;
	struct call_list due; /* waiting calls to be fetched */
	struct call_bucket waiting[COURIER_BUCKETS]; /* by hint; due or not */
	size_t waiting_count;
	struct strbuf columns[COURIER_COLUMNS];

	bool was_connected;  /* at least once */
	struct backoff rest; /* before something is repeated */
	int rest_ms;
	int64_t unready_ms; /* when it was last logged that the schema is */
	int64_t attempt_ms; /* when to connect */
	int64_t ping_ms;    /* when to ask whether the server is there */
	int64_t safety_ms;  /* when to fetch for all who wait */
	int safety_interval_ms;
};

/* A thread: the courier of a client, until it is closing. */
void *courier_run(void *client);

/* Puts a call whose wish is on record among those that wait for an event. */
void courier_add_waiting(struct courier *courier, struct call *call, bool due);

/*
 * Answers a call, which has been taken out of its list, and gives it back.
 * The value is copied.
 */
void courier_answer(struct call *call, enum client_outcome outcome,
    const char *value);

/* Answers a waiting call, which may be due. */
void courier_answer_waiting(struct courier *courier, struct call *call,
    enum client_outcome outcome, const char *value);

/*
 * The schema lacks something that the client's statements want: logs what, at
 * most every ten seconds.
 */
void courier_log_unready(struct courier *courier);

/*
 * Makes the round trips for everything that is pending, due or asked.
 * DB_RETRY: something is left and wants a rest; DB_LOST: so is the
 * connection.
 */
enum db_outcome courier_batch_make(struct courier *courier);

/* Leaves a call; the last one frees it. */
void call_leave(struct call *call);

/* Gives an open call its end; false when it has one already. */
bool call_end(struct call *call, enum call_state state);

#endif
