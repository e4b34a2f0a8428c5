/* SPDX-License-Identifier: MIT */
/*
 * Routes: which function answers which method and path.
 *
 * In a pattern {} stands for one segment that is a key, a payment or a number:
 * 1 to 128 characters of A-Z a-z 0-9 . _ ~ and -; and {id} for a workflow's id:
 * 1 to 256 of these and of :.
 */
#ifndef FCGI_ROUTE_H
#define FCGI_ROUTE_H

#include "fcgi/http.h"

#define ROUTE_SEGMENTS_MAX 2

struct site;

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
	ROUTE_UNKNOWN,     /* no pattern is like the path */
	ROUTE_MALFORMED,   /* one is, but for a segment that is no key */
	ROUTE_WRONG_METHOD /* one is, for other methods: see allow */
};

struct route_match {
	enum route_outcome outcome;
	const struct route *route; /* unless unknown */
	const char *allow;         /* the methods that the route has */
	const char *segments[ROUTE_SEGMENTS_MAX]; /* in the arena */
};

/* Finds the route of a request in a table that a NULL pattern ends. */
struct route_match
route_find(const struct route *routes, const struct http_request *request);

#endif
