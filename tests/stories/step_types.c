/* SPDX-License-Identifier: MIT */
/*
 * Step functions, right and wrong, for steps.c.
 */
#include "tests/stories/step_types.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

char effects[] = "/tmp/ws-steps.XXXXXX";

static void
take_effect(struct step_call *call, const char *what)
{
	int fd = open(effects, O_WRONLY | O_APPEND);

	dprintf(fd, "%s %s %d\n", step_key(call), what, (int)getpid());
	close(fd);
}

int
effects_of(const char *key, const char *what, int *pid)
{
	FILE *file = fopen(effects, "r");
	char line[200], wanted[200];
	int count = 0;

	snprintf(wanted, sizeof(wanted), "%s %s ", key, what);
	while (fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, wanted, strlen(wanted)) == 0) {
			count++;
			if (pid != NULL)
				*pid = (int)strtol(line + strlen(wanted), NULL,
				    10);
		}
	fclose(file);
	return count;
}

void
rest(int ms)
{
	const struct timespec time = { .tv_sec = ms / 1000,
		.tv_nsec = ms % 1000 * 1000000L };

	nanosleep(&time, NULL);
}

/* Returns its argument, its key and the number of its attempt. */
static json_object *
echo(struct step_call *call, json_object *argument)
{
	json_object *all = json_object_new_array();

	take_effect(call, "echo");
	json_object_array_add(all, json_object_get(argument));
	json_object_array_add(all, json_object_new_string(step_key(call)));
	json_object_array_add(all, json_object_new_int(step_attempt(call)));
	return all;
}

/* Fails in its first argument attempts. */
static json_object *
flaky(struct step_call *call, json_object *argument)
{
	take_effect(call, "flaky");
	if (step_attempt(call) <= json_object_get_int(argument))
		return step_error(call, "Flaky", "attempt %d",
		    step_attempt(call));
	return json_object_new_int(step_attempt(call));
}

/* Fails for good: by its own word, or by that of its type. */
static json_object *
refused(struct step_call *call, json_object *argument)
{
	take_effect(call, "refused");
	return argument == NULL ? step_final_error(call, "Gone", "by its word")
				: step_error(call, "Refused", "by its type");
}

/* The first attempt ends in the way of the argument. */
static json_object *
wild(struct step_call *call, json_object *argument)
{
	const char *how = json_object_get_string(argument);
	pid_t left;

	take_effect(call, "wild");
	if (step_attempt(call) > 1)
		return json_object_new_int(step_attempt(call));
	if (strcmp(how, "crash") == 0)
		raise(SIGSEGV);
	if (strcmp(how, "exit") == 0)
		exit(3);
	if (strcmp(how, "close") == 0)
		close_range(3, ~0U, 0);
	if (strcmp(how, "leak") == 0)
		while (dup(STDERR_FILENO) >= 0)
			;
	if (strcmp(how, "deaf") == 0)
		signal(SIGTERM, SIG_IGN);
	if (strcmp(how, "fork") == 0) {
		left = fork();
		if (left != 0)
			raise(SIGKILL);
		take_effect(call, "left");
	}
	if (strcmp(how, "noise") == 0 &&
	    write(3, "this is no frame at all", 23) < 0)
		return NULL;
	for (;;)
		pause();
}

/* Counts to its argument; every attempt but the third crashes behind 10 more. */
static json_object *
counter(struct step_call *call, json_object *argument)
{
	int from = json_object_get_int(step_progress(call)), i;

	take_effect(call, "begin");
	for (i = from; i < json_object_get_int(argument); i++) {
		json_object *progress = json_object_new_int(i);

		step_beat(call, progress);
		json_object_put(progress);
		if (i == from + 10 && step_attempt(call) < 3)
			raise(SIGKILL);
		rest(50);
	}
	return json_object_new_int(from);
}

/* Beats until it is to stop. */
static json_object *
endless(struct step_call *call, json_object *argument)
{
	(void)argument;
	take_effect(call, "begin");
	while (step_beat(call, NULL))
		rest(5);
	take_effect(call, "stop");
	return NULL;
}

/* Ends when as many steps of its workflow have begun as its argument says. */
static json_object *
meeting(struct step_call *call, json_object *argument)
{
	const char *last = strrchr(step_key(call), '-');
	char key[100];
	int all = json_object_get_int(argument), i, met;

	take_effect(call, "begin");
	do {
		rest(5);
		for (met = 0, i = 0; i < all; i++) {
			snprintf(key, sizeof(key), "%.*s-%d",
			    (int)(last - step_key(call)), step_key(call), i);
			met += effects_of(key, "begin", NULL) > 0;
		}
	} while (met < all);
	return json_object_new_int(met);
}

/* Ends when there is a file of this name. */
static json_object *
gate(struct step_call *call, json_object *argument)
{
	take_effect(call, "begin");
	while (access(json_object_get_string(argument), F_OK) != 0)
		rest(5);
	take_effect(call, "end");
	return json_object_get(argument);
}

static json_object *
large(struct step_call *call, json_object *argument)
{
	(void)call;
	return json_object_get(argument);
}

static const char *const final_errors[] = { "Refused", NULL };

const struct step_type echo_step = { .name = "echo", .function = echo };
static const struct step_type flaky_step = { .name = "flaky",
	.function = flaky,
	.max_attempts = 3,
	.first_delay_ms = 10 };
static const struct step_type refused_step = { .name = "refused",
	.function = refused,
	.max_attempts = 3,
	.first_delay_ms = 10,
	.final_errors = final_errors };
static const struct step_type wild_step = { .name = "wild",
	.function = wild,
	.max_attempts = 2,
	.first_delay_ms = 10,
	.attempt_timeout_ms = 1000 };
static const struct step_type fragile_step = { .name = "fragile",
	.function = wild,
	.attempt_timeout_ms = 1000 };
static const struct step_type counter_step = { .name = "counter",
	.function = counter,
	.max_attempts = 3,
	.first_delay_ms = 10,
	.attempt_timeout_ms = 1500 };
const struct step_type endless_step = { .name = "endless",
	.function = endless };
const struct step_type meeting_step = { .name = "meeting",
	.function = meeting };
static const struct step_type gate_step = { .name = "gate", .function = gate };
static const struct step_type large_step = { .name = "large",
	.function = large };

const struct step_type *const step_types[] = { &echo_step, &flaky_step,
	&refused_step, &wild_step, &fragile_step, &counter_step, &endless_step,
	&meeting_step, &gate_step, &large_step, NULL };
