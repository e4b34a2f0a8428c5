/* SPDX-License-Identifier: MIT */
/*
 * News of an order for another program.
 */
#include "daemon/notify.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "daemon/webhook.h"

bool notify_is_on;

/* 90 attempts take three days: a weekend and the Monday after it. */
const struct step_type post_event_type = { .name = "post_event",
	.function = webhook_post,
	.max_attempts = 90,
	.first_delay_ms = 1000,
	.max_delay_ms = 3600 * 1000,
	.jitter = 0.2 };

static const char *
rfc3339(struct workflow *wf, int64_t time_ms)
{
	time_t time_s = (time_t)(time_ms / 1000);
	char text[32];
	struct tm tm;

	gmtime_r(&time_s, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	return wf_printf(wf, "%s.%03dZ", text, (int)(time_ms % 1000));
}

/* The body is made here, because each attempt is to send the same one. */
static json_object *
notify(struct workflow *wf, json_object *input)
{
	const char *at = rfc3339(wf, wf_now_ms(wf));
	json_object *body = wf_string(wf,
	    wf_printf(wf,
		"{\"type\":\"%s\",\"timestamp\":\"%s\",\"data\":{\"order_id\":%" PRId64
		"}}",
		json_object_get_string(json_object_object_get(input, "type")),
		at,
		json_object_get_int64(
		    json_object_object_get(input, "order_id"))));

	return json_object_get(wf_step(wf, &post_event_type, body));
}

const struct workflow_type notify_type = { .name = "notify_workflow",
	.version = "1",
	.function = notify };

void
notify_of_order(struct workflow *wf, int64_t order_id, const char *what)
{
	json_object *input;

	if (!notify_is_on)
		return;
	input = wf_own(wf, json_object_new_object());
	/* What json-c had no memory for would tell of no order. */
	if (input == NULL ||
	    json_object_object_add(input, "type",
		json_object_get(
		    wf_string(wf, wf_printf(wf, "order.%s", what)))) != 0 ||
	    json_object_object_add(input, "order_id",
		json_object_get(wf_int64(wf, order_id))) != 0)
		abort();
	/* Without a dot, which separates the parts of what is signed. */
	wf_start(wf, &notify_type,
	    wf_printf(wf, "notify:%" PRId64 ":%s", order_id, what), input);
}
