/* SPDX-License-Identifier: MIT */
/*
 * A master process that keeps a number of worker processes alive.
 *
 * The master does no work and holds no connection, so that nothing but a
 * signal can end it.  A worker that dies is forked again at once; one that
 * keeps dying young is forked again with a pause (10 ms, doubling to 1 s).
 * Workers die with their master.
 */
#ifndef DURABLE_PREFORK_H
#define DURABLE_PREFORK_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

/* A worker's exit status that tells the master to give up: no restart helps. */
#define PREFORK_EXIT_GIVE_UP    3

#define PREFORK_CRASH_NOTE_SIZE 65536

struct standby;

struct prefork_worker {
	int slot; /* 0 to count - 1, stable over restarts */
	/* The first in its slot: how those before the master ended is unknown. */
	bool first;
	/*
	 * What one leaves to the next in its slot, however it ends: memory of
	 * PREFORK_CRASH_NOTE_SIZE bytes that only they share, zeros at first.
	 */
	char *crash_note;
	struct standby *standby; /* of all workers */
	/*
	 * The worker and its master: process ids, and when they were made, in
	 * milliseconds since the epoch.
	 */
	int pid, master_pid;
	int64_t started_ms, master_started_ms;
	/*
	 * How many processes have died in this slot without having been asked
	 * to, under this master; which was the last one, and when that was.
	 */
	int deaths, dead_pid;
	int64_t died_ms;
	/*
	 * What to wait with (ppoll, pselect): SIGTERM is blocked in a worker
	 * but for these waits.
	 */
	sigset_t wait_mask;
};

/*
 * Runs count workers, each as worker(self, arg) in a process of its own; what
 * worker returns is its exit status.  On SIGTERM or SIGINT the master asks
 * the workers to stop by SIGTERM and returns 0 when all have ended, however
 * long that takes.  When a worker exits with PREFORK_EXIT_GIVE_UP, the master
 * stops the others and returns that.
 */
int prefork_run(int count,
    int (*worker)(struct prefork_worker *self, void *arg), void *arg);

/* In a worker: whether it was asked to stop, by SIGTERM or its master's end. */
bool prefork_stopping(void);

#endif
