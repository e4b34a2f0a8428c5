/* SPDX-License-Identifier: MIT */
/*
 * No memory: a value is read and written as it is, or the process ends, at
 * whichever allocation there is none.  The allocator is glibc's, which fails
 * when it is told to.  Not here is what json-c 0.16 hides: it does not look
 * whether there was memory for the members of an object, nor for a text of more
 * than 31 bytes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arena.h"
#include "tap.h"
#include "value.h"

#define MANY 1000 /* allocations that no case makes */

/* Allocations left before the one that fails; negative: none does. */
static long left = -1;

void *real_malloc(size_t size) __asm__("__libc_malloc");
void *real_calloc(size_t count, size_t size) __asm__("__libc_calloc");
void *real_realloc(void *memory, size_t size) __asm__("__libc_realloc");

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
	return fails() ? NULL : real_malloc(size);
}

void *
calloc(size_t count, size_t size)
{
	return fails() ? NULL : real_calloc(count, size);
}

void *
realloc(void *memory, size_t size)
{
	return fails() ? NULL : real_realloc(memory, size);
}

static const struct {
	const char *name, *text, *serialization;
} values[] = {
	{ "null", "null", VALUE_PORTABLE },
	{ "an integer", "77", VALUE_PORTABLE },
	{ "true", "true", VALUE_PORTABLE },
	{ "a text", "\"paid\"", VALUE_PORTABLE },
	{ "a list", "[1,\"two\",[3,null],[]]", VALUE_PORTABLE },
};

/* In a child: 0 when the value came and went as it is. */
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

/* The child's wait status when its n-th allocation fails; -1: there is none. */
static int
convey_without(size_t i, long n)
{
	const struct rlimit no_core = { 0, 0 };
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &no_core);
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
		int status = 0;
		long n;

		for (n = 0; n < MANY; n++) {
			status = convey_without(i, n);
			if (status == -1 ||
			    (WIFEXITED(status) && WEXITSTATUS(status) != 0))
				break;
		}
		ok(status == -1 && n > 0 && n < MANY, values[i].name);
		diag("%ld allocations%s", n,
		    status == -1           ? ""
			: status >> 8 == 1 ? ", not read"
					   : ", not written as it is");
	}
	return done_testing();
}
