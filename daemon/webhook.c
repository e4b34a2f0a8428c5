/* SPDX-License-Identifier: MIT */
/*
 * Posts signed events, by libcurl.
 */
#include "daemon/webhook.h"

#include "base/log.h"

int webhook_timeout_ms = 10000;

#ifdef WITH_NOTIFY

#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "webhook/signature.h"

#define ANSWER_MAX 65536
#define HEADER_LEN (32 + SIGNATURE_SECRETS_MAX * SIGNATURE_LEN)

static const char *receiver;
static struct signature_keys keys;

static bool
is_http(const char *url)
{
	CURLU *parts = curl_url();
	bool is_right = parts != NULL &&
	    (strncasecmp(url, "https://", 8) == 0 ||
		strncasecmp(url, "http://", 7) == 0) &&
	    curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK;

	curl_url_cleanup(parts);
	return is_right;
}

bool
webhook_open(const char *url, const char *secret_file)
{
	struct signature_keys found;

	if (!is_http(url)) {
		log_error("cannot notify '%s': it is no http or https URL",
		    url);
		return false;
	}
	if (secret_file == NULL) {
		log_error("cannot notify '%s': notify-secret-file is not set",
		    url);
		return false;
	}
	if (!signature_read_keys(&found, SIGNATURE_STANDARD, secret_file))
		return false;
	keys = found;
	explicit_bzero(&found, sizeof(found));
	receiver = url;
	return true;
}

/* Writes the header's line of the signatures, one by each secret. */
static void
sign(char line[HEADER_LEN], const char *id, int64_t time_s, const char *body)
{
	char text[SIGNATURE_LEN];
	int len = snprintf(line, HEADER_LEN, "webhook-signature:");
	size_t i;

	for (i = 0; i < keys.count; i++) {
		signature_sign(&keys.secrets[i], id, time_s, body, text);
		len += snprintf(line + len, HEADER_LEN - (size_t)len, " %s",
		    text);
	}
}

static struct curl_slist *
make_headers(const char *id, const char *body)
{
	struct curl_slist *headers = NULL;
	int64_t time_s = time(NULL);
	char line[HEADER_LEN];

	headers = curl_slist_append(headers, "content-type: application/json");
	snprintf(line, sizeof(line), "webhook-id: %s", id);
	headers = curl_slist_append(headers, line);
	snprintf(line, sizeof(line), "webhook-timestamp: %" PRId64, time_s);
	headers = curl_slist_append(headers, line);
	sign(line, id, time_s, body);
	return curl_slist_append(headers, line);
}

/* Reads the answer's body away, up to a limit, so that the line can be used again. */
static size_t
read_away(char *bytes, size_t size, size_t count, void *arg)
{
	size_t *read = arg;

	(void)bytes;
	*read += size * count;
	return *read > ANSWER_MAX ? 0 : size * count;
}

/* The handle, with its connection, is the process's. */
static CURL *
get_handle(void)
{
	static CURL *curl;

	if (curl == NULL && (curl = curl_easy_init()) == NULL)
		abort();
	curl_easy_reset(curl);
	curl_easy_setopt(curl, CURLOPT_URL, receiver);
	/* What is no http is refused at the start, also behind a proxy. */
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)webhook_timeout_ms);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "widget-store");
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, read_away);
	return curl;
}

json_object *
webhook_post(struct step_call *call, json_object *body)
{
	const char *text = json_object_get_string(body), *id = step_key(call);
	struct curl_slist *headers;
	CURL *curl = get_handle();
	size_t answer_len = 0;
	long status = 0;
	CURLcode code;

	/* A tool may have chosen the id of a fork. */
	if (strpbrk(id, "\r\n") != NULL || strlen(id) > HEADER_LEN / 2)
		return step_final_error(call, "Unsendable",
		    "the workflow's id cannot be a header");
	headers = make_headers(id, text);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer_len);
	code = curl_easy_perform(curl);
	curl_slist_free_all(headers);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	if (code != CURLE_OK && code != CURLE_WRITE_ERROR)
		return step_error(call, "NotTaken", "%s",
		    curl_easy_strerror(code));
	if (status == 410)
		return step_final_error(call, "Gone",
		    "the receiver wants no more events (410)");
	if (status < 200 || status > 299)
		return step_error(call, "NotTaken", "status %ld", status);
	return json_object_new_int64(status);
}

#else

bool
webhook_open(const char *url, const char *secret_file)
{
	(void)secret_file;
	log_error("cannot notify '%s': this program is built without libcurl",
	    url);
	return false;
}

json_object *
webhook_post(struct step_call *call, json_object *body)
{
	(void)body;
	return step_error(call, "NotTaken", "there is no libcurl");
}

#endif
