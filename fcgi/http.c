/* SPDX-License-Identifier: MIT */
/*
 * Requests and answers over FastCGI.
 */
#include "fcgi/http.h"

#include <inttypes.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/memory.h"
#include "base/strbuf.h"
#include "db/value.h"
#include "fcgi/connection.h"
#include "fcgi/fastcgi.h"

#define DIGITS_MAX 16 /* of 2^53, the last exact number of JSON */

struct http_source {
	int listen_fd, timeout_ms;
	int fd; /* the connection, after http_accept */
	struct fastcgi records;
	struct http_request request; /* the public part */
	struct strbuf head;          /* of the answer, and its body */
	struct strbuf headers;       /* added by http_header */
	struct strbuf out;           /* the answer's records */
};

static struct http_source *
source_of(struct http_request *request)
{
	return (struct http_source *)(void *)((char *)request -
	    offsetof(struct http_source, request));
}

void
http_init(void)
{
	signal(SIGPIPE, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
}

struct http_source *
http_source_new(int listen_fd, int timeout_ms)
{
	struct http_source *source = memory_new(sizeof(*source));

	source->listen_fd = listen_fd;
	source->timeout_ms = timeout_ms;
	source->request.arena = arena_new();
	return source;
}

void
http_source_free(struct http_source *source)
{
	fastcgi_free(&source->records);
	strbuf_free(&source->head);
	strbuf_free(&source->headers);
	strbuf_free(&source->out);
	arena_free(source->request.arena);
	free(source);
}

static const char *
parameter(const struct http_source *source, const char *name)
{
	return fastcgi_parameter(&source->records, source->request.arena, name);
}

const char *
http_variable(struct http_request *request, const char *name)
{
	return parameter(source_of(request), name);
}

static enum http_method
read_method(const char *name)
{
	if (name == NULL)
		return HTTP_OTHER;
	if (strcmp(name, "GET") == 0)
		return HTTP_GET;
	if (strcmp(name, "HEAD") == 0)
		return HTTP_HEAD;
	if (strcmp(name, "POST") == 0)
		return HTTP_POST;
	return strcmp(name, "OPTIONS") == 0 ? HTTP_OPTIONS : HTTP_OTHER;
}

const char *
http_method_name(enum http_method method)
{
	switch (method) {
	case HTTP_GET:
		return "GET";
	case HTTP_HEAD:
		return "HEAD";
	case HTTP_POST:
		return "POST";
	case HTTP_OPTIONS:
		return "OPTIONS";
	case HTTP_OTHER:
		break;
	}
	return "a request";
}

/* The site decides which requests are the operators' (operator.conf). */
static bool
is_operator(const struct http_source *source)
{
	const char *said = parameter(source, "WS_OPERATOR");

	return said != NULL && strcmp(said, "1") == 0;
}

/* The path: nginx sends DOCUMENT_URI, other servers send REQUEST_URI. */
static const char *
read_path(const struct http_source *source)
{
	const char *path = parameter(source, "DOCUMENT_URI");
	char *copy;

	if (path == NULL)
		path = parameter(source, "REQUEST_URI");
	copy = arena_strdup(source->request.arena, path == NULL ? "" : path);
	copy[strcspn(copy, "?")] = '\0';
	return copy;
}

struct http_request *
http_accept(struct http_source *source)
{
	struct http_request *request = &source->request;
	struct arena *arena = request->arena;

	/*
	 * The body is read before the answer, because closing a connection with
	 * unread bytes resets it, and nginx may lose the answer.
	 */
	source->records.body_max = HTTP_BODY_MAX;
	source->fd = connection_accept(source->listen_fd, &source->records,
	    source->timeout_ms);
	if (source->fd < 0) {
		fastcgi_reset(&source->records);
		return NULL;
	}
	*request = (struct http_request){ .arena = arena,
		.method = read_method(parameter(source, "REQUEST_METHOD")),
		.path = read_path(source),
		.query = parameter(source, "QUERY_STRING"),
		.if_none_match = parameter(source, "HTTP_IF_NONE_MATCH"),
		.content_length = parameter(source, "CONTENT_LENGTH"),
		.authorization = parameter(source, "HTTP_AUTHORIZATION"),
		.is_operator = is_operator(source),
		.body = source->records.body.len == 0
		    ? ""
		    : source->records.body.text,
		.body_len = source->records.body.len };
	if (request->query == NULL)
		request->query = "";
	return request;
}

void
http_finish(struct http_source *source)
{
	fastcgi_answer(&source->records, source->head.text, source->head.len,
	    &source->out);
	connection_end(source->fd, &source->out, source->timeout_ms);
	fastcgi_reset(&source->records);
	strbuf_reset(&source->head);
	strbuf_reset(&source->headers);
	strbuf_reset(&source->out);
	arena_reset(source->request.arena);
}

static const char *
reason(int status)
{
	static const struct {
		int status;
		const char *reason;
	} reasons[] = { { 200, "OK" }, { 204, "No Content" },
		{ 304, "Not Modified" }, { 400, "Bad Request" },
		{ 401, "Unauthorized" }, { 403, "Forbidden" },
		{ 404, "Not Found" }, { 405, "Method Not Allowed" },
		{ 409, "Conflict" }, { 413, "Content Too Large" },
		{ 500, "Internal Server Error" },
		{ 503, "Service Unavailable" } };
	size_t i;

	for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Unknown";
}

static void
add_header(struct strbuf *buf, const char *name, const char *value)
{
	strbuf_add_text(buf, name);
	strbuf_add_text(buf, ": ");
	strbuf_add_text(buf, value);
	strbuf_add_text(buf, "\r\n");
}

void
http_header(struct http_request *request, const char *name, const char *value)
{
	add_header(&source_of(request)->headers, name, value);
}

/* Writes the answer, which http_finish sends. */
static void
put_response(struct http_request *request, int status, const char *body)
{
	struct http_source *source = source_of(request);
	struct strbuf *head = &source->head;
	bool bodiless = status == 204 || status == 304;

	request->status = status;
	strbuf_reset(head);
	add_header(head, "Status",
	    arena_printf(request->arena, "%d %s", status, reason(status)));
	if (!bodiless)
		add_header(head, "Content-Length",
		    arena_printf(request->arena, "%zu", strlen(body)));
	add_header(head, "X-Content-Type-Options", "nosniff");
	if (source->headers.len > 0)
		strbuf_add(head, source->headers.text, source->headers.len);
	strbuf_add_text(head, "\r\n");
	if (!bodiless && request->method != HTTP_HEAD)
		strbuf_add_text(head, body);
}

void
http_answer(struct http_request *request, int status, const char *type,
    const char *body)
{
	http_header(request, "Content-Type", type);
	http_header(request, "Cache-Control", "no-store");
	put_response(request, status, body);
}

void
http_no_content(struct http_request *request)
{
	http_header(request, "Cache-Control", "no-store");
	put_response(request, 204, "");
}

void
http_text(struct http_request *request, const char *text)
{
	http_answer(request, 200, "text/plain; charset=utf-8", text);
}

/* FNV-1a of 64 bits, as an entity tag. */
static const char *
make_tag(struct arena *arena, const char *body)
{
	uint64_t hash = 14695981039346656037U;

	for (; *body != '\0'; body++)
		hash = (hash ^ (unsigned char)*body) * 1099511628211U;
	return arena_printf(arena, "\"%016" PRIx64 "\"", hash);
}

/*
 * RFC 9110 section 13.1.2, with weak comparison, because nginx weakens the tag
 * of an answer that it compresses.  A search suffices: our tags have one
 * length and include their quotes, so none is part of another.
 */
static bool
has_already(const struct http_request *request, const char *tag)
{
	const char *wanted = request->if_none_match;

	return wanted != NULL &&
	    (strcmp(wanted, "*") == 0 || strstr(wanted, tag) != NULL);
}

/*
 * Lets nginx share the answer until this second of the clock ends, and for one
 * second more while a request fetches the next answer.  X-Accel-Expires comes
 * first, so that nginx has a time before it reads no-cache, which is for
 * browsers.
 */
static void
add_freshness(struct http_request *request)
{
	http_header(request, "X-Accel-Expires",
	    arena_printf(request->arena, "@%lld", (long long)time(NULL)));
	http_header(request, "Cache-Control",
	    "no-cache, stale-while-revalidate=1");
}

void
http_json(struct http_request *request, const char *json)
{
	const char *tag = make_tag(request->arena, json);

	http_header(request, "Content-Type", "application/json");
	add_freshness(request);
	http_header(request, "ETag", tag);
	put_response(request, has_already(request, tag) ? 304 : 200, json);
}

void
http_error(struct http_request *request, int status, const char *message)
{
	request->problem = arena_strdup(request->arena, message);
	http_answer(request, status, "application/json",
	    arena_printf(request->arena, "{ \"error\": %s }\n",
		value_encode_text(request->arena, message)));
}

void
http_try_again(struct http_request *request, const char *message)
{
	http_header(request, "Retry-After", "1");
	http_error(request, 503, message);
}

bool
http_check_body(struct http_request *request, long max)
{
	const char *text = request->content_length;
	size_t digits;

	if (request->body_len > (size_t)max) {
		http_error(request, 413, "The body is too long");
		return false;
	}
	if (text == NULL || *text == '\0')
		return true;
	digits = strspn(text, "0123456789");
	if (text[digits] != '\0') {
		http_error(request, 400, "Malformed Content-Length");
		return false;
	}
	text += strspn(text, "0");
	if (strlen(text) > 9 || strtol(text, NULL, 10) > max) {
		http_error(request, 413, "The body is too long");
		return false;
	}
	return true;
}

const char *
http_parameter(const struct http_request *request, const char *name)
{
	const char *at = request->query;
	size_t name_len = strlen(name), len;

	for (;;) {
		len = strcspn(at, "&");
		if (len > name_len && at[name_len] == '=' &&
		    strncmp(at, name, name_len) == 0)
			return arena_printf(request->arena, "%.*s",
			    (int)(len - name_len - 1), at + name_len + 1);
		if (at[len] == '\0')
			return NULL;
		at += len + 1;
	}
}

bool
http_is_number(const char *text, long long min, long long max)
{
	size_t len = strspn(text, "0123456789");
	long long number = strtoll(text, NULL, 10);

	return len > 0 && len <= DIGITS_MAX && text[len] == '\0' &&
	    number >= min && number <= max;
}
