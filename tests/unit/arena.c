/* SPDX-License-Identifier: MIT */
/*
 * Arenas: their memory, and the release of resources.
 */
#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "tests/unit/tap.h"

static char released[16];
static size_t released_len;

/* Appends a letter. */
static void
release(void *letter)
{
	released[released_len++] = *(const char *)letter;
}

int
main(void)
{
	static char a[] = "a", b[] = "b", c[] = "c";
	struct arena *arena = arena_new();
	char *first, *big, *again;
	size_t i;

	first = arena_alloc(arena, 3);
	memset(first, 'x', 3);
	again = arena_alloc(arena, 1);
	ok((uintptr_t)again % _Alignof(max_align_t) == 0,
	    "memory is aligned for any type");
	big = arena_alloc(arena, 100000);
	for (i = 0; i < 100000 && big[i] == 0; i++)
		continue;
	is_int((long long)i, 100000, "a large piece of memory is zeroed");
	memset(big, 'y', 100000);
	ok(memcmp(first, "xxx", 3) == 0, "two pieces of memory do not overlap");
	is_str(arena_printf(arena, "%s %d", "answer", 42), "answer 42",
	    "a text is formatted");
	is_int((long long)strlen(arena_printf(arena, "%127d", 1)), 127,
	    "a text of 127 characters is formatted");
	is_int((long long)strlen(arena_printf(arena, "%128d", 1)), 128,
	    "a text of 128 characters is formatted");
	is_str(arena_number(arena, 0), "0", "0 is written as text");
	is_str(arena_number(arena, INT64_MAX), "9223372036854775807",
	    "the greatest number is written as text");
	is_str(arena_number(arena, INT64_MIN), "-9223372036854775808",
	    "the least number is written as text");
	is_str(arena_strdup(arena, "copy"), "copy", "a text is copied");
	ok(arena_strdup(arena, NULL) == NULL, "a copy of NULL is NULL");

	arena_defer(arena, release, a);
	arena_defer(arena, release, b);
	arena_reset(arena);
	is_str(released, "ba",
	    "a reset releases deferred resources, the latest first");
	first = arena_alloc(arena, 3);
	ok(first[0] == 0 && first[2] == 0, "after a reset memory is zeroed");
	arena_defer(arena, release, c);
	arena_free(arena);
	is_str(released, "bac", "a freed arena releases each resource once");
	arena_free(NULL);
	return done_testing();
}
