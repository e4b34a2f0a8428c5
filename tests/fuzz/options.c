/* SPDX-License-Identifier: MIT */
/*
 * Options: for every command line and file the program gets valid values, or
 * ends with one sentence.
 *
 * Input: arguments, one to a line, up to an empty line; then the file.
 * The harness replaces exit(3), fopen(3) and fclose(3).
 */
#include "fuzz.h"

#include <setjmp.h>

#include "base/options.h"

#define ARGS_MAX   16
#define EXIT_USAGE 2

/* options.c calls them instead of the system's, by macros of the build. */
void fuzz_exit(int status) __attribute__((noreturn));
FILE *fuzz_fopen(const char *path, const char *mode);
int fuzz_fclose(FILE *stream);

static jmp_buf on_exit_jump;
static int exit_status;
static struct input file;
static FILE *opened;

static const char *database;
static int workers;
static bool allow_crash;

static const struct option_def defs[] = { { "database", OPTION_TEXT, &database,
					      0, 0, "connection string" },
	{ "workers", OPTION_NUMBER, &workers, 1, 64, "worker processes" },
	{ "allow-crash", OPTION_YES_NO, &allow_crash, 0, 0, "may crash" },
	{ .name = NULL } };

void
fuzz_exit(int status)
{
	exit_status = status;
	longjmp(on_exit_jump, 1);
}

FILE *
fuzz_fopen(const char *path, const char *mode)
{
	size_t len = (size_t)(file.end - file.at);

	(void)mode;
	if (*path == '\0')
		return NULL;
	/* fmemopen refuses an empty buffer. */
	opened = len == 0 ? tmpfile()
			  : fmemopen((void *)(uintptr_t)file.at, len, "r");
	return opened;
}

int
fuzz_fclose(FILE *stream)
{
	opened = NULL;
	return fclose(stream);
}

static char **
read_arguments(struct arena *arena, struct input *input, int *argc)
{
	char **argv = arena_alloc(arena, (ARGS_MAX + 2) * sizeof(*argv));
	char *line;

	argv[0] = arena_strdup(arena, "/usr/bin/program");
	*argc = 1;
	while (*argc <= ARGS_MAX && input_has_more(input) &&
	    *(line = input_line(arena, input)) != '\0')
		argv[(*argc)++] = line;
	return argv;
}

/*
 * Reads the options with standard error in a buffer; returns whether
 * options_read returned.
 */
static bool
reads(int argc, char *argv[], char *said, size_t said_len)
{
	FILE *real_stderr = stderr, *real_stdout = stdout;
	static FILE *nowhere;
	FILE *buffer = fmemopen(said, said_len, "w");
	volatile bool came_back = false;

	if (nowhere == NULL)
		nowhere = fmemopen(NULL, 4096, "w");
	if (buffer == NULL || nowhere == NULL)
		abort();
	rewind(nowhere);
	*said = '\0';
	stderr = buffer;
	stdout = nowhere;
	if (setjmp(on_exit_jump) == 0) {
		options_read(argc, argv, "1.2.3", defs);
		came_back = true;
	}
	stderr = real_stderr;
	stdout = real_stdout;
	fclose(buffer);
	return came_back;
}

static void
expect_sentence(const char *said)
{
	static const char begin[] = "program: ", end[] = "; see --help\n";
	size_t len = strlen(said);

	require(strncmp(said, begin, sizeof(begin) - 1) == 0,
	    "a mistake's message begins with the program's name");
	require(len > sizeof(end) &&
		strcmp(said + len - (sizeof(end) - 1), end) == 0,
	    "a mistake's message ends with a hint at --help");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char said[1 << 18];
	struct arena *arena = arena_new();
	int argc;
	char **argv;

	database = "";
	workers = 2;
	allow_crash = false;
	opened = NULL;
	exit_status = 0;
	file = input_of(data, size);
	argv = read_arguments(arena, &file, &argc);
	if (reads(argc, argv, said, sizeof(said))) {
		require(workers >= 1 && workers <= 64,
		    "a number is within its range");
		require(database != NULL, "a text is not NULL");
	} else if (exit_status == EXIT_USAGE) {
		/* A mistake in a file leaves it open, and the process ends. */
		if (opened != NULL)
			fclose(opened);
		expect_sentence(said);
	} else {
		require(exit_status == 0,
		    "the exit status is 0 or that of a usage error");
	}
	arena_free(arena);
	return 0;
}
