/* SPDX-License-Identifier: MIT */
/*
 * The command durable: each of its commands calls one SQL function of
 * sql/durable/{api,inspect}.sql and prints what that returns.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>

#include <libpq-fe.h>

#include "base/strbuf.h"

enum cli_exit {
	EXIT_DONE,
	EXIT_FAILED,
	EXIT_USAGE,
	EXIT_NOT_FOUND /* no such workflow, event, queue, schedule or policy */
};

/*
 * An option.  It is the parameter of this name and type of the command's
 * function; without a parameter it is for the command itself.
 */
struct flag {
	const char *name;
	const char *value; /* what --help calls its value; NULL: it has none */
	const char *help;
	const char *parameter, *type;
	bool many; /* may be repeated: the elements of an array */
};

/* The most options and arguments of one call; the most options of a command. */
#define CLI_MOST  256
#define CLI_FLAGS 20

struct invocation;

struct command {
	const char *name; /* of one or two words */
	const char *help;
	const char *function;
	/* "NAME:parameter" of each argument; the last may end with "...". */
	const char *const *arguments;
	const struct flag *flags; /* ended by a NULL name */
	const char *columns;      /* what people see of a row; NULL: all */
	enum cli_exit (*run)(const struct invocation *call);
};

struct invocation {
	const struct command *command;
	PGconn *conn;
	bool json;
	const char *arguments[CLI_MOST + 1]; /* ended by NULL */
	int arguments_len;
	struct {
		const struct flag *flag;
		const char *value;
	} given[CLI_MOST];
	int given_len;
};

/* All commands, ended by a NULL name. */
extern const struct command commands[];

/* The value of an option, or NULL: it was not given; "" when it has none. */
const char *cli_option(const struct invocation *call, const char *name);

/* Commands: each runs one kind of function. */

/* A table, which may be empty. */
enum cli_exit run_table(const struct invocation *call);
/* A table about a workflow, EXIT_NOT_FOUND without this workflow. */
enum cli_exit run_steps(const struct invocation *call);
/* Nothing is returned and nothing printed. */
enum cli_exit run_void(const struct invocation *call);
/* One value, for each of the arguments; null or false is EXIT_NOT_FOUND. */
enum cli_exit run_value(const struct invocation *call);

enum cli_exit run_start(const struct invocation *call);
enum cli_exit run_get(const struct invocation *call);
enum cli_exit run_event(const struct invocation *call);
enum cli_exit run_top(const struct invocation *call);
enum cli_exit run_gc(const struct invocation *call);

/* A call of the command's function: text of SQL and its parameters. */
struct call_text {
	struct strbuf sql;
	struct strbuf arrays[CLI_FLAGS];
	const char *params[CLI_MOST + 1];
	int params_len;
};

/*
 * Makes a call with the given options and with the arguments, or, if it is not
 * NULL, with only this one.  The caller frees it.
 */
void call_make(struct call_text *text, const struct invocation *call,
    const char *only);
void call_free(struct call_text *text);

/*
 * Runs a statement and returns its rows, for PQclear.  After an error it prints
 * why, sets *status, and returns NULL.
 */
PGresult *call_query(const struct invocation *call, const char *sql,
    int params_len, const char *const *params, enum cli_exit *status);

/* Runs "select LIST from CALL as q" for a made call, as call_query does. */
PGresult *call_run(const struct invocation *call, const struct call_text *text,
    const char *list, enum cli_exit *status);

/* Prints one sentence to standard error, behind the program's name. */
void print_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Prints rows as columns under their names; what the terminal obeys is '?'. */
void print_table(const PGresult *rows);

/* Prints the fields of a row that are not null, one a line. */
void print_record(const PGresult *rows);

/* Prints rows of one column of JSON as an array. */
void print_json(const PGresult *rows);

#endif
