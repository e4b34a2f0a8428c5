/* SPDX-License-Identifier: MIT */
/*
 * What the durable client said, as HTTP.
 */
#ifndef FCGI_ANSWER_H
#define FCGI_ANSWER_H

#include <stdbool.h>

struct client_answer;
struct http_request;
struct site;

/* What to say where it depends on the resource. */
struct answer_texts {
	const char *nothing;  /* 404 */
	const char *unknown;  /* 404 */
	const char *conflict; /* 409 */
	const char *late;     /* 503: it is on record, ask again */
};

/*
 * Returns true when there is a value.  Else the request has been answered
 * with what the outcome is in HTTP; a text that is NULL is one that cannot
 * be.
 */
bool answer_has_value(struct http_request *request,
    const struct client_answer *answer, const struct answer_texts *texts);

/*
 * Answers 503 at once, and returns true, when so many requests wait for an
 * event already that few threads are left for the others.
 */
bool answer_if_full(struct http_request *request, const struct site *site);

/* Answers with an event: a JSON string's text, other JSON as it is. */
void answer_with_event(struct http_request *request,
    const struct client_answer *answer, const struct answer_texts *texts);

/* Answers with a query's JSON. */
void answer_with_json(struct http_request *request,
    const struct client_answer *answer, const struct answer_texts *texts);

/* Answers a query that only does something with JSON's null. */
void answer_when_done(struct http_request *request,
    const struct client_answer *answer);

#endif
