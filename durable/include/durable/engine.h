/* SPDX-License-Identifier: MIT */
/*
 * The engine: runs the worker processes of a daemon that executes workflows.
 *
 *	static const struct workflow_type *const types[] = { &checkout, NULL };
 *	struct engine engine = { .types = types, ... };
 *	return durable_run(&engine, workers);
 */
#ifndef DURABLE_ENGINE_H
#define DURABLE_ENGINE_H

#include <stdbool.h>

#include <durable/step.h>
#include <durable/workflow.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct engine {
	const char *conninfo;    /* libpq's; "" for the environment */
	const char *application; /* that owns the workflows */
	const char *executor;    /* stored with each, e.g. the host's name */
	const struct workflow_type *const *types; /* ended by NULL */
	const char *const *queues; /* ended by NULL; with the internal one */
	/*
	 * The external steps that this daemon runs, ended by NULL; NULL: none.
	 * With some it has one process more, with a session, and up to
	 * step_processes (0: 8) without one, each of which runs a step at a
	 * time.
	 */
	const struct step_type *const *steps;
	int step_processes;
	int turn_size; /* most workflows of a type or queue */
	/*
	 * For how long a run of a workflow may compute and sleep before its
	 * worker is ended.  Waiting for the database does not count.
	 */
	int turn_limit_s;
	/* How many workers may end themselves while they run one workflow. */
	int max_attempts;
	/*
	 * How long a step waits for what is missing in the schema (a table, a
	 * function, a privilege) before that is its own error; 0: 300 s.
	 */
	int schema_patience_s;
	int memory_limit_mb; /* of a worker's data; 0 for none */
	/*
	 * A notification on this channel kills a worker at once, for
	 * demonstrations; NULL for none.
	 */
	const char *crash_channel;
	/*
	 * Whether the workers register with the monitor and note in it which
	 * workflows they ran, which costs one statement per turn.
	 */
	bool machine_room;
};

/* The queue into which the DBOS tools put resumed and forked workflows. */
#define DURABLE_INTERNAL_QUEUE "_dbos_internal_queue"

/* What durable_run returns for an engine that cannot run as it is set. */
#define DURABLE_EXIT_USAGE     2

/*
 * Keeps so many worker processes alive, each of which runs turns, and blocks
 * until SIGTERM or SIGINT.  engine and what it points to must outlive the call.
 * Returns the program's exit status: 0; DURABLE_EXIT_USAGE at once when engine
 * names no type or no queue, or one twice, or has a number out of range; 3 when
 * the schema is of another version.  The log says what was wrong.
 */
int durable_run(const struct engine *engine, int workers);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
