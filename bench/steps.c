/* SPDX-License-Identifier: MIT */
/*
 * steps: a daemon with workflows of a hundred SQL steps, to compare steps per
 * second with transactions of pgbench -N.  Each step changes one row of
 * pgbench's, as such a transaction does: steps_read reads every result,
 * steps_blind reads none.
 */
#include <stdio.h>
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

static const struct workflow_type read_type = { .name = "steps_read",
	.version = "1",
	.function = steps_read };

static const struct workflow_type blind_type = { .name = "steps_blind",
	.version = "1",
	.function = steps_blind };

static const struct workflow_type *const types[] = { &read_type, &blind_type,
	NULL };

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
	const struct option_def defs[] = {
		{ "database", OPTION_TEXT, &engine.conninfo, 0, 0,
		    "connection string; empty: the PG* environment" },
		{ "workers", OPTION_NUMBER, &workers, 1, 64,
		    "worker processes, a connection each" },
		{ .name = NULL }
	};

	log_open("steps");
	options_read(argc, argv, "bench", defs);
	return durable_run(&engine, workers);
}
