/* SPDX-License-Identifier: MIT */
/*
 * Beats while a turn lasts, and ends a run that takes too long.
 */
#include "engine/heartbeat.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/prefork.h"
#include "db/db.h"
#include "engine/run.h"

/* A quarter of the server's idle_in_transaction_session_timeout. */
#define BEAT_MS   250

#define STACK_LEN 262144

struct heartbeat {
	struct db *db;
	int limit_s;
	pthread_t thread, worker;
	clockid_t worker_cpu; /* the CPU time of the worker's own thread */
	char stat_path[64];   /* of that thread's state, in /proc */

	pthread_mutex_t lock; /* of the next four */
	pthread_cond_t wake;
	bool in_turn, closing;
	bool parked; /* the second thread waits for a turn */

	const struct workflow *watched; /* of the worker's own thread */
	atomic_ulong watches; /* begins and ends of runs; odd: one is running */
	atomic_ulong overdue; /* the value of watches that is over the limit */

	/* Of the second thread: the run it saw last, and what that has had. */
	unsigned long seen;
	int64_t seen_cpu_ms, used_ms;
};

/* Where the handler of SIGALRM finds the run. */
static struct heartbeat *beating;

/*
 * In the worker's own thread, which therefore cannot leave the run meanwhile.
 * The signal may come when the run has just ended.
 */
static void
end_process(int signal_number)
{
	const struct workflow *wf = beating->watched;

	if (atomic_load(&beating->watches) != atomic_load(&beating->overdue))
		return;
	log_error("wf=%s workflow '%s' version '%s' step=%s is not done after "
		  "%d s of computing and sleeping, so its worker ends; it is "
		  "run again and given up if that repeats: mend its code, or "
		  "raise the turn limit",
	    wf->id, wf->type->name, wf->type->version,
	    wf->step == NULL ? "(none)" : wf->step->name, beating->limit_s);
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

static int64_t
cpu_ms(const struct heartbeat *heartbeat)
{
	struct timespec time = { 0 };

	clock_gettime(heartbeat->worker_cpu, &time);
	return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/*
 * Whether the worker's own thread sleeps, as opposed to one that computes or
 * waits for a CPU or a disk.  Without /proc a thread that does not compute does.
 */
static bool
is_asleep(const struct heartbeat *heartbeat)
{
	char text[256], *state;
	int fd = open(heartbeat->stat_path, O_RDONLY | O_CLOEXEC);
	ssize_t len;

	if (fd < 0)
		return true;
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[len < 0 ? 0 : len] = '\0';
	/* The name before the state may have any character. */
	state = strrchr(text, ')');
	return state == NULL || state[1] == '\0' || state[2] == 'S';
}

/* Adds what the run has had since the last beat, and ends it if need be. */
static void
count(struct heartbeat *heartbeat, bool away)
{
	unsigned long watches = atomic_load(&heartbeat->watches);
	int64_t now_ms = cpu_ms(heartbeat);
	int64_t had_ms = now_ms - heartbeat->seen_cpu_ms;

	heartbeat->seen_cpu_ms = now_ms;
	if (watches % 2 == 0 || watches != heartbeat->seen) {
		heartbeat->seen = watches;
		heartbeat->used_ms = 0;
		return;
	}
	if (away)
		return;
	if (had_ms < BEAT_MS && is_asleep(heartbeat))
		had_ms = BEAT_MS;
	heartbeat->used_ms += had_ms;
	if (heartbeat->used_ms < (int64_t)heartbeat->limit_s * 1000)
		return;
	atomic_store(&heartbeat->overdue, watches);
	pthread_kill(heartbeat->worker, SIGALRM);
}

/* Waits for BEAT_MS, or until the heartbeat closes. */
static void
rest(struct heartbeat *heartbeat)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += BEAT_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	while (!heartbeat->closing &&
	    pthread_cond_timedwait(&heartbeat->wake, &heartbeat->lock,
		&until) == 0)
		continue;
}

static void *
beat(void *arg)
{
	struct heartbeat *heartbeat = arg;

	pthread_mutex_lock(&heartbeat->lock);
	while (!heartbeat->closing) {
		heartbeat->parked = !heartbeat->in_turn;
		if (heartbeat->parked) {
			pthread_cond_wait(&heartbeat->wake, &heartbeat->lock);
			continue;
		}
		rest(heartbeat);
		if (!heartbeat->in_turn)
			continue;
		pthread_mutex_unlock(&heartbeat->lock);
		prefork_beat();
		count(heartbeat, !db_beat(heartbeat->db));
		pthread_mutex_lock(&heartbeat->lock);
	}
	pthread_mutex_unlock(&heartbeat->lock);
	return NULL;
}

/* Starts the thread, which handles no signal. */
static void
start_thread(struct heartbeat *heartbeat)
{
	sigset_t all, before;
	pthread_attr_t attributes;

	sigfillset(&all);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_LEN);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	if (pthread_create(&heartbeat->thread, &attributes, beat, heartbeat) !=
	    0)
		abort();
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
}

struct heartbeat *
heartbeat_new(struct db *db, int limit_s)
{
	struct heartbeat *heartbeat = memory_new(sizeof(*heartbeat));
	struct sigaction end = { .sa_handler = end_process,
		.sa_flags = SA_RESTART | SA_NODEFER };
	pthread_condattr_t monotonic;

	heartbeat->db = db;
	heartbeat->limit_s = limit_s;
	heartbeat->worker = pthread_self();
	atomic_init(&heartbeat->overdue, ULONG_MAX);
	if (pthread_getcpuclockid(heartbeat->worker, &heartbeat->worker_cpu) !=
	    0)
		abort();
	snprintf(heartbeat->stat_path, sizeof(heartbeat->stat_path),
	    "/proc/self/task/%d/stat", (int)gettid());
	pthread_mutex_init(&heartbeat->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&heartbeat->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	beating = heartbeat;
	sigemptyset(&end.sa_mask);
	sigaction(SIGALRM, &end, NULL);
	start_thread(heartbeat);
	return heartbeat;
}

void
heartbeat_free(struct heartbeat *heartbeat)
{
	pthread_mutex_lock(&heartbeat->lock);
	heartbeat->closing = true;
	pthread_cond_signal(&heartbeat->wake);
	pthread_mutex_unlock(&heartbeat->lock);
	pthread_join(heartbeat->thread, NULL);
	signal(SIGALRM, SIG_DFL);
	pthread_cond_destroy(&heartbeat->wake);
	pthread_mutex_destroy(&heartbeat->lock);
	free(heartbeat);
}

/* A busy worker wakes the thread once in BEAT_MS at most. */
void
heartbeat_begin(struct heartbeat *heartbeat)
{
	pthread_mutex_lock(&heartbeat->lock);
	heartbeat->in_turn = true;
	if (heartbeat->parked)
		pthread_cond_signal(&heartbeat->wake);
	pthread_mutex_unlock(&heartbeat->lock);
}

void
heartbeat_end(struct heartbeat *heartbeat)
{
	pthread_mutex_lock(&heartbeat->lock);
	heartbeat->in_turn = false;
	pthread_mutex_unlock(&heartbeat->lock);
}

void
heartbeat_watch(struct heartbeat *heartbeat, const struct workflow *wf)
{
	if (wf != NULL)
		heartbeat->watched = wf;
	atomic_fetch_add(&heartbeat->watches, 1);
}
