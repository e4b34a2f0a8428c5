/* SPDX-License-Identifier: MIT */
/*
 * How the workers of a daemon share its work.  workers.tap starts the cluster and
 * this program.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tests/stories/story.h"
#include "tests/unit/tap.h"

static json_object *
nothing(struct workflow *wf, json_object *input)
{
	(void)input;
	wf_sql(wf, "one", "select 1", 0, NULL);
	return NULL;
}

/* Two players send each other a ball, so each waits for the other. */
static json_object *
player(struct workflow *wf, json_object *input)
{
	const char *other = json_object_get_string(
	    json_object_object_get(input, "other"));
	int i;

	for (i = 0; i < 10; i++) {
		wf_send(wf, other, "ball", json_object_new_int(i));
		if (json_object_get_int(wf_recv(wf, "ball", 60000)) != i)
			wf_fail(wf, "Error", "the wrong ball");
	}
	return NULL;
}

static const struct workflow_type listener_type = { .name = "listener",
	.version = "1",
	.function = listener };

/* Sends to its child by a step in SQL instead of wf_send. */
static json_object *
teller(struct workflow *wf, json_object *input)
{
	const char *const params[] = { wf_start(wf, &listener_type, NULL,
	    NULL) };

	(void)input;
	wf_sql(wf, "send", "select dbos.send_message($1, '\"hello\"', 'topic')",
	    1, params);
	return NULL;
}

static const struct workflow_type types[] = { TYPE(good), TYPE(ticker),
	TYPE(nothing), TYPE(player), TYPE(listener), TYPE(teller) };

#define TYPES (sizeof(types) / sizeof(types[0]))

static void
test_wake_ups(void)
{
	start("teller", "teller", "null");
	is_str(output("teller-0"), "\"hello\"",
	    "a message by SQL wakes a wait that began in the same turn");

	sql("select durable.client_submit(array_agg('player' || n), "
	    "array_agg('player'::text), array_agg('test'::text), "
	    "array_agg(json_build_object('other', "
	    "'player' || (n + (n %% 2) * 2 - 1))::text), 'test', "
	    "'{}', '{}', '{}', '{}', '{}') from generate_series(1, 100) as n");
	ok(wait_sql("100",
	       "select count(*) from dbos.workflow_status "
	       "where workflow_uuid like 'player%' and status = 'SUCCESS'"),
	    "no wake-up of a thousand over three workers is lost");
	is_str(sql("select count(*) from dbos.notifications "
		   "where destination_uuid like 'player%%'"),
	    "1000", "no message of a thousand is sent twice");
}

/*
 * A session that does not listen polls once a second, so five workflows would
 * take at least four seconds.
 */
static void
test_listening(void)
{
	int64_t begin_ms;
	int i, done = 0;

	sql("select durable.client_submit(array_agg('busy' || n), "
	    "array_agg('good'::text), array_agg('test'::text), "
	    "array_agg(null::text), 'test', '{}', '{}', '{}', '{}', '{}') "
	    "from generate_series(1, 1000) as n");
	ok(wait_sql("1000",
	       "select count(*) from dbos.workflow_status "
	       "where workflow_uuid like 'busy%' and status = 'SUCCESS'"),
	    "a thousand workflows keep the workers busy");
	is_str(sql("select sum(calls) > 0 from test.pg_stat_statements "
		   "where query like 'unlisten%%'"),
	    "true", "a busy worker does not listen");
	begin_ms = clock_monotonic_ms();
	for (i = 0; i < 5; i++) {
		start(arena_printf(arena, "idle%d", i), "good", "null");
		sql("select pg_notify('durable_due', '')");
		done += strcmp(ended(arena_printf(arena, "idle%d", i)),
			    "SUCCESS") == 0;
	}
	is_int(done, 5, "an idle worker runs each notified workflow");
	ok(clock_monotonic_ms() - begin_ms < 2000,
	    "a notification reaches an idle worker at once");
}

/*
 * Without a notification the worker looks once in a second, at its sweep.  The
 * bound is for a busy machine; 15 ms is what is promised on one that is not.
 */
static void
test_enqueue_by_sql(void)
{
	const char *median;
	int i;

	for (i = 0; i < 30; i++) {
		const char *id = arena_printf(arena, "plain%d", i);

		wait_sql("true",
		    "select count(*) > 0 from pg_locks where locktype = "
		    "'advisory' and classid = 1146442305 and objid = 2");
		sql("select dbos.enqueue_workflow('nothing', 'test', "
		    "workflow_id => '%s')",
		    id);
		ended(id);
	}
	median = sql("select percentile_disc(0.5) within group "
		     "(order by completed_at - created_at) "
		     "from dbos.workflow_status "
		     "where workflow_uuid like 'plain%%'");
	ok(strtol(median, NULL, 10) < 100,
	    "what SQL enqueues is run by an idle worker at once");
	diag("median of 30: %s ms", median);
}

static void
list_workers(pid_t daemon, pid_t workers[3])
{
	FILE *file = fopen(arena_printf(arena, "/proc/%d/task/%d/children",
			       (int)daemon, (int)daemon),
	    "r");
	char line[128] = "", *at = line;
	int i;

	if (file == NULL || fgets(line, sizeof(line), file) == NULL)
		abort();
	fclose(file);
	for (i = 0; i < 3; i++)
		if ((workers[i] = (pid_t)strtol(at, &at, 10)) <= 0)
			abort();
}

/* Freezes each worker in turn, because one of them is not on standby. */
static void
test_takeover(pid_t daemon)
{
	int64_t begin_ms, slowest_ms = 0;
	pid_t workers[3];
	int done = 0, i;

	list_workers(daemon, workers);
	for (i = 0; i < 3; i++) {
		const char *id = arena_printf(arena, "awake %d", i);

		kill(workers[i], SIGSTOP);
		begin_ms = clock_monotonic_ms();
		start(id, "good", "null");
		sql("select pg_notify('durable_due', '')");
		done += strcmp(ended(id), "SUCCESS") == 0;
		if (clock_monotonic_ms() - begin_ms > slowest_ms)
			slowest_ms = clock_monotonic_ms() - begin_ms;
		kill(workers[i], SIGCONT);
	}
	is_int(done, 3,
	    "whichever worker is frozen, another worker takes over");
	ok(slowest_ms < 500, "a standby takes over within 500 ms");
	diag("%d ms", (int)slowest_ms);
}

/*
 * Enough work that each worker has a partition of the types; the others get
 * the partition of a frozen worker.
 */
static void
test_partition(pid_t daemon)
{
	pid_t workers[3];
	size_t i;

	list_workers(daemon, workers);
	for (i = 0; i < 3; i++) {
		sql("select durable.client_submit(array_agg(names.name || "
		    "' of %zu ' || n), array_agg(names.name), "
		    "array_agg('test'::text), array_agg('10'::text), 'test', "
		    "'{}', '{}', '{}', '{}', '{}') "
		    "from (values ('ticker'), ('good'), ('nothing')) "
		    "as names (name), generate_series(1, 150) as n",
		    i);
		kill(workers[i], SIGSTOP);
		ok(wait_sql("450",
		       arena_printf(arena,
			   "select count(*) from dbos.workflow_status "
			   "where workflow_uuid like '%% of %zu %%' "
			   "and status = 'SUCCESS'",
			   i)),
		    "saturated workers take over a frozen worker's partition");
		kill(workers[i], SIGCONT);
	}
}

int
main(void)
{
	static const struct engine engine = { .turn_size = 16,
		.turn_limit_s = 2,
		.max_attempts = 3 };
	pid_t daemon;

	story_begin("create extension pg_stat_statements schema test;");
	daemon = story_start_daemon(&engine, types, TYPES, 3);
	test_wake_ups();
	test_listening();
	test_enqueue_by_sql();
	test_takeover(daemon);
	test_partition(daemon);
	ok(story_stop_daemon(daemon), "SIGTERM ends the daemon with status 0");
	story_end();
	return done_testing();
}
