/* SPDX-License-Identifier: MIT */
/*
 * POST /checkout/{key}: starts the checkout workflow of this key, at most once,
 * and answers with its payment id.
 */
#include <stdbool.h>
#include <stddef.h>

#include <durable/client.h>
#include "db/value.h"
#include "fcgi/answer.h"
#include "fcgi/routes.h"
#include "fcgi/site.h"

/*
 * Answers 403 when the client, and not the stock, is why there is no widget;
 * returns whether it has answered.
 */
static bool
answered_refused(struct http_request *request, const struct site *site,
    const char *key)
{
	struct client_answer answer = answer_query(request, site,
	    "select store.refused_checkout($1)", key, NULL);

	if (answer.outcome != CLIENT_ANSWERED)
		return false;
	http_error(request, 403,
	    "Your address has too many unpaid orders: pay or cancel one");
	return true;
}

void
checkout_post(struct http_request *request, const struct site *site,
    const char *const segments[])
{
	static const struct answer_texts texts = {
		.nothing = "Checkout failed to start",
		.conflict = "The key belongs to something else",
		.late = "The checkout is on record and not yet begun: "
			"repeat it with the same key"
	};
	const char *client = http_variable(request, "WS_CLIENT");
	const struct client_start start = { .id = segments[0],
		.name = "checkout_workflow",
		.queue = "checkout",
		.input = client == NULL
		    ? NULL
		    : value_encode_text(request->arena, client),
		.event = "payment_id",
		.timeout_ms = site->wait_timeout_ms };
	struct client_answer answer;

	if (answer_if_full(request, site))
		return;
	answer = answer_start(request, site, &start);
	if (client != NULL && answer.outcome == CLIENT_NOTHING &&
	    answered_refused(request, site, segments[0]))
		return;
	/* The key gets the same answer for ever. */
	if (answer.outcome == CLIENT_GONE)
		answer = answer_query(request, site,
		    "select store.past_answer($1, 'payment_id')", segments[0],
		    NULL);
	answer_with_event(request, &answer, &texts);
}
