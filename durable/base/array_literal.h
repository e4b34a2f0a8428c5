/* SPDX-License-Identifier: MIT */
/*
 * Reads the elements of a PostgreSQL array, as the server writes one of one
 * dimension (8.15.6): strbuf.h has what writes them.  Private to the engine.
 */
#ifndef DURABLE_ARRAY_LITERAL_H
#define DURABLE_ARRAY_LITERAL_H

#include <stdbool.h>

struct arena;

/* What is left to read; zeroed: nothing. */
struct array_elements {
	char *next; /* in a copy of the literal, or NULL */
};

/* The elements of a literal; of NULL, SQL's null, there are none. */
struct array_elements
array_literal_read(struct arena *arena, const char *literal);

/*
 * Takes the next element: NULL for SQL's null, else a text in the arena that
 * array_literal_read was given.  Returns false, and NULL, when there is none.
 */
bool array_literal_next(struct array_elements *elements, const char **element);

#endif
