/* SPDX-License-Identifier: MIT */
/*
 * Workflows with much data: a turn is bounded by bytes, workflows with little
 * data do not wait for them, and the memory goes back.  large.tap starts the
 * cluster and this program.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/stories/story.h"
#include "tests/unit/tap.h"

/* Workflows with inputs of 850 KB each; AddressSanitizer keeps freed memory. */
#ifdef __SANITIZE_ADDRESS__
#define LARGE        8
#define KEEPS_MEMORY true
#else
#define LARGE        24
#define KEEPS_MEMORY false
#endif

/* A worker has 4 MB when it has done little. */
#define LITTLE_KB 32768
#define MUCH_KB   131072

/* A number of /proc/PID/status, in kB, of the daemon's only worker. */
static long
worker_kb(pid_t daemon, const char *name)
{
	char line[256];
	long pid = 0, kb = 0;
	FILE *file;

	file = fopen(arena_printf(arena, "/proc/%d/task/%d/children",
			 (int)daemon, (int)daemon),
	    "r");
	if (file == NULL)
		return 0;
	if (fgets(line, sizeof(line), file) != NULL)
		pid = strtol(line, NULL, 10);
	fclose(file);
	file = fopen(arena_printf(arena, "/proc/%ld/status", pid), "r");
	if (file == NULL)
		return 0;
	while (fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, name, strlen(name)) == 0)
			kb = strtol(line + strlen(name), NULL, 10);
	fclose(file);
	return kb;
}

/* Whether the worker comes to have less memory than that. */
static bool
shrinks(pid_t daemon, long most_kb)
{
	time_t end = time(NULL) + WAIT_S;
	long kb;

	do
		kb = worker_kb(daemon, "VmRSS:");
	while (
	    kb >= most_kb && time(NULL) < end && sql("select pg_sleep(0.01)"));
	diag("the worker has %ld kB, and had %ld", kb,
	    worker_kb(daemon, "VmHWM:"));
	return kb > 0 && kb < most_kb;
}

static json_object *
little(struct workflow *wf, json_object *input)
{
	(void)input;
	take_note(wf, "note");
	return NULL;
}

/* Passes its input on in every way. */
static json_object *
passes_on(struct workflow *wf, json_object *input)
{
	const char *const params[] = { json_object_get_string(input) };

	wf_sql(wf, "echo", "select $1::text", 1, params);
	wf_set_event(wf, "event", input);
	wf_sleep(wf, 1);
	wf_send(wf, wf_id(wf), "self", input);
	return json_object_get(wf_recv(wf, "self", 60000));
}

/* A step whose result is large. */
static json_object *
fetches(struct workflow *wf, json_object *input)
{
	int i;

	for (i = 0; i < json_object_get_int(input); i++)
		wf_sql(wf, "fetch", "select repeat('x', 400000)", 0, NULL);
	return NULL;
}

/* A step whose result is so large that few fit into a turn. */
static json_object *
gulps(struct workflow *wf, json_object *input)
{
	(void)input;
	wf_sql(wf, "gulp", "select repeat('x', 3000000)", 0, NULL);
	return NULL;
}

/* Large steps whose results are not waited for. */
static json_object *
tells(struct workflow *wf, json_object *input)
{
	char *value = wf_alloc(wf, 500001);
	int i;

	(void)input;
	memset(value, 'x', 500000);
	for (i = 0; i < 40; i++)
		wf_set_event(wf, "event", json_object_new_string(value));
	return NULL;
}

/* Begins small, and so in a timer group, and becomes large. */
static json_object *
grows(struct workflow *wf, json_object *input)
{
	(void)input;
	wf_sleep(wf, 500);
	wf_sql(wf, "grow", "select repeat('x', 9000)", 0, NULL);
	wf_sleep(wf, 500);
	wf_recv(wf, "end", 60000);
	return NULL;
}

static const struct workflow_type types[] = { TYPE(little), TYPE(passes_on),
	TYPE(fetches), TYPE(gulps), TYPE(tells), TYPE(grows) };

#define TYPES (sizeof(types) / sizeof(types[0]))

/* The most of a kind that one transaction has written to the journal. */
static const char *
most_in_a_turn(const char *what, const char *prefix)
{
	return sql("select coalesce(max(n), 0) from ("
		   "select %s as n from dbos.operation_outputs "
		   "where workflow_uuid like '%s%%' "
		   "group by xmin::text::bigint) as turns",
	    what, prefix);
}

static void
test_inputs(pid_t daemon)
{
	sql("select durable.client_submit(array_agg('large' || n), "
	    "array_agg('passes_on'::text), array_agg('test'::text), "
	    "array_agg('\"' || repeat(md5(n::text), 26562) || '\"'), 'test', "
	    "'{}', '{}', '{}', '{}', '{}') from generate_series(1, %d) as n",
	    LARGE);
	start("little", "little", "null");
	is_str(ended("little"), "SUCCESS", "a small workflow ends");
	ok(strtol(sql("select count(*) from dbos.operation_outputs as o "
		      "where o.workflow_uuid like 'large%%' "
		      "and o.function_id = 0 and o.xmin::text::bigint <= ("
		      "select l.xmin::text::bigint "
		      "from dbos.operation_outputs as l "
		      "where l.workflow_uuid = 'little')"),
	       NULL, 10) < LARGE / 2,
	    "a small workflow does not wait for the large ones before it");
	ok(wait_sql(arena_printf(arena, "%d", LARGE),
	       "select count(*) from dbos.workflow_status as s "
	       "join dbos.workflow_output as o using (workflow_uuid) "
	       "join dbos.workflow_input as i using (workflow_uuid) "
	       "where s.workflow_uuid like 'large%' and s.status = 'SUCCESS' "
	       "and '{\"positionalArgs\":[' || o.output || ']}' = i.inputs"),
	    "large workflows end with their large values");
	/* A MiB, and one workflow more, of the queue and of the type. */
	ok(strtol(most_in_a_turn("count(distinct workflow_uuid)", "large"),
	       NULL, 10) <= 4,
	    "a turn takes few large workflows");
	if (KEEPS_MEMORY)
		return;
	ok(worker_kb(daemon, "VmHWM:") < MUCH_KB,
	    "a worker needs no more memory for many large workflows");
	ok(shrinks(daemon, LITTLE_KB),
	    "a worker at rest has given back the memory of large workflows");
}

static void
test_results(void)
{
	start_together("fetches", "fetches",
	    "{4,4,4,4,4,4,4,4,4,4,4,4,4,4,4,4}");
	ok(wait_sql("16",
	       "select count(*) from dbos.workflow_status "
	       "where workflow_uuid like 'fetches%' and status = 'SUCCESS'"),
	    "workflows whose steps have large results end");
	/* Eight MiB, and a step of each workflow more. */
	ok(strtol(most_in_a_turn("sum(octet_length(output))", "fetches"), NULL,
	       10) < (8 << 20) + 16 * 400002,
	    "a turn takes no step beyond 8 MiB of results");
	start("tells", "tells", "null");
	is_str(ended("tells"), "SUCCESS", "a workflow of large events ends");
	/* Fewer when the turn is over for its time. */
	is_str(sql("select sum(n) || ' ' || (max(n) <= 17) from ("
		   "select count(*) as n from dbos.operation_outputs "
		   "where workflow_uuid = 'tells' "
		   "group by xmin::text::bigint) as turns"),
	    "40 true", "a run takes no step beyond 8 MiB of events");
}

/* 36 MB of answers in one batch, of which a turn keeps 32 MiB at most. */
static void
test_answers(void)
{
	start_together("gulps", "gulps", "{1,1,1,1,1,1,1,1,1,1,1,1}");
	ok(wait_sql("12",
	       "select count(*) from dbos.workflow_status "
	       "where workflow_uuid like 'gulps%' and status = 'SUCCESS'"),
	    "workflows whose steps have very large results end");
	ok(strtol(most_in_a_turn("sum(octet_length(output))", "gulps"), NULL,
	       10) < 32 << 20,
	    "a turn keeps few very large results");
}

static void
test_timer_groups(void)
{
	start_together("grows", "grows", "{1,2,3}");
	ok(wait_sql("3",
	       "select count(*) from durable.waits "
	       "where workflow_uuid like 'grows%' and kind = 'timer' "
	       "and timer_group is null and bytes between 9000 and 20000"),
	    "workflows that grow leave their timer group, with their size");
	ok(wait_sql("3",
	       "select count(*) from durable.waits "
	       "where workflow_uuid like 'grows%' and kind = 'message'"),
	    "workflows that have left their timer group wake");
}

int
main(void)
{
	static const struct engine engine = { .turn_size = 256,
		.turn_limit_s = 30,
		.max_attempts = 3 };
	pid_t daemon;

	story_begin("");
	daemon = story_start_daemon(&engine, types, TYPES, 1);
	test_timer_groups();
	test_results();
	test_inputs(daemon);
	test_answers();
	ok(story_stop_daemon(daemon), "SIGTERM ends the daemon with status 0");
	story_end();
	return done_testing();
}
