/* SPDX-License-Identifier: MIT */
/*
 * External steps, and the wait for the first of several things.  steps.tap
 * starts the cluster and this program.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <durable/step.h>
#include "tests/stories/story.h"
#include "tests/unit/tap.h"

/* The file to which the steps write: an effect outside the database. */
static char effects[] = "/tmp/ws-steps.XXXXXX";

static void
take_effect(struct step_call *call)
{
	int fd = open(effects, O_WRONLY | O_APPEND);

	dprintf(fd, "%s %d\n", step_key(call), step_attempt(call));
	close(fd);
}

/* How often a step has taken effect. */
static int
effects_of(const char *key)
{
	FILE *file = fopen(effects, "r");
	char line[200];
	int count = 0;

	while (fgets(line, sizeof(line), file) != NULL)
		count += strncmp(line, key, strlen(key)) == 0 &&
		    line[strlen(key)] == ' ';
	fclose(file);
	return count;
}

/* Returns its argument, its key and the number of its attempt. */
static json_object *
echo(struct step_call *call, json_object *argument)
{
	json_object *all = json_object_new_array();

	take_effect(call);
	json_object_array_add(all, json_object_get(argument));
	json_object_array_add(all, json_object_new_string(step_key(call)));
	json_object_array_add(all, json_object_new_int(step_attempt(call)));
	return all;
}

static const struct step_type echo_step = { .name = "echo", .function = echo };

static json_object *
one_step(struct workflow *wf, json_object *input)
{
	json_object *result = wf_step(wf, &echo_step, input);

	take_note(wf, "note");
	return result;
}

static const struct step_type *const step_types[] = { &echo_step, NULL };

static const struct workflow_type types[] = { TYPE(one_step) };

#define TYPES (sizeof(types) / sizeof(types[0]))

static void
test_one_step(void)
{
	start("one", "one_step", "{\"a\":1}");
	is_str(output("one"), "[{\"a\":1},\"one-0\",1]",
	    "a step gets its argument, a key and the number of its attempt");
	is_int(effects_of("one-0"), 1, "a step that succeeds runs once");
	is_str(steps("one"), "0 echo, 1 note",
	    "a step is recorded under its name");
	is_str(sql("select count(*) from durable.external_steps"), "0",
	    "a step that has ended leaves no row");
}

int
main(void)
{
	static const struct engine engine = { .turn_size = 16,
		.turn_limit_s = 2,
		.max_attempts = 3,
		.steps = step_types,
		.step_processes = 4 };
	pid_t daemon;

	close(mkstemp(effects));
	story_begin("");
	daemon = story_start_daemon(&engine, types, TYPES, 2);
	test_one_step();
	ok(story_stop_daemon(daemon), "SIGTERM ends the daemon with status 0");
	story_end();
	unlink(effects);
	return done_testing();
}
