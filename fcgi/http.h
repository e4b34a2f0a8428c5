/* SPDX-License-Identifier: MIT */
/*
 * HTTP behind nginx: requests arrive over FastCGI, and each is answered once.
 * No other file uses libfcgi.
 *
 * A request and all that it points to live until http_finish.  Its body is
 * read and discarded, because no route uses one.
 */
#ifndef FCGI_HTTP_H
#define FCGI_HTTP_H

#include <stdbool.h>

struct arena;

/* The longest body that a route may take, in bytes. */
#define HTTP_BODY_MAX (64 * 1024)

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_OPTIONS, HTTP_OTHER };

struct http_request {
	enum http_method method;
	const char *path;           /* as it was sent, without the query */
	const char *query;          /* what follows the ?, or "" */
	const char *if_none_match;  /* NULL when there is none */
	const char *content_length; /* NULL or "" when there is none */
	const char *authorization;  /* NULL when there is none */
	struct arena *arena;        /* reset by http_finish */
	int status;                 /* of the answer, 0: not answered yet */
	const char *problem;        /* of an error, for the log, or NULL */
};

/* The FastCGI connection of one thread; one request at a time. */
struct http_source;

/*
 * Prepares libfcgi, once in a process, before any other call here and before
 * the first thread.  It ends the process when that fails.
 */
void http_init(void);

/*
 * Makes a source that accepts requests on a listening socket, which may be
 * non-blocking and shared by threads and processes.  The caller owns the
 * source and frees it with http_source_free; the socket stays the caller's.
 */
struct http_source *http_source_new(int listen_fd);
void http_source_free(struct http_source *source);

/*
 * Accepts a connection and reads the request on it; blocks until the request
 * is complete.  Returns NULL when there was no connection, for example because
 * another process accepted it.  The source owns the request; the caller ends
 * it with http_finish before the next http_accept.
 */
struct http_request *http_accept(struct http_source *source);

/*
 * Sends what is left of the answer, closes the connection and resets the
 * request's arena.
 */
void http_finish(struct http_source *source);

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
 * Returns whether the Content-Length is sound and at most max bytes, which is
 * HTTP_BODY_MAX or less; when it returns false it has answered 400 or 413.
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
