/* SPDX-License-Identifier: MIT */
/*
 * The courier: the thread that executes all calls of a client over one
 * connection, and repeats them after the connection was lost.
 */
#include "client/courier.h"

#include <sys/eventfd.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

/*
 * A worker that dies between its commit and its notification loses the
 * notification.  So the courier also fetches the events of all waiting calls,
 * soon after a call has begun to wait, and then less and less often.
 */
#define SAFETY_MIN_MS 100
#define SAFETY_MAX_MS 1000

/*
 * After this time without a round trip the courier makes one, because only a
 * round trip reveals that the server is frozen or its host has vanished.
 */
#define PING_MS       2000

#define REST_MIN_MS   5
#define REST_MAX_MS   500

/* The time-outs keep a statement that waits for a lock from delaying others. */
static const char setup[] = "set lock_timeout = '1s';"
			    "set statement_timeout = '5s';";

static const char *const listen_statements[] = {
	"listen dbos_workflow_events_channel", NULL
};

/* FNV-1a. */
static struct call_bucket *
bucket(struct courier *courier, const char *hint)
{
	uint32_t hash = 2166136261U;

	for (; *hint != '\0'; hint++)
		hash = (hash ^ (unsigned char)*hint) * 16777619U;
	return &courier->waiting[hash % COURIER_BUCKETS];
}

static void
make_due(struct courier *courier, struct call *call)
{
	if (call->due)
		return;
	call->due = true;
	TAILQ_INSERT_TAIL(&courier->due, call, link);
}

/* Lets the calls that wait for a notification's event fetch it. */
static void
make_hinted_due(struct courier *courier, const char *hint)
{
	struct call *call;

	LIST_FOREACH(call, bucket(courier, hint), chain)
		if (strcmp(call->hint, hint) == 0)
			make_due(courier, call);
}

/* Restarts the safety intervals, because another call begins to wait. */
static void
hasten(struct courier *courier)
{
	int64_t soon_ms = clock_monotonic_ms() + SAFETY_MIN_MS;

	courier->safety_interval_ms = SAFETY_MIN_MS;
	if (courier->waiting_count == 0 || soon_ms < courier->safety_ms)
		courier->safety_ms = soon_ms;
}

static void
make_all_due(struct courier *courier)
{
	struct call *call;
	size_t i;

	for (i = 0; i < COURIER_BUCKETS; i++)
		LIST_FOREACH(call, &courier->waiting[i], chain)
			make_due(courier, call);
	courier->safety_interval_ms *= 2;
	if (courier->safety_interval_ms > SAFETY_MAX_MS)
		courier->safety_interval_ms = SAFETY_MAX_MS;
	courier->safety_ms = clock_monotonic_ms() + courier->safety_interval_ms;
}

void
courier_add_waiting(struct courier *courier, struct call *call, bool due)
{
	hasten(courier);
	courier->waiting_count++;
	LIST_INSERT_HEAD(bucket(courier, call->hint), call, chain);
	if (due)
		make_due(courier, call);
	call->recorded = true;
}

static void
remove_waiting(struct courier *courier, struct call *call)
{
	courier->waiting_count--;
	LIST_REMOVE(call, chain);
	if (call->due)
		TAILQ_REMOVE(&courier->due, call, link);
}

void
courier_answer(struct call *call, enum client_outcome outcome,
    const char *value)
{
	call->answer.outcome = outcome;
	call->answer.value = arena_strdup(call->arena, value);
	if (call_end(call, CALL_ANSWERED) && sem_post(&call->ready) != 0)
		abort();
	call_leave(call);
}

void
courier_answer_waiting(struct courier *courier, struct call *call,
    enum client_outcome outcome, const char *value)
{
	remove_waiting(courier, call);
	courier_answer(call, outcome, value);
}

/* Leaves the calls of a list that their callers have abandoned. */
static void
drop_abandoned(struct courier *courier, struct call_list *list)
{
	struct call *call, *next;

	for (call = TAILQ_FIRST(list); call != NULL; call = next) {
		next = TAILQ_NEXT(call, link);
		if (call->state != CALL_ABANDONED)
			continue;
		if (call->due)
			remove_waiting(courier, call);
		else
			TAILQ_REMOVE(list, call, link);
		call_leave(call);
	}
}

/* Moves the queued calls to the courier's lists.  The caller has the lock. */
static void
sort_queue(struct courier *courier)
{
	struct call_list *queue = &courier->client->queue;
	struct call *call;

	while ((call = TAILQ_FIRST(queue)) != NULL) {
		TAILQ_REMOVE(queue, call, link);
		TAILQ_INSERT_TAIL(call->kind == CALL_QUERY ? &courier->queries
							   : &courier->pending,
		    call, link);
	}
}

/* Takes the queued calls, drops the abandoned.  False: the client closes. */
static bool
collect(struct courier *courier)
{
	struct client *client = courier->client;
	eventfd_t ignored;
	bool closing;

	/* Before taking the queue, so that a later call wakes the courier. */
	if (eventfd_read(client->wake_fd, &ignored) != 0 && errno != EAGAIN)
		abort();
	pthread_mutex_lock(&client->lock);
	sort_queue(courier);
	closing = client->closing;
	pthread_mutex_unlock(&client->lock);
	drop_abandoned(courier, &courier->pending);
	drop_abandoned(courier, &courier->queries);
	drop_abandoned(courier, &courier->due);
	return !closing;
}

void
courier_answer_list(struct call_list *list, enum client_outcome outcome)
{
	struct call *call;

	while ((call = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, call, link);
		courier_answer(call, outcome, NULL);
	}
}

/* Answers all calls, and later ones at once, that there is no database. */
static void
answer_all_away(struct courier *courier)
{
	struct client *client = courier->client;
	struct call *call;

	make_all_due(courier);
	pthread_mutex_lock(&client->lock);
	client->away = true;
	sort_queue(courier);
	pthread_mutex_unlock(&client->lock);
	courier_answer_list(&courier->pending, CLIENT_UNAVAILABLE);
	courier_answer_list(&courier->queries, CLIENT_UNAVAILABLE);
	while ((call = TAILQ_FIRST(&courier->due)) != NULL)
		courier_answer_waiting(courier, call, CLIENT_UNAVAILABLE, NULL);
}

void
courier_count_batch(struct courier *courier, size_t operations)
{
	struct client *client = courier->client;

	pthread_mutex_lock(&client->lock);
	client->stats.batches++;
	client->stats.operations += operations;
	pthread_mutex_unlock(&client->lock);
}

void
courier_log_unready(struct courier *courier)
{
	const struct db_error *error = db_last_error(courier->db);

	if (log_is_due(&courier->unready_ms))
		log_error("requests are answered with 503, because the schema "
			  "lacks something: %s (SQLSTATE %s); run "
			  "durable-install or widget-store-install",
		    error->message, error->sqlstate);
}

/* After a failed attempt to connect: answers callers, tries again later. */
static void
note_away(struct courier *courier, int pause_ms)
{
	answer_all_away(courier);
	courier->attempt_ms = clock_monotonic_ms() + pause_ms;
}

/*
 * Drops the lost connection.  If it had lasted, the next attempt follows at
 * once, and callers are answered only if that fails.
 */
static void
courier_lose_session(struct courier *courier)
{
	int pause_ms;

	session_lose(courier->session);
	pause_ms = session_pause_ms(courier->session);
	courier->attempt_ms = 0;
	if (pause_ms != 0)
		note_away(courier, pause_ms);
}

static void
courier_connect(struct courier *courier)
{
	enum session_state state = session_open(courier->session);
	struct client *client = courier->client;

	if (state != SESSION_READY) {
		if (state == SESSION_REFUSED &&
		    eventfd_write(client->give_up_fd, 1) != 0)
			abort();
		note_away(courier, session_pause_ms(courier->session));
		return;
	}
	pthread_mutex_lock(&client->lock);
	client->away = false;
	client->stats.reconnects += courier->was_connected;
	pthread_mutex_unlock(&client->lock);
	courier->was_connected = true;
	backoff_reset(&courier->rest);
	courier->rest_ms = 0;
	make_all_due(courier);
}

/* Reads the notifications and lets the calls fetch their events. */
static void
hear(struct courier *courier)
{
	const struct db_notification *notification;

	if (!db_consume(courier->db)) {
		courier_lose_session(courier);
		return;
	}
	while ((notification = db_next_notification(courier->db)) != NULL)
		make_hinted_due(courier, notification->payload);
}

static bool
has_work(const struct courier *courier)
{
	return !TAILQ_EMPTY(&courier->pending) ||
	    !TAILQ_EMPTY(&courier->queries) || !TAILQ_EMPTY(&courier->due);
}

/*
 * Makes the round trips that are due, if any.  Listens before it fetches
 * events, so that it misses none.  Without work for PING_MS stops listening if
 * no call waits; that round trip, and fetching for calls, also test the server.
 */
static enum db_outcome
go(struct courier *courier)
{
	const bool works = has_work(courier);
	enum db_outcome outcome = DB_DONE;

	if (!works && clock_monotonic_ms() < courier->ping_ms)
		return DB_DONE;
	courier->ping_ms = clock_monotonic_ms() + PING_MS;
	if (!works)
		return courier->waiting_count > 0
		    ? DB_DONE
		    : session_listen(courier->session, false);
	if (!session_is_listening(courier->session))
		outcome = session_listen(courier->session, true);
	return outcome == DB_DONE ? courier_batch_make(courier) : outcome;
}

/* Makes the due round trips over an open connection; handles failures. */
static void
courier_work(struct courier *courier)
{
	if (courier->waiting_count > 0 &&
	    clock_monotonic_ms() >= courier->safety_ms)
		make_all_due(courier);
	switch (go(courier)) {
	case DB_DONE:
	case DB_REFUSED:
		backoff_reset(&courier->rest);
		courier->rest_ms = 0;
		break;
	case DB_SCHEMA:
	case DB_RETRY:
		courier->rest_ms = backoff_next_ms(&courier->rest);
		break;
	case DB_LOST:
		courier_lose_session(courier);
		return;
	}
	hear(courier);
}

/* Milliseconds until the courier has to act without being woken. */
static int64_t
idle_ms(const struct courier *courier)
{
	int64_t until_ms;

	if (!db_connected(courier->db))
		until_ms = courier->attempt_ms;
	else if (has_work(courier))
		return courier->rest_ms;
	else if (courier->waiting_count > 0)
		until_ms = courier->safety_ms;
	else
		until_ms = courier->ping_ms;
	until_ms -= clock_monotonic_ms();
	return until_ms < 0 ? 0 : until_ms;
}

/* Waits for a queued call, input on the connection, or the next time to act. */
static void
wait_for_work(struct courier *courier)
{
	struct pollfd fds[] = { { .fd = courier->client->wake_fd,
				    .events = POLLIN },
		{ .fd = db_fd(courier->db), .events = POLLIN } };
	int64_t timeout_ms = idle_ms(courier);

	if (timeout_ms != 0 && poll(fds, 2, (int)timeout_ms) < 0 &&
	    errno != EINTR)
		abort();
}

static void
free_courier(struct courier *courier)
{
	size_t i;

	answer_all_away(courier);
	for (i = 0; i < COURIER_COLUMNS; i++)
		strbuf_free(&courier->columns[i]);
	session_free(courier->session);
	arena_free(courier->arena);
	free(courier);
}

void *
courier_run(void *arg)
{
	struct client *client = arg;
	struct courier *courier = memory_new(sizeof(*courier));

	courier->client = client;
	client->options.setup = setup;
	client->options.listen = listen_statements;
	courier->session = session_new(&client->options);
	courier->db = session_db(courier->session);
	courier->arena = arena_new();
	courier->rest = (struct backoff){ .min_ms = REST_MIN_MS,
		.max_ms = REST_MAX_MS };
	TAILQ_INIT(&courier->pending);
	TAILQ_INIT(&courier->queries);
	TAILQ_INIT(&courier->due);
	while (collect(courier)) {
		if (db_connected(courier->db))
			courier_work(courier);
		else if (clock_monotonic_ms() >= courier->attempt_ms)
			courier_connect(courier);
		arena_reset(courier->arena);
		wait_for_work(courier);
	}
	free_courier(courier);
	return NULL;
}
