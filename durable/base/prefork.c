/* SPDX-License-Identifier: MIT */
/*
 * The master process: forks workers, reaps them and starts their successors.
 */
#include "base/prefork.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/standby.h"

#define YOUNG_MS     1000 /* a worker that dies earlier is restarted later */
#define PAUSE_MIN_MS 10
#define PAUSE_MAX_MS 1000

/*
 * What the master shares with the worker of a slot.  returned: the worker's
 * function has returned, so its end is not a call of exit(3) within it.
 */
struct shared {
	char crash_note[PREFORK_CRASH_NOTE_SIZE];
	bool returned;
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
};

struct master {
	int count;
	int (*worker)(struct prefork_worker *self, const void *arg);
	const void *arg;
	struct slot *slots;
	struct standby *standby;
	sigset_t signals;   /* that the master waits for */
	int signal_fd;      /* gives them */
	int parent_fd;      /* see prefork_run_under; or -1 */
	sigset_t inherited; /* the mask of the caller of prefork_run */
	bool is_under;      /* another program's master */
	bool stopping;
	int status;
	int64_t started_ms; /* since the epoch */
};

static volatile sig_atomic_t asked_to_stop;

static int64_t
epoch_ms(void)
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

static void
start_worker(struct master *master, int number, int64_t now_ms)
{
	struct slot *slot = &master->slots[number];
	struct prefork_worker self = { .slot = number,
		.first = slot->born_ms == 0,
		.crash_note = slot->shared->crash_note,
		.standby = master->standby,
		.master_pid = (int)getpid(),
		.started_ms = epoch_ms(),
		.master_started_ms = master->started_ms,
		.deaths = slot->deaths,
		.dead_pid = slot->dead_pid,
		.died_ms = slot->died_ms,
		.died_by_itself = slot->died_by_itself };
	pid_t master_pid = getpid(), pid;
	int status;

	slot->shared->returned = false;
	pid = fork();
	if (pid == 0) {
		self.pid = (int)getpid();
		become_worker(master, &self, master_pid);
		status = master->worker(&self, master->arg);
		slot->shared->returned = true;
		leave(master, status);
	}
	if (pid < 0) {
		log_error("cannot fork a worker: %s; trying again in %d ms",
		    strerror(errno), PAUSE_MAX_MS);
		slot->due_ms = now_ms + PAUSE_MAX_MS;
		return;
	}
	slot->pid = pid;
	slot->born_ms = now_ms;
}

/* Decides when the next worker of a slot is forked, after one has ended. */
static void
plan_successor(struct slot *slot, int64_t now_ms)
{
	if (now_ms - slot->born_ms >= YOUNG_MS)
		slot->pause_ms = 0;
	slot->due_ms = now_ms + slot->pause_ms;
	slot->pause_ms = slot->pause_ms == 0 ? PAUSE_MIN_MS
					     : slot->pause_ms * 2;
	if (slot->pause_ms > PAUSE_MAX_MS)
		slot->pause_ms = PAUSE_MAX_MS;
}

static void
stop_workers(struct master *master)
{
	int i;

	master->stopping = true;
	for (i = 0; i < master->count; i++)
		if (master->slots[i].pid != 0)
			kill(master->slots[i].pid, SIGTERM);
}

/* Whether a worker that ended in this way (waitpid) did that itself. */
static bool
ended_itself(int how)
{
	static const int own[] = { SIGABRT, SIGALRM, SIGBUS, SIGFPE, SIGILL,
		SIGPIPE, SIGSEGV, SIGSYS, SIGTRAP, SIGXCPU, SIGXFSZ };
	size_t i;

	for (i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (WIFSIGNALED(how) && WTERMSIG(how) == own[i])
			return true;
	return WIFEXITED(how);
}

static void
bury(struct master *master, struct slot *slot, int how)
{
	bool returned = slot->shared->returned && WIFEXITED(how);
	bool gave_up = returned && WEXITSTATUS(how) == PREFORK_EXIT_GIVE_UP;

	if (WIFSIGNALED(how))
		log_warning("worker %d was ended by signal %d", (int)slot->pid,
		    WTERMSIG(how));
	else if (!returned)
		log_warning("worker %d was ended by a call of exit with status "
			    "%d in its work",
		    (int)slot->pid, WEXITSTATUS(how));
	else if (!gave_up && WEXITSTATUS(how) != 0)
		log_warning("worker %d ended with status %d", (int)slot->pid,
		    WEXITSTATUS(how));
	if (!returned || (WEXITSTATUS(how) != 0 && !gave_up)) {
		slot->deaths++;
		slot->dead_pid = (int)slot->pid;
		slot->died_ms = epoch_ms();
		slot->died_by_itself = ended_itself(how);
	}
	slot->pid = 0;
	plan_successor(slot, clock_monotonic_ms());
	if (gave_up && !master->stopping) {
		master->status = PREFORK_EXIT_GIVE_UP;
		stop_workers(master);
	}
}

static void
bury_the_dead(struct master *master)
{
	int how, i;

	for (i = 0; i < master->count; i++) {
		struct slot *slot = &master->slots[i];

		if (slot->pid != 0 && waitpid(slot->pid, &how, WNOHANG) > 0)
			bury(master, slot, how);
	}
}

/*
 * Forks the workers that are due.  Returns the time until another one is, -1
 * for never.
 */
static int64_t
start_due(struct master *master)
{
	int64_t now_ms = clock_monotonic_ms(), soonest_ms = -1;
	int i;

	for (i = 0; i < master->count; i++) {
		struct slot *slot = &master->slots[i];

		if (slot->pid == 0 && slot->due_ms <= now_ms)
			start_worker(master, i, now_ms);
		if (slot->pid == 0 &&
		    (soonest_ms < 0 || slot->due_ms - now_ms < soonest_ms))
			soonest_ms = slot->due_ms - now_ms;
	}
	return soonest_ms;
}

static bool
alone(const struct master *master)
{
	int i;

	for (i = 0; i < master->count; i++)
		if (master->slots[i].pid != 0)
			return false;
	return true;
}

/*
 * Waits for a signal or the end of the parent for at most timeout_ms (-1: for
 * ever) and handles it.
 */
static void
take_signal(struct master *master, int64_t timeout_ms)
{
	struct pollfd fds[] = { { .fd = master->signal_fd, .events = POLLIN },
		{ .fd = master->parent_fd, .events = POLLIN } };
	struct signalfd_siginfo signal_info;

	if (poll(fds, 2, (int)timeout_ms) < 0 && errno != EINTR)
		abort();
	if (fds[1].revents != 0) {
		master->parent_fd = -1;
		stop_workers(master);
	}
	if (fds[0].revents == 0 ||
	    read(master->signal_fd, &signal_info, sizeof(signal_info)) !=
		(ssize_t)sizeof(signal_info))
		return;
	if (signal_info.ssi_signo == SIGCHLD)
		bury_the_dead(master);
	else
		stop_workers(master);
}

static struct slot *
make_slots(int count)
{
	struct slot *slots = memory_new((size_t)count * sizeof(*slots));
	struct shared *shared = mmap(NULL, (size_t)count * sizeof(*shared),
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int i;

	if (shared == MAP_FAILED)
		memory_die();
	for (i = 0; i < count; i++)
		slots[i].shared = &shared[i];
	return slots;
}

static void
free_slots(struct slot *slots, int count)
{
	munmap(slots[0].shared, (size_t)count * sizeof(*slots[0].shared));
	free(slots);
}

/* Blocks the signals that the master waits for, and opens what gives them. */
static void
block_signals(struct master *master)
{
	sigemptyset(&master->signals);
	sigaddset(&master->signals, SIGTERM);
	sigaddset(&master->signals, SIGCHLD);
	if (master->is_under)
		signal(SIGINT, SIG_IGN);
	else
		sigaddset(&master->signals, SIGINT);
	/* With an inherited SIG_IGN the kernel would discard exit statuses. */
	signal(SIGCHLD, SIG_DFL);
	sigprocmask(SIG_BLOCK, &master->signals, &master->inherited);
	sigdelset(&master->inherited, SIGCHLD);
	master->signal_fd = signalfd(-1, &master->signals,
	    SFD_CLOEXEC | SFD_NONBLOCK);
	if (master->signal_fd < 0)
		abort();
}

static int
run(struct master *master)
{
	master->started_ms = epoch_ms();
	master->slots = make_slots(master->count);
	master->standby = standby_new(master->count);
	block_signals(master);
	log_info("started, workers: %d", master->count);
	while (!master->stopping || !alone(master))
		take_signal(master, master->stopping ? -1 : start_due(master));
	log_info("stopped");
	close(master->signal_fd);
	sigprocmask(SIG_SETMASK, &master->inherited, NULL);
	free_slots(master->slots, master->count);
	standby_free(master->standby);
	return master->status;
}

int
prefork_run(int count,
    int (*worker)(struct prefork_worker *self, const void *arg),
    const void *arg)
{
	struct master master = { .count = count,
		.worker = worker,
		.arg = arg,
		.parent_fd = -1 };

	return run(&master);
}

int
prefork_run_under(int parent_fd, int count,
    int (*worker)(struct prefork_worker *self, const void *arg),
    const void *arg)
{
	struct master master = { .count = count,
		.worker = worker,
		.arg = arg,
		.parent_fd = parent_fd,
		.is_under = true };

	return run(&master);
}
