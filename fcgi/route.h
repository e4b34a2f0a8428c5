/* SPDX-License-Identifier: MIT */
/*
 * Routes: which function answers which method and path.
 *
 * In a pattern, {} is a segment that is a key, a payment id or a number: 1 to
 * 128 characters of A-Z a-z 0-9 . _ ~ and -.  {id} is a workflow's id: 1 to 256
 * of these characters and of the colon.
 */
#ifndef FCGI_ROUTE_H
#define FCGI_ROUTE_H

#include <stdbool.h>

#include "fcgi/http.h"

#define ROUTE_SEGMENTS_MAX 2

struct site;

/*
 * Answers a request, exactly once, and may block until the database or a
 * workflow has answered.  segments has one text for each brace of the pattern,
 * in the request's arena.
 */
typedef void route_handler(struct http_request *request,
    const struct site *site, const char *const segments[]);

struct route {
	enum http_method method; /* GET, which answers HEAD too, or POST */
	const char *pattern;
	const char *name; /* in metrics and in the log */
	route_handler *handler;
};

enum route_outcome {
	ROUTE_FOUND,
	ROUTE_UNKNOWN,     /* the path is no route's */
	ROUTE_MALFORMED,   /* a segment is no key, or no id */
	ROUTE_OPTIONS,     /* asks for the route's methods: see allow */
	ROUTE_WRONG_METHOD /* the route has other methods: see allow */
};

struct route_match {
	enum route_outcome outcome;
	const struct route *route; /* NULL if unknown */
	const char *allow;         /* the route's methods, or NULL */
	const char *segments[ROUTE_SEGMENTS_MAX]; /* in the arena */
};

/* Whether a text may stand for {}. */
bool route_is_key(const char *text);

/* Whether a text may stand for {id}. */
bool route_is_id(const char *text);

/*
 * Finds the first route with a pattern like the request's path, in a table that
 * ends with a NULL pattern.  The segments are copies in the request's arena.
 * It does not answer the request.
 */
struct route_match
route_find(const struct route *routes, const struct http_request *request);

#endif
