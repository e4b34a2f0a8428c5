/* SPDX-License-Identifier: MIT */
/*
 * durable: starts, finds, reads and controls workflows from a shell.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

#ifndef VERSION
#define VERSION "unknown"
#endif

/* The options of all commands, behind the command's own. */
enum { OPTION_DATABASE = 1000, OPTION_JSON, OPTION_TIMEOUT, OPTION_HELP };

static const struct option general[] = { { "database", required_argument, NULL,
					     OPTION_DATABASE },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "timeout", required_argument, NULL, OPTION_TIMEOUT },
	{ "help", no_argument, NULL, OPTION_HELP }, { 0 } };

static const char general_help[] =
    "  --database CONNINFO  the database; default: PGDATABASE and its like\n"
    "  --json               print JSON\n"
    "  --timeout SECONDS    the longest statement (30)\n"
    "  --help               print this\n";

struct settings {
	const char *database;
	long timeout_s;
	bool help;
};

static void
print_usage(FILE *file)
{
	const struct command *command;

	fputs("usage: durable COMMAND [OPTION...] [ARGUMENT...]\n\n", file);
	for (command = commands; command->name != NULL; command++)
		fprintf(file, "  %-20s %s\n", command->name, command->help);
	fputs("\n'durable COMMAND --help' lists its options. All have:\n\n",
	    file);
	fputs(general_help, file);
}

/* How an argument is called, without its parameter. */
static void
print_argument(const char *argument)
{
	printf(" %.*s", (int)strcspn(argument, ":"), argument);
}

static void
print_help(const struct command *command)
{
	const struct flag *flag;
	char name[64];
	int i;

	printf("usage: durable %s [OPTION...]", command->name);
	for (i = 0; command->arguments != NULL && command->arguments[i] != NULL;
	     i++)
		print_argument(command->arguments[i]);
	printf("\n\nThis will %s.\n\n", command->help);
	for (flag = command->flags; flag != NULL && flag->name != NULL;
	     flag++) {
		snprintf(name, sizeof(name), "--%s%s%s", flag->name,
		    flag->value == NULL || *flag->value == '[' ? "" : " ",
		    flag->value == NULL ? "" : flag->value);
		printf("  %-32s %s\n", name, flag->help);
	}
	fputs(general_help, stdout);
}

/* Finds a command of two words or of one, and moves *at behind it. */
static const struct command *
find_command(int argc, char *argv[], int *at)
{
	const struct command *command, *found = NULL;
	char two[64] = "";

	if (argc < 2)
		return NULL;
	if (argc > 2)
		snprintf(two, sizeof(two), "%s %s", argv[1], argv[2]);
	for (command = commands; command->name != NULL; command++)
		if (strcmp(command->name, two) == 0) {
			*at = 3;
			return command;
		} else if (strcmp(command->name, argv[1]) == 0) {
			*at = 2;
			found = command;
		}
	return found;
}

static int
has_value(const struct flag *flag)
{
	if (flag->value == NULL)
		return no_argument;
	return *flag->value == '[' ? optional_argument : required_argument;
}

/* The command's options, with their places as values, then the general ones. */
static void
list_options(const struct command *command, struct option *options)
{
	int i;

	for (i = 0; command->flags != NULL && command->flags[i].name != NULL;
	     i++)
		*options++ = (struct option){ command->flags[i].name,
			has_value(&command->flags[i]), NULL, i };
	memcpy(options, general, sizeof(general));
}

static bool
add_given(struct invocation *call, int place)
{
	if (call->given_len == CLI_MOST) {
		print_error("there are more than %d options", CLI_MOST);
		return false;
	}
	call->given[call->given_len].flag = &call->command->flags[place];
	call->given[call->given_len++].value = optarg;
	return true;
}

static bool
take_option(struct invocation *call, struct settings *settings, int option)
{
	char *end;

	switch (option) {
	case '?':
		return false;
	case OPTION_DATABASE:
		settings->database = optarg;
		return true;
	case OPTION_JSON:
		call->json = true;
		return true;
	case OPTION_TIMEOUT:
		settings->timeout_s = strtol(optarg, &end, 10);
		if (*end == '\0' && settings->timeout_s > 0 &&
		    settings->timeout_s < 1000000)
			return true;
		print_error("--timeout is not a number of seconds: '%s'",
		    optarg);
		return false;
	case OPTION_HELP:
		settings->help = true;
		return true;
	default:
		return add_given(call, option);
	}
}

/* Whether there are as many arguments as the command takes. */
static bool
count_arguments(const struct invocation *call)
{
	const char *const *arguments = call->command->arguments;
	const char *last = "";
	int wanted = 0;

	for (; arguments != NULL && arguments[wanted] != NULL; wanted++)
		last = arguments[wanted];
	if (call->arguments_len == wanted ||
	    (call->arguments_len > wanted && strstr(last, "...:") != NULL))
		return true;
	print_error("'%s' has %d argument%s here and takes %d%s: 'durable %s "
		    "--help' lists them",
	    call->command->name, call->arguments_len,
	    call->arguments_len == 1 ? "" : "s", wanted,
	    strstr(last, "...:") != NULL ? " or more" : "",
	    call->command->name);
	return false;
}

/* Reads the words behind the command.  Returns false after a mistake. */
static bool
read_words(struct invocation *call, struct settings *settings, int argc,
    char *argv[])
{
	struct option options[CLI_FLAGS + 5];
	int option;

	list_options(call->command, options);
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (!take_option(call, settings, option))
			return false;
	if (argc - optind > CLI_MOST) {
		print_error("there are more than %d arguments", CLI_MOST);
		return false;
	}
	for (; optind < argc; optind++)
		call->arguments[call->arguments_len++] = argv[optind];
	return settings->help || count_arguments(call);
}

static bool
connect_to(struct invocation *call, const struct settings *settings)
{
	const char *const keys[] = { "dbname", "client_encoding",
		"fallback_application_name", NULL };
	const char *const values[] = { settings->database, "UTF8", "durable",
		NULL };
	char setup[64];
	PGresult *result;
	bool done;

	call->conn = PQconnectdbParams(keys, values, 1);
	if (PQstatus(call->conn) != CONNECTION_OK) {
		print_error("cannot reach the database: %s",
		    PQerrorMessage(call->conn));
		return false;
	}
	snprintf(setup, sizeof(setup), "set statement_timeout = %ld",
	    settings->timeout_s * 1000);
	result = PQexec(call->conn, setup);
	done = PQresultStatus(result) == PGRES_COMMAND_OK;
	PQclear(result);
	return done;
}

/* Whether the words are no command but ask for the version or for help. */
static bool
is_general(int argc, char *argv[])
{
	if (argc != 2)
		return false;
	if (strcmp(argv[1], "--version") == 0)
		printf("durable %s\n", VERSION);
	else if (strcmp(argv[1], "--help") == 0)
		print_usage(stdout);
	else
		return false;
	return true;
}

int
main(int argc, char *argv[])
{
	static struct invocation call;
	struct settings settings = { .timeout_s = 30 };
	enum cli_exit status = EXIT_FAILED;
	int at = 0;

	if (is_general(argc, argv))
		return EXIT_DONE;
	call.command = find_command(argc, argv, &at);
	if (call.command == NULL) {
		print_usage(stderr);
		return EXIT_USAGE;
	}
	argv[at - 1] = argv[0];
	if (!read_words(&call, &settings, argc - at + 1, argv + at - 1))
		return EXIT_USAGE;
	if (settings.help) {
		print_help(call.command);
		return EXIT_DONE;
	}
	if (connect_to(&call, &settings))
		status = call.command->run(&call);
	PQfinish(call.conn);
	if (fflush(stdout) != 0 || ferror(stdout))
		return EXIT_FAILED;
	return status;
}
