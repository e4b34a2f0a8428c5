/* SPDX-License-Identifier: MIT */
/*
 * Answers of the durable client as answers over HTTP.
 */
#ifndef FCGI_ANSWER_H
#define FCGI_ANSWER_H

#include <stdbool.h>

struct client_answer;
struct client_send;
struct client_start;
struct http_request;
struct site;

/*
 * The messages of outcomes that differ from resource to resource; NULL for an
 * outcome that the resource cannot have.
 */
struct answer_texts {
	const char *nothing;  /* 404 */
	const char *unknown;  /* 404 */
	const char *conflict; /* 409 */
	const char *late;     /* 503: recorded, so the client may repeat it */
};

/*
 * Returns true when the client's answer has a value, and leaves the request
 * unanswered.  Otherwise it answers with the status of the outcome and returns
 * false.
 */
bool answer_has_value(struct http_request *request,
    const struct client_answer *answer, const struct answer_texts *texts);

/*
 * Answers 503 and returns true when site->waiting_max requests of this worker
 * wait for events, so that threads remain for requests that only read.
 */
bool answer_if_full(struct http_request *request, const struct site *site);

/*
 * Answers 200 with the value of an event as plain text: the text of a JSON
 * string, other JSON unchanged; without a value as answer_has_value.
 */
void answer_with_event(struct http_request *request,
    const struct client_answer *answer, const struct answer_texts *texts);

/* Answers 200 with a query's JSON; without a value as answer_has_value. */
void answer_with_json(struct http_request *request,
    const struct client_answer *answer, const struct answer_texts *texts);

/*
 * Answers 200 with JSON's null when the query of an action has run, whatever it
 * returned; otherwise as answer_has_value.
 */
void answer_when_done(struct http_request *request,
    const struct client_answer *answer);

/*
 * client_start, client_send and client_query on behalf of a request, which owns
 * the answer's value.
 */
struct client_answer answer_start(struct http_request *request,
    const struct site *site, const struct client_start *start);
struct client_answer answer_send(struct http_request *request,
    const struct site *site, const struct client_send *send);
struct client_answer
answer_query(struct http_request *request, const struct site *site,
    const char *sql, const char *param1, const char *param2);

#endif
