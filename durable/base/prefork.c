/* SPDX-License-Identifier: MIT */
/*
 * The master process: forks workers, reaps them and starts their successors.
 */
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/prefork_private.h"
#include "base/service.h"
#include "base/standby.h"

#define YOUNG_MS     1000 /* a worker that dies earlier is restarted later */
#define PAUSE_MIN_MS 10
#define PAUSE_MAX_MS 1000

static void
start_worker(struct master *master, int number, int64_t now_ms)
{
	struct slot *slot = &master->newest->slots[number];
	pid_t pid = prefork_fork(master, number);

	if (pid < 0) {
		slot->due_ms = now_ms + PAUSE_MAX_MS;
		return;
	}
	slot->pid = pid;
	slot->born_ms = slot->progress_ms = now_ms;
	slot->beats = 0;
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
ask_to_stop(struct generation *generation)
{
	int i;

	generation->asked = true;
	for (i = 0; i < generation->count; i++)
		if (generation->slots[i].pid != 0)
			kill(generation->slots[i].pid, SIGTERM);
}

static void
stop_workers(struct master *master)
{
	struct generation *generation = master->newest;

	if (!master->stopping && !master->is_under)
		service_notify("STOPPING=1\nSTATUS=Workers finish their work");
	master->stopping = true;
	do
		ask_to_stop(generation);
	while ((generation = generation->before) != NULL);
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

/*
 * Workers that cannot work with a configuration that was reloaded end nothing
 * while those of the one before work.
 */
static void
heed_give_up(struct master *master, const struct generation *generation)
{
	if (master->stopping || generation->asked)
		return;
	if (generation->before == NULL) {
		master->status = PREFORK_EXIT_GIVE_UP;
		stop_workers(master);
	} else if (log_is_due(&master->gave_up_ms)) {
		log_error("the workers cannot work with the configuration that "
			  "was reloaded, so those of the one before go on: "
			  "mend it and reload again");
	}
}

static void
bury(struct master *master, struct generation *generation, struct slot *slot,
    int how)
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
		slot->died_ms = prefork_epoch_ms();
		slot->died_by_itself = ended_itself(how);
	}
	slot->pid = 0;
	plan_successor(slot, clock_monotonic_ms());
	if (gave_up)
		heed_give_up(master, generation);
}

static void
generation_free(struct generation *generation)
{
	munmap(generation->slots[0].shared,
	    (size_t)generation->count * sizeof(*generation->slots[0].shared));
	free(generation->slots);
	standby_free(generation->standby);
	free(generation);
}

static bool
has_ended(const struct generation *generation)
{
	int i;

	for (i = 0; i < generation->count; i++)
		if (generation->slots[i].pid != 0)
			return false;
	return true;
}

/* Frees the older generations that have ended. */
static void
free_ended(struct master *master)
{
	struct generation *after = master->newest, *generation;

	while ((generation = after->before) != NULL) {
		if (!has_ended(generation)) {
			after = generation;
			continue;
		}
		after->before = generation->before;
		generation_free(generation);
	}
}

static void
bury_the_dead(struct master *master)
{
	struct generation *generation = master->newest;
	int how, i;

	do
		for (i = 0; i < generation->count; i++) {
			struct slot *slot = &generation->slots[i];

			if (slot->pid != 0 &&
			    waitpid(slot->pid, &how, WNOHANG) > 0)
				bury(master, generation, slot, how);
		}
	while ((generation = generation->before) != NULL);
	free_ended(master);
}

/*
 * Forks the workers that are due.  Returns the time until another one is, -1
 * for never.
 */
static int64_t
start_due(struct master *master)
{
	const struct generation *generation = master->newest;
	int64_t now_ms = clock_monotonic_ms(), soonest_ms = -1;
	int i;

	for (i = 0; i < generation->count; i++) {
		struct slot *slot = &generation->slots[i];

		if (slot->pid == 0 && slot->due_ms <= now_ms)
			start_worker(master, i, now_ms);
		if (slot->pid == 0 &&
		    (soonest_ms < 0 || slot->due_ms - now_ms < soonest_ms))
			soonest_ms = slot->due_ms - now_ms;
	}
	return soonest_ms;
}

static struct generation *
generation_new(int count, struct generation *before)
{
	struct generation *generation = memory_new(sizeof(*generation));
	struct shared *shared = mmap(NULL, (size_t)count * sizeof(*shared),
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int i;

	if (shared == MAP_FAILED)
		memory_die();
	generation->number = before == NULL ? 0 : before->number + 1;
	generation->count = count;
	generation->slots = memory_new(
	    (size_t)count * sizeof(*generation->slots));
	for (i = 0; i < count; i++)
		generation->slots[i].shared = &shared[i];
	generation->standby = standby_new(count);
	generation->before = before;
	return generation;
}

/* When all of the newest generation work, the older ones have to stop. */
static void
settle(struct master *master)
{
	struct generation *generation = master->newest;
	int i;

	for (i = 0; i < generation->count; i++)
		if (generation->slots[i].pid == 0 ||
		    atomic_load(&generation->slots[i].shared->beats) == 0)
			return;
	master->settled = true;
	prefork_tell_ready(master);
	while ((generation = generation->before) != NULL)
		ask_to_stop(generation);
}

/* Whether a reload has to wait for workers that end. */
static bool
reload_waits(struct master *master)
{
	const struct generation *generation = master->newest;
	bool waited = master->reload_due;

	while ((generation = generation->before) != NULL && !generation->asked)
		continue;
	master->reload_due = generation != NULL;
	if (master->reload_due && !waited)
		log_info("the reload waits for the workers of the last one to "
			 "finish their work");
	return master->reload_due;
}

static void
reload(struct master *master)
{
	int count;

	free_ended(master);
	if (reload_waits(master))
		return;
	if (!master->is_under)
		service_notify("RELOADING=1\nMONOTONIC_USEC=%" PRId64,
		    clock_monotonic_us());
	count = master->program->reload(master->program->arg);
	if (count > 0) {
		log_info("reloaded, workers: %d", count);
		if (!master->settled)
			ask_to_stop(master->newest);
		master->newest = generation_new(count, master->newest);
		master->settled = false;
	} else if (master->settled) {
		prefork_tell_ready(master);
	}
}

/* Does what is due; returns the time until more is, -1 for never. */
static int64_t
look_after(struct master *master)
{
	int64_t start_ms, watch_ms;

	if (master->stopping)
		return -1;
	if (master->reload_due)
		reload(master);
	start_ms = start_due(master);
	if (!master->settled)
		settle(master);
	watch_ms = prefork_keep_watch(master);
	return start_ms < 0 || (watch_ms >= 0 && watch_ms < start_ms)
	    ? watch_ms
	    : start_ms;
}

/*
 * Waits for a signal, a worker's first beat or the end of the parent for at
 * most timeout_ms (-1: for ever) and handles it.
 */
static void
take_signal(struct master *master, int64_t timeout_ms)
{
	struct pollfd fds[] = { { .fd = master->signal_fd, .events = POLLIN },
		{ .fd = master->parent_fd, .events = POLLIN },
		{ .fd = master->beat_fd, .events = POLLIN } };
	struct signalfd_siginfo signal_info;
	eventfd_t ignored;

	if (poll(fds, 3, (int)timeout_ms) < 0 && errno != EINTR)
		abort();
	if (fds[1].revents != 0) {
		master->parent_fd = -1;
		stop_workers(master);
	}
	if (fds[2].revents != 0 && eventfd_read(master->beat_fd, &ignored) != 0)
		abort();
	if (fds[0].revents == 0 ||
	    read(master->signal_fd, &signal_info, sizeof(signal_info)) !=
		(ssize_t)sizeof(signal_info))
		return;
	if (signal_info.ssi_signo == SIGCHLD)
		bury_the_dead(master);
	else if (signal_info.ssi_signo != SIGHUP)
		stop_workers(master);
	else if (!master->stopping)
		reload(master);
}

/* Blocks the signals that the master waits for, and opens what gives them. */
static void
block_signals(struct master *master)
{
	sigemptyset(&master->signals);
	sigaddset(&master->signals, SIGTERM);
	sigaddset(&master->signals, SIGCHLD);
	if (master->program->reload != NULL)
		sigaddset(&master->signals, SIGHUP);
	if (master->is_under)
		signal(SIGINT, SIG_IGN);
	else
		sigaddset(&master->signals, SIGINT);
	/* With an inherited SIG_IGN the kernel would discard exit statuses. */
	signal(SIGCHLD, SIG_DFL);
	sigprocmask(SIG_BLOCK, &master->signals, &master->inherited);
	sigdelset(&master->inherited, SIGCHLD);
	if (master->program->reload != NULL)
		sigdelset(&master->inherited, SIGHUP);
	master->signal_fd = signalfd(-1, &master->signals,
	    SFD_CLOEXEC | SFD_NONBLOCK);
	master->beat_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (master->signal_fd < 0 || master->beat_fd < 0)
		abort();
}

static int
run(struct master *master)
{
	master->started_ms = prefork_epoch_ms();
	master->watchdog_ms = master->is_under ? 0 : service_watchdog_ms();
	master->newest = generation_new(master->program->count, NULL);
	block_signals(master);
	log_info("started, workers: %d", master->newest->count);
	while (!master->stopping || master->newest->before != NULL ||
	    !has_ended(master->newest))
		take_signal(master, look_after(master));
	log_info("stopped");
	close(master->signal_fd);
	close(master->beat_fd);
	sigprocmask(SIG_SETMASK, &master->inherited, NULL);
	generation_free(master->newest);
	return master->status;
}

int
prefork_run(const struct prefork_program *program)
{
	struct master master = { .program = program, .parent_fd = -1 };

	return run(&master);
}

int
prefork_run_under(int parent_fd, const struct prefork_program *program)
{
	struct master master = { .program = program,
		.parent_fd = parent_fd,
		.is_under = true };

	return run(&master);
}
