/* SPDX-License-Identifier: MIT */
/*
 * Paths against patterns.
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

/* How much of a path is the same resource's in any case: up to the first {. */
static size_t
stem_length(const char *pattern)
{
	const char *brace = strchr(pattern, '{');

	return brace == NULL ? strlen(pattern) : (size_t)(brace - pattern);
}

/* Whether the path belongs to the pattern, well formed or not. */
static bool
is_like(const char *path, const char *pattern)
{
	size_t stem_len = stem_length(pattern);

	if (pattern[stem_len] == '\0')
		return strcmp(path, pattern) == 0;
	/* The stem's last / may be missing, with the key. */
	return strncmp(path, pattern, stem_len - 1) == 0 &&
	    (path[stem_len - 1] == '/' || path[stem_len - 1] == '\0');
}

/* Takes the segments out of a path; false when one is no key, or no id. */
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
		match.allow = route->method == HTTP_GET ? "GET, HEAD" : "POST";
		if (!take_segments(request->arena, request->path,
			route->pattern, match.segments))
			match.outcome = ROUTE_MALFORMED;
		else if (!has_method(route, request->method))
			match.outcome = ROUTE_WRONG_METHOD;
		else
			match.outcome = ROUTE_FOUND;
		break;
	}
	return match;
}
