/* SPDX-License-Identifier: MIT */
/*
 * Threads that take turns to wait at the socket, and answer what they get.
 */
#include "serve.h"

#include <sys/eventfd.h>

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
	int listen_fd;
	int stop_fd;          /* eventfd: take no more requests */
	pthread_mutex_t turn; /* to wait at the socket */
	pthread_t *threads;
	int threads_len;
};

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

/* Waits for somebody to connect; false when it is time to stop. */
static bool
wait_for_connection(struct worker *worker)
{
	struct pollfd fds[] = { { .fd = worker->stop_fd, .events = POLLIN },
		{ .fd = worker->listen_fd, .events = POLLIN } };

	pthread_mutex_lock(&worker->turn);
	if (poll(fds, 2, -1) < 0 && errno != EINTR)
		abort();
	pthread_mutex_unlock(&worker->turn);
	return fds[0].revents == 0;
}

static void *
run_thread(void *arg)
{
	struct worker *worker = arg;
	struct http_source *source = http_source_new(worker->listen_fd);
	struct http_request *request;

	while (wait_for_connection(worker)) {
		request = http_accept(source);
		if (request == NULL)
			continue;
		handle(&worker->site, request);
		http_finish(source);
	}
	http_source_free(source);
	return NULL;
}

static bool
start_threads(struct worker *worker, int count)
{
	pthread_attr_t attributes;
	int error = 0;

	if (pthread_attr_init(&attributes) != 0 ||
	    pthread_attr_setstacksize(&attributes, STACK_LEN) != 0)
		abort();
	while (worker->threads_len < count && error == 0) {
		error = pthread_create(&worker->threads[worker->threads_len],
		    &attributes, run_thread, worker);
		if (error == 0)
			worker->threads_len++;
	}
	pthread_attr_destroy(&attributes);
	if (error != 0)
		log_error("cannot start a thread: %s", strerror(error));
	return error == 0;
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

/* Lets every thread finish its request. */
static void
stop_threads(struct worker *worker)
{
	int i;

	if (eventfd_write(worker->stop_fd, 1) != 0)
		abort();
	leave_socket(worker);
	for (i = 0; i < worker->threads_len; i++)
		pthread_join(worker->threads[i], NULL);
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
		.listen_fd = serve->listen_fd,
		.stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.turn = PTHREAD_MUTEX_INITIALIZER,
		.threads = calloc((size_t)serve->threads, sizeof(pthread_t))
	};
	const struct room_member member = { .program = "web", .self = self };
	int status = 1;

	if (worker.stop_fd < 0 || worker.threads == NULL)
		abort();
	metrics_enter(serve->metrics, self->slot);
	http_init();
	worker.site.client = client_open(serve->conninfo, "widget-store web",
	    "widget-store", serve->machine_room ? &member : NULL);
	if (start_threads(&worker, serve->threads))
		status = wait_for_stop(&worker, self);
	stop_threads(&worker);
	client_close(worker.site.client);
	close(worker.stop_fd);
	free(worker.threads);
	return status;
}
