/* SPDX-License-Identifier: MIT */
/*
 * A nightly report: at the end of each day (UTC) sums the sales up and posts the
 * sum to a URL, again and again until the receiver takes it.  Needs libcurl and
 * the table
 *
 *	sales (at timestamptz default now(), cents int)
 *
 *	select dbos.enqueue_workflow('report', 'reports', array[
 *	    '{"url": "https://example.org/report", "every_ms": 86400000}'::json],
 *	    workflow_id => 'nightly');
 */
#include <curl/curl.h>
#include <durable/engine.h>

static const char *
text_of(json_object *object, const char *key)
{
	return json_object_get_string(json_object_object_get(object, key));
}

static size_t
ignore(char *bytes, size_t size, size_t count, void *arg)
{
	(void)bytes;
	(void)arg;
	return size * count;
}

/* The status of the answer; 0: there is none. */
static long
post_text(const char *url, const char *key, const char *text)
{
	struct curl_slist *headers = NULL;
	CURL *curl = curl_easy_init();
	char line[400];
	long status = 0;

	snprintf(line, sizeof(line), "Idempotency-Key: %s", key);
	headers = curl_slist_append(headers, line);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, ignore);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, 20L);
	if (curl_easy_perform(curl) == CURLE_OK)
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
	return status;
}

/* In a process of its own; the receiver knows a repetition by its key. */
static json_object *
post(struct step_call *call, json_object *argument)
{
	long status = post_text(text_of(argument, "url"), step_key(call),
	    text_of(argument, "text"));

	if (status >= 200 && status < 300)
		return json_object_new_int64(status);
	if (status >= 400 && status < 500)
		return step_final_error(call, "Refused", "status %ld", status);
	return step_error(call, "NotTaken", "status %ld", status);
}

static const struct step_type post_type = { .name = "post",
	.function = post,
	.max_attempts = 100,
	.first_delay_ms = 1000,
	.max_delay_ms = 600000,
	.jitter = 0.2 };

static json_object *
report(struct workflow *wf, json_object *input)
{
	int64_t every_ms = json_object_get_int64(
	    json_object_object_get(input, "every_ms"));
	const char *params[] = { NULL, NULL };
	json_object *message = wf_own(wf, json_object_new_object());
	int64_t end_ms;

	end_ms = (wf_now_ms(wf) / every_ms + 1) * every_ms;
	wf_sleep(wf, end_ms - wf_now_ms(wf));
	params[0] = wf_number(wf, end_ms - every_ms);
	params[1] = wf_number(wf, end_ms);
	json_object_object_add(message, "text",
	    json_object_get(wf_sql(wf, "sum_up",
		"select coalesce(sum(cents), 0) || ' cents' from sales "
		"where at >= to_timestamp($1::float8 / 1000) "
		"and at < to_timestamp($2::float8 / 1000)",
		2, params)));
	json_object_object_add(message, "url",
	    json_object_get(json_object_object_get(input, "url")));
	wf_step(wf, &post_type, message);
	wf_continue(wf, input);
}

int
main(void)
{
	static const struct workflow_type report_type = { .name = "report",
		.version = "1",
		.function = report };
	static const struct workflow_type *const types[] = { &report_type,
		NULL };
	static const struct step_type *const steps[] = { &post_type, NULL };
	static const char *const queues[] = { "reports", DURABLE_INTERNAL_QUEUE,
		NULL };
	static const struct engine engine = { .conninfo = "",
		.application = "reporter",
		.executor = "here",
		.types = types,
		.steps = steps,
		.queues = queues,
		.turn_size = 64,
		.turn_limit_s = 30,
		.max_attempts = 10 };

	return durable_run(&engine, 1);
}
