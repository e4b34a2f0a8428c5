/* SPDX-License-Identifier: MIT */
/*
 * durable gc: deletes what the policies no longer keep, bite by bite.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"

/* How often it tells how far it has come. */
#define TELL_MS 1000

static const char estimate_sql[] =
    "select %s from durable.collect_estimate($1) as q";
static const char estimate_columns[] =
    "name as \"NAME\", application as \"APPLICATION\", "
    "workflows as \"WORKFLOWS\", rows as \"ROWS\", "
    "pg_size_pretty(bytes) as \"SIZE\", "
    "ended_before::timestamptz(0) as \"ENDED BEFORE\"";

struct deleted {
	int64_t workflows, rows, bytes;
	int64_t told_ms;
};

static volatile sig_atomic_t interrupted;

/* The bite that is under way is finished. */
static void
interrupt(int number)
{
	(void)number;
	interrupted = 1;
}

static enum cli_exit
print_estimate(const struct invocation *call, const char *application)
{
	enum cli_exit status = EXIT_DONE;
	PGresult *rows;
	char sql[512];

	snprintf(sql, sizeof(sql), estimate_sql,
	    call->json ? "to_json(q)" : estimate_columns);
	rows = call_query(call, sql, 1, &application, &status);
	if (rows != NULL && call->json)
		print_json(rows);
	else if (rows != NULL)
		print_table(rows);
	PQclear(rows);
	return status;
}

static void
tell(struct deleted *sum, bool at_the_end)
{
	if (!at_the_end && clock_monotonic_ms() < sum->told_ms + TELL_MS)
		return;
	sum->told_ms = clock_monotonic_ms();
	fprintf(stderr,
	    "%sdeleted %" PRId64 " workflows, about %" PRId64
	    " rows and %.1f MB%s",
	    isatty(STDERR_FILENO) ? "\r" : "", sum->workflows, sum->rows,
	    (double)sum->bytes / 1e6,
	    at_the_end || !isatty(STDERR_FILENO) ? "\n" : "");
}

/* Takes bites until none is due, or SIGINT comes. */
static enum cli_exit
delete_all(const struct invocation *call, const char *application,
    struct deleted *sum)
{
	enum cli_exit status = EXIT_DONE;
	bool more = true;
	PGresult *rows;

	while (more && !interrupted) {
		rows = call_query(call,
		    "select name is not null, coalesce(workflows, 0), "
		    "coalesce(rows, 0), coalesce(bytes, 0) "
		    "from durable.collect($1, 0)",
		    1, &application, &status);
		if (rows == NULL)
			return status;
		more = *PQgetvalue(rows, 0, 0) == 't';
		sum->workflows += strtoll(PQgetvalue(rows, 0, 1), NULL, 10);
		sum->rows += strtoll(PQgetvalue(rows, 0, 2), NULL, 10);
		sum->bytes += strtoll(PQgetvalue(rows, 0, 3), NULL, 10);
		PQclear(rows);
		tell(sum, false);
	}
	return status;
}

enum cli_exit
run_gc(const struct invocation *call)
{
	const char *application = cli_option(call, "application");
	const struct sigaction action = { .sa_handler = interrupt };
	struct deleted sum = { .told_ms = clock_monotonic_ms() };
	enum cli_exit status = EXIT_DONE;
	PGresult *begun;

	if (cli_option(call, "dry-run") != NULL)
		return print_estimate(call, application);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	begun = call_query(call, "select durable.collect_begin()", 0, NULL,
	    &status);
	PQclear(begun);
	if (begun != NULL)
		status = delete_all(call, application, &sum);
	if (call->json)
		printf("{\"workflows\":%" PRId64 ",\"rows\":%" PRId64
		       ",\"bytes\":%" PRId64 ",\"complete\":%s}\n",
		    sum.workflows, sum.rows, sum.bytes,
		    interrupted || status != EXIT_DONE ? "false" : "true");
	tell(&sum, true);
	return interrupted ? EXIT_FAILED : status;
}
