/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the master share.
 */
#ifndef DURABLE_PREFORK_PRIVATE_H
#define DURABLE_PREFORK_PRIVATE_H

#include <sys/types.h>

#include <stdatomic.h>

#include "base/prefork.h"

/*
 * What the master shares with the worker of a slot.  returned: the worker's
 * function has returned, so its end is not a call of exit(3) within it.
 */
struct shared {
	char crash_note[PREFORK_CRASH_NOTE_SIZE];
	bool returned;
	atomic_ulong beats; /* calls of prefork_beat by this worker */
};

struct slot {
	pid_t pid; /* of the worker that runs; 0: there is none */
	struct shared *shared;
	int pause_ms;         /* before the next fork */
	int64_t born_ms;      /* when the last worker was forked; 0: never */
	int64_t due_ms;       /* when to fork, while pid is 0 */
	int deaths, dead_pid; /* see struct prefork_worker */
	int64_t died_ms;
	bool died_by_itself;
	unsigned long beats; /* that the master has seen */
	int64_t progress_ms; /* when it saw that there were more */
};

/* The workers that run with one configuration. */
struct generation {
	int number, count;
	struct slot *slots;
	struct standby *standby;
	bool asked; /* to stop */
	struct generation *before;
};

struct master {
	const struct prefork_program *program;
	struct generation *newest;
	bool settled;     /* all of the newest generation work */
	bool reload_due;  /* when the workers that were asked to stop have */
	int beat_fd;      /* eventfd: a worker has beaten for the first time */
	sigset_t signals; /* that the master waits for */
	int signal_fd;    /* gives them */
	int parent_fd;    /* see prefork_run_under; or -1 */
	sigset_t inherited; /* the mask of the caller of prefork_run */
	bool is_under;      /* another program's master */
	bool stopping;
	int status;
	int64_t started_ms;          /* since the epoch */
	int64_t watchdog_ms;         /* the manager's interval; 0: none */
	int64_t watched_ms;          /* when the manager was last told */
	int64_t hung_ms, gave_up_ms; /* of log_is_due */
};

/*
 * Forks the worker of a slot of the newest generation.  Returns its process id,
 * or -1 after logging why not.
 */
pid_t prefork_fork(const struct master *master, int number);

/* Tells the manager that the workers of the newest generation work. */
void prefork_tell_ready(const struct master *master);

/*
 * Tells the manager at half its interval that the workers make progress, unless
 * one does not.  Returns the time until the next look, -1 for never.
 */
int64_t prefork_keep_watch(struct master *master);

/* Milliseconds since the epoch. */
int64_t prefork_epoch_ms(void);

#endif
