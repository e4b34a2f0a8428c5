/* SPDX-License-Identifier: MIT */
/*
 * Growing text, and PostgreSQL array literals in it.  A zeroed struct strbuf
 * is empty and ready to use.  Without memory the process aborts.
 */
#ifndef DURABLE_STRBUF_H
#define DURABLE_STRBUF_H

#include <stddef.h>

struct strbuf {
	char *text;  /* ends with a NUL byte; NULL before the first use */
	size_t len;  /* bytes of text, without the NUL */
	size_t size; /* bytes allocated */
};

/* Makes it empty and keeps the memory. */
void strbuf_reset(struct strbuf *buf);

/* Frees the text; buf is empty and may be used again. */
void strbuf_free(struct strbuf *buf);

/* Append len bytes, or a text up to its NUL. */
void strbuf_add(struct strbuf *buf, const char *bytes, size_t len);
void strbuf_add_text(struct strbuf *buf, const char *text);

/*
 * Appends an element to a text[] literal (PostgreSQL's manual, 8.15.2); NULL
 * is SQL's null.  The first element opens the literal.
 */
void strbuf_add_element(struct strbuf *buf, const char *element);

/* Closes the array literal ("{}" without elements) and returns buf's text. */
const char *strbuf_end_array(struct strbuf *buf);

#endif
