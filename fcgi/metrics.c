/* SPDX-License-Identifier: MIT */
/*
 * The counters, and GET /metrics: the Prometheus text format, version 0.0.4.
 */
#include "fcgi/metrics.h"

#include <sys/mman.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <durable/client.h>
#include "base/arena.h"
#include "base/memory.h"
#include "base/strbuf.h"
#include "fcgi/answer.h"
#include "fcgi/routes.h"
#include "fcgi/site.h"

#define ROUTES_MAX 32
#define CLASSES    6 /* a status divided by 100; 0 is not used */

/* Upper bounds of the histogram's buckets; the last bucket has none. */
static const struct {
	int64_t us;
	const char *seconds;
} bounds[] = { { 1000, "0.001" }, { 2500, "0.0025" }, { 5000, "0.005" },
	{ 10000, "0.01" }, { 25000, "0.025" }, { 50000, "0.05" },
	{ 100000, "0.1" }, { 250000, "0.25" }, { 500000, "0.5" },
	{ 1000000, "1" }, { 2500000, "2.5" }, { 5000000, "5" },
	{ 10000000, "10" }, { 30000000, "30" }, { INT64_MAX, "+Inf" } };
#define BUCKETS (sizeof(bounds) / sizeof(bounds[0]))

typedef _Atomic uint64_t counter;

struct route_counters {
	counter classes[CLASSES];
	counter buckets[BUCKETS];
	counter duration_us;
};

/* The counters of a slot: of its worker and of that worker's predecessors. */
struct slot_counters {
	struct route_counters routes[ROUTES_MAX + 1]; /* the last: no route */
	counter batches, operations, reconnects;
	counter waiting, busy;
};

/* Shared by master and workers. */
struct all_counters {
	atomic_int used; /* of the slots, the first so many */
	struct slot_counters slots[];
};

struct metrics {
	size_t routes_len, size;
	struct all_counters *all;
	/* Of this worker alone. */
	struct slot_counters *own;
	struct client_stats before; /* the counts of its predecessors */
	pthread_mutex_t publishing;
};

struct metrics *
metrics_new(int workers_max)
{
	struct metrics *metrics = memory_new(sizeof(*metrics));

	while (routes[metrics->routes_len].pattern != NULL)
		metrics->routes_len++;
	if (metrics->routes_len > ROUTES_MAX)
		abort();
	metrics->size = sizeof(*metrics->all) +
	    2 * (size_t)workers_max * sizeof(metrics->all->slots[0]);
	metrics->all = mmap(NULL, metrics->size, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (metrics->all == MAP_FAILED ||
	    pthread_mutex_init(&metrics->publishing, NULL) != 0)
		abort();
	return metrics;
}

void
metrics_free(struct metrics *metrics)
{
	munmap(metrics->all, metrics->size);
	pthread_mutex_destroy(&metrics->publishing);
	free(metrics);
}

static uint64_t
get(const counter *from)
{
	return atomic_load_explicit((counter *)from, memory_order_relaxed);
}

static void
set(counter *to, uint64_t value)
{
	atomic_store_explicit(to, value, memory_order_relaxed);
}

static void
add(counter *to, uint64_t value)
{
	atomic_fetch_add_explicit(to, value, memory_order_relaxed);
}

void
metrics_enter(struct metrics *metrics, int slot, int generation)
{
	int at = 2 * slot + generation % 2, used = metrics->all->used;
	struct slot_counters *own = &metrics->all->slots[at];

	while (used <= at &&
	    !atomic_compare_exchange_weak(&metrics->all->used, &used, at + 1))
		continue;
	metrics->own = own;
	metrics->before = (struct client_stats){ .batches = get(&own->batches),
		.operations = get(&own->operations),
		.reconnects = get(&own->reconnects) };
	set(&own->waiting, 0);
	set(&own->busy, 0);
}

void
metrics_begin(struct metrics *metrics)
{
	add(&metrics->own->busy, 1);
}

/* Under a lock, so that an older count never replaces a newer one. */
static void
publish(struct metrics *metrics, struct client *client)
{
	struct slot_counters *own = metrics->own;
	struct client_stats stats;

	pthread_mutex_lock(&metrics->publishing);
	stats = client_stats(client);
	set(&own->batches, metrics->before.batches + stats.batches);
	set(&own->operations, metrics->before.operations + stats.operations);
	set(&own->reconnects, metrics->before.reconnects + stats.reconnects);
	set(&own->waiting, stats.waiting);
	pthread_mutex_unlock(&metrics->publishing);
}

void
metrics_end(struct metrics *metrics, const struct route *route, int status,
    int64_t duration_us, struct client *client)
{
	struct route_counters *counters =
	    &metrics->own->routes[route == NULL ? metrics->routes_len
						: (size_t)(route - routes)];
	size_t i = 0;

	while (duration_us > bounds[i].us)
		i++;
	add(&counters->buckets[i], 1);
	add(&counters->duration_us, (uint64_t)duration_us);
	add(&counters->classes[status / 100 % CLASSES], 1);
	publish(metrics, client);
	atomic_fetch_sub_explicit(&metrics->own->busy, 1, memory_order_relaxed);
}

static void __attribute__((format(printf, 2, 3)))
put_line(struct strbuf *page, const char *format, ...)
{
	char line[256];
	va_list args;

	va_start(args, format);
	if (vsnprintf(line, sizeof(line), format, args) >= (int)sizeof(line))
		abort();
	va_end(args);
	strbuf_add_text(page, line);
}

static void
put_type(struct strbuf *page, const char *name, const char *type,
    const char *help)
{
	put_line(page, "# HELP widget_store_%s %s\n", name, help);
	put_line(page, "# TYPE widget_store_%s %s\n", name, type);
}

/* The sum, over all slots, of the counter at this offset in a slot. */
static uint64_t
sum(const struct metrics *metrics, size_t offset)
{
	uint64_t total = 0;
	int i;

	for (i = 0; i < metrics->all->used; i++)
		total += get((const counter *)(const void
			*)((const char *)&metrics->all->slots[i] + offset));
	return total;
}

static void
put_sum(struct strbuf *page, const struct metrics *metrics, size_t offset,
    const char *name, const char *type, const char *help)
{
	put_type(page, name, type, help);
	put_line(page, "widget_store_%s %" PRIu64 "\n", name,
	    sum(metrics, offset));
}

/* The offset of a counter of a route in a slot. */
static size_t
route_offset(size_t route, size_t offset)
{
	return offsetof(struct slot_counters, routes) +
	    route * sizeof(struct route_counters) + offset;
}

static const char *
route_name(size_t route)
{
	return routes[route].pattern == NULL ? "none" : routes[route].name;
}

static void
put_requests(struct strbuf *page, const struct metrics *metrics, size_t route)
{
	uint64_t count;
	size_t i;

	for (i = 1; i < CLASSES; i++) {
		count = sum(metrics,
		    route_offset(route,
			offsetof(struct route_counters, classes) +
			    i * sizeof(counter)));
		if (count > 0)
			put_line(page,
			    "widget_store_http_requests_total"
			    "{route=\"%s\",class=\"%zuxx\"} %" PRIu64 "\n",
			    route_name(route), i, count);
	}
}

static void
put_durations(struct strbuf *page, const struct metrics *metrics, size_t route)
{
	static const char name[] = "widget_store_http_request_duration_seconds";
	uint64_t count = 0,
		 duration_us = sum(metrics,
		     route_offset(route,
			 offsetof(struct route_counters, duration_us)));
	size_t i;

	for (i = 0; i < BUCKETS; i++) {
		count += sum(metrics,
		    route_offset(route,
			offsetof(struct route_counters, buckets) +
			    i * sizeof(counter)));
		put_line(page,
		    "%s_bucket{route=\"%s\",le=\"%s\"} %" PRIu64 "\n", name,
		    route_name(route), bounds[i].seconds, count);
	}
	put_line(page, "%s_sum{route=\"%s\"} %" PRIu64 ".%06" PRIu64 "\n", name,
	    route_name(route), duration_us / 1000000, duration_us % 1000000);
	put_line(page, "%s_count{route=\"%s\"} %" PRIu64 "\n", name,
	    route_name(route), count);
}

static void
put_http(struct strbuf *page, const struct metrics *metrics)
{
	size_t i;

	put_type(page, "http_requests_total", "counter",
	    "Requests answered, by route and class of the status.");
	for (i = 0; i <= metrics->routes_len; i++)
		put_requests(page, metrics, i);
	put_type(page, "http_request_duration_seconds", "histogram",
	    "How long requests took.");
	for (i = 0; i <= metrics->routes_len; i++)
		put_durations(page, metrics, i);
}

static void
put_courier(struct strbuf *page, const struct metrics *metrics)
{
	put_sum(page, metrics, offsetof(struct slot_counters, batches),
	    "courier_batches_total", "counter",
	    "Transactions that couriers committed.");
	put_sum(page, metrics, offsetof(struct slot_counters, operations),
	    "courier_operations_total", "counter",
	    "Starts, messages and queries in these transactions.");
	put_sum(page, metrics, offsetof(struct slot_counters, reconnects),
	    "courier_reconnects_total", "counter",
	    "Connections made again after a loss.");
	put_sum(page, metrics, offsetof(struct slot_counters, waiting),
	    "courier_waiting", "gauge", "Requests that wait for an event.");
}

void
metrics_get(struct http_request *request, const struct site *site,
    const char *const segments[])
{
	struct client_answer gauges = answer_query(request, site,
	    "select durable.metrics_page()", NULL, NULL);
	struct strbuf page = { 0 };

	(void)segments;
	put_http(&page, site->metrics);
	put_courier(&page, site->metrics);
	put_sum(&page, site->metrics, offsetof(struct slot_counters, busy),
	    "threads_busy", "gauge", "Threads that answer a request.");
	put_type(&page, "threads", "gauge", "Threads allowed, all workers.");
	put_line(&page, "widget_store_threads %d\n", site->threads);
	put_type(&page, "database_up", "gauge",
	    "Whether the database answers.");
	put_line(&page, "widget_store_database_up %d\n",
	    gauges.outcome == CLIENT_ANSWERED);
	if (gauges.outcome == CLIENT_ANSWERED)
		strbuf_add_text(&page, gauges.value);
	http_answer(request, 200, "text/plain; version=0.0.4; charset=utf-8",
	    arena_strdup(request->arena, page.text));
	strbuf_free(&page);
}
