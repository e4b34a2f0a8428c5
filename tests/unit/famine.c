/* SPDX-License-Identifier: MIT */
/*
 * No memory: whichever allocation fails, a value is read and written correctly or
 * the process ends.  The allocator is the C library's, with failures on demand.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "db/value.h"
#include "tests/unit/tap.h"

#define MANY 1000 /* allocations that no case makes */

/* Allocations left before the one that fails; negative: none does. */
static long left = -1;

static bool
fails(void)
{
	if (left < 0 || left-- > 0)
		return false;
	errno = ENOMEM;
	return true;
}

void *
malloc(size_t size)
{
	static void *(*real)(size_t);

	if (real == NULL)
		real = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
	return fails() ? NULL : real(size);
}

void *
calloc(size_t count, size_t size)
{
	static void *(*real)(size_t, size_t);

	if (real == NULL)
		real = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "calloc");
	return fails() ? NULL : real(count, size);
}

void *
realloc(void *memory, size_t size)
{
	static void *(*real)(void *, size_t);

	if (real == NULL)
		real = (void *(*)(void *, size_t))dlsym(RTLD_NEXT, "realloc");
	return fails() ? NULL : real(memory, size);
}

#define LONG "a text of more than the thirty-one bytes that json-c has room for"

static const struct {
	const char *name, *text, *serialization;
} values[] = {
	{ "null", "null", VALUE_PORTABLE },
	{ "an integer", "77", VALUE_PORTABLE },
	{ "true", "true", VALUE_PORTABLE },
	{ "a text", "\"paid\"", VALUE_PORTABLE },
	{ "a long text", "\"" LONG LONG "\"", VALUE_PORTABLE },
	{ "a list", "[1,\"two\",[3,null],[]]", VALUE_PORTABLE },
	{ "an object",
	    "{\"one\":1,\"" LONG "\":{\"three\":[null,3.5]},"
	    "\"four\":\"" LONG "\",\"five\":5}",
	    VALUE_PORTABLE },
	{ "superjson",
	    "{\"json\":\"paid\",\"__dbos_serializer\":\"superjson\"}",
	    VALUE_SUPERJSON },
};

/* Reads and writes a value, in a child; 0 if it comes out as it was. */
static int
convey(size_t i)
{
	struct arena *arena = arena_new();
	json_object *value;
	const char *text;

	if (!value_decode(arena, values[i].text, values[i].serialization,
		&value))
		return 1;
	text = value_encode(arena, value, values[i].serialization);
	return text == NULL || strcmp(text, values[i].text) != 0 ? 2 : 0;
}

/* Makes an abort leave no message and no core. */
static void
be_quiet(void)
{
	const struct rlimit no_core = { 0, 0 };

	setrlimit(RLIMIT_CORE, &no_core);
	dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
}

/* The child's wait status when its n-th allocation fails; -1 if it has none. */
static int
convey_without(size_t i, long n)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		be_quiet();
		left = n;
		status = convey(i);
		_exit(status != 0 ? status : left >= 0 ? 100 : 0);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) && WEXITSTATUS(status) == 100 ? -1 : status;
}

int
main(void)
{
	size_t i;

	for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		char title[80];
		int status = 0;
		long n;

		for (n = 0; n < MANY; n++) {
			status = convey_without(i, n);
			if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
				break;
		}
		snprintf(title, sizeof(title),
		    "%s is conveyed, or its process ends without memory",
		    values[i].name);
		ok(status == -1 && n > 0 && n < MANY, title);
		diag("%ld allocations%s", n,
		    status == -1           ? ""
			: status == 0      ? ", lacked one and went well"
			: status >> 8 == 1 ? ", not read"
					   : ", not written as it is");
	}
	return done_testing();
}
