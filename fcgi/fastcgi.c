/* SPDX-License-Identifier: MIT */
/*
 * Reads and writes the records of FastCGI.
 */
#include "fcgi/fastcgi.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/arena.h"

/* Types of records (specification, section 8). */
#define BEGIN_REQUEST 1
#define END_REQUEST   3
#define PARAMS        4
#define STDIN         5
#define STDOUT        6

#define VERSION_1     1
#define RESPONDER     1
#define CONTENT_MAX   65528 /* of a record, and a multiple of eight */
#define KEPT_MAX      16384 /* memory that a thread keeps between requests */

struct pair {
	const char *name, *value;
	size_t name_len, value_len;
};

/* A length is one byte, or four with the first bit set (section 3.4). */
static bool
take_length(const unsigned char **at, const unsigned char *end, size_t *len)
{
	const unsigned char *p = *at;

	if (p == end)
		return false;
	if (*p < 0x80) {
		*len = *p;
		*at += 1;
		return true;
	}
	if (end - p < 4)
		return false;
	*len = (size_t)(p[0] & 0x7f) << 24 | (size_t)p[1] << 16 |
	    (size_t)p[2] << 8 | p[3];
	*at += 4;
	return true;
}

/* Takes the pair at *at; false when it is not whole. */
static bool
take_pair(const unsigned char **at, const unsigned char *end, struct pair *pair)
{
	if (!take_length(at, end, &pair->name_len) ||
	    !take_length(at, end, &pair->value_len) ||
	    pair->name_len > (size_t)(end - *at) ||
	    pair->value_len > (size_t)(end - *at) - pair->name_len)
		return false;
	pair->name = (const char *)*at;
	pair->value = pair->name + pair->name_len;
	*at += pair->name_len + pair->value_len;
	return true;
}

/* Where the pairs begin and end; there may be none. */
static void
bounds(const struct fastcgi *request, const unsigned char **at,
    const unsigned char **end)
{
	const char *text = request->params.len == 0 ? "" : request->params.text;

	*at = (const unsigned char *)text;
	*end = *at + request->params.len;
}

static bool
has_whole_pairs(const struct fastcgi *request)
{
	const unsigned char *at, *end;
	struct pair pair;

	bounds(request, &at, &end);
	while (at < end)
		if (!take_pair(&at, end, &pair))
			return false;
	return true;
}

char *
fastcgi_parameter(const struct fastcgi *request, struct arena *arena,
    const char *name)
{
	const unsigned char *at, *end;
	size_t len = strlen(name);
	struct pair pair;
	char *value;

	bounds(request, &at, &end);
	while (at < end && take_pair(&at, end, &pair)) {
		if (pair.name_len != len || memcmp(pair.name, name, len) != 0)
			continue;
		value = arena_alloc(arena, pair.value_len + 1);
		memcpy(value, pair.value, pair.value_len);
		return value;
	}
	return NULL;
}

static unsigned int
two_bytes(const unsigned char *at)
{
	return (unsigned int)at[0] << 8 | at[1];
}

/* Whether the record of this header may come now. */
static bool
may_come(struct fastcgi *request)
{
	const unsigned char *header = request->header;
	unsigned int id = two_bytes(header + 2);

	if (header[0] != VERSION_1 || id == 0)
		return false;
	request->content_left = two_bytes(header + 4);
	request->padding_left = header[6];
	if (request->id == 0) {
		request->id = id;
		return header[1] == BEGIN_REQUEST &&
		    request->content_left == sizeof(request->begin);
	}
	return request->id == id &&
	    header[1] == (request->params_ended ? STDIN : PARAMS);
}

/* What follows the header of a record without content: the end of a stream. */
static enum fastcgi_state
end_stream(struct fastcgi *request)
{
	if (request->params_ended)
		return FASTCGI_WHOLE;
	request->params_ended = 1;
	return has_whole_pairs(request) ? FASTCGI_MORE : FASTCGI_MALFORMED;
}

static enum fastcgi_state
take_content(struct fastcgi *request, const char *bytes, size_t len)
{
	request->content_left -= len;
	switch (request->header[1]) {
	case BEGIN_REQUEST:
		memcpy(request->begin + request->begin_len, bytes, len);
		request->begin_len += len;
		return request->content_left == 0 &&
			two_bytes(request->begin) != RESPONDER
		    ? FASTCGI_MALFORMED
		    : FASTCGI_MORE;
	case PARAMS:
		strbuf_add(&request->params, bytes, len);
		return request->params.len > FASTCGI_PARAMS_MAX
		    ? FASTCGI_MALFORMED
		    : FASTCGI_MORE;
	default:
		strbuf_add(&request->body, bytes, len);
		return request->body.len > request->body_max ? FASTCGI_WHOLE
							     : FASTCGI_MORE;
	}
}

/* Takes a byte of a header; the eighth begins the record. */
static enum fastcgi_state
take_header(struct fastcgi *request, char byte)
{
	request->header[request->header_len++] = (unsigned char)byte;
	if (request->header_len < sizeof(request->header))
		return FASTCGI_MORE;
	if (!may_come(request))
		return FASTCGI_MALFORMED;
	return request->content_left == 0 ? end_stream(request) : FASTCGI_MORE;
}

enum fastcgi_state
fastcgi_feed(struct fastcgi *request, const char *bytes, size_t len)
{
	enum fastcgi_state state = FASTCGI_MORE;
	size_t part;

	while (len > 0 && state == FASTCGI_MORE) {
		if (request->header_len < sizeof(request->header)) {
			state = take_header(request, *bytes);
			part = 1;
		} else if (request->content_left > 0) {
			part = len < request->content_left
			    ? len
			    : request->content_left;
			state = take_content(request, bytes, part);
		} else {
			part = len < request->padding_left
			    ? len
			    : request->padding_left;
			request->padding_left -= part;
		}
		bytes += part;
		len -= part;
		if (request->header_len == sizeof(request->header) &&
		    request->content_left == 0 && request->padding_left == 0)
			request->header_len = 0;
	}
	return state;
}

static void
add_record(const struct fastcgi *request, unsigned char type, const char *bytes,
    size_t len, struct strbuf *out)
{
	const unsigned char header[8] = { VERSION_1, type,
		(unsigned char)(request->id >> 8), (unsigned char)request->id,
		(unsigned char)(len >> 8), (unsigned char)len };

	strbuf_add(out, (const char *)header, sizeof(header));
	strbuf_add(out, bytes, len);
}

void
fastcgi_answer(const struct fastcgi *request, const char *bytes, size_t len,
    struct strbuf *out)
{
	static const char complete[8] = { 0 };
	size_t part;

	for (; len > 0; bytes += part, len -= part) {
		part = len < CONTENT_MAX ? len : CONTENT_MAX;
		add_record(request, STDOUT, bytes, part, out);
	}
	add_record(request, STDOUT, "", 0, out);
	add_record(request, END_REQUEST, complete, sizeof(complete), out);
}

static void
empty(struct strbuf *buf)
{
	if (buf->size > KEPT_MAX)
		strbuf_free(buf);
	else
		strbuf_reset(buf);
}

void
fastcgi_reset(struct fastcgi *request)
{
	struct strbuf params = request->params, body = request->body;

	empty(&params);
	empty(&body);
	*request = (struct fastcgi){ .params = params, .body = body };
}

void
fastcgi_free(struct fastcgi *request)
{
	strbuf_free(&request->params);
	strbuf_free(&request->body);
	*request = (struct fastcgi){ 0 };
}
