/* SPDX-License-Identifier: MIT */
/*
 * GET /product and POST /restock.
 */
#include <stddef.h>

#include <durable/client.h>
#include "fcgi/answer.h"
#include "fcgi/routes.h"
#include "fcgi/site.h"

void
product_get(struct http_request *request, const struct site *site,
    const char *const segments[])
{
	static const struct answer_texts texts = {
		.nothing = "There is no product"
	};
	struct client_answer answer = answer_query(request, site,
	    "select store.product_json()", NULL, NULL);

	(void)segments;
	answer_with_json(request, &answer, &texts);
}

void
product_restock(struct http_request *request, const struct site *site,
    const char *const segments[])
{
	struct client_answer answer = answer_query(request, site,
	    "select store.restock()", NULL, NULL);

	(void)segments;
	answer_when_done(request, &answer);
}
