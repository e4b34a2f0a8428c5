/* SPDX-License-Identifier: MIT */
/*
 * The first words of statements: what may precede a command changes nothing, and
 * no text hides what follows it.
 *
 * Input: a statement.
 */
#include "fuzz.h"

#include "db/sqltext.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const before[] = { " ", "\n", "-- commit\n",
		"/* /* */ commit */", ";", "(" };
	struct arena *arena = arena_new();
	struct input input = input_of(data, size);
	const char *text = input_take(arena, &input, '\0');
	const char *found = sqltext_forbidden(text);
	size_t i;

	for (i = 0; i < sizeof(before) / sizeof(before[0]); i++)
		require(sqltext_forbidden(arena_printf(arena, "%s%s", before[i],
			    text)) == found,
		    "blanks and comments before a command change nothing");
	require(sqltext_forbidden(arena_printf(arena, "rollback/*%s", text)) !=
		NULL,
	    "what follows a command does not hide it");
	arena_free(arena);
	return 0;
}
