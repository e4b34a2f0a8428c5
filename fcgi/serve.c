/* SPDX-License-Identifier: MIT */
/*
 * Threads that take turns to wait at the socket, and answer what they get.
 */
#include "serve.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "duty.h"
#include "log.h"
#include "metrics.h"
#include "monotonic.h"
#include "prefork.h"
#include "room.h"
#include "routes.h"
#include "site.h"

#define STACK_LEN 262144

struct worker {
	struct site site;
	struct duty *duty;
	int listen_fd;
	pthread_mutex_t lock; /* of what follows */
	pthread_t *threads;   /* as many as were ever needed at a time */
	int threads_len, threads_max;
};

static void *run_thread(void *arg);

/* Answers a request; returns its route, NULL when it has none. */
static const struct route *
answer(const struct site *site, struct http_request *request)
{
	struct route_match match = route_find(routes, request);

	switch (match.outcome) {
	case ROUTE_FOUND:
		if (http_check_body(request))
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
	case ROUTE_WRONG_METHOD:
		http_header(request, "Allow", match.allow);
		http_error(request, 405, "Method not allowed");
		break;
	}
	return match.route;
}

/* Answers a request, counts it, and logs it when it is our failure. */
static void
handle(const struct site *site, struct http_request *request)
{
	int64_t begin_us = monotonic_us();
	const struct route *route;

	metrics_begin(site->metrics);
	route = answer(site, request);
	metrics_end(site->metrics, route, request->status,
	    monotonic_us() - begin_us, site->client);
	if (request->status >= 500)
		log_warning("%s %s answered %d: %s",
		    http_method_name(request->method), route->name,
		    request->status, request->problem);
}

/* Starts one more thread, if there may be one; returns how many there are. */
static int
start_thread(struct worker *worker)
{
	pthread_attr_t attributes;
	int error, len;

	if (pthread_attr_init(&attributes) != 0 ||
	    pthread_attr_setstacksize(&attributes, STACK_LEN) != 0)
		abort();
	pthread_mutex_lock(&worker->lock);
	if (worker->threads_len < worker->threads_max) {
		error = pthread_create(&worker->threads[worker->threads_len],
		    &attributes, run_thread, worker);
		if (error == 0) {
			worker->threads_len++;
		} else {
			worker->threads_max = worker->threads_len;
			log_error("cannot start a thread: %s", strerror(error));
		}
	}
	len = worker->threads_len;
	pthread_mutex_unlock(&worker->lock);
	pthread_attr_destroy(&attributes);
	return len;
}

static void *
run_thread(void *arg)
{
	struct worker *worker = arg;
	struct http_source *source = http_source_new(worker->listen_fd);
	struct http_request *request;
	struct duty_thread self;

	duty_begin(&self);
	while (duty_wait(worker->duty, &self)) {
		if (!duty_is_attended(worker->duty))
			start_thread(worker);
		request = http_accept(source);
		if (request == NULL)
			continue;
		duty_accepted(worker->duty);
		handle(&worker->site, request);
		http_finish(source);
	}
	duty_end(&self);
	http_source_free(source);
	return NULL;
}

/*
 * Lets go of the socket at once, so that only those who answer listen; the
 * descriptor stays taken, as a thread may be about to use it.
 */
static void
leave_socket(struct worker *worker)
{
	int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (nothing < 0 || dup2(nothing, worker->listen_fd) < 0)
		abort();
	close(nothing);
}

/* A thread, or NULL when there are not so many. */
static const pthread_t *
thread_at(struct worker *worker, int i)
{
	bool found;

	pthread_mutex_lock(&worker->lock);
	found = i < worker->threads_len;
	pthread_mutex_unlock(&worker->lock);
	return found ? &worker->threads[i] : NULL;
}

/* Lets every thread finish its request; one of them may still start another. */
static void
stop_threads(struct worker *worker)
{
	const pthread_t *thread;
	int i;

	duty_stop(worker->duty);
	leave_socket(worker);
	for (i = 0; (thread = thread_at(worker, i)) != NULL; i++)
		pthread_join(*thread, NULL);
}

/* Waits until it is time to stop; returns the exit status. */
static int
wait_for_stop(const struct worker *worker, const struct prefork_worker *self)
{
	struct pollfd give_up = { .fd = client_give_up_fd(worker->site.client),
		.events = POLLIN };

	while (!prefork_stopping()) {
		if (ppoll(&give_up, 1, NULL, &self->wait_mask) < 0 &&
		    errno != EINTR)
			abort();
		if (give_up.revents != 0)
			return PREFORK_EXIT_GIVE_UP;
	}
	return 0;
}

int
serve_work(struct prefork_worker *self, void *arg)
{
	const struct serve *serve = arg;
	struct worker worker = {
		.site = { .metrics = serve->metrics,
		    .conninfo = serve->conninfo,
		    .threads = serve->threads * serve->workers,
		    /* Some are left for those who only read. */
		    .waiting_max = serve->threads - serve->threads / 8,
		    .wait_timeout_ms = serve->wait_timeout_ms,
		    .allow_crash = serve->allow_crash,
		    .machine_room = serve->machine_room },
		.duty = serve->duty,
		.listen_fd = serve->listen_fd,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.threads = calloc((size_t)serve->threads, sizeof(pthread_t)),
		.threads_max = serve->threads
	};
	const struct room_member member = { .program = "web", .self = self };
	int status = 1;

	if (worker.threads == NULL)
		abort();
	metrics_enter(serve->metrics, self->slot);
	duty_enter(serve->duty, self->slot);
	http_init();
	worker.site.client = client_open(serve->conninfo, "widget-store web",
	    "widget-store", serve->machine_room ? &member : NULL);
	if (start_thread(&worker) > 0)
		status = wait_for_stop(&worker, self);
	stop_threads(&worker);
	client_close(worker.site.client);
	free(worker.threads);
	return status;
}
