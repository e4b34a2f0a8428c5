/* SPDX-License-Identifier: MIT */
/*
 * Reads the elements of a one-dimensional array, as PostgreSQL writes it
 * (manual, 8.15.6); strbuf.h writes such arrays.  Private to the engine.
 */
#ifndef DURABLE_ARRAY_LITERAL_H
#define DURABLE_ARRAY_LITERAL_H

#include <stdbool.h>

struct arena;

/* The elements that are left to read; zeroed: none. */
struct array_elements {
	char *next; /* in a copy of the literal, or NULL */
};

/* Copies the literal into the arena.  NULL, SQL's null, has no elements. */
struct array_elements
array_literal_read(struct arena *arena, const char *literal);

/*
 * Sets *element to the next element, in the arena of array_literal_read; NULL
 * for SQL's null.  Returns false, and sets it to NULL, when none is left.
 */
bool array_literal_next(struct array_elements *elements, const char **element);

#endif
