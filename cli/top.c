/* SPDX-License-Identifier: MIT */
/*
 * durable top: a picture each second, until SIGINT.
 */
#include <sys/ioctl.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"

static const char queues_sql[] =
    "select name as \"QUEUE\", enqueued as \"ENQUEUED\", "
    "running as \"RUNNING\", concurrency as \"CONCURRENCY\", "
    "rate_limit_max || '/' || rate_limit_period_sec || ' s' as \"RATE\" "
    "from durable.list_queues() order by enqueued desc, running desc, name "
    "limit $1";

/* The commits at the last picture, and when it was. */
struct commits {
	double count;
	int64_t at_ms;
};

static double
figure(const PGresult *rows, const char *name)
{
	int row;

	for (row = 0; row < PQntuples(rows); row++)
		if (strcmp(PQgetvalue(rows, row, 0), name) == 0)
			return strtod(PQgetvalue(rows, row, 1), NULL);
	return 0;
}

static void
print_figures(const PGresult *rows, struct commits *last)
{
	struct commits present = { figure(rows, "commits"),
		clock_monotonic_ms() };
	double rate = last->at_ms == 0 || present.at_ms == last->at_ms
	    ? 0
	    : (present.count - last->count) * 1000 /
		(double)(present.at_ms - last->at_ms);

	printf("workers %.0f   due lag %.1f s   waiting %.0f   enqueued %.0f   "
	       "unserved %.0f\n",
	    figure(rows, "daemon_workers"), figure(rows, "due_lag_seconds"),
	    figure(rows, "waiting_workflows"),
	    figure(rows, "enqueued_workflows"),
	    figure(rows, "unserved_workflows"));
	printf("a second: steps %.1f   ended %.1f   commits %.1f\n\n",
	    figure(rows, "steps_per_second"), figure(rows, "ended_per_second"),
	    rate);
	*last = present;
}

/* How many queues there is room for. */
static int
room(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row < 8)
		return 1000;
	return size.ws_row - 6;
}

static enum cli_exit
print_picture(const struct invocation *call, struct commits *last)
{
	enum cli_exit status = EXIT_DONE;
	char limit[16];
	const char *const params[] = { limit };
	char when[32];
	time_t now = time(NULL);
	PGresult *figures, *queues = NULL;
	struct tm local;

	snprintf(limit, sizeof(limit), "%d", room());
	figures = call_query(call,
	    "select name, value from durable.client_metrics()", 0, NULL,
	    &status);
	if (figures != NULL)
		queues = call_query(call, queues_sql, 1, params, &status);
	if (queues != NULL) {
		strftime(when, sizeof(when), "%H:%M:%S",
		    localtime_r(&now, &local));
		printf("%sdurable top   %s   %s\n",
		    isatty(STDOUT_FILENO) ? "\033[H\033[2J" : "",
		    PQdb(call->conn), when);
		print_figures(figures, last);
		print_table(queues);
		fflush(stdout);
	}
	PQclear(queues);
	PQclear(figures);
	return status;
}

enum cli_exit
run_top(const struct invocation *call)
{
	const char *count = cli_option(call, "count");
	long left = count == NULL ? -1 : strtol(count, NULL, 10);
	struct commits last = { 0 };
	enum cli_exit status;

	if (call->json)
		return run_table(call);
	while ((status = print_picture(call, &last)) == EXIT_DONE &&
	    (left < 0 || --left > 0))
		sleep(1);
	return status;
}
