/* SPDX-License-Identifier: MIT */
/*
 * Routes: which paths are whose, and what is wrong with the others.
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
	case ROUTE_WRONG_METHOD:
		return arena_printf(arena, "allow %s", match.allow);
	}
	return NULL;
}

static void
test_found(void)
{
	is_str(find(HTTP_GET, "/list"), "list - -", "a plain path");
	is_str(find(HTTP_HEAD, "/list"), "list - -", "HEAD is a GET");
	is_str(find(HTTP_POST, "/list/clear"), "clear - -",
	    "a longer path is another's");
	is_str(find(HTTP_POST, "/buy/a-Z_0.~"), "buy a-Z_0.~ -", "a key");
	is_str(find(HTTP_POST, "/pay/one/two"), "pay one two", "two keys");
	is_str(find(HTTP_GET, "/run/a:b/of"), "run a:b -", "an id");
}

static void
test_keys(void)
{
	char path[256] = "/buy/";

	memset(path + 5, 'k', 128);
	ok(strncmp(find(HTTP_POST, path), "buy k", 5) == 0,
	    "a key may have 128 characters");
	path[5 + 128] = 'k';
	is_str(find(HTTP_POST, path), "malformed", "and no more");
	is_str(find(HTTP_POST, "/buy/"), "malformed", "an empty key");
	is_str(find(HTTP_POST, "/buy"), "malformed", "no key");
	is_str(find(HTTP_POST, "/buy/a/b"), "malformed", "a key with a slash");
	is_str(find(HTTP_POST, "/buy/a:b"), "malformed",
	    "a key with a colon, which an id may have");
	is_str(find(HTTP_POST, "/buy/a%41"), "malformed",
	    "nothing is decoded: % is no key's");
	is_str(find(HTTP_POST, "/buy/\xc3\xa4"), "malformed",
	    "a character that no key has");
	is_str(find(HTTP_POST, "/buy/a b"), "malformed", "a blank");
	is_str(find(HTTP_POST, "/pay/one"), "malformed", "one key of two");
	is_str(find(HTTP_POST, "/pay/one/"), "malformed",
	    "the second is empty");
	is_str(find(HTTP_POST, "/pay//two"), "malformed", "the first is empty");
	is_str(find(HTTP_GET, "/buy/a b"), "malformed",
	    "a bad key is bad for any method");
}

static void
test_methods(void)
{
	is_str(find(HTTP_POST, "/list"), "allow GET, HEAD",
	    "what is read is not posted to");
	is_str(find(HTTP_GET, "/buy/key"), "allow POST",
	    "what acts is not read");
	is_str(find(HTTP_HEAD, "/buy/key"), "allow POST", "nor with HEAD");
	is_str(find(HTTP_OTHER, "/item/1"), "allow GET, HEAD",
	    "another method");
}

static void
test_unknown(void)
{
	is_str(find(HTTP_GET, "/"), "unknown", "the root");
	is_str(find(HTTP_GET, ""), "unknown", "no path");
	is_str(find(HTTP_GET, "list"), "unknown", "a relative path");
	is_str(find(HTTP_GET, "/lists"), "unknown", "a longer name");
	is_str(find(HTTP_GET, "/lis"), "unknown", "a shorter name");
	is_str(find(HTTP_GET, "/list/"), "unknown", "a slash too many");
	is_str(find(HTTP_POST, "/buying/x"), "unknown",
	    "a longer name before a key");
	is_str(find(HTTP_POST, "//buy/x"), "unknown", "two slashes");
	is_str(find(HTTP_GET, "/LIST"), "unknown", "capitals");
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
