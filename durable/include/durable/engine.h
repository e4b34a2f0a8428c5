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
#include <stdint.h>

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
	 * Serves instead of queues, which may be NULL, all that dbos.queues has
	 * for the application or for none, and the internal one: also what is
	 * registered later, within a second.
	 */
	bool all_queues;
	/*
	 * The external steps that this daemon runs, ended by NULL; NULL: none.
	 * With some it has one process more, with a session, and up to
	 * step_processes (0: 16) without one, each of which runs a step at a
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
	/*
	 * On SIGHUP, in the master of durable_run: changes what stands here, and
	 * returns how many workers take the place of those that run; or returns
	 * 0, and has changed nothing.  The workers that run finish their turns
	 * when the new ones have connected to the database.  NULL: SIGHUP ends
	 * the program, as the system has it.  durable_start does not call it.
	 */
	int (*reload)(void);
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
 * the schema is of another version.  The log says what was wrong.  Under
 * systemd it says that it is ready, reloads and stops, and feeds the watchdog
 * while all workers make progress (Type=notify, WatchdogSec).
 */
int durable_run(const struct engine *engine, int workers);

/*
 * The second door, for a program with a main loop of its own.
 *
 *	struct durable *durable = durable_start(&engine, 2, log, NULL);
 *	(in the loop, when durable_fd is readable)
 *	if (!durable_handle(durable)) ...
 *	(at the end)
 *	return durable_close(durable);
 *
 * The engine runs in processes of its own, all below one child of the program.
 * It sets no signal handler in the program, waits for no child but its own, and
 * calls neither exit(3) nor what is registered with atexit(3).  It ends when the
 * program does, however that ends.
 */
struct durable;

/* Syslog's numbers. */
enum durable_level { DURABLE_ERROR = 3, DURABLE_WARNING = 4, DURABLE_INFO = 6 };

/*
 * Takes a line of the log, without an end of line, from durable_start, from
 * durable_handle and durable_close, and for what the client logs from its
 * thread.  workflow is the id that the line is about, up to a blank, or NULL.
 */
typedef void durable_log_function(void *arg, enum durable_level level,
    const char *workflow, const char *text);

/* Counts of all workers, since durable_start; a turn counts at its commit. */
struct durable_stats {
	uint64_t turns;
	uint64_t runs;   /* of workflows, in these turns */
	uint64_t steps;  /* that were recorded */
	uint64_t errors; /* workflows that failed */
	/*
	 * By how many milliseconds the last turn began after the time at which
	 * it had work, as the turn before it knew: the most of any worker.
	 */
	int64_t lag_ms;
};

/*
 * Starts so many workers and returns at once.  Call it before the program starts
 * a thread, because it forks.  engine and what it points to must outlive the
 * engine's end.  log NULL: standard error has the log.  A program has one such
 * engine at a time.  Returns NULL, and logs why, when the engine cannot run as it
 * is set or no process can be forked.
 */
struct durable *durable_start(const struct engine *engine, int workers,
    durable_log_function *log, void *arg);

/* The descriptor to poll(2): durable_handle has work when it is readable. */
int durable_fd(const struct durable *durable);

/*
 * Passes lines on to the log.  Does not block.  Returns false when the engine has
 * ended: after durable_stop, when the schema is of another version, or because
 * its master was killed.  durable_close then says which.
 */
bool durable_handle(struct durable *durable);

/* Asks the workers to end, after the turns that they are in. */
void durable_stop(struct durable *durable);

/* Returns the counts; at any time, also of an engine that has ended. */
struct durable_stats durable_stats(const struct durable *durable);

/*
 * Stops the engine, waits for the turns of its workers, and frees it.  Returns
 * what durable_run would have; 1: its master was killed.
 */
int durable_close(struct durable *durable);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
