/* SPDX-License-Identifier: MIT */
/*
 * How each kind of command runs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "cli/cli.h"

#define PAUSE_MIN_MS 10
#define PAUSE_MAX_MS 500

static const char workflow_sql[] =
    "select to_json(q), status in ('PENDING', 'ENQUEUED', 'DELAYED'), "
    "status = 'SUCCESS', coalesce(output::text, 'null'), "
    "coalesce(error ->> 'message', error::text, status), status "
    "from durable.get_workflow($1) as q";

enum cli_exit
run_table(const struct invocation *call)
{
	enum cli_exit status = EXIT_DONE;
	struct call_text text;
	PGresult *rows;

	call_make(&text, call, NULL);
	rows = call_run(call, &text,
	    call->json                           ? "to_json(q)"
		: call->command->columns != NULL ? call->command->columns
						 : "*",
	    &status);
	if (rows != NULL && call->json)
		print_json(rows);
	else if (rows != NULL)
		print_table(rows);
	PQclear(rows);
	call_free(&text);
	return status;
}

static enum cli_exit
not_found(const char *id)
{
	print_error("there is no workflow '%s'", id);
	return EXIT_NOT_FOUND;
}

enum cli_exit
run_steps(const struct invocation *call)
{
	enum cli_exit status = EXIT_DONE;
	PGresult *rows = call_query(call,
	    "select from durable.get_workflow($1)", 1, call->arguments,
	    &status);

	if (rows != NULL && PQntuples(rows) == 0)
		status = not_found(call->arguments[0]);
	PQclear(rows);
	return status == EXIT_DONE ? run_table(call) : status;
}

enum cli_exit
run_void(const struct invocation *call)
{
	enum cli_exit status = EXIT_DONE;
	struct call_text text;

	call_make(&text, call, NULL);
	PQclear(call_run(call, &text, "null", &status));
	call_free(&text);
	return status;
}

/* Prints a value, in JSON as the member of this name behind the id. */
static enum cli_exit
print_value(const struct invocation *call, const char *id, const char *value)
{
	const char *const params[] = { id, call->command->columns, value };
	enum cli_exit status = EXIT_DONE;
	PGresult *rows;

	if (!call->json) {
		puts(value);
		return EXIT_DONE;
	}
	rows = call_query(call,
	    "select json_strip_nulls(json_build_object('argument', $1::text, "
	    "$2::text, $3::text))",
	    3, params, &status);
	if (rows != NULL)
		puts(PQgetvalue(rows, 0, 0));
	PQclear(rows);
	return status;
}

static enum cli_exit
call_for_value(const struct invocation *call, const char *id)
{
	enum cli_exit status = EXIT_DONE;
	struct call_text text;
	PGresult *rows;

	call_make(&text, call, call->arguments_len > 1 ? id : NULL);
	rows = call_run(call, &text, "*", &status);
	if (rows != NULL &&
	    (PQgetisnull(rows, 0, 0) ||
		strcmp(PQgetvalue(rows, 0, 0), "f") == 0))
		status = not_found(id);
	else if (rows != NULL && strcmp(PQgetvalue(rows, 0, 0), "t") != 0)
		status = print_value(call, id, PQgetvalue(rows, 0, 0));
	PQclear(rows);
	call_free(&text);
	return status;
}

enum cli_exit
run_value(const struct invocation *call)
{
	enum cli_exit status = EXIT_DONE, failed;
	int i;

	for (i = 0; i < call->arguments_len; i++) {
		failed = call_for_value(call, call->arguments[i]);
		if (failed != EXIT_DONE)
			status = failed;
	}
	return status;
}

/*
 * When a wait of --wait[=SECONDS] is over, on the monotonic clock; 0: at once,
 * as there is no such option.
 */
static int64_t
wait_until(const struct invocation *call)
{
	const char *seconds = cli_option(call, "wait");

	if (seconds == NULL)
		return 0;
	return *seconds == '\0'
	    ? INT64_MAX
	    : clock_monotonic_ms() + (int64_t)(strtod(seconds, NULL) * 1000);
}

/* Sleeps before the next look, longer each time.  Returns false at the end. */
static bool
pause_until(int64_t until_ms, int *pause_ms)
{
	const struct timespec pause = { .tv_nsec = *pause_ms * 1000000L };

	if (clock_monotonic_ms() >= until_ms)
		return false;
	nanosleep(&pause, NULL);
	*pause_ms = *pause_ms * 2 > PAUSE_MAX_MS ? PAUSE_MAX_MS : *pause_ms * 2;
	return true;
}

/* Prints how a workflow ended: its output, or why it has none. */
static enum cli_exit
print_end(const struct invocation *call, const PGresult *rows, const char *id)
{
	bool succeeded = *PQgetvalue(rows, 0, 2) == 't';

	if (call->json)
		puts(PQgetvalue(rows, 0, 0));
	else if (succeeded)
		puts(PQgetvalue(rows, 0, 3));
	else
		print_error("workflow '%s' has status %s: %s", id,
		    PQgetvalue(rows, 0, 5), PQgetvalue(rows, 0, 4));
	return succeeded ? EXIT_DONE : EXIT_FAILED;
}

/* Waits for the end of a workflow and prints it. */
static enum cli_exit
wait_for_end(const struct invocation *call, const char *id)
{
	int64_t until_ms = wait_until(call);
	enum cli_exit status = EXIT_DONE;
	int pause_ms = PAUSE_MIN_MS;
	PGresult *rows;

	for (;;) {
		rows = call_query(call, workflow_sql, 1, &id, &status);
		if (rows == NULL)
			return status;
		if (PQntuples(rows) == 0) {
			status = not_found(id);
			break;
		}
		if (*PQgetvalue(rows, 0, 1) != 't') {
			status = print_end(call, rows, id);
			break;
		}
		if (!pause_until(until_ms, &pause_ms)) {
			print_error("workflow '%s' has not ended in time", id);
			status = EXIT_FAILED;
			break;
		}
		PQclear(rows);
	}
	PQclear(rows);
	return status;
}

enum cli_exit
run_start(const struct invocation *call)
{
	enum cli_exit status = EXIT_DONE;
	struct call_text text;
	PGresult *rows;

	if (cli_option(call, "queue") == NULL) {
		print_error("start needs --queue");
		return EXIT_USAGE;
	}
	call_make(&text, call, NULL);
	rows = call_run(call, &text, "*", &status);
	if (rows != NULL && cli_option(call, "wait") != NULL)
		status = wait_for_end(call, PQgetvalue(rows, 0, 0));
	else if (rows != NULL)
		status = print_value(call, NULL, PQgetvalue(rows, 0, 0));
	PQclear(rows);
	call_free(&text);
	return status;
}

enum cli_exit
run_get(const struct invocation *call)
{
	enum cli_exit status = EXIT_DONE;
	struct call_text text;
	PGresult *rows;

	if (cli_option(call, "wait") != NULL)
		return wait_for_end(call, call->arguments[0]);
	call_make(&text, call, NULL);
	rows = call_run(call, &text, call->json ? "to_json(q)" : "*", &status);
	if (rows != NULL && PQntuples(rows) == 0)
		status = not_found(call->arguments[0]);
	else if (rows != NULL && call->json)
		puts(PQgetvalue(rows, 0, 0));
	else if (rows != NULL)
		print_record(rows);
	PQclear(rows);
	call_free(&text);
	return status;
}

/* Prints an event that is set.  Returns whether the wait is over. */
static bool
print_event(const struct invocation *call, const struct call_text *text,
    enum cli_exit *status)
{
	PGresult *rows = call_run(call, text, "*", status);
	bool over = rows == NULL || !PQgetisnull(rows, 0, 0);

	if (rows != NULL && over) {
		*status = EXIT_DONE;
		puts(PQgetvalue(rows, 0, 0));
	}
	PQclear(rows);
	return over;
}

enum cli_exit
run_event(const struct invocation *call)
{
	int64_t until_ms = wait_until(call);
	enum cli_exit status = EXIT_NOT_FOUND;
	int pause_ms = PAUSE_MIN_MS;
	struct call_text text;

	call_make(&text, call, NULL);
	while (!print_event(call, &text, &status))
		if (!pause_until(until_ms, &pause_ms)) {
			print_error("workflow '%s' has not set event '%s'",
			    call->arguments[0], call->arguments[1]);
			break;
		}
	call_free(&text);
	return status;
}
