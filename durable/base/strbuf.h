/* SPDX-License-Identifier: MIT */
/*
 * Text that grows, and PostgreSQL array literals in it.
 *
 * A zeroed struct strbuf is empty and ready.  Allocation never fails: it
 * ends the process.
 */
#ifndef DURABLE_STRBUF_H
#define DURABLE_STRBUF_H

#include <stddef.h>

struct strbuf {
	char *text; /* terminated by NUL; NULL when never used */
	size_t len;
	size_t size;
};

/* Forgets the content and keeps the memory. */
void strbuf_reset(struct strbuf *buf);

void strbuf_free(struct strbuf *buf);

/* Appends len bytes, or a whole text. */
void strbuf_add(struct strbuf *buf, const char *bytes, size_t len);
void strbuf_add_text(struct strbuf *buf, const char *text);

/*
 * Appends an element to a text[] literal (PostgreSQL 8.15.2), NULL for SQL's
 * null; the first element opens the literal.
 */
void strbuf_add_element(struct strbuf *buf, const char *element);

/* Closes the array literal, "{}" when it has no element, and returns it. */
const char *strbuf_end_array(struct strbuf *buf);

#endif
