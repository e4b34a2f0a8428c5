/* SPDX-License-Identifier: MIT */
/*
 * Streams, as a workflow writes and reads them.  streams.tap starts the cluster
 * and this program.
 */
#include <durable/client.h>

#include <stdlib.h>

#include "tests/stories/story.h"
#include "tests/unit/tap.h"

/* Writes a value, two more behind a message each, and ends the stream. */
static json_object *
writer(struct workflow *wf, json_object *input)
{
	int i;

	(void)input;
	for (i = 0; i < 3; i++) {
		wf_write_stream(wf, "numbers", json_object_new_int(i));
		wf_write_stream(wf, "other", NULL);
		wf_recv(wf, "go", 60000);
	}
	wf_close_stream(wf, "numbers");
	return NULL;
}

/* Reads the stream of the workflow in the input up to its end. */
static json_object *
reader(struct workflow *wf, json_object *input)
{
	const char *id = json_object_get_string(input);
	json_object *all = wf_own(wf, json_object_new_array()), *value;
	enum wf_stream read;
	int i;

	for (i = 0; i < 10; i++) {
		wf_catch(wf);
		read = wf_read_stream(wf, id, "numbers", i, 60000, &value);
		if (wf_error(wf) != NULL)
			return json_object_new_string(wf_error(wf)->name);
		if (read != WF_STREAM_VALUE)
			break;
		json_object_array_add(all, json_object_get(value));
	}
	json_object_array_add(all,
	    json_object_new_string(read == WF_STREAM_END ? "end" : "late"));
	wf_sleep(wf, 1);
	return json_object_get(all);
}

static json_object *
impatient(struct workflow *wf, json_object *input)
{
	json_object *value;

	if (wf_read_stream(wf, json_object_get_string(input), "numbers", 5, 20,
		&value) != WF_STREAM_LATE ||
	    value != NULL)
		wf_fail(wf, "Error", "there was a value");
	wf_sleep(wf, 1);
	return NULL;
}

/* Reads what it writes in the same turn. */
static json_object *
narcissus(struct workflow *wf, json_object *input)
{
	json_object *value;

	(void)input;
	wf_write_stream(wf, "self", json_object_new_string("me"));
	wf_read_stream(wf, wf_id(wf), "self", 0, 60000, &value);
	return json_object_get(value);
}

static const struct workflow_type types[] = { TYPE(writer), TYPE(reader),
	TYPE(impatient), TYPE(narcissus), TYPE(sleeper) };

static void
go(void)
{
	sql("select dbos.send_message('writer', 'null', 'go')");
}

static void
test_streams(void)
{
	start("reader", "reader", "\"writer\"");
	is_str(output("reader"), "\"DBOSNonExistentWorkflowError\"",
	    "a stream of no workflow cannot be read");
	start("writer", "writer", "null");
	ok(wait_sql("2",
	       "select count(*) from dbos.streams "
	       "where workflow_uuid = 'writer'"),
	    "a workflow writes to its streams");
	start("reader 2", "reader", "\"writer\"");
	ok(wait_sql("writer 1:numbers",
	       "select target || ' ' || key from durable.waits "
	       "where workflow_uuid = 'reader 2' and kind = 'stream'"),
	    "a reader waits for the next value");
	start("impatient", "impatient", "\"writer\"");
	is_str(output("impatient"), "null", "a reader waits for a time");
	is_str(steps("impatient"),
	    "0 DBOS.readStreamOffset, 1 DBOS.sleep, "
	    "2 DBOS.sleep",
	    "a read is a step, and its time-out another one");
	go();
	ok(wait_sql("2:numbers",
	       "select key from durable.waits "
	       "where workflow_uuid = 'reader 2'"),
	    "a value wakes its reader");
	go();
	ok(wait_sql("3:numbers",
	       "select key from durable.waits "
	       "where workflow_uuid = 'reader 2'"),
	    "the next value wakes it again");
	go();
	is_str(output("reader 2"), "[0,1,2,\"end\"]",
	    "a reader comes to the end of a stream");
	is_str(steps("writer"),
	    "0 DBOS.writeStream, 1 DBOS.writeStream, 2 DBOS.recv, "
	    "3 DBOS.sleep, 4 DBOS.writeStream, 5 DBOS.writeStream, "
	    "6 DBOS.recv, 7 DBOS.sleep, 8 DBOS.writeStream, "
	    "9 DBOS.writeStream, 10 DBOS.recv, 11 DBOS.sleep, "
	    "12 DBOS.closeStream",
	    "the steps of a stream have the names of the DBOS SDKs");
	is_str(
	    sql("select string_agg(concat_ws(' ', key, \"offset\", value, "
		"function_id, serialization), ', ' order by key, \"offset\") "
		"from dbos.streams where workflow_uuid = 'writer'"),
	    "numbers 0 0 0 portable_json, numbers 1 1 4 portable_json, "
	    "numbers 2 2 8 portable_json, numbers 3 "
	    "\"__DBOS_STREAM_CLOSED__\" 12 portable_json, "
	    "other 0 null 1 portable_json, other 1 null 5 portable_json, "
	    "other 2 null 9 portable_json",
	    "each value has the next offset, the step's number and the format");
	start("reader 3", "reader", "\"writer\"");
	is_str(output("reader 3"), "[0,1,2,\"end\"]",
	    "an ended stream is read again");
	start("narcissus", "narcissus", "null");
	is_str(output("narcissus"), "\"me\"",
	    "a workflow reads its own stream");
}

/* What other programs write, and how a reader ends without a mark. */
static void
test_others(void)
{
	start("silent", "sleeper", "null");
	ok(wait_sql("timer",
	       "select kind from durable.waits where workflow_uuid = 'silent'"),
	    "a workflow sleeps");
	start("reader 4", "reader", "\"silent\"");
	ok(wait_sql("0:numbers",
	       "select key from durable.waits "
	       "where workflow_uuid = 'reader 4'"),
	    "its reader waits");
	sql("insert into dbos.streams (workflow_uuid, key, value, \"offset\", "
	    "serialization) values ('silent', 'numbers', "
	    "'{\"json\":7,\"__dbos_serializer\":\"superjson\"}', 0, "
	    "'js_superjson')");
	ok(wait_sql("1:numbers",
	       "select key from durable.waits "
	       "where workflow_uuid = 'reader 4'"),
	    "a value of another program wakes the reader");
	sql("update dbos.workflow_status set status = 'CANCELLED', "
	    "queue_name = null where workflow_uuid = 'silent'");
	is_str(output("reader 4"), "[7,\"end\"]",
	    "the end of a workflow is the end of its streams");
	sql("insert into dbos.streams (workflow_uuid, key, value, \"offset\") "
	    "values ('silent', 'numbers', '__DBOS_STREAM_CLOSED__', 1)");
	start("reader 5", "reader", "\"silent\"");
	is_str(output("reader 5"), "[7,\"end\"]",
	    "the mark of an earlier release ends a stream");
}

/* What a client reads at an offset: its outcome, or the value. */
static const char *
read_as_client(struct client *client, const char *id, int offset)
{
	static const char *const outcomes[] = { [CLIENT_NOTHING] = "end",
		[CLIENT_UNKNOWN] = "unknown",
		[CLIENT_LATE] = "late" };
	struct client_answer answer = client_read_stream(client, id, "numbers",
	    offset);
	const char *read = answer.outcome != CLIENT_ANSWERED
	    ? outcomes[answer.outcome]
	    : arena_strdup(arena, answer.value);

	free(answer.value);
	return read;
}

static void
test_client(void)
{
	struct client *client = client_open("", "test", "test", NULL);

	is_str(read_as_client(client, "writer", 2), "2",
	    "a client reads a value of a stream");
	is_str(read_as_client(client, "writer", 3), "end",
	    "a client reads the end of a stream");
	is_str(read_as_client(client, "silent", 0), "7",
	    "a client reads a value of another program");
	is_str(read_as_client(client, "silent", 5), "end",
	    "a client finds that a workflow has ended");
	is_str(read_as_client(client, "absent", 0), "unknown",
	    "a client finds that there is no such workflow");
	start("late", "sleeper", "null");
	is_str(read_as_client(client, "late", 0), "late",
	    "a client finds that a value has not come yet");
	client_close(client);
}

/* Many readers that begin to wait while values come. */
static void
test_crowd(void)
{
	int i;

	sql("insert into dbos.workflow_status (workflow_uuid, status, name) "
	    "values ('source', 'PENDING', 'source')");
	start_together("crowd", "reader",
	    sql("select array_agg('\"source\"'::text) "
		"from generate_series(1, 30)"));
	for (i = 0; i < 9; i++)
		sql("insert into dbos.streams (workflow_uuid, key, value, "
		    "\"offset\", serialization) values ('source', 'numbers', "
		    "%d, %d, 'portable_json')",
		    i, i);
	sql("insert into dbos.streams (workflow_uuid, key, value, \"offset\", "
	    "serialization) values ('source', 'numbers', "
	    "'\"__DBOS_STREAM_CLOSED__\"', 9, 'portable_json')");
	ok(wait_sql("30",
	       "select count(*) from dbos.workflow_output "
	       "where workflow_uuid like 'crowd%' "
	       "and output = '[0,1,2,3,4,5,6,7,8,\"end\"]'"),
	    "readers get every value and no value twice");
}

int
main(void)
{
	static const struct engine engine = { .turn_size = 16,
		.turn_limit_s = 10,
		.max_attempts = 3 };
	pid_t daemon;

	story_begin("");
	daemon = story_start_daemon(&engine, types,
	    sizeof(types) / sizeof(types[0]), 2);
	test_streams();
	test_others();
	test_client();
	test_crowd();
	ok(story_stop_daemon(daemon), "SIGTERM ends the daemon with status 0");
	story_end();
	return done_testing();
}
