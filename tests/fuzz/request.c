/* SPDX-License-Identifier: MIT */
/*
 * Requests: every request is answered once and well-formed, and only keys and
 * numbers reach the database.
 *
 * Input, a line each: method, path, query, If-None-Match, Content-Length (a
 * line of one tilde is none), a letter for the database's outcome; then its
 * answer.  The harness replaces connections and the client half.
 */
#include "fuzz.h"

#include <json-c/json_tokener.h>

#include <durable/client.h>
#include "base/strbuf.h"
#include "db/db.h"
#include "fcgi/connection.h"
#include "fcgi/fastcgi.h"
#include "fcgi/http.h"
#include "fcgi/routes.h"
#include "fcgi/site.h"

static const char *const names[] = { "REQUEST_METHOD", "DOCUMENT_URI",
	"QUERY_STRING", "HTTP_IF_NONE_MATCH", "CONTENT_LENGTH" };
#define NAMES (sizeof(names) / sizeof(names[0]))

static struct {
	const char *fields[NAMES];
	char letter;
	const char *value;
	struct strbuf sent; /* the answer, without records */
	int answers;
} world;

/* The connection. */

static void
add_length(struct strbuf *pairs, size_t len)
{
	const unsigned char bytes[4] = { (unsigned char)(len >> 24 | 0x80),
		(unsigned char)(len >> 16), (unsigned char)(len >> 8),
		(unsigned char)len };

	strbuf_add(pairs, (const char *)bytes, sizeof(bytes));
}

static void
add_pair(struct strbuf *pairs, const char *name, const char *value)
{
	if (value == NULL)
		return;
	add_length(pairs, strlen(name));
	add_length(pairs, strlen(value));
	strbuf_add_text(pairs, name);
	strbuf_add_text(pairs, value);
}

/* The request is read, and has no body. */
int
connection_accept(int listen_fd, struct fastcgi *request, int timeout_ms)
{
	size_t i;

	(void)listen_fd, (void)timeout_ms;
	request->id = 1;
	for (i = 0; i < NAMES; i++)
		add_pair(&request->params, names[i], world.fields[i]);
	if (world.letter != 'u')
		add_pair(&request->params, "HTTP_AUTHORIZATION",
		    "Bearer token");
	return 0;
}

/* Takes the content out of the answer's records. */
void
connection_end(int fd, const struct strbuf *answer, int timeout_ms)
{
	const unsigned char *at = (const unsigned char *)answer->text;
	const unsigned char *end = at + answer->len;
	size_t len;
	int ends = 0;

	(void)fd, (void)timeout_ms;
	for (; at < end; at += 8 + len + at[6]) {
		require(end - at >= 8 && at[0] == 1 && at[3] == 1,
		    "an answer is made of records");
		len = (size_t)at[4] << 8 | at[5];
		require((size_t)(end - at) >= 8 + len, "a record is whole");
		if (at[1] == 6)
			strbuf_add(&world.sent, (const char *)at + 8, len);
		ends += at[1] == 3;
	}
	require(ends == 1, "a request ends once");
	world.answers++;
}

/* The client half. */

static void
expect_key(const char *text)
{
	size_t len = strspn(text,
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789._~-");

	require(len > 0 && len <= 128 && text[len] == '\0',
	    "a key has 1 to 128 allowed characters");
}

static void
expect_id(const char *text)
{
	size_t len = strspn(text,
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789._~-:");

	require(len > 0 && len <= 256 && text[len] == '\0',
	    "an id has 1 to 256 allowed characters");
}

static void
expect_number(const char *text)
{
	require(text == NULL ||
		(*text != '\0' && text[strspn(text, "0123456789")] == '\0' &&
		    strtoll(text, NULL, 10) <= ORDER_ID_MAX),
	    "a number is exact in the page's script");
}

/*
 * The database's answer: a letter for each outcome, in their order, of which
 * each call has some; f means that too many requests wait.
 */
static struct client_answer
say(const char *possible)
{
	static const char letters[] = "anuclrw";
	struct client_answer answer = { .outcome = CLIENT_NOTHING };

	if (world.letter != '\0' && strchr(possible, world.letter) != NULL)
		answer.outcome = (enum client_outcome)(
		    strchr(letters, world.letter) - letters);
	if (answer.outcome == CLIENT_ANSWERED)
		answer.value = strdup(world.value);
	return answer;
}

struct client_answer
client_start(struct client *client, const struct client_start *start)
{
	(void)client;
	expect_key(start->id);
	return say("anclrw");
}

struct client_answer
client_send(struct client *client, const struct client_send *send)
{
	json_object *message = json_tokener_parse(send->message);

	(void)client;
	expect_key(send->id);
	require(json_object_is_type(message, json_type_string) &&
		(strcmp(json_object_get_string(message), "paid") == 0 ||
		    strcmp(json_object_get_string(message), "failed") == 0),
	    "a message is a known status of a payment");
	json_object_put(message);
	return say("anulrw");
}

/* A view's subject is NULL, order/N or payment/KEY. */
static void
expect_subject(const char *text)
{
	if (text == NULL)
		return;
	if (strncmp(text, "order/", 6) == 0)
		expect_number(text + 6);
	else if (strncmp(text, "payment/", 8) == 0)
		expect_key(text + 8);
	else
		require(false, "a view is of an order or a payment");
}

struct client_answer
client_query(struct client *client, const char *sql, const char *param1,
    const char *param2)
{
	(void)client;
	if (strstr(sql, "payment_json") != NULL ||
	    strstr(sql, "refund_late") != NULL)
		expect_key(param1);
	else if (strstr(sql, "workflow_json") != NULL)
		expect_id(param1);
	else
		expect_number(param1);
	if (strstr(sql, "view_json") != NULL)
		expect_subject(param2);
	else
		expect_number(param2);
	/* This one returns the number of an order, or null. */
	if (strstr(sql, "refund_late") != NULL)
		world.value = "12";
	return say("anrw");
}

struct client_stats
client_stats(struct client *client)
{
	(void)client;
	return (
	    struct client_stats){ .waiting = world.letter == 'f' ? 100 : 0 };
}

/* The connection of the operators' view. */

struct db *
db_new(const char *conninfo, const char *application_name)
{
	(void)conninfo, (void)application_name;
	return (struct db *)&world;
}

bool
db_connect(struct db *db, const char *setup)
{
	(void)db, (void)setup;
	require(world.letter != 'u', "an operator gives the token");
	return world.letter != 'f';
}

const struct db_rows *
db_query(struct db *db, struct arena *arena, const char *sql, size_t nparams,
    const char *const params[])
{
	size_t i;

	(void)arena, (void)sql;
	for (i = 0; i < nparams; i++)
		if (params[i] != NULL)
			expect_id(params[i]);
	return world.letter == 'r' ? NULL : (const struct db_rows *)db;
}

const char *
db_value(const struct db_rows *rows, size_t row, int column)
{
	(void)rows, (void)row, (void)column;
	return world.letter == 'n' ? NULL : "[]";
}

const struct db_error *
db_last_error(const struct db *db)
{
	static const struct db_error error = { .outcome = DB_REFUSED,
		.message = "a \"message\"" };

	(void)db;
	return &error;
}

void
db_free(struct db *db)
{
	(void)db;
}

/* The routes that need no database. */

static void
answer_ok(struct http_request *request, const struct site *site,
    const char *const segments[])
{
	(void)site;
	(void)segments;
	http_text(request, "ok\n");
}

route_handler crash_all __attribute__((alias("answer_ok")));
route_handler crash_web __attribute__((alias("answer_ok")));
route_handler crash_everything __attribute__((alias("answer_ok")));
route_handler crash_executor __attribute__((alias("answer_ok")));
route_handler crash_database __attribute__((alias("answer_ok")));
route_handler health_get __attribute__((alias("answer_ok")));
route_handler health_get_ready __attribute__((alias("answer_ok")));
route_handler metrics_get __attribute__((alias("answer_ok")));

static void
read_world(struct arena *arena, struct input *input)
{
	size_t i;

	strbuf_reset(&world.sent);
	world.answers = 0;
	for (i = 0; i < NAMES; i++) {
		world.fields[i] = input_line(arena, input);
		if (strcmp(world.fields[i], "~") == 0)
			world.fields[i] = NULL;
	}
	world.letter = *input_line(arena, input);
	world.value = input_take(arena, input, '\0');
}

/* Answers as serve.c does; returns the match. */
static struct route_match
answer(struct http_request *request, const struct site *site)
{
	struct route_match match = route_find(routes, request);

	switch (match.outcome) {
	case ROUTE_FOUND:
		if (http_check_body(request, routes_body_max(match.route)))
			match.route->handler(request, site, match.segments);
		break;
	case ROUTE_UNKNOWN:
		http_error(request, 404, "Not found");
		break;
	case ROUTE_MALFORMED:
		http_error(request, 400, "Malformed");
		break;
	case ROUTE_OPTIONS:
		http_header(request, "Allow", match.allow);
		http_no_content(request);
		break;
	case ROUTE_WRONG_METHOD:
		http_header(request, "Allow", match.allow);
		http_error(request, 405, "Method not allowed");
		break;
	}
	return match;
}

/* The pattern, filled with the segments, is the path. */
static void
expect_path(struct arena *arena, const struct route_match *match,
    const char *path)
{
	const char *const *segment = match->segments;
	const char *at = match->route->pattern, *brace;
	char *made = arena_strdup(arena, "");

	for (; (brace = strchr(at, '{')) != NULL; at = strchr(brace, '}') + 1)
		made = arena_printf(arena, "%s%.*s%s", made, (int)(brace - at),
		    at, *segment++);
	made = arena_printf(arena, "%s%s", made, at);
	require(strcmp(made, path) == 0, "a route's pattern matches its path");
}

static void
expect_headers(const char *at, const char *end)
{
	for (; at < end; at += 2) {
		size_t len = strcspn(at, "\r\n"), i;

		require(strncmp(at + len, "\r\n", 2) == 0,
		    "a header ends with CR LF");
		require(memchr(at, ':', len) != NULL, "a header has a name");
		for (i = 0; i < len; i++)
			require((unsigned char)at[i] >= ' ',
			    "a header has no control characters");
		at += len;
	}
}

static void
expect_error_body(const char *body)
{
	json_object *json = json_tokener_parse(body), *text;

	require(json_object_object_get_ex(json, "error", &text),
	    "an error has a JSON body with its text");
	json_object_put(json);
}

static void
expect_answer(enum http_method method, int status)
{
	const char *head = world.sent.text, *body = strstr(head, "\r\n\r\n");
	const char *length = strstr(head, "Content-Length: ");
	size_t body_len, told;

	require(body != NULL, "an answer's headers end with an empty line");
	expect_headers(head, body + 2);
	body_len = strlen(body += 4);
	require(strtol(head + strlen("Status: "), NULL, 10) == status,
	    "the status sent is the status counted");
	if (status == 204 || status == 304) {
		require(body_len == 0 && (length == NULL || length >= body),
		    "204 and 304 have no body");
		return;
	}
	require(length != NULL && length < body,
	    "an answer has a Content-Length");
	told = strtoul(length + strlen("Content-Length: "), NULL, 10);
	require(method == HTTP_HEAD ? body_len == 0 : told == body_len,
	    "Content-Length is the length of the body");
	if (status >= 400 && method != HTTP_HEAD)
		expect_error_body(body);
}

/* A parameter's value is a part of the query. */
static void
try_parameters(const struct http_request *request)
{
	static const char *const wanted[] = { "limit", "before", "", "=" };
	size_t i;

	for (i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		const char *value = http_parameter(request, wanted[i]);

		require(value == NULL ||
			(strchr(value, '&') == NULL &&
			    strstr(request->query, value) != NULL),
		    "a parameter's value is a part of the query");
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct site site = { .operator_conninfo = "",
		.operator_token = "token",
		.waiting_max = 50 };
	struct arena *arena = arena_new();
	struct input input = input_of(data, size);
	struct http_source *source;
	struct http_request *request;
	struct route_match match;
	enum http_method method;
	int status;

	http_init();
	read_world(arena, &input);
	source = http_source_new(0, 1000);
	request = http_accept(source);
	try_parameters(request);
	match = answer(request, &site);
	if (match.outcome == ROUTE_FOUND)
		expect_path(arena, &match, request->path);
	method = request->method;
	status = request->status;
	http_finish(source);
	require(world.answers == 1, "a request is answered once");
	expect_answer(method, status);
	http_source_free(source);
	arena_free(arena);
	return 0;
}
