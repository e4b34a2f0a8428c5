/* SPDX-License-Identifier: MIT */
/*
 * A worker's side: its fork, its signals, and what it says to its master.
 */
#include <sys/eventfd.h>
#include <sys/prctl.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/prefork_private.h"

static volatile sig_atomic_t asked_to_stop;

/* In a worker: what it shares with its master, and how to wake that. */
static struct shared *own;
static int own_beat_fd;

int64_t
prefork_epoch_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool
prefork_stopping(void)
{
	sigset_t pending;

	/* SIGTERM is blocked, so it is pending until the worker waits. */
	return asked_to_stop ||
	    (sigpending(&pending) == 0 && sigismember(&pending, SIGTERM) == 1);
}

void
prefork_beat(void)
{
	if (own != NULL && atomic_fetch_add(&own->beats, 1) == 0 &&
	    eventfd_write(own_beat_fd, 1) != 0)
		abort();
}

void
prefork_beat_if(struct prefork_worker *self, bool sure)
{
	self->on_trial = self->on_trial && !sure;
	if (!self->on_trial)
		prefork_beat();
}

static void
note_stop(int signal_number)
{
	(void)signal_number;
	asked_to_stop = 1;
}

/*
 * Runs in the new process.  The signals that the master waits for are blocked
 * since before the fork, so that none is lost before the handlers are set.
 */
static void
become_worker(const struct master *master, struct prefork_worker *self,
    pid_t master_pid)
{
	struct sigaction stop = { .sa_handler = note_stop };
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	sigset_t mask = master->inherited;

	/* A terminal sends SIGINT to all; the master answers with SIGTERM. */
	sigemptyset(&stop.sa_mask);
	sigemptyset(&ignore.sa_mask);
	if (sigaction(SIGTERM, &stop, NULL) != 0 ||
	    sigaction(SIGINT, &ignore, NULL) != 0 ||
	    (master->program->reload != NULL &&
		sigaction(SIGHUP, &ignore, NULL) != 0) ||
	    prctl(PR_SET_PDEATHSIG, SIGTERM) != 0)
		abort();
	/* The master may have died before prctl asked for its death signal. */
	if (getppid() != master_pid)
		asked_to_stop = 1;
	sigdelset(&mask, SIGTERM);
	self->wait_mask = mask;
	sigaddset(&mask, SIGTERM);
	sigprocmask(SIG_SETMASK, &mask, NULL);
}

static void __attribute__((noreturn))
leave(const struct master *master, int status)
{
	if (!master->is_under)
		exit(status);
	fflush(NULL);
	_exit(status);
}

pid_t
prefork_fork(const struct master *master, int number)
{
	const struct generation *generation = master->newest;
	const struct slot *slot = &generation->slots[number];
	struct prefork_worker self = { .slot = number,
		.generation = generation->number,
		.first = slot->born_ms == 0,
		.on_trial = generation->before != NULL,
		.crash_note = slot->shared->crash_note,
		.standby = generation->standby,
		.master_pid = (int)getpid(),
		.started_ms = prefork_epoch_ms(),
		.master_started_ms = master->started_ms,
		.deaths = slot->deaths,
		.dead_pid = slot->dead_pid,
		.died_ms = slot->died_ms,
		.died_by_itself = slot->died_by_itself };
	pid_t master_pid = getpid(), pid;
	int status;

	slot->shared->returned = false;
	atomic_store(&slot->shared->beats, 0);
	pid = fork();
	if (pid == 0) {
		self.pid = (int)getpid();
		own = slot->shared;
		own_beat_fd = master->beat_fd;
		become_worker(master, &self, master_pid);
		status = master->program->worker(&self, master->program->arg);
		slot->shared->returned = true;
		leave(master, status);
	}
	if (pid < 0)
		log_error("cannot fork a worker: %s", strerror(errno));
	return pid;
}
