/* SPDX-License-Identifier: MIT */
/*
 * HTTP behind nginx: requests arrive over FastCGI, and each is answered once.
 *
 * A request and all that it points to live until http_finish.
 */
#ifndef FCGI_HTTP_H
#define FCGI_HTTP_H

#include <stdbool.h>
#include <stddef.h>

struct arena;

/* The longest body that a route may take, in bytes. */
#define HTTP_BODY_MAX (64L * 1024)

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_OPTIONS, HTTP_OTHER };

struct http_request {
	enum http_method method;
	const char *path;           /* as it was sent, without the query */
	const char *query;          /* what follows the ?, or "" */
	const char *if_none_match;  /* NULL when there is none */
	const char *content_length; /* NULL or "" when there is none */
	const char *authorization;  /* NULL when there is none */
	bool is_operator;           /* so nginx says; see operator.conf */
	const char *body;           /* its bytes, and a NUL behind them */
	size_t body_len;            /* at most HTTP_BODY_MAX, or one more */
	struct arena *arena;        /* reset by http_finish */
	int status;                 /* of the answer, 0: not answered yet */
	const char *problem;        /* of an error, for the log, or NULL */
};

/* The FastCGI connection of one thread; one request at a time. */
struct http_source;

/*
 * Ignores the signals that a connection or a log rotation may send; once in a
 * process, before the first thread.
 */
void http_init(void);

/*
 * Makes a source that accepts requests on a listening socket, which may be
 * non-blocking and shared by threads and processes.  A client may take
 * timeout_ms to send its request, and as long to receive the answer.  The
 * caller owns the source and frees it with http_source_free; the socket stays
 * the caller's.
 */
struct http_source *http_source_new(int listen_fd, int timeout_ms);
void http_source_free(struct http_source *source);

/*
 * Accepts a connection and reads the request on it; blocks until the request
 * is complete.  Returns NULL when there was no connection, for example because
 * another process accepted it, or no well-formed request in time on it.  The
 * source owns the request; the caller ends
 * it with http_finish before the next http_accept.
 */
struct http_request *http_accept(struct http_source *source);

/*
 * Sends what is left of the answer, closes the connection and resets the
 * request's arena.
 */
void http_finish(struct http_source *source);

/*
 * Returns what the site sends under this name, as HTTP_WEBHOOK_ID, in the
 * request's arena; NULL when it sends nothing.
 */
const char *http_variable(struct http_request *request, const char *name);

/* The method's name for the log, or "a request". */
const char *http_method_name(enum http_method method);

/* Adds a header to the answer; must come before the call that answers. */
void
http_header(struct http_request *request, const char *name, const char *value);

/*
 * Answers with a status and a body of the content type, and tells caches not
 * to store it.  May block while the connection takes no bytes.
 */
void http_answer(struct http_request *request, int status, const char *type,
    const char *body);

/* Answers 204, without a body. */
void http_no_content(struct http_request *request);

/* Answers 200 with the text, as text/plain in UTF-8. */
void http_text(struct http_request *request, const char *text);

/*
 * Answers 200 with JSON and its strong entity tag (RFC 9110 section 8.8.3), or
 * 304 when the request's If-None-Match has this tag.  nginx may share the
 * answer until the second ends.
 */
void http_json(struct http_request *request, const char *json);

/* Answers with an error as JSON, {"error": message}, and sets problem. */
void http_error(struct http_request *request, int status, const char *message);

/* Answers 503 as http_error does, with Retry-After: 1 (second). */
void http_try_again(struct http_request *request, const char *message);

/*
 * Returns whether the Content-Length is sound, and it and the body have at most
 * max bytes, which is HTTP_BODY_MAX or less; when it returns false it has
 * answered 400 or 413.
 */
bool http_check_body(struct http_request *request, long max);

/*
 * Returns the value of the query's first parameter of this name, in the
 * request's arena and not decoded; NULL when there is none.
 */
const char *
http_parameter(const struct http_request *request, const char *name);

/* Whether the text is 1 to 16 decimal digits and its value in the range. */
bool http_is_number(const char *text, long long min, long long max);

#endif
