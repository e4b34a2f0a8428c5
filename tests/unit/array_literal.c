/* SPDX-License-Identifier: MIT */
/*
 * Reading arrays that PostgreSQL writes.
 */
#include "base/arena.h"
#include "base/array_literal.h"
#include "tests/unit/tap.h"

/* Asserts the next element; NULL for SQL's null. */
static void
next_is(struct array_elements *elements, const char *wanted, const char *title)
{
	const char *element;
	bool found = array_literal_next(elements, &element);

	ok(found, title);
	is_str(element, wanted, title);
}

static void
has_none(struct arena *arena, const char *literal, const char *title)
{
	struct array_elements elements = array_literal_read(arena, literal);
	const char *element = "";

	ok(!array_literal_next(&elements, &element) && element == NULL, title);
}

int
main(void)
{
	struct arena *arena = arena_new();
	struct array_elements elements = array_literal_read(arena,
	    "{plain,NULL,\"NULL\",\"\",\"a \\\"quote\\\", a \\\\ and {braces}\",7}");

	next_is(&elements, "plain", "a plain element is read");
	next_is(&elements, NULL, "a null element is read");
	next_is(&elements, "NULL", "a quoted NULL is a text");
	next_is(&elements, "", "an empty text is read");
	next_is(&elements, "a \"quote\", a \\ and {braces}",
	    "a quoted element is read");
	next_is(&elements, "7", "the last element is read");
	has_none(arena, "{}", "an empty array has no element");
	has_none(arena, NULL, "NULL has no element");
	has_none(arena, "", "a text that is not an array has no element");
	arena_free(arena);
	return done_testing();
}
