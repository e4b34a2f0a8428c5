/* SPDX-License-Identifier: MIT */
/*
 * The callers' side of a client: makes a call, queues it for the courier and
 * waits for its answer.
 */
#include <durable/client.h>

#include <sys/eventfd.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "client/courier.h"
#include "db/sqltext.h"

/* How long a query may take, because its caller gives no time-out. */
#define QUERY_TIMEOUT_MS 5000

static struct call *
call_new(enum call_kind kind)
{
	struct arena *arena = arena_new();
	struct call *call = arena_alloc(arena, sizeof(*call));

	call->kind = kind;
	call->arena = arena;
	call->holders = 1;
	if (sem_init(&call->ready, 0, 0) != 0)
		abort();
	return call;
}

void
call_leave(struct call *call)
{
	if (atomic_fetch_sub(&call->holders, 1) > 1)
		return;
	sem_destroy(&call->ready);
	arena_free(call->arena);
}

bool
call_end(struct call *call, enum call_state state)
{
	int open = CALL_OPEN;

	return atomic_compare_exchange_strong(&call->state, &open, state);
}

struct client *
client_open(const char *conninfo, const char *application_name,
    const char *application, const struct monitor_member *member)
{
	struct client *client = memory_new(sizeof(*client));

	client->options = (struct session_options){ .conninfo = conninfo,
		.application_name = application_name,
		.member = member };
	client->application = application;
	client->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	client->give_up_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	TAILQ_INIT(&client->queue);
	if (client->wake_fd < 0 || client->give_up_fd < 0 ||
	    pthread_mutex_init(&client->lock, NULL) != 0 ||
	    pthread_create(&client->courier, NULL, courier_run, client) != 0)
		abort();
	return client;
}

void
client_close(struct client *client)
{
	pthread_mutex_lock(&client->lock);
	client->closing = true;
	pthread_mutex_unlock(&client->lock);
	if (eventfd_write(client->wake_fd, 1) != 0 ||
	    pthread_join(client->courier, NULL) != 0)
		abort();
	pthread_mutex_destroy(&client->lock);
	close(client->wake_fd);
	close(client->give_up_fd);
	free(client);
}

static struct timespec
deadline(int timeout_ms)
{
	int64_t when_us = clock_monotonic_us() + timeout_ms * INT64_C(1000);

	return (struct timespec){ .tv_sec = when_us / 1000000,
		.tv_nsec = when_us % 1000000 * 1000 };
}

/*
 * Queues the call, and wakes the courier if the queue was empty: the courier
 * takes all queued calls at once.  Returns false without a database.
 */
static bool
enqueue(struct client *client, struct call *call)
{
	bool away, first;

	pthread_mutex_lock(&client->lock);
	away = client->away;
	first = !away && TAILQ_EMPTY(&client->queue);
	if (!away) {
		call->holders++;
		TAILQ_INSERT_TAIL(&client->queue, call, link);
	}
	pthread_mutex_unlock(&client->lock);
	if (first && eventfd_write(client->wake_fd, 1) != 0)
		abort();
	return !away;
}

/* Waits for the answer, for at most timeout_ms. */
static struct client_answer
wait_for_answer(struct call *call, int timeout_ms)
{
	const struct timespec when = deadline(timeout_ms);

	while (sem_clockwait(&call->ready, CLOCK_MONOTONIC, &when) != 0)
		if (errno == ETIMEDOUT)
			break;
		else if (errno != EINTR)
			abort();
	if (!call_end(call, CALL_ABANDONED))
		return call->answer;
	return (struct client_answer){
		.outcome = call->recorded ? CLIENT_LATE : CLIENT_UNAVAILABLE
	};
}

/* Makes the call, waits for its answer and leaves it. */
static struct client_answer
make(struct client *client, struct call *call, int timeout_ms)
{
	bool waits = call->kind != CALL_QUERY;
	struct client_answer answer = { .outcome = CLIENT_UNAVAILABLE };

	if (enqueue(client, call)) {
		client->waiting += waits;
		answer = wait_for_answer(call, timeout_ms);
		client->waiting -= waits;
	}
	if (answer.value != NULL)
		answer.value = memory_text(answer.value);
	call_leave(call);
	return answer;
}

struct client_answer
client_start(struct client *client, const struct client_start *start)
{
	struct call *call = call_new(CALL_START);

	call->id = arena_strdup(call->arena, start->id);
	call->name = arena_strdup(call->arena, start->name);
	call->queue = arena_strdup(call->arena, start->queue);
	call->input = arena_strdup(call->arena, start->input);
	call->event = arena_strdup(call->arena, start->event);
	call->hint = arena_printf(call->arena, "%s::%s", start->id,
	    start->event);
	return make(client, call, start->timeout_ms);
}

struct client_answer
client_send(struct client *client, const struct client_send *send)
{
	struct call *call = call_new(CALL_SEND);

	call->id = arena_strdup(call->arena, send->id);
	call->name = arena_strdup(call->arena, send->name);
	call->topic = arena_strdup(call->arena, send->topic);
	call->message = arena_strdup(call->arena, send->message);
	call->key = arena_strdup(call->arena, send->key);
	call->event = arena_strdup(call->arena, send->event);
	call->hint = arena_printf(call->arena, "%s::%s", send->id, send->event);
	return make(client, call, send->timeout_ms);
}

struct client_answer
client_query(struct client *client, const char *sql, const char *param1,
    const char *param2)
{
	const char *command = sqltext_forbidden(sql);
	struct call *call;

	if (command != NULL) {
		log_error("a query is refused: %s",
		    *command == '\0' ? "it is empty" : command);
		return (struct client_answer){ .outcome = CLIENT_REFUSED };
	}
	call = call_new(CALL_QUERY);
	call->sql = arena_strdup(call->arena, sql);
	call->params[0] = arena_strdup(call->arena, param1);
	call->params[1] = arena_strdup(call->arena, param2);
	return make(client, call, QUERY_TIMEOUT_MS);
}

struct client_answer
client_read_stream(struct client *client, const char *id, const char *key,
    int offset)
{
	struct arena *arena = arena_new();
	struct client_answer answer;

	answer = client_query(client, "select durable.client_stream($1, $2)",
	    id, arena_printf(arena, "%d:%s", offset, key));
	arena_free(arena);
	if (answer.outcome != CLIENT_ANSWERED)
		return answer;
	/* A letter stands before the value. */
	switch (*answer.value) {
	case 'v':
		memmove(answer.value, answer.value + 1, strlen(answer.value));
		return answer;
	case 'e':
		answer.outcome = CLIENT_NOTHING;
		break;
	case 'u':
		answer.outcome = CLIENT_UNKNOWN;
		break;
	default:
		answer.outcome = CLIENT_LATE;
	}
	free(answer.value);
	answer.value = NULL;
	return answer;
}

int
client_give_up_fd(const struct client *client)
{
	return client->give_up_fd;
}

struct client_stats
client_stats(struct client *client)
{
	struct client_stats stats;

	pthread_mutex_lock(&client->lock);
	stats = client->stats;
	pthread_mutex_unlock(&client->lock);
	stats.waiting = client->waiting;
	return stats;
}
