/* SPDX-License-Identifier: MIT */
/*
 * GET /payment/{payment}: the payment's order, and until when it can be paid.
 * POST /payment_webhook/{payment}/{status}: sends the checkout workflow the
 * payment's status, once, and answers with the order id.
 */
#include <string.h>

#include <durable/client.h>
#include "base/arena.h"
#include "fcgi/answer.h"
#include "fcgi/routes.h"
#include "fcgi/site.h"

/*
 * A word that is none of these may mean that the payment is not decided yet,
 * so it must not cancel the order.
 */
static bool
is_status(const char *word)
{
	return strcmp(word, "paid") == 0 || strcmp(word, "failed") == 0;
}

void
payment_post(struct http_request *request, const struct site *site,
    const char *const segments[])
{
	static const struct answer_texts texts = {
		.nothing = "Payment failed to process",
		.unknown = "Unknown payment",
		.late = "The payment is on record and not yet processed: "
			"repeat it"
	};
	/* A constant key: each payment gets one message, the first one. */
	const struct client_send send = { .id = segments[0],
		.name = "checkout_workflow",
		.topic = "payment_status",
		.key = "payment_status",
		.message = arena_printf(request->arena, "\"%s\"", segments[1]),
		.event = "order_id",
		.timeout_ms = site->wait_timeout_ms };
	struct client_answer answer;

	if (!is_status(segments[1])) {
		http_error(request, 400,
		    "The status of a payment is paid or failed");
		return;
	}
	if (answer_if_full(request, site))
		return;
	answer = answer_send(request, site, &send);
	answer_with_event(request, &answer, &texts);
}

void
payment_get(struct http_request *request, const struct site *site,
    const char *const segments[])
{
	static const struct answer_texts texts = {
		.nothing = "Unknown payment"
	};
	struct client_answer answer;

	answer = answer_query(request, site, "select store.payment_json($1)",
	    segments[0], NULL);
	answer_with_json(request, &answer, &texts);
}
