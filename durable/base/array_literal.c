/* SPDX-License-Identifier: MIT */
/*
 * Reads the elements of an array literal in a copy of it, in place: an element
 * is never longer than its text in the literal.
 */
#include "base/array_literal.h"

#include <string.h>

#include "base/arena.h"

struct array_elements
array_literal_read(struct arena *arena, const char *literal)
{
	struct array_elements elements = { NULL };

	if (literal != NULL && literal[0] == '{' && literal[1] != '}')
		elements.next = arena_strdup(arena, literal + 1);
	return elements;
}

/* Whether at ends an element, which began with a quote if quoted. */
static bool
is_end(char at, bool quoted)
{
	return at == '\0' || (quoted ? at == '"' : at == ',' || at == '}');
}

bool
array_literal_next(struct array_elements *elements, const char **element)
{
	char *from = elements->next, *start, *to;
	bool quoted;

	*element = NULL;
	if (from == NULL)
		return false;
	quoted = *from == '"';
	from += quoted;
	for (start = to = from; !is_end(*from, quoted); *to++ = *from++)
		if (*from == '\\' && from[1] != '\0')
			from++;
	if (quoted && *from == '"')
		from++;
	elements->next = *from == ',' ? from + 1 : NULL;
	*to = '\0';
	if (quoted || strcmp(start, "NULL") != 0)
		*element = start;
	return true;
}
