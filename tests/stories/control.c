/* SPDX-License-Identifier: MIT */
/*
 * What a C program does with workflows that it does not run: options, results,
 * lists, control, and enqueueing in a transaction of its own.  control.tap
 * starts the cluster and this program, which runs a daemon beside itself.
 */
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include <durable/client.h>
#include "tests/stories/story.h"
#include "tests/unit/tap.h"

#define WAIT_MS (WAIT_S * 1000)

static struct client *client;

static json_object *
echo(struct workflow *wf, json_object *input)
{
	(void)wf;
	return json_object_get(input);
}

static json_object *
broken(struct workflow *wf, json_object *input)
{
	(void)input;
	wf_fail(wf, "Broken", "it broke");
}

static const struct workflow_type types[] = { TYPE(echo), TYPE(broken),
	TYPE(sleeper), TYPE(listener) };

/* The outcome of an answer; its value is in value until the next call. */
static const char *value;

static enum client_outcome
outcome(struct client_answer answer)
{
	value = answer.value;
	if (answer.value != NULL)
		arena_defer(arena, free, answer.value);
	return answer.outcome;
}

static struct client_enqueue
job(const char *id, const char *name, const char *input)
{
	return (struct client_enqueue){ .id = id,
		.name = name,
		.queue = "test",
		.input = input };
}

static enum client_outcome
enqueue(const char *id, const char *name, const char *input)
{
	const struct client_enqueue wanted = job(id, name, input);

	return outcome(client_enqueue(client, &wanted));
}

static void
test_results(void)
{
	is_int(enqueue("a", "echo", "{\"x\":[1,\"\\\"\"]}"), CLIENT_ANSWERED,
	    "a workflow is enqueued");
	is_str(value, "a", "its id is the value");
	is_int(outcome(client_result(client, "a", WAIT_MS)), CLIENT_ANSWERED,
	    "a result is waited for");
	is_str(value, "{\"x\":[1,\"\\\"\"]}", "it is the output");
	enqueue("n", "echo", NULL);
	is_int(outcome(client_result(client, "n", WAIT_MS)), CLIENT_NOTHING,
	    "a null output is no value");
	enqueue("b", "broken", NULL);
	is_int(outcome(client_result(client, "b", WAIT_MS)), CLIENT_FAILED,
	    "a failure is told");
	ok(strstr(value, "\"it broke\"") != NULL, "with the error");
	enqueue("s", "sleeper", NULL);
	is_int(outcome(client_result(client, "s", 100)), CLIENT_LATE,
	    "a workflow that does not end is late");
	is_int(outcome(client_result(client, "absent", WAIT_MS)),
	    CLIENT_UNKNOWN, "a workflow that is not there is unknown");
}

static void
test_options(void)
{
	const struct client_enqueue wanted = { .id = "o",
		.name = "echo",
		.queue = "other",
		.input = "1",
		.application = "app",
		.version = "7",
		.class_name = "class",
		.config_name = "config",
		.partition_key = "p",
		.deduplication_id = "d",
		.attributes = "{\"k\":1}",
		.priority = 3,
		.delay_ms = 3600000,
		.timeout_ms = 5000 };

	outcome(client_enqueue(client, &wanted));
	is_str(sql("select concat_ws(' ', status, name, queue_name, "
		   "application_name, application_version, class_name, "
		   "config_name, queue_partition_key, deduplication_id, "
		   "attributes, priority, workflow_timeout_ms, "
		   "delay_until_epoch_ms > durable.now_ms() + 3000000) "
		   "from dbos.workflow_status where workflow_uuid = 'o'"),
	    "DELAYED echo other app 7 class config p d {\"k\": 1} 3 5000 t",
	    "all options are kept");
}

static void
test_reading(void)
{
	static const char *const statuses[] = { "SUCCESS", "ERROR", NULL };
	struct client_filter filter = { .statuses = statuses, .limit = 2 };

	is_int(outcome(client_get(client, "a")), CLIENT_ANSWERED,
	    "a workflow is found");
	ok(strstr(value, "\"status\":\"SUCCESS\"") != NULL, "with its status");
	is_int(outcome(client_get(client, "absent")), CLIENT_UNKNOWN,
	    "or is not");
	is_int(outcome(client_list(client, &filter)), CLIENT_ANSWERED,
	    "workflows are listed");
	ok(strstr(value, "\"workflow_id\":\"b\"") != NULL &&
		strstr(value, "\"workflow_id\":\"n\"") != NULL &&
		strstr(value, "\"workflow_id\":\"a\"") == NULL,
	    "as many as were asked for, the newest first");
	filter = (struct client_filter){ .name = "none" };
	is_int(outcome(client_list(client, &filter)), CLIENT_ANSWERED,
	    "a list may be empty");
	is_str(value, "[]", "then it is an empty array");
	wait_sql("1",
	    "select count(*) from dbos.operation_outputs "
	    "where workflow_uuid = 's'");
	outcome(client_steps(client, "s"));
	ok(strstr(value, "\"name\":\"DBOS.sleep\"") != NULL,
	    "steps are listed");
	is_int(outcome(client_steps(client, "absent")), CLIENT_UNKNOWN,
	    "those of an unknown workflow are not");
}

static void
test_control(void)
{
	is_int(outcome(client_cancel(client, "s", false)), CLIENT_ANSWERED,
	    "a workflow is cancelled");
	is_str(value, "CANCELLED", "its status is the value");
	is_int(outcome(client_result(client, "s", WAIT_MS)), CLIENT_FAILED,
	    "a cancelled workflow has no result");
	ok(strstr(value, "CANCELLED") != NULL, "but a reason");
	outcome(client_resume(client, "s"));
	is_str(value, "ENQUEUED", "a workflow is resumed");
	is_int(outcome(client_fork(client, "a", 0, "fork")), CLIENT_ANSWERED,
	    "a workflow is forked");
	is_int(outcome(client_fork(client, "a", 0, "fork")), CLIENT_ANSWERED,
	    "a fork is repeated safely");
	is_int(outcome(client_result(client, "fork", WAIT_MS)), CLIENT_ANSWERED,
	    "the copy runs");
	is_str(value, "{\"x\":[1,\"\\\"\"]}", "with the same input");
	is_int(outcome(client_delete(client, "fork", true)), CLIENT_ANSWERED,
	    "a workflow is deleted");
	is_int(outcome(client_delete(client, "fork", true)), CLIENT_UNKNOWN,
	    "and is not there any more");
	is_int(outcome(client_cancel(client, "absent", true)), CLIENT_UNKNOWN,
	    "an unknown workflow is not cancelled");
}

static void
run(PGconn *conn, const char *statement)
{
	PGresult *result = PQexec(conn, statement);

	if (PQresultStatus(result) != PGRES_COMMAND_OK) {
		diag("%s", PQerrorMessage(conn));
		abort();
	}
	PQclear(result);
}

static void
test_transaction(void)
{
	const struct client_enqueue wanted = job("t", "listener", NULL);
	const struct client_enqueue other = job("t", "echo", NULL);
	PGconn *conn = PQconnectdb("");

	run(conn, "begin");
	is_int(outcome(client_enqueue_in(conn, &wanted)), CLIENT_ANSWERED,
	    "a workflow is enqueued in a transaction");
	run(conn, "rollback");
	is_int(outcome(client_get(client, "t")), CLIENT_UNKNOWN,
	    "which takes it back");
	run(conn, "begin");
	outcome(client_enqueue_in(conn, &wanted));
	is_str(value, "t", "its id is the value");
	is_int(outcome(client_send_in(conn, "t", "topic", "\"hello\"", "k")),
	    CLIENT_ANSWERED, "a message is sent in a transaction");
	outcome(client_send_in(conn, "t", "topic", "\"again\"", "k"));
	is_int(outcome(client_get(client, "t")), CLIENT_UNKNOWN,
	    "no other session sees either before the commit");
	run(conn, "commit");
	is_int(outcome(client_result(client, "t", WAIT_MS)), CLIENT_ANSWERED,
	    "both are there with the commit");
	is_str(value, "\"hello\"", "and one message of a key");
	run(conn, "begin");
	is_int(outcome(client_enqueue_in(conn, &other)), CLIENT_CONFLICT,
	    "an id of another workflow is a conflict");
	run(conn, "rollback");
	run(conn, "begin");
	is_int(outcome(client_send_in(conn, "absent", NULL, "1", NULL)),
	    CLIENT_UNKNOWN, "a message to no workflow is unknown");
	run(conn, "rollback");
	is_int(outcome(client_send_in(conn, "t", NULL, "{", NULL)),
	    CLIENT_REFUSED, "a message that is no JSON is refused");
	PQfinish(conn);
}

static void
test_privileges(void)
{
	struct client *web = client_open("user=widget_store_web", "web", "test",
	    NULL);

	is_int(outcome(client_query(web, "select 1", NULL, NULL)),
	    CLIENT_ANSWERED, "a role that is no member has a client");
	is_int(outcome(client_get(web, "a")), CLIENT_UNAVAILABLE,
	    "which reads no workflows");
	client_close(web);
}

int
main(void)
{
	static const struct engine engine = { .turn_size = 16,
		.turn_limit_s = 2,
		.max_attempts = 3 };
	pid_t daemon;

	story_begin("");
	daemon = story_start_daemon(&engine, types,
	    sizeof(types) / sizeof(types[0]), 1);
	client = client_open("", "test client", "test", NULL);
	test_results();
	test_options();
	test_reading();
	test_control();
	test_transaction();
	test_privileges();
	client_close(client);
	ok(story_stop_daemon(daemon), "SIGTERM ends the daemon with status 0");
	story_end();
	return done_testing();
}
