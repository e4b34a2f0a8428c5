/* SPDX-License-Identifier: MIT */
/*
 * Runs the engine beside the main loop of a program.
 *
 * The program forks one child, the master, which forks the workers and waits for
 * them, so that the program has one process to end and no signal to handle.  A
 * socket of packets joins them: the master stops when the program closes it or
 * dies, and the program reads its end when all workers have ended.  A packet is a
 * line of the log: its level, the workflow's id, and the text.  The last packet
 * has level 0 and the master's status.
 */
#include <durable/engine.h>

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/prefork.h"
#include "engine/crew.h"

#define PACKET_LEN 4096
#define PACKETS    256 /* that one durable_handle takes */

/* The status when the master has not said its own. */
#define KILLED     1

struct durable {
	struct crew crew;
	size_t stats_len;
	pid_t master; /* 0: it has ended */
	int fd;
	int status;
	durable_log_function *log;
	void *log_arg;
};

/* In a process of the engine: sends a line; arg is the socket. */
static bool
send_line(void *arg, enum log_level level, const char *workflow,
    const char *text)
{
	char packet[PACKET_LEN];
	int len = snprintf(packet, sizeof(packet), "%c%s%c%s", (int)level,
	    workflow == NULL ? "" : workflow, 0, text);

	if (len >= PACKET_LEN)
		len = PACKET_LEN - 1;
	return send((int)(intptr_t)arg, packet, (size_t)len + 1,
		   MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

/* In the program's process. */
static bool
give_line(void *arg, enum log_level level, const char *workflow,
    const char *text)
{
	const struct durable *durable = arg;

	durable->log(durable->log_arg, (enum durable_level)level, workflow,
	    text);
	return true;
}

/* Takes back what the program has set for its own signals. */
static void
reset_signals(void)
{
	struct sigaction action;
	sigset_t none;
	int number;

	for (number = 1; number < NSIG; number++)
		if (sigaction(number, NULL, &action) == 0 &&
		    action.sa_handler != SIG_IGN)
			signal(number, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void __attribute__((noreturn)) be_master(struct durable *durable, int fd)
{
	const struct prefork_program program = { .count = engine_processes(
						     &durable->crew),
		.worker = engine_work,
		.arg = &durable->crew };
	char packet[2] = { 0 };

	reset_signals();
	if (durable->log != NULL)
		log_to(send_line, (void *)(intptr_t)fd);
	packet[1] = (char)prefork_run_under(fd, &program);
	/* A program that has gone wants no status. */
	if (send(fd, packet, sizeof(packet), MSG_NOSIGNAL) < 0)
		_exit(KILLED);
	_exit(packet[1]);
}

static bool
fork_master(struct durable *durable)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
		return false;
	/* Else a worker would write it, too. */
	fflush(NULL);
	durable->master = fork();
	if (durable->master == 0) {
		close(fds[0]);
		be_master(durable, fds[1]);
	}
	close(fds[1]);
	durable->fd = fds[0];
	if (durable->master > 0)
		return true;
	close(fds[0]);
	return false;
}

static void
drop(struct durable *durable)
{
	log_to(NULL, NULL);
	munmap(durable->crew.stats, durable->stats_len);
	free(durable);
}

struct durable *
durable_start(const struct engine *engine, int workers,
    durable_log_function *log, void *arg)
{
	struct durable *durable = memory_new(sizeof(*durable));

	*durable = (struct durable){ .crew = { .engine = engine,
					 .workers = workers },
		.stats_len = (size_t)(workers > 0 ? workers : 1) *
		    sizeof(struct durable_stats),
		.status = KILLED,
		.log = log,
		.log_arg = arg };
	durable->crew.stats = mmap(NULL, durable->stats_len,
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (durable->crew.stats == MAP_FAILED)
		memory_die();
	if (log != NULL)
		log_to(give_line, durable);
	if (engine_can_run(engine, workers)) {
		if (fork_master(durable))
			return durable;
		log_error("cannot start the engine: %s", strerror(errno));
	}
	drop(durable);
	return NULL;
}

int
durable_fd(const struct durable *durable)
{
	return durable->fd;
}

/* The socket has ended: so has the master, or it is about to. */
static void
note_end(struct durable *durable)
{
	while (waitpid(durable->master, NULL, 0) < 0 && errno == EINTR)
		continue;
	durable->master = 0;
}

static void
take_packet(struct durable *durable, const char *packet, ssize_t len)
{
	const char *workflow = packet + 1;

	if (packet[0] == 0 && len == 2)
		durable->status = (unsigned char)packet[1];
	else
		durable->log(durable->log_arg, (enum durable_level)packet[0],
		    *workflow == '\0' ? NULL : workflow,
		    workflow + strlen(workflow) + 1);
}

bool
durable_handle(struct durable *durable)
{
	char packet[PACKET_LEN];
	ssize_t len;
	int i;

	for (i = 0; i < PACKETS && durable->master != 0; i++) {
		len = recv(durable->fd, packet, sizeof(packet), MSG_DONTWAIT);
		if (len > 0)
			take_packet(durable, packet, len);
		else if (len < 0 && errno == EAGAIN)
			break;
		else if (len == 0 || errno != EINTR)
			note_end(durable);
	}
	return durable->master != 0;
}

void
durable_stop(struct durable *durable)
{
	if (durable->master != 0)
		kill(durable->master, SIGTERM);
}

struct durable_stats
durable_stats(const struct durable *durable)
{
	struct durable_stats sum = { 0 };
	int i;

	for (i = 0; i < durable->crew.workers; i++) {
		const volatile struct durable_stats *stats =
		    &durable->crew.stats[i];

		sum.turns += stats->turns;
		sum.runs += stats->runs;
		sum.steps += stats->steps;
		sum.errors += stats->errors;
		if (stats->lag_ms > sum.lag_ms)
			sum.lag_ms = stats->lag_ms;
	}
	return sum;
}

int
durable_close(struct durable *durable)
{
	struct pollfd input = { .fd = durable->fd, .events = POLLIN };
	int status;

	durable_stop(durable);
	while (durable_handle(durable))
		if (poll(&input, 1, -1) < 0 && errno != EINTR)
			abort();
	status = durable->status;
	close(durable->fd);
	drop(durable);
	return status;
}
