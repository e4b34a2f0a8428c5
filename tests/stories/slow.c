/* SPDX-License-Identifier: MIT */
/*
 * What is slow, or is ended by something else, is no poison: workflows that
 * compute for long, whose workers hardly get a CPU, are killed or frozen, whose
 * sessions end, whose batches are too large.  This program has a turn.c that
 * takes any time-out for the engine's own (see Makefile.am).  slow.tap starts
 * the cluster and this program, and says in SLOW_LOG where the daemons log.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/stories/story.h"
#include "tests/unit/tap.h"

/* More than the one attempt that a workflow has. */
#define OFTEN 4

/* What the runs tell the test, in shared memory. */
static struct {
	atomic_int thoughts, alone_thoughts, endings, plods;
	atomic_int calm;    /* lets the workflow that ends its session end */
	atomic_int running; /* a process that runs a victim; 0: none */
	atomic_int ends;    /* how often a victim has come to its end */
	atomic_int go_on;   /* lets victims end */
} * seen;

static void
pause_ms(int ms)
{
	const struct timespec pause = { .tv_sec = ms / 1000,
		.tv_nsec = ms % 1000 * 1000000L };

	nanosleep(&pause, NULL);
}

/* Computes until so many milliseconds are over. */
static void
compute(int ms)
{
	int64_t until_ms = clock_monotonic_ms() + ms;

	while (clock_monotonic_ms() < until_ms)
		continue;
}

static json_object *
think(struct step *step, void *arg)
{
	atomic_int *count = arg;

	atomic_fetch_add(count, 1);
	compute(1500);
	pause_ms(1500);
	return json_object_get(step_sql(step, "select 7", 0, NULL));
}

static json_object *
thinker(struct workflow *wf, json_object *input)
{
	(void)input;
	take_note(wf, "before");
	wf_transaction(wf, "think", think, &seen->thoughts);
	take_note(wf, "behind");
	return json_object_new_string("thought");
}

/* An error makes it run alone, where steps have savepoints. */
static json_object *
alone_thinker(struct workflow *wf, json_object *input)
{
	(void)input;
	wf_catch(wf);
	wf_sql(wf, "divide", "select 1 / 0", 0, NULL);
	wf_transaction(wf, "think", think, &seen->alone_thoughts);
	return json_object_new_string("thought");
}

/* Ends its session until the test has seen enough. */
static json_object *
ender(struct workflow *wf, json_object *input)
{
	(void)input;
	take_note(wf, "before");
	if (!seen->calm) {
		atomic_fetch_add(&seen->endings, 1);
		wf_sql(wf, "end",
		    "select pg_terminate_backend("
		    "pg_backend_pid())",
		    0, NULL);
	}
	return NULL;
}

/* Its step lasts until the test ends its session, but for the last one. */
static json_object *
plodder(struct workflow *wf, json_object *input)
{
	(void)input;
	wf_sql(wf, "plod",
	    atomic_fetch_add(&seen->plods, 1) < OFTEN ? "select pg_sleep(60)"
						      : "select 1",
	    0, NULL);
	return NULL;
}

/* Computes until the test lets it go on, or ends its process. */
static json_object *
victim(struct workflow *wf, json_object *input)
{
	(void)input;
	take_note(wf, "before");
	seen->running = (int)getpid();
	while (!seen->go_on)
		continue;
	seen->running = 0;
	atomic_fetch_add(&seen->ends, 1);
	return NULL;
}

/* A batch that takes too long when it has many elements. */
static json_object *
batcher(struct workflow *wf, json_object *input)
{
	const char *const params[] = { wf_id(wf) };

	(void)input;
	take_note(wf, "before");
	wf_batch(wf, "batch", "select test.at_most($1::text[], 20)", 1, params);
	return NULL;
}

static json_object *
looper(struct workflow *wf, json_object *input)
{
	volatile bool forever = true;

	(void)wf;
	(void)input;
	while (forever)
		free(malloc(100));
	return NULL;
}

static json_object *
sleep_for_ever(struct step *step, void *arg)
{
	volatile bool forever = true;

	(void)step;
	(void)arg;
	while (forever)
		pause_ms(100);
	return NULL;
}

static json_object *
dreamer(struct workflow *wf, json_object *input)
{
	(void)input;
	wf_transaction(wf, "sleep", sleep_for_ever, NULL);
	return NULL;
}

static json_object *
starveling(struct workflow *wf, json_object *input)
{
	(void)wf;
	(void)input;
	seen->running = (int)getpid();
	compute(1500);
	seen->running = 0;
	return NULL;
}

static const struct workflow_type types[] = { TYPE(thinker),
	TYPE(alone_thinker), TYPE(ender), TYPE(plodder), TYPE(victim),
	TYPE(batcher), TYPE(looper), TYPE(dreamer), TYPE(starveling) };

#define TYPES (sizeof(types) / sizeof(types[0]))

/* Waits until a number is at least so large; returns it, however large. */
static int
wait_number(const atomic_int *number, int least)
{
	int64_t until_ms = clock_monotonic_ms() + WAIT_S * INT64_C(1000);

	while (*number < least && clock_monotonic_ms() < until_ms)
		pause_ms(2);
	return *number;
}

/* Waits until a process runs a victim; returns it, 0 when none comes. */
static int
wait_running(void)
{
	return wait_number(&seen->running, 1);
}

/* Whether the log has a line with both texts. */
static bool
is_logged(const char *first, const char *second)
{
	FILE *log = fopen(getenv("SLOW_LOG"), "r");
	char line[4096];
	bool found = false;

	while (log != NULL && !found && fgets(line, sizeof(line), log) != NULL)
		found = strstr(line, first) != NULL &&
		    strstr(line, second) != NULL;
	if (log != NULL)
		fclose(log);
	return found;
}

/* Waits for that line; false when it does not come, also on a busy machine. */
static bool
wait_logged(const char *first, const char *second)
{
	int64_t until_ms = clock_monotonic_ms() + WAIT_S * INT64_C(4000);

	while (!is_logged(first, second) && clock_monotonic_ms() < until_ms)
		pause_ms(20);
	return is_logged(first, second);
}

static void
test_thinkers(void)
{
	start("thinker", "thinker", "null");
	wait_number(&seen->thoughts, 1);
	start("alone thinker", "alone_thinker", "null");
	is_str(ended("thinker"), "SUCCESS",
	    "a step that computes and sleeps for 3 s is no poison");
	is_int(seen->thoughts, 1, "a step that takes 3 s is run once");
	is_str(notes("thinker"), "2",
	    "the steps beside one that takes 3 s happen once");
	is_str(ended("alone thinker"), "SUCCESS",
	    "a step that takes 3 s in a turn of one is no poison");
	is_int(seen->alone_thoughts, 1,
	    "a step that takes 3 s in a turn of one is run once");
}

static void
test_batch(void)
{
	/* A worker that has only just started notes what it takes as suspect. */
	start("first", "batcher", "null");
	ended("first");
	sql("select durable.client_submit(array_agg('batcher' || n), "
	    "array_agg('batcher'::text), array_agg('test'::text), "
	    "array_agg(null::text), 'test', "
	    "'{}', '{}', '{}', '{}', '{}') from generate_series(1, 60) as n");
	ok(wait_sql("60",
	       "select count(*) from dbos.workflow_status "
	       "where workflow_uuid like 'batcher%' and status = 'SUCCESS'"),
	    "a batch that takes too long is repeated with fewer workflows");
	is_str(sql("select count(*) from test.notes "
		   "where id like 'batcher%%'"),
	    "60", "a turn that is repeated smaller does each step once");
	ok(strtol(sql("select last_value from test.batches"), NULL, 10) < 20,
	    "a batch that takes too long is not repeated with one workflow");
	ok(!is_logged("step=batch", "held off"),
	    "a batch that takes too long is not held off");
}

static void
test_endings(void)
{
	start("ender", "ender", "null");
	ok(wait_logged("wf=ender ran alone when its session ended",
	       "again in 2000 ms"),
	    "the log names a workflow that runs alone when its session ends");
	seen->calm = 1;
	is_str(ended("ender"), "SUCCESS",
	    "a workflow whose sessions end is never given up");
	ok(seen->endings > 2,
	    "a workflow whose sessions end is run until it is done");
	is_str(notes("ender"), "1",
	    "the step before the end of a session happens once");
}

/* Ends all sessions of the daemon, again and again. */
static void
test_restless_database(void)
{
	int i;

	start("plodder", "plodder", "null");
	for (i = 1; i <= OFTEN; i++) {
		wait_number(&seen->plods, i);
		sql("select count(pg_terminate_backend(pid)) "
		    "from pg_stat_activity "
		    "where application_name = 'durable worker'");
	}
	is_str(ended("plodder"), "SUCCESS",
	    "a database that ends all sessions ends no workflow");
	is_int(seen->plods, OFTEN + 1,
	    "a workflow whose sessions the database ends is run again");
}

/* Kills the process that runs the victim, more often than it has attempts. */
static void
test_killed(void)
{
	int i, pid;

	start("victim", "victim", "null");
	for (i = 0; i < OFTEN; i++) {
		pid = wait_running();
		seen->running = 0;
		if (pid != 0)
			kill(pid, SIGKILL);
	}
	ok(wait_running() != 0, "a workflow is run again after each kill");
	seen->go_on = 1;
	is_str(ended("victim"), "SUCCESS",
	    "a workflow whose processes are killed is never given up");
	is_str(notes("victim"), "1",
	    "a step of a workflow whose processes are killed happens once");
	ok(is_logged("wf=victim was running when process", "from outside"),
	    "the log names the workflow of a killed process");
	seen->go_on = 0;
}

/* A frozen worker sends no beats, so its session ends. */
static void
test_frozen(void)
{
	int pid, ends = seen->ends;

	start("frozen", "victim", "null");
	pid = wait_running();
	kill(pid, SIGSTOP);
	seen->running = 0;
	ok(wait_running() != pid,
	    "another worker runs the workflow of a frozen one");
	seen->go_on = 1;
	is_str(ended("frozen"), "SUCCESS",
	    "the workflow of a frozen worker ends meanwhile");
	kill(pid, SIGCONT);
	is_int(wait_number(&seen->ends, ends + 2) - ends, 2,
	    "the frozen worker goes on with its run, in vain");
	is_str(notes("frozen"), "1",
	    "a step of a frozen worker's workflow happens once");
}

/* The worker has a tenth of a CPU, and so less than its limit in this time. */
static void
test_starved(void)
{
	int pid;

	start("starveling", "starveling", "null");
	wait_running();
	while ((pid = seen->running) != 0 && kill(pid, SIGSTOP) == 0) {
		pause_ms(90);
		kill(pid, SIGCONT);
		pause_ms(10);
	}
	is_str(ended("starveling"), "SUCCESS",
	    "a worker that hardly gets a CPU ends no workflow");
}

static void
test_endless(void)
{
	start("looper", "looper", "null");
	/* What counts is the CPU time, of which it may get little. */
	wait_logged("wf=looper is given up", "ended themselves");
	is_str(ended("looper"), "MAX_RECOVERY_ATTEMPTS_EXCEEDED",
	    "a workflow that computes for ever is given up");
	ok(is_logged("wf=looper workflow 'looper' version '1' step=(none)",
	       "is not done after 1 s"),
	    "the log names a workflow that computes for ever");
	ok(is_logged("wf=looper was running when process", "ended itself"),
	    "the log names the workflow of a process that ended itself");
	start("dreamer", "dreamer", "null");
	is_str(ended("dreamer"), "MAX_RECOVERY_ATTEMPTS_EXCEEDED",
	    "a workflow that sleeps in a step for ever is given up");
	ok(is_logged("wf=dreamer workflow 'dreamer'", "step=sleep is not"),
	    "the log names a step that sleeps for ever");
}

int
main(void)
{
	/* To halve this, not what a turn took, would repeat a batch often. */
	static const struct engine patient = { .turn_size = 1 << 20,
		.turn_limit_s = 5,
		.max_attempts = 1 };
	static const struct engine strict = { .turn_size = 64,
		.turn_limit_s = 1,
		.max_attempts = 1 };
	pid_t daemon;

	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (seen == MAP_FAILED)
		return 1;
	story_begin("create sequence test.batches;"
		    "create function test.at_most(ids text[], most int) "
		    "returns setof text language plpgsql as $$ begin "
		    "perform nextval('test.batches'); "
		    "if cardinality(ids) > most then "
		    "raise 'too slow' using errcode = '57014'; "
		    "end if; return query select unnest(ids); end $$;");
	daemon = story_start_daemon(&patient, types, TYPES, 1);
	test_batch();
	ok(story_stop_daemon(daemon), "the first daemon stops with status 0");
	daemon = story_start_daemon(&patient, types, TYPES, 3);
	test_thinkers();
	test_endings();
	test_restless_database();
	test_killed();
	test_frozen();
	ok(story_stop_daemon(daemon), "the second daemon stops with status 0");
	daemon = story_start_daemon(&strict, types, TYPES, 1);
	test_starved();
	test_endless();
	ok(story_stop_daemon(daemon), "the third daemon stops with status 0");
	story_end();
	return done_testing();
}
