/* SPDX-License-Identifier: MIT */
/*
 * GET /payment/{payment}: the payment's order, and until when it can be paid.
 * POST /payment_webhook/{payment}/{status}: sends the checkout workflow the
 * payment's status, once, and answers with the order id; a payment that the
 * checkout did not wait for any more is recorded for a refund.
 * POST /payment_webhook: the same, of a signed event in the body.  With
 * --webhook-secret-file only this one counts.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <json-c/json_tokener.h>

#include <durable/client.h>
#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "fcgi/answer.h"
#include "fcgi/routes.h"
#include "fcgi/site.h"
#include "webhook/signature.h"

#define JSON_DEPTH   32
#define COMPLAINT_MS 1000

static const struct answer_texts texts = {
	.nothing = "Payment failed to process",
	.unknown = "Unknown payment",
	.late = "The payment is on record and not yet processed: repeat it"
};

/*
 * A word that is none of these may mean that the payment is not decided yet,
 * so it must not cancel the order.
 */
static bool
is_status(const char *word)
{
	return strcmp(word, "paid") == 0 || strcmp(word, "failed") == 0;
}

/*
 * Whether the checkout may have ended without this payment: it has set no
 * event, or a number (see daemon/checkout.c), or a tool has deleted it.
 */
static bool
may_be_late(const struct client_answer *answer)
{
	return answer->outcome == CLIENT_NOTHING ||
	    answer->outcome == CLIENT_UNKNOWN ||
	    (answer->outcome == CLIENT_ANSWERED && *answer->value != '"');
}

/*
 * Records the payment for a refund, in the transaction whose commit precedes
 * the answer, unless it was taken.  Returns whether it has answered.  A
 * provider without an answer repeats the payment, which records it once.
 */
static bool
answered_late(struct http_request *request, const struct site *site,
    const char *payment)
{
	struct client_answer answer = answer_query(request, site,
	    "select store.refund_late_payment($1)", payment, NULL);

	if (answer.outcome == CLIENT_NOTHING)
		return false;
	if (!answer_has_value(request, &answer, &texts))
		return true;
	log_warning("a payment of order %s came too late: it is recorded for "
		    "a refund",
	    answer.value);
	request->problem = "too late";
	http_answer(request, 409, "application/json",
	    arena_printf(request->arena,
		"{ \"order_id\": %s, \"error\": \"The payment came too late and "
		"is recorded for a refund\" }\n",
		answer.value));
	return true;
}

/* Sends a payment's status, and answers. */
static void
settle(struct http_request *request, const struct site *site,
    const char *payment, const char *status)
{
	/* A constant key: each payment gets one message, the first one. */
	const struct client_send send = { .id = payment,
		.name = "checkout_workflow",
		.topic = "payment_status",
		.key = "payment_status",
		.message = arena_printf(request->arena, "\"%s\"", status),
		.event = "order_id",
		.timeout_ms = site->wait_timeout_ms };
	struct client_answer answer, past = { .outcome = CLIENT_NOTHING };

	if (answer_if_full(request, site))
		return;
	answer = answer_send(request, site, &send);
	if (answer.outcome == CLIENT_UNKNOWN)
		past = answer_query(request, site,
		    "select store.past_answer($1, 'order_id')", payment, NULL);
	/* Its checkout was deleted: the payment has the same answer for ever. */
	if (past.outcome != CLIENT_NOTHING)
		answer = past;
	if (strcmp(status, "paid") == 0 && may_be_late(&answer) &&
	    answered_late(request, site, payment))
		return;
	answer_with_event(request, &answer, &texts);
}

void
payment_post(struct http_request *request, const struct site *site,
    const char *const segments[])
{
	if (!is_status(segments[1]))
		http_error(request, 400,
		    "The status of a payment is paid or failed");
	else if (site->webhook_keys != NULL)
		http_error(request, 403, "Only signed payments count");
	else
		settle(request, site, segments[0], segments[1]);
}

/* Logs why a signed payment is refused, at most once a second. */
static void
complain_of(const char *reason)
{
	static _Atomic int64_t next_ms;
	int64_t now_ms = clock_monotonic_ms(), due_ms = atomic_load(&next_ms);

	if (now_ms >= due_ms &&
	    atomic_compare_exchange_strong(&next_ms, &due_ms,
		now_ms + COMPLAINT_MS))
		log_warning("a signed payment is refused: %s", reason);
}

static bool
is_signed_well(struct http_request *request, const struct site *site)
{
	bool is_stripe = site->webhook_keys->scheme == SIGNATURE_STRIPE;
	const struct signature_message message = { .id = http_variable(request,
						       "HTTP_WEBHOOK_ID"),
		.timestamp = http_variable(request, "HTTP_WEBHOOK_TIMESTAMP"),
		.signature = http_variable(request,
		    is_stripe ? "HTTP_STRIPE_SIGNATURE"
			      : "HTTP_WEBHOOK_SIGNATURE"),
		.body = request->body,
		.body_len = request->body_len };
	const char *reason = signature_check(site->webhook_keys, &message,
	    time(NULL));

	if (reason == NULL)
		return true;
	complain_of(reason);
	http_error(request, 403,
	    arena_printf(request->arena, "The payment is refused: %s", reason));
	return false;
}

static const char *
status_of(const char *type)
{
	static const char *const types[][2] = { { "payment.paid", "paid" },
		{ "payment.failed", "failed" },
		{ "payment_intent.succeeded", "paid" },
		{ "payment_intent.canceled", "failed" } };
	size_t i;

	for (i = 0; type != NULL && i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(type, types[i][0]) == 0)
			return types[i][1];
	return NULL;
}

/* The text at the end of a path of members, or NULL. */
static const char *
text_at(json_object *json, const char *const path[])
{
	for (; *path != NULL; path++)
		if (!json_object_object_get_ex(json, *path, &json))
			return NULL;
	return json_object_is_type(json, json_type_string)
	    ? json_object_get_string(json)
	    : NULL;
}

static void
release(void *json)
{
	json_object_put(json);
}

/* Parses the body; the request owns the result, NULL when it is no JSON. */
static json_object *
parse_body(struct http_request *request)
{
	struct json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH);
	json_object *json;

	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	json = json_tokener_parse_ex(tokener, request->body,
	    (int)request->body_len + 1);
	json_tokener_free(tokener);
	if (json != NULL)
		arena_defer(request->arena, release, json);
	return json;
}

/*
 * Payment and status are in the body, which is signed, and not in the path,
 * which is not: with the path of another payment a signature would pay for it.
 * A repeated event decides nothing, because a payment's first status counts.
 */
void
payment_post_signed(struct http_request *request, const struct site *site,
    const char *const segments[])
{
	static const char *const type_path[] = { "type", NULL };
	static const char *const ours[] = { "data", "payment_id", NULL };
	static const char *const stripes[] = { "data", "object", "metadata",
		"payment_id", NULL };
	const char *status, *payment;
	json_object *event;

	(void)segments;
	if (site->webhook_keys == NULL) {
		http_error(request, 400,
		    "Signed payments are not accepted here");
		return;
	}
	if (!is_signed_well(request, site))
		return;
	event = parse_body(request);
	status = status_of(text_at(event, type_path));
	payment = text_at(event, ours);
	if (payment == NULL)
		payment = text_at(event, stripes);
	if (status == NULL || payment == NULL || !route_is_key(payment)) {
		complain_of("its event is none of a payment that was paid or "
			    "failed");
		http_error(request, 400,
		    "The event has to say which payment was paid or failed");
		return;
	}
	settle(request, site, payment, status);
}

void
payment_get(struct http_request *request, const struct site *site,
    const char *const segments[])
{
	static const struct answer_texts unknown = {
		.nothing = "Unknown payment"
	};
	struct client_answer answer;

	answer = answer_query(request, site, "select store.payment_json($1)",
	    segments[0], NULL);
	answer_with_json(request, &answer, &unknown);
}
