/* SPDX-License-Identifier: MIT */
/*
 * Records of FastCGI: what comes in pieces is read as what comes at once, and a
 * whole request has whole parameters.
 *
 * Input: how many bytes to feed at a time, 0 is all; the bytes of a connection.
 */
#include "fuzz.h"

#include "fcgi/fastcgi.h"

#define BODY_MAX 100

/* Feeds the bytes, some at a time, until the request is whole or malformed. */
static enum fastcgi_state
feed(struct fastcgi *request, const char *bytes, size_t len, size_t some)
{
	enum fastcgi_state state = FASTCGI_MORE;
	size_t part;

	request->body_max = BODY_MAX;
	for (; len > 0 && state == FASTCGI_MORE; bytes += part, len -= part) {
		part = some == 0 || some > len ? len : some;
		state = fastcgi_feed(request, bytes, part);
	}
	return state;
}

static void
expect_same(const struct strbuf *a, const struct strbuf *b)
{
	require(a->len == b->len &&
		(a->len == 0 || memcmp(a->text, b->text, a->len) == 0),
	    "pieces are read as the whole");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new();
	struct fastcgi whole = { 0 }, pieces = { 0 };
	struct strbuf out = { 0 };
	const char *bytes = (const char *)data + 1;
	enum fastcgi_state state;

	if (size > 0) {
		state = feed(&whole, bytes, size - 1, 0);
		require(feed(&pieces, bytes, size - 1, data[0]) == state,
		    "pieces end as the whole");
		if (state == FASTCGI_WHOLE) {
			expect_same(&whole.params, &pieces.params);
			if (whole.body.len <= BODY_MAX)
				expect_same(&whole.body, &pieces.body);
			fastcgi_parameter(&whole, arena, "REQUEST_METHOD");
			fastcgi_answer(&whole, bytes, size - 1, &out);
			require(out.len >= size - 1 + 24,
			    "an answer has its records");
		}
	}
	strbuf_free(&out);
	fastcgi_free(&whole);
	fastcgi_free(&pieces);
	arena_free(arena);
	return 0;
}
