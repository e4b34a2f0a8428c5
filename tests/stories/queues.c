/* SPDX-License-Identifier: MIT */
/*
 * Queues with limits, which three daemons serve that serve all queues.
 * queues.tap starts the cluster and this program: queues [PEER], where PEER is a
 * program that shares queues with them.
 *
 * That no limit is exceeded is computed from the rows: a workflow is in its queue
 * from started_at_epoch_ms until completed_at.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "tests/stories/story.h"
#include "tests/unit/tap.h"

#define TRIES     5
#define DAEMONS   3
#define KILLS_MAX 60

static pid_t daemons[DAEMONS];

/* Notes that it has begun, and sleeps for so many milliseconds. */
static json_object *
visitor(struct workflow *wf, json_object *ms)
{
	take_note(wf, "note");
	wf_sleep(wf, json_object_get_int64(ms));
	return NULL;
}

static const struct workflow_type types[] = { TYPE(visitor) };

static void
start_daemon(int i)
{
	const struct engine engine = { .executor = arena_printf(arena,
					   "daemon %d", i),
		.all_queues = true,
		.turn_size = 64,
		.turn_limit_s = 5,
		.max_attempts = 3 };

	daemons[i] = story_start_daemon(&engine, types, 1, 2);
}

/* Kills a worker of a daemon, or all its processes at once and starts another. */
static void
strike(int number)
{
	int i = number % DAEMONS;
	bool all = number % 2 == 1;
	char line[128] = "", *at = line;
	pid_t worker;
	FILE *file = fopen(arena_printf(arena, "/proc/%d/task/%d/children",
			       (int)daemons[i], (int)daemons[i]),
	    "r");

	if (all)
		kill(daemons[i], SIGSTOP);
	if (file == NULL || fgets(line, sizeof(line), file) == NULL)
		diag("daemon %d has no processes", i);
	if (file != NULL)
		fclose(file);
	do {
		worker = (pid_t)strtol(at, &at, 10);
		if (worker > 0)
			kill(worker, SIGKILL);
	} while (all && worker > 0);
	if (!all)
		return;
	kill(daemons[i], SIGKILL);
	waitpid(daemons[i], NULL, 0);
	start_daemon(i);
}

/* Enqueues so many visitors; the partition is the number modulo partitions. */
static void
enqueue(const char *queue, const char *prefix, int count, int partitions,
    int ms)
{
	sql("with started as materialized (select durable.client_submit("
	    "array_agg('%s ' || n), array_agg('visitor'::text), "
	    "array_agg('%s'::text), array_agg('%d'::text), 'test', "
	    "'{}', '{}', '{}', '{}', '{}') from generate_series(1, %d) as n) "
	    "select count(*) from started",
	    prefix, queue, ms, count);
	if (partitions > 0)
		sql("update dbos.workflow_status set queue_partition_key = "
		    "'p' || substr(workflow_uuid, %d)::int %% %d "
		    "where queue_name = '%s'",
		    (int)strlen(prefix) + 2, partitions, queue);
}

static bool
all_ended(const char *prefix, int count)
{
	return wait_sql(arena_printf(arena, "%d", count),
	    arena_printf(arena,
		"select count(*) from dbos.workflow_status "
		"where workflow_uuid like '%s %%' and status = 'SUCCESS'",
		prefix));
}

/* The most workflows of a queue that ran at a time. */
static const char *
at_once(const char *queue)
{
	return sql(
	    "select max(n) from (select sum(change) over (order by at_ms, "
	    "change) as n from (select started_at_epoch_ms as at_ms, 1 "
	    "as change from dbos.workflow_status where queue_name = '%s' "
	    "union all select completed_at, -1 from dbos.workflow_status "
	    "where queue_name = '%s') as c) as r",
	    queue, queue);
}

/* The most starts of a queue in any second. */
static const char *
in_a_second(const char *queue)
{
	return sql("select max(n) from (select count(*) over (order by "
		   "started_at_epoch_ms range between current row and "
		   "999 following) as n from dbos.workflow_status "
		   "where queue_name = '%s' and rate_limited) as r",
	    queue);
}

static bool
is_at_most(const char *number, int most)
{
	diag("%s of %d", number == NULL ? "nothing" : number, most);
	return number != NULL && strtol(number, NULL, 10) <= most;
}

/* How many of the workflows began a second, in the first five seconds. */
static double
rate_of(const char *prefix)
{
	const char *rate = sql(
	    "select count(*) filter (where started_at_epoch_ms < first + "
	    "5000) / 5.0 from (select started_at_epoch_ms, "
	    "min(started_at_epoch_ms) over () as first "
	    "from dbos.workflow_status where workflow_uuid like '%s %%') as s",
	    prefix);

	diag("%s a second", rate);
	return rate == NULL ? 0 : strtod(rate, NULL);
}

/* A busy machine may not do 50 a second, so it may try again. */
static bool
reaches(double least)
{
	const char *prefix = "calm";
	int tries;

	for (tries = 1; rate_of(prefix) < least; tries++) {
		if (tries == TRIES)
			return false;
		prefix = arena_printf(arena, "calm-%d", tries);
		enqueue("both", prefix, 300, 0, 10);
		if (!all_ended(prefix, 300))
			return false;
	}
	return true;
}

static void
test_calm(void)
{
	sql("insert into dbos.queues (name, concurrency, rate_limit_max, "
	    "rate_limit_period_sec) values ('both', 4, 50, 1)");
	sql("insert into dbos.queues (name, worker_concurrency) "
	    "values ('each', 2)");
	enqueue("both", "calm", 300, 0, 10);
	enqueue("each", "each", 60, 0, 20);
	ok(all_ended("calm", 300) && all_ended("each", 60),
	    "queues that are registered while the daemons run are served");
	is_str(at_once("both"), "4", "4 of a queue of 4 run at once");
	is_str(in_a_second("both"), "50",
	    "50 of a queue of 50 a second begin in any second");
	ok(is_at_most(at_once("each"), 2 * DAEMONS),
	    "no daemon runs more than it may");
	ok(reaches(47.5), "a queue reaches 95 % of its rate");
}

static void
test_killed(void)
{
	const char *left = "select count(*) from dbos.workflow_status "
			   "where status in ('PENDING', 'ENQUEUED')";
	const struct timespec pause = { .tv_sec = 1 };
	int kills;

	enqueue("both", "hunted", 300, 0, 10);
	enqueue("each", "hunted too", 300, 0, 50);
	for (kills = 0; kills < KILLS_MAX && strcmp(sql("%s", left), "0") != 0;
	     kills++) {
		nanosleep(&pause, NULL);
		strike(kills);
	}
	ok(kills >= 3 && kills < KILLS_MAX,
	    "all end while a daemon is killed each second");
	diag("%d kills", kills);
	is_str(sql("select count(*) || ' ' || count(distinct id) "
		   "from test.notes where id like 'hunted%%'"),
	    "600 600", "each of them once");
	ok(is_at_most(at_once("both"), 4), "4 at once are never exceeded");
	ok(is_at_most(in_a_second("both"), 50),
	    "50 a second are never exceeded");
	ok(is_at_most(at_once("each"), 2 * DAEMONS),
	    "nor is what a daemon may run");
}

static void
test_partitions(void)
{
	sql("insert into dbos.queues (name, concurrency, partition_concurrency) "
	    "values ('shared', 32, 1)");
	enqueue("shared", "shared", 3000, 1000, 5);
	ok(all_ended("shared", 3000), "a thousand partitions end");
	ok(is_at_most(at_once("shared"), 32),
	    "within the limit of their queue");
	is_str(sql("select max(n) from (select sum(change) over (partition by "
		   "key order by at_ms, change) as n from (select "
		   "queue_partition_key as key, started_at_epoch_ms as at_ms, "
		   "1 as change from dbos.workflow_status where queue_name = "
		   "'shared' union all select queue_partition_key, "
		   "completed_at, -1 from dbos.workflow_status where "
		   "queue_name = 'shared') as c) as r"),
	    "1", "and of each partition");
	is_str(
	    sql("select count(*) from (select min(started_at_epoch_ms) - "
		"lag(max(started_at_epoch_ms)) over (order by place) as gap "
		"from (select started_at_epoch_ms, row_number() over "
		"(partition by queue_partition_key "
		"order by started_at_epoch_ms) as place "
		"from dbos.workflow_status where queue_name = 'shared') as s "
		"group by place) as r where gap < 0"),
	    "0", "no partition begins again before all others have");
}

int
main(int argc, char *argv[])
{
	bool stopped = true;
	int i;

	story_begin("");
	for (i = 0; i < DAEMONS; i++)
		start_daemon(i);
	ok(wait_sql("6", "select durable.daemon_workers()"),
	    "three daemons serve all queues");
	test_calm();
	test_partitions();
	test_killed();
	if (argc == 2)
		ok(system(argv[1]) == 0, "an SDK keeps the limits beside us");
	for (i = 0; i < DAEMONS; i++)
		stopped = story_stop_daemon(daemons[i]) && stopped;
	ok(stopped, "SIGTERM ends the daemons with status 0");
	story_end();
	return done_testing();
}
