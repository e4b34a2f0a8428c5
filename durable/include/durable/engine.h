/* SPDX-License-Identifier: MIT */
/*
 * The engine: what a daemon that executes workflows is made of.
 *
 *	static const struct workflow_type *const types[] = { &checkout, NULL };
 *	struct engine engine = { .types = types, ... };
 *	return engine_run(&engine, workers);
 */
#ifndef DURABLE_ENGINE_H
#define DURABLE_ENGINE_H

#include <stdbool.h>

#include <durable/workflow.h>

struct engine {
	const char *conninfo;    /* libpq's; "" for the environment */
	const char *application; /* owner of the workflows */
	const char *executor;    /* shown with them, e.g. the host's name */
	const struct workflow_type *const *types; /* ended by NULL */
	const char *const *queues; /* ended by NULL; the internal one too */
	int turn_size;             /* of each type and queue, in a turn */
	int turn_limit_s;          /* a turn that lasts longer is killed */
	int max_attempts;          /* of a workflow that kills its worker */
	/*
	 * How long a step waits for what is missing in the schema (a table, a
	 * function, a privilege) before that is the step's own error.
	 */
	int schema_patience_s;
	int memory_limit_mb; /* of a worker's data; 0 for none */
	/*
	 * A channel whose notification makes a worker die on the spot, for
	 * demonstrations; NULL for none.
	 */
	const char *crash_channel;
	/*
	 * Whether the workers enter the machine room, and note with each turn
	 * who made it; it costs a statement a turn.
	 */
	bool machine_room;
};

/* The queue that resumed and forked workflows come back on. */
#define ENGINE_INTERNAL_QUEUE "_dbos_internal_queue"

/*
 * Keeps so many worker processes alive, each with turns of its own, until
 * SIGTERM or SIGINT.  Returns the exit status: 0, or PREFORK_EXIT_GIVE_UP when
 * the database is not of our version.
 */
int engine_run(struct engine *engine, int workers);

/*
 * The type that runs workflows of this name and version; version NULL means
 * the last registered one.  NULL when there is none.
 */
const struct workflow_type *
engine_type(const struct engine *engine, const char *name, const char *version);

#endif
