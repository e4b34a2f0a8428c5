/* SPDX-License-Identifier: MIT */
/*
 * The records of FastCGI 1.0, as a responder reads and writes them: one request
 * to a connection.  It does no input and output.
 */
#ifndef FCGI_FASTCGI_H
#define FCGI_FASTCGI_H

#include <stddef.h>

#include "base/strbuf.h"

struct arena;

/* How many bytes the names and values of a request may have together. */
#define FASTCGI_PARAMS_MAX ((size_t)128 * 1024)

enum fastcgi_state {
	FASTCGI_MORE,     /* the request has begun, or has not */
	FASTCGI_WHOLE,    /* it is complete, or its body is too long */
	FASTCGI_MALFORMED /* it cannot be answered: close the connection */
};

/* A request that is being read.  All zeroes is one before its first byte. */
struct fastcgi {
	unsigned char header[8]; /* of the record that is being read */
	size_t header_len;
	size_t content_left, padding_left;
	unsigned int id; /* 0: it has not begun */
	unsigned char begin[8];
	size_t begin_len;
	int params_ended;
	struct strbuf params; /* names and values, as they came */
	struct strbuf body;
	size_t body_max; /* the reader sets it */
};

/*
 * Reads the next bytes of a connection.  After FASTCGI_WHOLE or
 * FASTCGI_MALFORMED there is nothing more to feed.  A body is whole as soon as
 * it has more than body_max bytes.  A record that is not for a responder, or
 * that belongs to another request, is malformed.
 */
enum fastcgi_state
fastcgi_feed(struct fastcgi *request, const char *bytes, size_t len);

/*
 * Returns the value of a parameter of a whole request, in the arena and up to
 * its first NUL byte, or NULL when there is none of this name.
 */
char *fastcgi_parameter(const struct fastcgi *request, struct arena *arena,
    const char *name);

/* Appends an answer's records to out: the bytes, and the end of the request. */
void fastcgi_answer(const struct fastcgi *request, const char *bytes,
    size_t len, struct strbuf *out);

/* Makes it ready for the next connection; gives the memory of long ones back. */
void fastcgi_reset(struct fastcgi *request);

/* Frees what it holds; it is all zeroes again. */
void fastcgi_free(struct fastcgi *request);

#endif
