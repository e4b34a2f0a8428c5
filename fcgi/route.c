/* SPDX-License-Identifier: MIT */
/*
 * Matches paths with patterns.
 */
#include "fcgi/route.h"

#include <stddef.h>
#include <string.h>

#include "base/arena.h"

#define KEY_MAX 128
#define ID_MAX  256

static const char key_characters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~-";
static const char id_characters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~-:";

bool
route_is_key(const char *text)
{
	size_t len = strspn(text, key_characters);

	return len > 0 && len <= KEY_MAX && text[len] == '\0';
}

bool
route_is_id(const char *text)
{
	size_t len = strspn(text, id_characters);

	return len > 0 && len <= ID_MAX && text[len] == '\0';
}

/* The length of a pattern's constant part: up to the first brace. */
static size_t
stem_length(const char *pattern)
{
	const char *brace = strchr(pattern, '{');

	return brace == NULL ? strlen(pattern) : (size_t)(brace - pattern);
}

/* Whether the path has the pattern's constant part; segments may be bad. */
static bool
is_like(const char *path, const char *pattern)
{
	size_t stem_len = stem_length(pattern);

	if (pattern[stem_len] == '\0')
		return strcmp(path, pattern) == 0;
	/* A path without the key may also lack the / before it. */
	return strncmp(path, pattern, stem_len - 1) == 0 &&
	    (path[stem_len - 1] == '/' || path[stem_len - 1] == '\0');
}

/* Copies a path's segments; false when one is malformed, missing or extra. */
static bool
take_segments(struct arena *arena, const char *path, const char *pattern,
    const char *segments[])
{
	size_t taken = 0, len;
	bool is_id;

	while (*pattern != '\0') {
		if (*pattern != '{') {
			if (*path++ != *pattern++)
				return false;
			continue;
		}
		is_id = strncmp(pattern, "{id}", 4) == 0;
		len = strspn(path, is_id ? id_characters : key_characters);
		if (len == 0 || len > (is_id ? ID_MAX : KEY_MAX) ||
		    taken == ROUTE_SEGMENTS_MAX)
			return false;
		segments[taken++] = arena_printf(arena, "%.*s", (int)len, path);
		path += len;
		pattern = strchr(pattern, '}') + 1;
	}
	return *path == '\0';
}

static bool
has_method(const struct route *route, enum http_method method)
{
	return method == route->method ||
	    (method == HTTP_HEAD && route->method == HTTP_GET);
}

struct route_match
route_find(const struct route *routes, const struct http_request *request)
{
	struct route_match match = { .outcome = ROUTE_UNKNOWN };
	const struct route *route;

	for (route = routes; route->pattern != NULL; route++) {
		if (!is_like(request->path, route->pattern))
			continue;
		match.route = route;
		match.allow = route->method == HTTP_GET ? "GET, HEAD, OPTIONS"
							: "POST, OPTIONS";
		if (!take_segments(request->arena, request->path,
			route->pattern, match.segments))
			match.outcome = ROUTE_MALFORMED;
		else if (request->method == HTTP_OPTIONS)
			match.outcome = ROUTE_OPTIONS;
		else if (!has_method(route, request->method))
			match.outcome = ROUTE_WRONG_METHOD;
		else
			match.outcome = ROUTE_FOUND;
		break;
	}
	return match;
}
