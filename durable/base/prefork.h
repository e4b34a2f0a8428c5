/* SPDX-License-Identifier: MIT */
/*
 * A master process that keeps a number of worker processes alive.
 *
 * The master does no work and holds no connection, so that only a signal can
 * end it.  It replaces a worker that dies at once, or after a pause (10 ms,
 * doubling to 1 s) when workers of the slot keep dying within a second.
 * Workers stop when their master dies.
 *
 * Under a service manager (sd_notify(3)) the master says when all workers work,
 * that it reloads or stops, and at the manager's interval that each worker has
 * made progress.
 */
#ifndef DURABLE_PREFORK_H
#define DURABLE_PREFORK_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

/* A worker's result that tells the master to give up: no restart helps. */
#define PREFORK_EXIT_GIVE_UP    3

#define PREFORK_CRASH_NOTE_SIZE 65536

struct standby;

struct prefork_worker {
	int slot; /* 0 to count - 1, stable over restarts */
	/* How often the master had reloaded when it forked the worker. */
	int generation;
	/* Whether it is the first worker in its slot of its generation. */
	bool first;
	/*
	 * Whether the workers of the configuration before go on until this one
	 * has beaten, so that it should be sure first that its own is right.
	 */
	bool on_trial;
	/*
	 * Memory of PREFORK_CRASH_NOTE_SIZE bytes, zeros at first, that
	 * outlives the worker: its successor in the slot reads it.
	 */
	char *crash_note;
	struct standby *standby; /* shared by all workers */
	/*
	 * Process ids of the worker and its master, and when each started, in
	 * milliseconds since the epoch.
	 */
	int pid, master_pid;
	int64_t started_ms, master_started_ms;
	/*
	 * How many workers of this slot and generation have died without being
	 * asked to stop; the last one's process id and time of death.
	 */
	int deaths, dead_pid;
	int64_t died_ms;
	/*
	 * Whether that one ended itself, by exit(3) or a signal that a fault or
	 * a limit raises, and was not ended by another process or the kernel.
	 */
	bool died_by_itself;
	/*
	 * The mask for ppoll and pselect: a worker blocks SIGTERM except in
	 * these calls.
	 */
	sigset_t wait_mask;
};

/* What a master keeps running. */
struct prefork_program {
	int count; /* of workers */
	int (*worker)(struct prefork_worker *self, const void *arg);
	void *arg; /* of both functions */
	/*
	 * In the master, on SIGHUP: changes what the next workers find behind
	 * arg, and returns how many there shall be; or returns 0, and has
	 * changed nothing, so that the workers stay.  NULL: SIGHUP ends the
	 * master, as the system has it.
	 */
	int (*reload)(void *arg);
};

/*
 * Runs the workers, each as worker(self, arg) in a process of its own, and
 * blocks until all have ended; the worker's result is its exit status.  On
 * SIGTERM or SIGINT the master sends SIGTERM to the workers, waits without
 * limit and returns 0.  When a worker returns PREFORK_EXIT_GIVE_UP, the master
 * stops the others and returns that status.  A worker that calls exit(3) has
 * died, whatever the status is.
 *
 * On a reload another generation of workers starts.  When all of it work, the
 * one before is asked to stop; until then it stays, and no worker of the new
 * one makes the master give up.  A reload waits for workers that were asked to
 * stop, so that reloads in a row never multiply the connections.
 */
int prefork_run(const struct prefork_program *program);

/*
 * prefork_run for a process that a program has forked for it.  Stops, too, when
 * the other end of the socket parent_fd is closed, and ignores SIGINT, which a
 * terminal sends to the program as well.  A worker leaves by _exit(2), so that
 * nothing runs that the program has registered with atexit(3).
 */
int prefork_run_under(int parent_fd, const struct prefork_program *program);

/* Whether this worker was asked to stop: by SIGTERM, or its master died. */
bool prefork_stopping(void);

/*
 * In a worker, from any thread: it makes progress.  The first call says that
 * the worker does its work.  A worker without a call for
 * PREFORK_PROGRESS_MS, or the manager's interval if that is longer, is taken
 * for one that hangs.  Elsewhere does nothing.
 */
void prefork_beat(void);

#define PREFORK_PROGRESS_MS 8000

/* Beats, unless the worker is on trial and not sure; sure ends the trial. */
void prefork_beat_if(struct prefork_worker *self, bool sure);

#endif
