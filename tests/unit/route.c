/* SPDX-License-Identifier: MIT */
/*
 * Routes: the route of each path, and the fault of the other paths.
 */
#include <stddef.h>
#include <stdlib.h>

#include "base/arena.h"
#include "fcgi/route.h"
#include "tests/unit/tap.h"

static struct arena *arena;

/* The table's functions are never called. */
static void
nothing(struct http_request *request, const struct site *site,
    const char *const segments[])
{
	(void)request;
	(void)site;
	(void)segments;
}

static const struct route table[] = { { HTTP_POST, "/buy/{}", "buy", nothing },
	{ HTTP_POST, "/pay/{}/{}", "pay", nothing },
	{ HTTP_GET, "/list", "list", nothing },
	{ HTTP_GET, "/item/{}", "item", nothing },
	{ HTTP_GET, "/run/{id}/of", "run", nothing },
	{ HTTP_POST, "/list/clear", "clear", nothing }, { .pattern = NULL } };

/* Names what a request meets. */
static const char *
find(enum http_method method, const char *path)
{
	const struct http_request request = { .method = method,
		.path = path,
		.arena = arena };
	struct route_match match = route_find(table, &request);

	switch (match.outcome) {
	case ROUTE_FOUND:
		return arena_printf(arena, "%s %s %s", match.route->name,
		    match.segments[0] == NULL ? "-" : match.segments[0],
		    match.segments[1] == NULL ? "-" : match.segments[1]);
	case ROUTE_UNKNOWN:
		return "unknown";
	case ROUTE_MALFORMED:
		return "malformed";
	case ROUTE_OPTIONS:
		return arena_printf(arena, "options %s", match.allow);
	case ROUTE_WRONG_METHOD:
		return arena_printf(arena, "allow %s", match.allow);
	}
	return NULL;
}

static void
test_found(void)
{
	is_str(find(HTTP_GET, "/list"), "list - -",
	    "a plain path finds its route");
	is_str(find(HTTP_HEAD, "/list"), "list - -",
	    "HEAD finds the route of GET");
	is_str(find(HTTP_POST, "/list/clear"), "clear - -",
	    "a longer path finds its own route");
	is_str(find(HTTP_POST, "/buy/a-Z_0.~"), "buy a-Z_0.~ -",
	    "a key is passed to its route");
	is_str(find(HTTP_POST, "/pay/one/two"), "pay one two",
	    "two keys are passed to their route");
	is_str(find(HTTP_GET, "/run/a:b/of"), "run a:b -",
	    "an id may have a colon");
}

static void
test_keys(void)
{
	char path[256] = "/buy/";

	memset(path + 5, 'k', 128);
	ok(strncmp(find(HTTP_POST, path), "buy k", 5) == 0,
	    "a key may have 128 characters");
	path[5 + 128] = 'k';
	is_str(find(HTTP_POST, path), "malformed",
	    "a key of 129 characters is malformed");
	is_str(find(HTTP_POST, "/buy/"), "malformed",
	    "an empty key is malformed");
	is_str(find(HTTP_POST, "/buy"), "malformed",
	    "a missing key is malformed");
	is_str(find(HTTP_POST, "/buy/a/b"), "malformed",
	    "a key with a slash is malformed");
	is_str(find(HTTP_POST, "/buy/a:b"), "malformed",
	    "a key with a colon is malformed");
	is_str(find(HTTP_POST, "/buy/a%41"), "malformed",
	    "a key with % is malformed, because nothing is decoded");
	is_str(find(HTTP_POST, "/buy/\xc3\xa4"), "malformed",
	    "a key with a letter beyond ASCII is malformed");
	is_str(find(HTTP_POST, "/buy/a b"), "malformed",
	    "a key with a blank is malformed");
	is_str(find(HTTP_POST, "/pay/one"), "malformed",
	    "one key of two is malformed");
	is_str(find(HTTP_POST, "/pay/one/"), "malformed",
	    "an empty second key is malformed");
	is_str(find(HTTP_POST, "/pay//two"), "malformed",
	    "an empty first key is malformed");
	is_str(find(HTTP_GET, "/buy/a b"), "malformed",
	    "a bad key is malformed before its method is wrong");
}

static void
test_methods(void)
{
	is_str(find(HTTP_POST, "/list"), "allow GET, HEAD, OPTIONS",
	    "POST of a route for GET is told GET and HEAD");
	is_str(find(HTTP_GET, "/buy/key"), "allow POST, OPTIONS",
	    "GET of a route for POST is told POST");
	is_str(find(HTTP_HEAD, "/buy/key"), "allow POST, OPTIONS",
	    "HEAD of a route for POST is told POST");
	is_str(find(HTTP_OTHER, "/item/1"), "allow GET, HEAD, OPTIONS",
	    "an unknown method is told GET and HEAD");
	is_str(find(HTTP_OPTIONS, "/item/1"), "options GET, HEAD, OPTIONS",
	    "OPTIONS of a route for GET is answered with its methods");
	is_str(find(HTTP_OPTIONS, "/buy/key"), "options POST, OPTIONS",
	    "OPTIONS of a route for POST is answered with its methods");
	is_str(find(HTTP_OPTIONS, "/buy/a b"), "malformed",
	    "a bad key is malformed for OPTIONS, too");
}

static void
test_unknown(void)
{
	is_str(find(HTTP_GET, "/"), "unknown", "the root is unknown");
	is_str(find(HTTP_GET, ""), "unknown", "an empty path is unknown");
	is_str(find(HTTP_GET, "list"), "unknown", "a relative path is unknown");
	is_str(find(HTTP_GET, "/lists"), "unknown", "a longer name is unknown");
	is_str(find(HTTP_GET, "/lis"), "unknown", "a shorter name is unknown");
	is_str(find(HTTP_GET, "/list/"), "unknown",
	    "a trailing slash is unknown");
	is_str(find(HTTP_POST, "/buying/x"), "unknown",
	    "a longer name before a key is unknown");
	is_str(find(HTTP_POST, "//buy/x"), "unknown",
	    "a path with two slashes is unknown");
	is_str(find(HTTP_GET, "/LIST"), "unknown",
	    "a path in capitals is unknown");
}

int
main(void)
{
	arena = arena_new();
	test_found();
	test_keys();
	test_methods();
	test_unknown();
	arena_free(arena);
	return done_testing();
}
