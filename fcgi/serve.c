/* SPDX-License-Identifier: MIT */
/*
 * A worker's threads.  One, the leader, waits for a connection; then it makes
 * another thread the leader and answers the request.
 */
#include "fcgi/serve.h"

#include <sys/eventfd.h>
#include <sys/queue.h>

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <durable/client.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/prefork.h"
#include "base/standby.h"
#include "db/monitor.h"
#include "fcgi/metrics.h"
#include "fcgi/routes.h"
#include "fcgi/site.h"

/* A follower that is not called to lead for this long ends. */
#define SPARE_MAX_S  5

/* All stacks count for the limit of the memory, also what is not in use. */
#define THREAD_STACK ((size_t)512 * 1024)

/* How often a worker tells its master that it makes progress. */
#define BEAT_MS      1000

/* Between looks whether there is a database, for a worker on trial. */
#define TRIAL_MS     100

struct thread {
	struct web_worker *worker;
	sem_t called;   /* to lead */
	bool following; /* not called yet */
	SLIST_ENTRY(thread) link;
};

SLIST_HEAD(followers, thread);

struct web_worker {
	struct site site;
	struct standby *standby;
	int slot;
	int listen_fd, read_timeout_ms;
	int stop_fd;          /* eventfd: accept no more requests */
	pthread_mutex_t lock; /* of the members below */
	bool led;             /* a thread leads, or has been called to */
	bool stopping;
	struct followers followers;
	int threads_count, threads_max;
	pthread_cond_t ended; /* no thread is left */
	bool complained;      /* logged that no thread can be started */
};

static void *run_thread(void *arg);

/* Answers a request; returns its route, NULL when it has none. */
static const struct route *
answer_request(const struct site *site, struct http_request *request)
{
	struct route_match match = route_find(routes, request);

	switch (match.outcome) {
	case ROUTE_FOUND:
		if (http_check_body(request, routes_body_max(match.route)))
			match.route->handler(request, site, match.segments);
		break;
	case ROUTE_UNKNOWN:
		http_error(request, 404, "Not found");
		break;
	case ROUTE_MALFORMED:
		http_error(request, 400,
		    "A key or an id is 1 to 128 "
		    "characters of A-Z a-z 0-9 . _ ~ -");
		break;
	case ROUTE_OPTIONS:
		http_header(request, "Allow", match.allow);
		http_no_content(request);
		break;
	case ROUTE_WRONG_METHOD:
		http_header(request, "Allow", match.allow);
		http_error(request, 405, "Method not allowed");
		break;
	}
	return match.route;
}

/* Answers a request, counts it, and logs a status of 500 or more. */
static void
handle(const struct site *site, struct http_request *request)
{
	int64_t begin_us = clock_monotonic_us();
	const struct route *route;

	metrics_begin(site->metrics);
	route = answer_request(site, request);
	metrics_end(site->metrics, route, request->status,
	    clock_monotonic_us() - begin_us, site->client);
	if (request->status >= 500)
		log_warning("%s %s answered %d: %s",
		    http_method_name(request->method), route->name,
		    request->status, request->problem);
}

static struct thread *
thread_new(struct web_worker *worker)
{
	struct thread *thread = memory_new(sizeof(*thread));

	if (sem_init(&thread->called, 0, 0) != 0)
		abort();
	thread->worker = worker;
	return thread;
}

static void
thread_free(struct thread *thread)
{
	sem_destroy(&thread->called);
	free(thread);
}

/* Starts one more thread, up to threads_max.  The caller holds the lock. */
static void
start_thread(struct web_worker *worker)
{
	struct thread *thread;
	pthread_attr_t attributes;
	pthread_t id;
	int error;

	if (worker->threads_count == worker->threads_max)
		return;
	thread = thread_new(worker);
	if (pthread_attr_init(&attributes) != 0 ||
	    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) !=
		0 ||
	    pthread_attr_setstacksize(&attributes, THREAD_STACK) != 0)
		abort();
	error = pthread_create(&id, &attributes, run_thread, thread);
	pthread_attr_destroy(&attributes);
	if (error == 0) {
		worker->threads_count++;
	} else {
		thread_free(thread);
		if (!worker->complained)
			log_error("cannot start a thread beside %d: %s; "
				  "requests wait until one of them is free",
			    worker->threads_count, strerror(error));
	}
	worker->complained = error != 0;
}

/* Leaves the followers; false when the call to lead has just come. */
static bool
leave(struct thread *self)
{
	struct web_worker *worker = self->worker;
	bool left;

	pthread_mutex_lock(&worker->lock);
	left = self->following;
	if (left)
		SLIST_REMOVE(&worker->followers, self, thread, link);
	pthread_mutex_unlock(&worker->lock);
	return left;
}

/* Waits for the call to lead; false when none came within SPARE_MAX_S. */
static bool
wait_for_call(struct thread *self)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += SPARE_MAX_S;
	while (sem_clockwait(&self->called, CLOCK_MONOTONIC, &until) != 0) {
		if (errno == EINTR)
			continue;
		if (errno != ETIMEDOUT)
			abort();
		if (leave(self))
			return false;
	}
	return true;
}

/* Waits until this thread is the leader; false when it should end. */
static bool
follow(struct thread *self)
{
	struct web_worker *worker = self->worker;
	bool led;

	pthread_mutex_lock(&worker->lock);
	led = worker->led;
	worker->led = true;
	self->following = led;
	if (led)
		SLIST_INSERT_HEAD(&worker->followers, self, link);
	pthread_mutex_unlock(&worker->lock);
	return !led || wait_for_call(self);
}

/*
 * Makes another thread the leader: the latest follower, so that few stacks are
 * in use.  Without a follower it starts a thread, or else the first thread
 * that ends its request leads.
 */
static void
give_way(struct web_worker *worker, bool stopping)
{
	struct thread *next;

	pthread_mutex_lock(&worker->lock);
	next = SLIST_FIRST(&worker->followers);
	worker->led = next != NULL;
	worker->stopping = stopping;
	if (next != NULL) {
		SLIST_REMOVE_HEAD(&worker->followers, link);
		next->following = false;
	} else if (!stopping) {
		start_thread(worker);
	}
	pthread_mutex_unlock(&worker->lock);
	if (next != NULL && sem_post(&next->called) != 0)
		abort();
}

/* Whether a descriptor is readable, at once or within timeout_ms. */
static bool
is_readable(int fd, int timeout_ms)
{
	struct pollfd fds = { .fd = fd, .events = POLLIN };

	return poll(&fds, 1, timeout_ms) == 1;
}

/*
 * Whether this process accepts the waiting connection: a standby only does so
 * when no worker accepts it for STANDBY_WATCH_MS.
 */
static bool
lets_in(struct web_worker *worker)
{
	const struct standby_watch watch = standby_watch(worker->standby);

	return standby_is_mine(worker->standby, worker->slot) ||
	    (!is_readable(worker->stop_fd, STANDBY_WATCH_MS) &&
		is_readable(worker->listen_fd, 0) &&
		standby_take_over(worker->standby, &watch, worker->slot));
}

/* Waits, as the leader, for a connection; false when this thread ends. */
static bool
wait_for_connection(struct thread *self)
{
	struct web_worker *worker = self->worker;
	struct pollfd fds[] = { { .fd = worker->stop_fd, .events = POLLIN },
		{ .fd = worker->listen_fd, .events = POLLIN } };
	bool stopping;

	if (!follow(self))
		return false;
	do {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			abort();
		stopping = fds[0].revents != 0;
	} while (!stopping && !lets_in(worker));
	give_way(worker, stopping);
	return !stopping;
}

/*
 * The last act of a thread.  If no thread leads, because none could be started
 * when the last leader gave way, it starts one in its place.
 */
static void
end_thread(struct web_worker *worker)
{
	bool spare;

	pthread_mutex_lock(&worker->lock);
	worker->threads_count--;
	if (!worker->led && !worker->stopping)
		start_thread(worker);
	spare = !SLIST_EMPTY(&worker->followers);
	if (worker->threads_count == 0)
		pthread_cond_signal(&worker->ended);
	pthread_mutex_unlock(&worker->lock);
	/* All threads share one heap, and free() keeps its pages. */
	if (!spare)
		malloc_trim(0);
}

static void *
run_thread(void *arg)
{
	struct thread *self = arg;
	struct web_worker *worker = self->worker;
	struct http_source *source = http_source_new(worker->listen_fd,
	    worker->read_timeout_ms);
	struct http_request *request;

	while (wait_for_connection(self)) {
		request = http_accept(source);
		if (request == NULL)
			continue;
		standby_begin(worker->standby);
		handle(&worker->site, request);
		if (request->status == 503)
			standby_hand_on(worker->standby, worker->slot);
		http_finish(source);
	}
	http_source_free(source);
	thread_free(self);
	end_thread(worker);
	return NULL;
}

/*
 * Closes this worker's socket at once, so that clients find it only where it
 * is served.  The descriptor stays taken, as a thread may still accept on it.
 */
static void
leave_socket(struct web_worker *worker)
{
	int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (nothing < 0 || dup2(nothing, worker->listen_fd) < 0)
		abort();
	close(nothing);
}

/* Waits until every thread has finished its request and ended. */
static void
stop_threads(struct web_worker *worker)
{
	if (eventfd_write(worker->stop_fd, 1) != 0)
		abort();
	leave_socket(worker);
	pthread_mutex_lock(&worker->lock);
	while (worker->threads_count > 0)
		pthread_cond_wait(&worker->ended, &worker->lock);
	pthread_mutex_unlock(&worker->lock);
}

/*
 * Waits for SIGTERM, or until the client gives up, for so many milliseconds.
 * Returns whether this worker ends, and sets *status to its exit status.
 */
static bool
ends_within(const struct web_worker *worker, const struct prefork_worker *self,
    int timeout_ms, int *status)
{
	struct pollfd give_up = { .fd = client_give_up_fd(worker->site.client),
		.events = POLLIN };
	const struct timespec timeout = { .tv_sec = timeout_ms / 1000,
		.tv_nsec = timeout_ms % 1000 * 1000000L };

	if (!prefork_stopping() &&
	    ppoll(&give_up, 1, &timeout, &self->wait_mask) < 0 &&
	    errno != EINTR)
		abort();
	*status = give_up.revents != 0 ? PREFORK_EXIT_GIVE_UP : 0;
	return *status != 0 || prefork_stopping();
}

/*
 * Lets a worker on trial accept no request before it has a database: those of
 * the configuration before answer meanwhile.  Returns false when it ends.
 */
static bool
pass_trial(const struct web_worker *worker, const struct prefork_worker *self,
    int *status)
{
	struct client_answer answer;

	while (self->on_trial) {
		answer = client_query(worker->site.client, "select 1", NULL,
		    NULL);
		free(answer.value);
		if (ends_within(worker, self, 0, status))
			return false;
		if (answer.outcome == CLIENT_ANSWERED)
			break;
		if (ends_within(worker, self, TRIAL_MS, status))
			return false;
	}
	return true;
}

/* The first thread becomes the leader; false when there is none. */
static bool
start_first_thread(struct web_worker *worker)
{
	bool started;

	pthread_mutex_lock(&worker->lock);
	start_thread(worker);
	started = worker->threads_count > 0;
	pthread_mutex_unlock(&worker->lock);
	return started;
}

/* Answers requests until this worker ends; returns its exit status. */
static int
answer_requests(struct web_worker *worker, struct prefork_worker *self)
{
	int status = 0;

	if (!pass_trial(worker, self, &status))
		return status;
	if (!start_first_thread(worker))
		return 1;
	do {
		/* It is no progress when a thread keeps the lock for ever. */
		pthread_mutex_lock(&worker->lock);
		pthread_mutex_unlock(&worker->lock);
		prefork_beat_if(self, true);
	} while (!ends_within(worker, self, BEAT_MS, &status));
	return status;
}

int
serve_work(struct prefork_worker *self, const void *arg)
{
	const struct serve *serve = arg;
	struct web_worker worker = {
		.site = { .metrics = serve->metrics,
		    .conninfo = serve->conninfo,
		    .operator_conninfo = serve->operator_conninfo,
		    .operator_token = serve->operator_token,
		    .threads = serve->threads * serve->workers,
		    /* An eighth is left for requests that only read. */
		    .waiting_max = serve->threads - serve->threads / 8,
		    .wait_timeout_ms = serve->wait_timeout_ms,
		    .webhook_keys = serve->webhook_keys,
		    .allow_crash = serve->allow_crash,
		    .machine_room = serve->machine_room },
		.standby = self->standby,
		.slot = self->slot,
		.listen_fd = serve->listen_fd,
		.read_timeout_ms = serve->read_timeout_ms,
		.stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.ended = PTHREAD_COND_INITIALIZER,
		.followers = SLIST_HEAD_INITIALIZER(worker.followers),
		.threads_max = serve->threads
	};
	const struct monitor_member member = { .program = "web", .self = self };
	int status;

	if (worker.stop_fd < 0)
		abort();
	memory_limit(serve->memory_limit_mb);
	/* The threads mostly wait, so they share one heap, to save memory. */
	mallopt(M_ARENA_MAX, 1);
	metrics_enter(serve->metrics, self->slot, self->generation);
	http_init();
	worker.site.client = client_open(serve->conninfo, "widget-store web",
	    "widget-store", serve->machine_room ? &member : NULL);
	status = answer_requests(&worker, self);
	stop_threads(&worker);
	client_close(worker.site.client);
	close(worker.stop_fd);
	return status;
}
