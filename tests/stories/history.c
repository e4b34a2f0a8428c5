/* SPDX-License-Identifier: MIT */
/*
 * The limits of a workflow's history: the log warns before, at the limit the
 * workflow fails alone, and wf_continue keeps a workflow from it.  history.tap
 * starts the cluster and this program, with the daemon's log in the file
 * HISTORY_LOG.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/stories/story.h"
#include "tests/unit/tap.h"

static json_object *
takes_steps(struct workflow *wf, json_object *input)
{
	int i;

	for (i = 0; i < json_object_get_int(input); i++)
		wf_sleep(wf, 0);
	return NULL;
}

/* An author cannot catch the limit. */
static json_object *
catches(struct workflow *wf, json_object *input)
{
	(void)input;
	for (;;) {
		wf_catch(wf);
		wf_sql(wf, "fetch", "select repeat('x', 20000000)", 0, NULL);
	}
	return NULL;
}

static int64_t
member(json_object *object, const char *name)
{
	return json_object_get_int64(json_object_object_get(object, name));
}

static const struct workflow_type child = TYPE(good);

/*
 * Takes as many rounds as the input has left, and returns what they add up to.
 * Each has a note, a child, and a message that the round before has sent.
 */
static json_object *
loops(struct workflow *wf, json_object *input)
{
	int64_t left = member(input, "left"), sum = member(input, "sum");
	json_object *next;

	if (left == 0)
		return json_object_new_int64(sum);
	wf_send(wf, wf_id(wf), NULL, json_object_new_int64(left));
	if (sum > 0)
		sum += json_object_get_int64(wf_recv(wf, NULL, 60000));
	else
		sum = 1;
	take_note(wf, "note");
	wf_start(wf, &child, NULL, NULL);
	next = wf_own(wf, json_object_new_object());
	json_object_object_add(next, "left", json_object_new_int64(left - 1));
	json_object_object_add(next, "sum", json_object_new_int64(sum));
	wf_continue(wf, next);
}

static const struct workflow_type types[] = { TYPE(takes_steps), TYPE(catches),
	TYPE(loops), TYPE(good) };

#define TYPES (sizeof(types) / sizeof(types[0]))

/* How many lines of the daemon's log have a text. */
static int
logged(const char *text)
{
	const char *path = getenv("HISTORY_LOG");
	FILE *file = path == NULL ? NULL : fopen(path, "r");
	char line[1024];
	int lines = 0;

	if (file == NULL)
		return -1;
	while (fgets(line, sizeof(line), file) != NULL)
		lines += strstr(line, text) != NULL;
	fclose(file);
	return lines;
}

/* A workflow goes on for ever, through the ends of its sessions. */
static void
test_continue(void)
{
	int i;

	start("loops", "loops", "{\"left\":300,\"sum\":0}");
	for (i = 0; i < 10; i++) {
		wait_sql("true",
		    arena_printf(arena,
			"select count(*) > %d from test.notes "
			"where id = 'loops'",
			i * 25));
		sql("select count(pg_terminate_backend(pid)) "
		    "from pg_stat_activity where application_name = 'durable worker'");
	}
	/* 1, and the numbers from 300 down to 2. */
	is_str(output("loops"), "45150",
	    "a workflow continues with its input and its unread messages");
	is_str(notes("loops"), "300",
	    "every step takes effect once before and after wf_continue");
	is_str(sql("select count(*) from dbos.workflow_status "
		   "where parent_workflow_id = 'loops'"),
	    "300", "the ids of children do not repeat after wf_continue");
	is_str(sql("select string_agg(function_name, ' ') "
		   "from dbos.operation_outputs where workflow_uuid = 'loops'"),
	    "durable.continue", "wf_continue leaves the journal empty");
	is_str(sql("select max(function_id) >= 1000 "
		   "from dbos.operation_outputs where workflow_uuid = 'loops'"),
	    "true", "step numbers count on after wf_continue");
}

int
main(void)
{
	static const struct engine engine = { .turn_size = 16,
		.turn_limit_s = 30,
		.max_attempts = 3 };
	pid_t daemon;

	story_begin("");
	daemon = story_start_daemon(&engine, types, TYPES, 1);
	start_together("steps", "takes_steps", "{9999,10001,50001,9}");
	is_str(ended("steps1"), "SUCCESS", "a workflow may have many steps");
	is_str(ended("steps2"), "SUCCESS", "a workflow may exceed the warning");
	is_str(ended("steps3"), "ERROR",
	    "a workflow beside others fails at the limit of steps");
	ok(strstr(output("steps3"),
	       "{\"name\":\"DBOSHistoryLimitExceeded\",\"message\":"
	       "\"the history of workflow 'steps3' has 49999 step(s)") != NULL,
	    "the error at the limit has a name, and says which limit");
	is_str(ended("steps4"), "SUCCESS",
	    "a workflow beside one that reaches the limit ends");
	start("bytes", "catches", "null");
	is_str(ended("bytes"), "ERROR",
	    "a workflow fails at the limit of bytes");
	ok(strstr(output("bytes"), "has 2 step(s) and 400") != NULL,
	    "the error at the limit of bytes says how many there are");
	test_continue();
	ok(story_stop_daemon(daemon), "SIGTERM ends the daemon with status 0");
	is_int(logged("wf=steps1 "), 0,
	    "the log does not warn of a history below the warning");
	is_int(logged(
		   "wf=steps2 the history of workflow 'takes_steps' has 10000 "
		   "step(s)"),
	    1, "the log warns once of many steps, with workflow and type");
	is_int(
	    logged(
		"wf=bytes the history of workflow 'catches' has 1 step(s) and "
		"200"),
	    1, "the log warns once of many bytes, with workflow and type");
	is_int(logged(
		   "with 50000 or 33554432 the workflow fails: let it end or"),
	    3, "the log says what to do about a long history");
	story_end();
	return done_testing();
}
