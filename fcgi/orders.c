/* SPDX-License-Identifier: MIT */
/*
 * GET /orders and GET /order/{id}.
 */
#include <stddef.h>

#include <durable/client.h>
#include "fcgi/answer.h"
#include "fcgi/routes.h"
#include "fcgi/site.h"

void
orders_get(struct http_request *request, const struct site *site,
    const char *const segments[])
{
	static const struct answer_texts texts = {
		.nothing = "There are no orders"
	};
	const char *limit = http_parameter(request, "limit");
	const char *before = http_parameter(request, "before");
	struct client_answer answer;

	(void)segments;
	if (limit == NULL)
		limit = "20";
	if (!http_is_number(limit, 1, 100)) {
		http_error(request, 400, "limit is a number from 1 to 100");
		return;
	}
	if (before != NULL && !http_is_number(before, 0, ORDER_ID_MAX)) {
		http_error(request, 400, "before is the id of an order");
		return;
	}
	answer = answer_query(request, site, "select store.orders_json($1, $2)",
	    limit, before);
	answer_with_json(request, &answer, &texts);
}

void
orders_get_one(struct http_request *request, const struct site *site,
    const char *const segments[])
{
	static const struct answer_texts texts = { .nothing = "Unknown order" };
	struct client_answer answer;

	if (!http_is_number(segments[0], 0, ORDER_ID_MAX)) {
		http_error(request, 400, "The id of an order is a number");
		return;
	}
	answer = answer_query(request, site,
	    site->machine_room && request->is_operator
		? "select store.watched_order_json($1)"
		: "select store.order_json($1)",
	    segments[0], NULL);
	answer_with_json(request, &answer, &texts);
}
