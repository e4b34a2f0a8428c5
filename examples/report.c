/* SPDX-License-Identifier: MIT */
/*
 * A nightly report: a schedule starts it; it sums the sales of a day up, posts
 * the sum to a URL and mails it, again and again until each receiver takes it.
 * Needs libcurl and the table sales (at timestamptz, cents int).
 *
 *	select durable.create_schedule('nightly', 'report', '0 0 * * *',
 *	    queue => 'reports', context => '{"period": "1 day",
 *	    "url": "https://example.org/report", "server": "smtp://localhost",
 *	    "from": "store@example.org", "to": "owner@example.org"}');
 */
#include <curl/curl.h>
#include <durable/engine.h>

static const char *
text_of(json_object *object, const char *key)
{
	return json_object_get_string(json_object_object_get(object, key));
}

/* Returns the status of the receiver's answer, which goes to the log. */
static json_object *
transfer(struct step_call *call, CURL *curl, struct curl_slist *list)
{
	long status = 0;

	curl_easy_setopt(curl, CURLOPT_WRITEDATA, stderr);
	if (curl_easy_perform(curl) == CURLE_OK)
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_slist_free_all(list);
	curl_easy_cleanup(curl);
	return status / 100 == 2
	    ? json_object_new_int64(status)
	    : step_error(call, "NotTaken", "status %ld", status);
}

/* In a process of its own; the receiver knows a repetition by its key. */
static json_object *
post(struct step_call *call, json_object *report)
{
	CURL *curl = curl_easy_init();
	struct curl_slist *headers = NULL;
	char line[400];

	snprintf(line, sizeof(line), "Idempotency-Key: %s", step_key(call));
	headers = curl_slist_append(headers, line);
	curl_easy_setopt(curl, CURLOPT_URL, text_of(report, "url"));
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text_of(report, "text"));
	return transfer(call, curl, headers);
}

/* Two letters with one Message-ID are one letter. */
static json_object *
mail(struct step_call *call, json_object *report)
{
	CURL *curl = curl_easy_init();
	struct curl_slist *to = curl_slist_append(NULL, text_of(report, "to"));
	FILE *letter = tmpfile();
	json_object *status;

	fprintf(letter,
	    "From: %s\r\nTo: %s\r\nMessage-ID: <%s@report>\r\n"
	    "Subject: The sales\r\n\r\n%s\r\n",
	    text_of(report, "from"), text_of(report, "to"), step_key(call),
	    text_of(report, "text"));
	rewind(letter);
	curl_easy_setopt(curl, CURLOPT_URL, text_of(report, "server"));
	curl_easy_setopt(curl, CURLOPT_MAIL_FROM, text_of(report, "from"));
	curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, to);
	curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(curl, CURLOPT_READDATA, letter);
	status = transfer(call, curl, to);
	fclose(letter);
	return status;
}

static const struct step_type post_type = { .name = "post",
	.function = post,
	.max_attempts = 100 };
static const struct step_type mail_type = { .name = "mail",
	.function = mail,
	.max_attempts = 100 };

/* The arguments of a schedule: the time for which it fires, and its context. */
static json_object *
report(struct workflow *wf, json_object *time)
{
	json_object *message = wf_argument(wf, 1);
	const char *const params[] = { json_object_get_string(time),
		text_of(message, "period") };
	json_object *text = wf_sql(wf, "sum_up",
	    "select coalesce(sum(cents), 0) || ' cents' from sales "
	    "where at >= $1::timestamptz - $2::interval and at < $1::timestamptz",
	    2, params);

	json_object_object_add(message, "text", json_object_get(text));
	wf_step(wf, &post_type, message);
	wf_step(wf, &mail_type, message);
	return json_object_get(text);
}

int
main(void)
{
	static const struct workflow_type daily = { .name = "report",
		.version = "1",
		.function = report };
	static const struct workflow_type *const types[] = { &daily, NULL };
	static const struct step_type *const steps[] = { &post_type, &mail_type,
		NULL };
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
