/* SPDX-License-Identifier: MIT */
/*
 * GET /view, /view/order/{id} and /view/payment/{payment}: all that a view of
 * the page shows, in one answer.  nginx can share the answer of /view, because
 * it is the same for every customer; one with an order or a payment is not.
 */
#include <stddef.h>

#include <durable/client.h>
#include "base/arena.h"
#include "fcgi/answer.h"
#include "fcgi/routes.h"
#include "fcgi/site.h"

/* Answers with the public part and, unless subject is NULL, the subject. */
static void
answer_view(struct http_request *request, const struct site *site,
    const char *subject)
{
	static const struct answer_texts texts = { .nothing = "There is none" };
	const char *before = http_parameter(request, "before");
	bool room = site->machine_room && request->is_operator &&
	    http_parameter(request, "room") != NULL;
	struct client_answer answer;

	if (before != NULL && !http_is_number(before, 0, ORDER_ID_MAX)) {
		http_error(request, 400, "before is the id of an order");
		return;
	}
	answer = answer_query(request, site,
	    room ? "select store.view_json($1, $2, true)"
		 : "select store.view_json($1, $2, false)",
	    before, subject);
	answer_with_json(request, &answer, &texts);
}

void
view_get(struct http_request *request, const struct site *site,
    const char *const segments[])
{
	(void)segments;
	answer_view(request, site, NULL);
}

void
view_get_order(struct http_request *request, const struct site *site,
    const char *const segments[])
{
	if (!http_is_number(segments[0], 0, ORDER_ID_MAX)) {
		http_error(request, 400, "The id of an order is a number");
		return;
	}
	answer_view(request, site,
	    arena_printf(request->arena, "order/%s", segments[0]));
}

void
view_get_payment(struct http_request *request, const struct site *site,
    const char *const segments[])
{
	answer_view(request, site,
	    arena_printf(request->arena, "payment/%s", segments[0]));
}
