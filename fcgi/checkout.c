/* SPDX-License-Identifier: MIT */
/*
 * POST /checkout/{key}: starts the checkout workflow of this key, at most once,
 * and answers with its payment id.
 */
#include <stddef.h>

#include <durable/client.h>
#include "fcgi/answer.h"
#include "fcgi/routes.h"
#include "fcgi/site.h"

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
	const struct client_start start = { .id = segments[0],
		.name = "checkout_workflow",
		.queue = "checkout",
		.event = "payment_id",
		.timeout_ms = site->wait_timeout_ms };
	struct client_answer answer;

	if (answer_if_full(request, site))
		return;
	answer = answer_start(request, site, &start);
	answer_with_event(request, &answer, &texts);
}
