/* SPDX-License-Identifier: MIT */
/*
 * The limits of a workflow's history: the log warns before, and at the limit
 * the workflow fails alone.  history.tap starts the cluster and this program,
 * with the daemon's log in the file HISTORY_LOG.
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

static const struct workflow_type types[] = { TYPE(takes_steps),
	TYPE(catches) };

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
	is_int(
	    logged(
		"with 50000 or 33554432 the workflow fails: let it end before"),
	    3, "the log says what to do about a long history");
	story_end();
	return done_testing();
}
