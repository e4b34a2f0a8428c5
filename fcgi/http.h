/* SPDX-License-Identifier: MIT */
/*
 * HTTP as an application sees it behind nginx: requests come in over FastCGI,
 * each is answered once.  The only door to libfcgi.
 *
 * What a request holds lives until http_finish.  A body is read and forgotten:
 * no request of ours has one.
 */
#ifndef FCGI_HTTP_H
#define FCGI_HTTP_H

#include <stdbool.h>

struct arena;

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_OTHER };

struct http_request {
	enum http_method method;
	const char *path;           /* as it was sent, without the query */
	const char *query;          /* what follows the ?, or "" */
	const char *if_none_match;  /* NULL when there is none */
	const char *content_length; /* NULL or "" when there is none */
	struct arena *arena;        /* for whatever the answer needs */
	int status;                 /* of the answer, 0: not answered yet */
	const char *problem;        /* the message of http_error, if any */
};

/* What a thread receives requests with. */
struct http_source;

/* Once in a process, before the others and before there are threads. */
void http_init(void);

/*
 * Makes a source that takes requests from a listening socket, which may be
 * non-blocking and shared.  The caller frees it with http_source_free.
 */
struct http_source *http_source_new(int listen_fd);
void http_source_free(struct http_source *source);

/*
 * Accepts a connection and reads the request on it.  Returns NULL when there
 * was none after all, be it that another took it.  The request is given back
 * with http_finish before the next is accepted.
 */
struct http_request *http_accept(struct http_source *source);

/* Sends what is left of the answer and forgets the request. */
void http_finish(struct http_source *source);

/* The method's name, for people. */
const char *http_method_name(enum http_method method);

/* Adds a header to the answer to come. */
void
http_header(struct http_request *request, const char *name, const char *value);

/* Answers, once; the body is a text of the content type, not to be stored. */
void http_answer(struct http_request *request, int status, const char *type,
    const char *body);

/* Answers 200 with text, as it is. */
void http_text(struct http_request *request, const char *text);

/*
 * Answers 200 with JSON under a strong ETag (RFC 9110 section 8.8.3), or 304
 * when the client has just that.
 */
void http_json(struct http_request *request, const char *json);

/* Answers with an error as JSON: {"error": message}. */
void http_error(struct http_request *request, int status, const char *message);

/* Answers 503, and that it is worth while to try again in a second. */
void http_try_again(struct http_request *request, const char *message);

/*
 * Whether the request's framing is sound and its body short enough; else it
 * has been answered with 400 or 413.
 */
bool http_check_body(struct http_request *request);

/*
 * The value of a parameter of the query, in the arena, not decoded; NULL when
 * there is none of this name.
 */
const char *
http_parameter(const struct http_request *request, const char *name);

/* Whether the text is a plain number of at most 16 digits in the range. */
bool http_is_number(const char *text, long long min, long long max);

#endif
