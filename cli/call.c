/* SPDX-License-Identifier: MIT */
/*
 * Makes the call of an SQL function from options and arguments, runs it, and
 * says what went wrong.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

const char *
cli_option(const struct invocation *call, const char *name)
{
	int i;

	for (i = 0; i < call->given_len; i++)
		if (strcmp(call->given[i].flag->name, name) == 0)
			return call->given[i].value == NULL
			    ? ""
			    : call->given[i].value;
	return NULL;
}

static void __attribute__((format(printf, 2, 3)))
add_format(struct strbuf *buf, const char *format, ...)
{
	char *text;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		abort();
	va_end(args);
	strbuf_add_text(buf, text);
	free(text);
}

static void
add_parameter(struct call_text *text, const char *name, const char *type,
    const char *value)
{
	text->params[text->params_len++] = value;
	add_format(&text->sql, "%s%s => $%d::%s",
	    text->params_len == 1 ? "" : ", ", name, text->params_len, type);
}

/* The elements of an option that was given several times. */
static const char *
elements(struct strbuf *array, const struct invocation *call,
    const struct flag *flag)
{
	int i;

	for (i = 0; i < call->given_len; i++)
		if (call->given[i].flag == flag)
			strbuf_add_element(array, call->given[i].value);
	return strbuf_end_array(array);
}

static void
add_flag(struct call_text *text, const struct invocation *call,
    const struct flag *flag)
{
	const char *value = cli_option(call, flag->name);

	if (flag->parameter == NULL || value == NULL)
		return;
	if (flag->many)
		value = elements(&text->arrays[flag - call->command->flags],
		    call, flag);
	else if (flag->value == NULL)
		value = "true";
	add_parameter(text, flag->parameter, flag->type, value);
}

/* An argument is "NAME:parameter::type". */
static void
add_argument(struct call_text *text, const char *argument, const char *value)
{
	const char *parameter = strchr(argument, ':') + 1;
	const char *type = strstr(parameter, "::");
	char name[64];

	snprintf(name, sizeof(name), "%.*s", (int)(type - parameter),
	    parameter);
	add_parameter(text, name, type + 2, value);
}

void
call_make(struct call_text *text, const struct invocation *call,
    const char *only)
{
	const struct command *command = call->command;
	const struct flag *flag;
	int i;

	memset(text, 0, sizeof(*text));
	add_format(&text->sql, "durable.%s(", command->function);
	for (i = 0; command->arguments != NULL && command->arguments[i] != NULL;
	     i++)
		add_argument(text, command->arguments[i],
		    only != NULL ? only : call->arguments[i]);
	for (flag = command->flags; flag != NULL && flag->name != NULL; flag++)
		add_flag(text, call, flag);
	strbuf_add_text(&text->sql, ")");
}

void
call_free(struct call_text *text)
{
	size_t i;

	strbuf_free(&text->sql);
	for (i = 0; i < CLI_FLAGS; i++)
		strbuf_free(&text->arrays[i]);
}

/* Prints why a statement failed, and returns what that is to the caller. */
static enum cli_exit
explain(const struct invocation *call, const PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result,
	    PG_DIAG_MESSAGE_PRIMARY);

	if (state == NULL || message == NULL) {
		print_error("%s", PQerrorMessage(call->conn));
		return EXIT_FAILED;
	}
	if (strcmp(state, "42883") == 0 || strcmp(state, "3F000") == 0)
		print_error("%s: run durable-install of this version", message);
	else if (strcmp(state, "42501") == 0)
		print_error("%s: 'grant durable_client to %s' allows it",
		    message, PQuser(call->conn));
	else if (strcmp(state, "57014") == 0)
		print_error("it takes longer than --timeout: narrow it by "
			    "--status, --from or --until");
	else
		print_error("%s", message);
	if (strcmp(state, "P0002") == 0 || strcmp(state, "23503") == 0)
		return EXIT_NOT_FOUND;
	/* A value that is not of its type, as JSON or a time. */
	return strncmp(state, "22", 2) == 0 ? EXIT_USAGE : EXIT_FAILED;
}

PGresult *
call_query(const struct invocation *call, const char *sql, int params_len,
    const char *const *params, enum cli_exit *status)
{
	PGresult *result = PQexecParams(call->conn, sql, params_len, NULL,
	    params, NULL, NULL, 0);

	if (PQresultStatus(result) == PGRES_TUPLES_OK)
		return result;
	*status = explain(call, result);
	PQclear(result);
	return NULL;
}

PGresult *
call_run(const struct invocation *call, const struct call_text *text,
    const char *list, enum cli_exit *status)
{
	struct strbuf sql = { 0 };
	PGresult *rows;

	add_format(&sql, "select %s from %s as q", list, text->sql.text);
	rows = call_query(call, sql.text, text->params_len, text->params,
	    status);
	strbuf_free(&sql);
	return rows;
}
