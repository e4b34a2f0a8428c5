/* SPDX-License-Identifier: MIT */
/*
 * A master process that keeps a number of worker processes alive.
 *
 * The master does no work and holds no connection, so that only a signal can
 * end it.  It replaces a worker that dies at once, or after a pause (10 ms,
 * doubling to 1 s) when workers of the slot keep dying within a second.
 * Workers stop when their master dies.
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
	/* Whether it is the first worker in its slot under this master. */
	bool first;
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
	 * How many workers of this slot have died without being asked to stop,
	 * under this master; the last one's process id and time of death.
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

/*
 * Runs count workers, each as worker(self, arg) in a process of its own, and
 * blocks until all have ended; the worker's result is its exit status.  On
 * SIGTERM or SIGINT the master sends SIGTERM to the workers, waits without
 * limit and returns 0.  When a worker returns PREFORK_EXIT_GIVE_UP, the master
 * stops the others and returns that status.  A worker that calls exit(3) has
 * died, whatever the status is.
 */
int prefork_run(int count,
    int (*worker)(struct prefork_worker *self, const void *arg),
    const void *arg);

/*
 * prefork_run for a process that a program has forked for it.  Stops, too, when
 * the other end of the socket parent_fd is closed, and ignores SIGINT, which a
 * terminal sends to the program as well.  A worker leaves by _exit(2), so that
 * nothing runs that the program has registered with atexit(3).
 */
int prefork_run_under(int parent_fd, int count,
    int (*worker)(struct prefork_worker *self, const void *arg),
    const void *arg);

/* Whether this worker was asked to stop: by SIGTERM, or its master died. */
bool prefork_stopping(void);

#endif
