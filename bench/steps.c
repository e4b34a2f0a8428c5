/* SPDX-License-Identifier: MIT */
/*
 * steps: a daemon with workflows of a hundred SQL steps, to compare steps per
 * second with transactions of pgbench -N.  Each step changes one row of
 * pgbench's, as such a transaction does: steps_read reads every result,
 * steps_blind reads none.  With --external it also has external and together, of
 * a hundred external steps of a millisecond: one after the other, or begun
 * together.  loop calls wf_continue in each turn.
 */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <durable/engine.h>
#include "base/log.h"
#include "base/options.h"

#define STEPS 100

static json_object *
steps_read(struct workflow *wf, json_object *input)
{
	int64_t account = json_object_get_int64(input);
	int64_t balance = 0;
	int i;

	for (i = 0; i < STEPS; i++) {
		const char *const params[] = { wf_number(wf, account + i) };

		balance += wf_sql_int64(wf, "add", "select bench.add($1)", 1,
		    params);
	}
	return json_object_new_int64(balance);
}

static json_object *
steps_blind(struct workflow *wf, json_object *input)
{
	int64_t account = json_object_get_int64(input);
	int i;

	for (i = 0; i < STEPS; i++) {
		const char *const params[] = { wf_number(wf, account + i) };

		wf_sql_void(wf, "add", "select bench.add($1)", 1, params);
	}
	return NULL;
}

/* Sleeps for a millisecond; returns when it began, in us since the epoch. */
static json_object *
nap(struct step_call *call, json_object *argument)
{
	const struct timespec millisecond = { .tv_nsec = 1000000 };
	struct timespec now;

	(void)call;
	(void)argument;
	clock_gettime(CLOCK_REALTIME, &now);
	nanosleep(&millisecond, NULL);
	return json_object_new_int64(
	    (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

static const struct step_type nap_type = { .name = "nap", .function = nap };

static const struct step_type *const step_types[] = { &nap_type, NULL };

static json_object *
external(struct workflow *wf, json_object *input)
{
	int i;

	(void)input;
	for (i = 0; i < STEPS; i++)
		wf_step(wf, &nap_type, NULL);
	return NULL;
}

static json_object *
together(struct workflow *wf, json_object *input)
{
	int handles[STEPS], i;

	(void)input;
	for (i = 0; i < STEPS; i++)
		handles[i] = wf_step_begin(wf, &nap_type, NULL);
	for (i = 0; i < STEPS; i++)
		wf_step_result(wf, handles[i]);
	return NULL;
}

/* Goes on for ever; its input counts the rounds. */
static json_object *
loop(struct workflow *wf, json_object *input)
{
	wf_continue(wf, wf_int64(wf, json_object_get_int64(input) + 1));
}

static const struct workflow_type loop_type = { .name = "loop",
	.version = "1",
	.function = loop };

static const struct workflow_type together_type = { .name = "together",
	.version = "1",
	.function = together };

static const struct workflow_type external_type = { .name = "external",
	.version = "1",
	.function = external };

static const struct workflow_type read_type = { .name = "steps_read",
	.version = "1",
	.function = steps_read };

static const struct workflow_type blind_type = { .name = "steps_blind",
	.version = "1",
	.function = steps_blind };

static const struct workflow_type *const types[] = { &read_type, &blind_type,
	&external_type, &together_type, &loop_type, NULL };

static const char *const queues[] = { "steps", DURABLE_INTERNAL_QUEUE, NULL };

int
main(int argc, char *argv[])
{
	struct engine engine = { .conninfo = "",
		.application = "steps",
		.executor = "bench",
		.types = types,
		.queues = queues,
		.turn_size = 64,
		.turn_limit_s = 30,
		.max_attempts = 10 };
	int workers = 2;
	bool has_external = false;
	const struct option_def defs[] = {
		{ "database", OPTION_TEXT, &engine.conninfo, 0, 0,
		    "connection string; empty: the PG* environment" },
		{ "workers", OPTION_NUMBER, &workers, 1, 64,
		    "worker processes, a connection each" },
		{ "external", OPTION_YES_NO, &has_external, 0, 0,
		    "has external steps, too" },
		{ "step-processes", OPTION_NUMBER, &engine.step_processes, 1,
		    256, "processes for external steps" },
		{ .name = NULL }
	};

	log_open("steps");
	options_read(argc, argv, "bench", defs);
	if (has_external)
		engine.steps = step_types;
	return durable_run(&engine, workers);
}
