/* SPDX-License-Identifier: MIT */
/*
 * The client half against a real cluster; the test plays the daemon.
 * client.tap starts the cluster and this program.
 */
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include <durable/client.h>
#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "db/db.h"
#include "tests/unit/tap.h"

#define WAIT_MS 20000
#define CALLERS 16
#define WEB     "user=widget_store_web"

/* A thread that starts a workflow and waits for its event. */
struct caller {
	pthread_t thread;
	struct client_start start;
	struct arena *arena;
	struct client_answer answer;
};

static struct client *client;
static struct db *db;
static struct arena *arena;

/* Runs a statement as a superuser; returns its first value. */
static const char *
sql(const char *statement, const char *param1, const char *param2)
{
	const char *const params[] = { param1, param2 };
	const struct db_rows *rows = db_query(db, arena, statement,
	    strstr(statement, "$2") != NULL ? 2
					    : strstr(statement, "$1") != NULL,
	    params);

	if (rows == NULL) {
		diag("%s", db_last_error(db)->message);
		abort();
	}
	return db_row_count(rows) == 0 ? NULL : db_value(rows, 0, 0);
}

/* Waits until the statement returns the wanted text. */
static bool
wait_sql(const char *want, const char *statement, const char *param1,
    const char *param2)
{
	const struct timespec pause = { .tv_nsec = 5000000 };
	int waited_ms;

	for (waited_ms = 0; waited_ms < WAIT_MS; waited_ms += 5) {
		if (strcmp(sql(statement, param1, param2), want) == 0)
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

/* Waits until the workflow is on record. */
static bool
wait_start(const char *id)
{
	return wait_sql("1",
	    "select count(*) from dbos.workflow_status "
	    "where workflow_uuid = $1",
	    id, NULL);
}

static void
set_event(const char *id, const char *value)
{
	sql("insert into dbos.workflow_events (workflow_uuid, key, value, "
	    "serialization) values ($1, 'answer', $2, 'portable_json')",
	    id, value);
}

static void
notify(const char *id)
{
	sql("select pg_notify('dbos_workflow_events_channel', "
	    "$1 || '::answer')",
	    id, NULL);
}

static struct client_start
start_of(const char *id, int timeout_ms)
{
	return (struct client_start){ .id = id,
		.name = "a_workflow",
		.queue = "a_queue",
		.event = "answer",
		.timeout_ms = timeout_ms };
}

/* Ties the value of an answer to the arena into. */
static struct client_answer
keep(struct arena *into, struct client_answer answer)
{
	if (answer.value != NULL)
		arena_defer(into, free, answer.value);
	return answer;
}

static struct client_answer
call_start(struct client *by, struct arena *into,
    const struct client_start *start)
{
	return keep(into, client_start(by, start));
}

static struct client_answer
call_send(struct client *by, struct arena *into, const struct client_send *send)
{
	return keep(into, client_send(by, send));
}

static struct client_answer
call_query(struct client *by, struct arena *into, const char *sql,
    const char *param1, const char *param2)
{
	return keep(into, client_query(by, sql, param1, param2));
}

static struct client_answer
start(const char *id, int timeout_ms)
{
	const struct client_start wanted = start_of(id, timeout_ms);

	return call_start(client, arena, &wanted);
}

/* Starts a workflow and does not wait for it. */
static void
start_only(const char *id)
{
	while (start(id, 200).outcome != CLIENT_LATE)
		continue;
}

static struct client_answer
send_keyed(const char *id, const char *message, const char *key, int timeout_ms)
{
	const struct client_send wanted = { .id = id,
		.name = "a_workflow",
		.topic = "a_topic",
		.message = message,
		.key = key,
		.event = "answer",
		.timeout_ms = timeout_ms };

	return call_send(client, arena, &wanted);
}

static struct client_answer
send_message(const char *id, const char *message, int timeout_ms)
{
	return send_keyed(id, message, "a_key", timeout_ms);
}

static void *
run_caller(void *arg)
{
	struct caller *caller = arg;

	caller->answer = call_start(client, caller->arena, &caller->start);
	return NULL;
}

static void
call(struct caller *caller, const char *id)
{
	*caller = (struct caller){ .start = start_of(id, WAIT_MS),
		.arena = arena_new() };
	if (pthread_create(&caller->thread, NULL, run_caller, caller) != 0)
		abort();
}

/* Waits for the caller's answer; the value is copied to the test's arena. */
static struct client_answer
hear(struct caller *caller)
{
	struct client_answer answer;

	pthread_join(caller->thread, NULL);
	answer = caller->answer;
	answer.value = arena_strdup(arena, answer.value);
	arena_free(caller->arena);
	return answer;
}

static void
test_events(void)
{
	struct caller caller;

	call(&caller, "event");
	ok(wait_start("event"), "a workflow is started");
	set_event("event", "\"hello\"");
	notify("event");
	is_str(hear(&caller).value, "\"hello\"",
	    "a start is answered with its event");
	is_str(start("event", WAIT_MS).value, "\"hello\"",
	    "a second start gets the same answer");

	call(&caller, "silent");
	wait_start("silent");
	set_event("silent", "[1, {}]");
	is_str(hear(&caller).value, "[1,{}]",
	    "an event without a notification is found");

	call(&caller, "null");
	wait_start("null");
	set_event("null", "null");
	notify("null");
	is_int(hear(&caller).outcome, CLIENT_NOTHING,
	    "an event that is null is no answer");

	call(&caller, "ended");
	wait_start("ended");
	sql("update dbos.workflow_status set status = 'SUCCESS' "
	    "where workflow_uuid = $1",
	    "ended", NULL);
	is_int(hear(&caller).outcome, CLIENT_NOTHING,
	    "an ended workflow without the event gives no answer");
}

static void
test_formats(void)
{
	start_only("super");
	sql("insert into dbos.workflow_events (workflow_uuid, key, value, "
	    "serialization) values ($1, $2, '{\"json\":\"hi\","
	    "\"__dbos_serializer\":\"superjson\"}', 'js_superjson')",
	    "super", "answer");
	is_str(start("super", WAIT_MS).value, "\"hi\"",
	    "another SDK's event is read");
	start_only("pickle");
	sql("insert into dbos.workflow_events (workflow_uuid, key, value, "
	    "serialization) values ($1, $2, 'gASVBg==', 'py_pickle')",
	    "pickle", "answer");
	is_int(start("pickle", WAIT_MS).outcome, CLIENT_REFUSED,
	    "an event in an unknown format is refused");
}

static void
test_conflict(void)
{
	struct client_start other = start_of("event", WAIT_MS);

	other.name = "another_workflow";
	is_int(call_start(client, arena, &other).outcome, CLIENT_CONFLICT,
	    "an id belongs to one kind of workflow");
}

static void
test_late(void)
{
	is_int(start("late", 300).outcome, CLIENT_LATE,
	    "a start is late when its time-out is over");
	ok(wait_start("late"), "a late start is on record");
	set_event("late", "7");
	is_str(start("late", WAIT_MS).value, "7",
	    "a late start that is repeated gets the answer");
}

static void
test_messages(void)
{
	is_int(send_message("absent", "1", WAIT_MS).outcome, CLIENT_UNKNOWN,
	    "a message to an unknown workflow is refused");
	start_only("receiver");
	is_int(send_message("receiver", "\"one\"", 300).outcome, CLIENT_LATE,
	    "a message without an answer is late");
	set_event("receiver", "true");
	is_str(send_message("receiver", "\"two\"", WAIT_MS).value, "true",
	    "a late message that is repeated gets the answer");
	is_str(sql("select string_agg(message, ',') from dbos.notifications "
		   "where destination_uuid = $1 and topic = $2",
		   "receiver", "a_topic"),
	    "\"one\"", "a message that is repeated is sent once");
}

/*
 * The courier polls for every waiting call.  Without the look that belongs to
 * the sending, each of these calls would wait 100 ms for the first poll.
 */
static void
test_answered_already(void)
{
	const int64_t begin_ms = clock_monotonic_ms();
	int i, answered = 0;

	for (i = 0; i < 25; i++)
		answered += send_keyed("receiver", "3",
				arena_printf(arena, "key %d", i), WAIT_MS)
				.outcome == CLIENT_ANSWERED;
	is_int(answered, 25,
	    "messages to a workflow with its event set are answered");
	ok(clock_monotonic_ms() - begin_ms < 1500,
	    "messages to a workflow with its event set take no time");
}

/* As when a worker dies between its commit and the notification behind it. */
static void
test_lost_hints(void)
{
	const int64_t begin_ms = clock_monotonic_ms();
	struct caller caller;
	int i, answered = 0;

	for (i = 0; i < 4; i++) {
		const char *id = arena_printf(arena, "unheard %d", i);

		call(&caller, id);
		wait_start(id);
		set_event(id, "1");
		answered += hear(&caller).outcome == CLIENT_ANSWERED;
	}
	is_int(answered, 4, "events without a notification are found");
	ok(clock_monotonic_ms() - begin_ms < 2000,
	    "events without a notification are found soon");
}

/*
 * After this pause the courier polls once a second, so that only a notification
 * is quicker.
 */
static void
test_idle(void)
{
	const struct timespec long_enough = { .tv_sec = 1,
		.tv_nsec = 600000000 };
	struct caller caller;
	int64_t begin_ms;

	ok(wait_sql("unlisten *",
	       "select query from pg_stat_activity "
	       "where usename = 'widget_store_web'",
	       NULL, NULL),
	    "a session without waiting calls stops listening");
	call(&caller, "after a pause");
	wait_start("after a pause");
	nanosleep(&long_enough, NULL);
	begin_ms = clock_monotonic_ms();
	set_event("after a pause", "1");
	notify("after a pause");
	is_int(hear(&caller).outcome, CLIENT_ANSWERED,
	    "a call after a pause is answered");
	ok(clock_monotonic_ms() - begin_ms < 300,
	    "a call after a pause is notified at once");
}

/* How many of the texts that are no query are refused within a second each. */
static int
refused_queries(void)
{
	static const char *const texts[] = { "", "-- nothing", ";", "rollback",
		"set role none", "listen x", "copy (select 1) to stdout",
		"select 1; select 2" };
	int refused = 0;
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		int64_t begin_ms = clock_monotonic_ms();

		if (call_query(client, arena, texts[i], NULL, NULL).outcome ==
			CLIENT_REFUSED &&
		    clock_monotonic_ms() - begin_ms < 1000)
			refused++;
		else
			diag("'%s' was not refused", texts[i]);
	}
	return refused;
}

static void
test_queries(void)
{
	is_str(call_query(client, arena, "select $1 || $2", "a", "b").value,
	    "ab", "a query returns its value");
	is_int(call_query(client, arena, "select $1 || $2", "a", NULL).outcome,
	    CLIENT_NOTHING, "a query that returns null has no answer");
	is_int(call_query(client, arena, "select 1 where false", NULL, NULL)
		   .outcome,
	    CLIENT_NOTHING, "a query that returns no row has no answer");
	is_int(call_query(client, arena, "select 1 / 0", NULL, NULL).outcome,
	    CLIENT_REFUSED, "a wrong query is refused");
	is_int(call_query(client, arena,
		   "select count(*) from dbos.workflow_status", NULL, NULL)
		   .outcome,
	    CLIENT_UNAVAILABLE, "the web's role reads no table");
	is_int(refused_queries(), 8,
	    "a query that is no query is refused at once");
	is_str(call_query(client, arena, "select 2", NULL, NULL).value, "2",
	    "a query after a refused query succeeds");
}

/* Many calls in a batch, one of which the database refuses. */
static void
test_culprit(void)
{
	struct caller callers[CALLERS];
	char ids[CALLERS][16];
	int i, wrong = 0;

	sql("begin", NULL, NULL);
	sql("lock table dbos.workflow_status in share mode", NULL, NULL);
	for (i = 0; i < CALLERS; i++) {
		snprintf(ids[i], sizeof(ids[i]), i == 5 ? "bad\xff" : "good-%d",
		    i);
		call(&callers[i], ids[i]);
	}
	sql("commit", NULL, NULL);
	for (i = 0; i < CALLERS; i++)
		if (i != 5 && wait_start(ids[i])) {
			set_event(ids[i], "1");
			notify(ids[i]);
		}
	for (i = 0; i < CALLERS; i++)
		wrong += hear(&callers[i]).outcome !=
		    (i == 5 ? CLIENT_REFUSED : CLIENT_ANSWERED);
	is_int(wrong, 0,
	    "a refused call does not fail the other calls of its batch");
}

/* Another session has inserted the workflow and does not commit. */
static void
test_locked(void)
{
	struct caller locked, callers[3];
	char ids[3][20];
	int i, made = 0;

	sql("begin", NULL, NULL);
	sql("insert into dbos.workflow_status (workflow_uuid, status, name) "
	    "values ('locked', 'SUCCESS', 'another')",
	    NULL, NULL);
	call(&locked, "locked");
	while (strcmp(sql("select count(*) from pg_locks where not granted",
			  NULL, NULL),
		   "1") != 0)
		continue;
	for (i = 0; i < 3; i++) {
		snprintf(ids[i], sizeof(ids[i]), "free-%d", i);
		call(&callers[i], ids[i]);
	}
	for (i = 0; i < 3; i++)
		made += wait_start(ids[i]);
	is_int(made, 3, "a call that meets a lock delays no other call");
	sql("rollback", NULL, NULL);
	ok(wait_start("locked"),
	    "a call that met a lock is made when the lock is free");
	for (i = 0; i < 3; i++) {
		set_event(ids[i], "1");
		notify(ids[i]);
		made -= hear(&callers[i]).outcome == CLIENT_ANSWERED;
	}
	is_int(made, 0, "calls beside one that met a lock are answered");
	set_event("locked", "1");
	notify("locked");
	is_int(hear(&locked).outcome, CLIENT_ANSWERED,
	    "a call that met a lock is answered");
}

static void
lose_connection(void)
{
	sql("select count(pg_terminate_backend(pid)) from pg_stat_activity "
	    "where application_name = $1",
	    "test web", NULL);
}

static void
test_lost(void)
{
	const struct timespec good = { .tv_sec = 1, .tv_nsec = 100000000 };
	struct caller caller;
	unsigned long before = client_stats(client).reconnects;

	/* A connection lost within its first second counts as an outage. */
	nanosleep(&good, NULL);
	call(&caller, "lost");
	wait_start("lost");
	lose_connection();
	set_event("lost", "\"found\"");
	is_str(hear(&caller).value, "\"found\"",
	    "a call survives the loss of its connection");
	ok(client_stats(client).reconnects > before,
	    "a lost connection is counted as a reconnect");
	is_int(call_query(client, arena, "select 1", NULL, NULL).outcome,
	    CLIENT_ANSWERED, "a lost connection is made again");
	is_int((long long)client_stats(client).waiting, 0,
	    "no call is left waiting after a lost connection");
}

static void
test_away(void)
{
	struct client *nowhere = client_open("host=/nonexistent", "test web",
	    "test", NULL);
	time_t begin = time(NULL);

	is_int(call_query(nowhere, arena, "select 1", NULL, NULL).outcome,
	    CLIENT_UNAVAILABLE, "a call without a database is unavailable");
	is_int(call_query(nowhere, arena, "select 1", NULL, NULL).outcome,
	    CLIENT_UNAVAILABLE,
	    "a second call without a database is unavailable");
	ok(time(NULL) - begin < 3, "calls without a database fail at once");
	is_int((long long)client_stats(nowhere).reconnects, 0,
	    "a client without a database is not connected");
	client_close(nowhere);
}

int
main(void)
{
	log_open("test");
	arena = arena_new();
	db = db_new("", "test daemon");
	if (!db_connect(db, NULL)) {
		diag("%s", db_last_error(db)->message);
		return 1;
	}
	client = client_open(WEB, "test web", "test", NULL);
	test_events();
	test_formats();
	test_conflict();
	test_late();
	test_messages();
	test_answered_already();
	test_lost_hints();
	test_idle();
	test_queries();
	test_culprit();
	test_locked();
	test_lost();
	test_away();
	/* An abandoned call must not keep the client open. */
	start("abandoned", 1);
	client_close(client);
	db_free(db);
	arena_free(arena);
	return done_testing();
}
