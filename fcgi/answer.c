/* SPDX-License-Identifier: MIT */
/*
 * Answers of the durable client as answers over HTTP.
 */
#include "fcgi/answer.h"

#include <stdlib.h>

#include <durable/client.h>

#include "base/arena.h"
#include "db/value.h"
#include "fcgi/http.h"
#include "fcgi/site.h"

static struct client_answer
own(struct http_request *request, struct client_answer answer)
{
	if (answer.value != NULL)
		arena_defer(request->arena, free, answer.value);
	return answer;
}

struct client_answer
answer_start(struct http_request *request, const struct site *site,
    const struct client_start *start)
{
	return own(request, client_start(site->client, start));
}

struct client_answer
answer_send(struct http_request *request, const struct site *site,
    const struct client_send *send)
{
	return own(request, client_send(site->client, send));
}

struct client_answer
answer_query(struct http_request *request, const struct site *site,
    const char *sql, const char *param1, const char *param2)
{
	return own(request, client_query(site->client, sql, param1, param2));
}

bool
answer_has_value(struct http_request *request,
    const struct client_answer *answer, const struct answer_texts *texts)
{
	switch (answer->outcome) {
	case CLIENT_ANSWERED:
		return true;
	case CLIENT_NOTHING:
		http_error(request, 404, texts->nothing);
		return false;
	case CLIENT_UNKNOWN:
		http_error(request, 404, texts->unknown);
		return false;
	case CLIENT_CONFLICT:
	case CLIENT_GONE:
		http_error(request, 409, texts->conflict);
		return false;
	case CLIENT_LATE:
		http_try_again(request, texts->late);
		return false;
	case CLIENT_REFUSED:
	case CLIENT_FAILED:
		http_error(request, 500, "The database refused the request");
		return false;
	case CLIENT_UNAVAILABLE:
		http_try_again(request,
		    "The database is not available, try again");
		return false;
	}
	return false;
}

bool
answer_if_full(struct http_request *request, const struct site *site)
{
	if (client_stats(site->client).waiting <
	    (unsigned long)site->waiting_max)
		return false;
	http_try_again(request, "Too many requests wait, try again");
	return true;
}

void
answer_with_event(struct http_request *request,
    const struct client_answer *answer, const struct answer_texts *texts)
{
	const char *text = NULL;
	json_object *value;

	if (!answer_has_value(request, answer, texts))
		return;
	if (value_decode(request->arena, answer->value, VALUE_PORTABLE, &value))
		text = value_text(value);
	http_text(request, text == NULL ? answer->value : text);
}

void
answer_with_json(struct http_request *request,
    const struct client_answer *answer, const struct answer_texts *texts)
{
	if (answer_has_value(request, answer, texts))
		http_json(request, answer->value);
}

void
answer_when_done(struct http_request *request,
    const struct client_answer *answer)
{
	static const struct answer_texts texts = { .nothing = NULL };

	if (answer->outcome == CLIENT_NOTHING ||
	    answer_has_value(request, answer, &texts))
		http_answer(request, 200, "application/json", "null");
}
