/* SPDX-License-Identifier: MIT */
/*
 * Workflows that have many messages, or large ones: they are read by topic and
 * in bites, in their order, and each once.  messages.tap starts the cluster and
 * this program.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/stories/story.h"
#include "tests/unit/tap.h"

/* Messages on a topic: some bites of 256 KiB. */
#define MANY    3000

/* More than a turn loads without a question of the run. */
#define SEVERAL 300

/* Workflows with a message of a million bytes. */
#define LARGE   24

/* How many messages on a topic come in the order of their numbers, from 1. */
static int
receive(struct workflow *wf, const char *topic, int count, int64_t timeout_ms)
{
	const char *text;
	int i;

	for (i = 1; i <= count; i++) {
		text = wf_recv_string(wf, topic, timeout_ms);
		if (text == NULL || strtol(text, NULL, 10) != i)
			break;
	}
	return i - 1;
}

static json_object *
consumer(struct workflow *wf, json_object *input)
{
	return json_object_new_int(
	    receive(wf, "a", json_object_get_int(input), 60000));
}

/* Counts the messages on two topics, three times each. */
static json_object *
two_topics(struct workflow *wf, json_object *input)
{
	int a, b, again = 0, i;

	(void)input;
	wf_recv(wf, "begin", 60000);
	a = receive(wf, "a", MANY, 0);
	b = receive(wf, "b", MANY, 0);
	for (i = 0; i < 2; i++)
		again += receive(wf, "a", MANY, 0) + receive(wf, "b", MANY, 0);
	return json_object_new_string(wf_printf(wf, "%d %d %d", a, b, again));
}

/* Receives one message, for which it waits among others. */
static json_object *
waiter(struct workflow *wf, json_object *input)
{
	const char *wanted, *none, *other;

	(void)input;
	wanted = wf_recv_string(wf, "wanted", 60000);
	none = wf_recv_string(wf, "wanted", 0);
	other = wf_recv_string(wf, "a", 0);
	return json_object_new_string(
	    wf_printf(wf, "%s, %s, %ld", wanted, none == NULL ? "none" : none,
		other == NULL ? 0L : strtol(other, NULL, 10)));
}

static json_object *
measures(struct workflow *wf, json_object *input)
{
	const char *text = wf_recv_string(wf, "large", 60000);

	(void)input;
	return json_object_new_int(text == NULL ? 0 : (int)strlen(text));
}

/* A step of its turn sends the message for which receiver1 begins to wait. */
static json_object *
sender(struct workflow *wf, json_object *input)
{
	(void)input;
	wf_sql(wf, "send",
	    "insert into dbos.notifications (destination_uuid, topic, message, "
	    "serialization) values ('receiver1', 'sent', '\"sent\"', "
	    "'portable_json')",
	    0, NULL);
	return NULL;
}

static json_object *
receiver(struct workflow *wf, json_object *input)
{
	(void)input;
	return json_object_get(wf_recv(wf, "sent", 600000));
}

static const struct workflow_type types[] = { TYPE(consumer), TYPE(two_topics),
	TYPE(waiter), TYPE(measures), TYPE(sender), TYPE(receiver) };

#define TYPES (sizeof(types) / sizeof(types[0]))

/* Sends so many messages on a topic, with the numbers from 1 on. */
static void
send_many(const char *id, const char *topic, int count)
{
	sql("insert into dbos.notifications (message_uuid, destination_uuid, "
	    "topic, message, serialization, created_at_epoch_ms) "
	    "select '%s%s' || to_char(n, 'FM00000'), '%s', '%s', "
	    "'\"' || n || repeat(' ', 300) || '\"', 'portable_json', n / 10 "
	    "from generate_series(1, %d) as n order by md5(n::text)",
	    id, topic, id, topic, count);
}

/* Waits until a workflow waits for a message. */
static void
wait_for_wait(const char *id)
{
	wait_sql("message",
	    arena_printf(arena,
		"select kind from durable.waits where workflow_uuid = '%s'",
		id));
}

static void
test_many(void)
{
	start("many", "consumer", arena_printf(arena, "%d", MANY));
	wait_for_wait("many");
	send_many("many", "b", MANY);
	send_many("many", "a", MANY);
	is_str(output("many"), arena_printf(arena, "%d", MANY),
	    "many messages are received in their order");
	is_str(sql("select string_agg(topic || n, ' ' order by topic) from ("
		   "select topic, count(distinct consumed_by_function_id) as n "
		   "from dbos.notifications where destination_uuid = 'many' "
		   "group by topic) as t"),
	    arena_printf(arena, "a%d b0", MANY),
	    "each of many messages is received by a step of its own");
}

static void
test_topics(void)
{
	start("topics", "two_topics", "null");
	wait_for_wait("topics");
	send_many("topics", "a", SEVERAL);
	send_many("topics", "b", SEVERAL);
	send_many("topics", "begin", 1);
	is_str(output("topics"),
	    arena_printf(arena, "\"%d %d 0\"", SEVERAL, SEVERAL),
	    "a topic that was received as a whole has no message again");

	start("waiter", "waiter", "null");
	wait_for_wait("waiter");
	send_many("waiter", "a", SEVERAL);
	sql("insert into dbos.notifications (destination_uuid, topic, message, "
	    "serialization) values ('waiter', 'wanted', '\"this\"', "
	    "'portable_json')");
	is_str(output("waiter"), "\"this, none, 1\"",
	    "a message is found behind many on another topic");
}

static void
test_large(void)
{
	sql("select durable.client_submit(array_agg('large' || n), "
	    "array_agg('measures'::text), array_agg('test'::text), "
	    "array_agg('null'::text), 'test', '{}', '{}', '{}', '{}', '{}') "
	    "from generate_series(1, %d) as n",
	    LARGE);
	wait_sql(arena_printf(arena, "%d", LARGE),
	    "select count(*) from durable.waits "
	    "where workflow_uuid like 'large%' and kind = 'message'");
	sql("insert into dbos.notifications (destination_uuid, topic, message, "
	    "serialization) select 'large' || n, 'large', "
	    "'\"' || repeat('x', 1000000) || '\"', 'portable_json' "
	    "from generate_series(1, %d) as n",
	    LARGE);
	ok(wait_sql(arena_printf(arena, "%d", LARGE),
	       "select count(*) from dbos.workflow_output "
	       "where workflow_uuid like 'large%' and output = '1000000'"),
	    "workflows receive large messages");
	/* Eight MiB, and one message more. */
	is_str(sql("select max(n) from (select count(*) as n "
		   "from dbos.operation_outputs "
		   "where workflow_uuid like 'large%%' "
		   "and function_name = 'DBOS.recv' "
		   "group by xmin::text::bigint) as turns"),
	    "9", "a turn receives few large messages");
}

static void
test_sent_in_turn(void)
{
	sql("select durable.client_submit('{receiver1,sender1}', "
	    "'{receiver,sender}', '{test,test}', '{null,null}', 'test', "
	    "'{}', '{}', '{}', '{}', '{}')");
	is_str(output("receiver1"), "\"sent\"",
	    "a message that a step of the same turn sends is received");
}

int
main(void)
{
	static const struct engine engine = { .turn_size = 256,
		.turn_limit_s = 30,
		.max_attempts = 3 };
	pid_t daemon;

	story_begin("");
	sql("alter database widget_store set track_functions = 'all'");
	daemon = story_start_daemon(&engine, types, TYPES, 1);
	test_large();
	ok(story_stop_daemon(daemon), "SIGTERM ends the daemon with status 0");
	/* The session's end has made the count known. */
	is_str(sql("select calls from pg_stat_user_functions "
		   "where funcname = 'turn_topic'"),
	    arena_printf(arena, "%d", LARGE),
	    "a turn asks for no large message that it has no room for");
	daemon = story_start_daemon(&engine, types, TYPES, 1);
	test_many();
	test_topics();
	test_sent_in_turn();
	ok(story_stop_daemon(daemon), "SIGTERM ends the daemon with status 0");
	story_end();
	return done_testing();
}
