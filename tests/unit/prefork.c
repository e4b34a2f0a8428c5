/* SPDX-License-Identifier: MIT */
/*
 * The master and its workers: only a request to stop ends them.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/prefork.h"
#include "tests/unit/tap.h"

#define WAIT_MS 10000

/* What a worker tells the test, through a pipe. */
struct report {
	pid_t pid;
	int slot;
	bool first;
	bool leaving;
	bool by_itself; /* the death before */
	int deaths, generation;
	pid_t dead_pid, master_pid;
	int64_t died_ms;
	char crash_note; /* each worker leaves its slot's number */
};

static int reports[2];

static void
tell(const struct prefork_worker *self, bool leaving)
{
	const struct report report = { .pid = getpid(),
		.slot = self->slot,
		.first = self->first,
		.leaving = leaving,
		.by_itself = self->died_by_itself,
		.deaths = self->deaths,
		.generation = self->generation,
		.dead_pid = self->dead_pid,
		.died_ms = self->died_ms,
		.master_pid = self->master_pid,
		.crash_note = self->crash_note[PREFORK_CRASH_NOTE_SIZE - 1] };

	self->crash_note[PREFORK_CRASH_NOTE_SIZE - 1] = (char)('0' +
	    self->slot);

	if (write(reports[1], &report, sizeof(report)) != sizeof(report))
		abort();
}

/* Waits for the next report; false when there is none in time. */
static bool
hear(struct report *report)
{
	struct pollfd fd = { .fd = reports[0], .events = POLLIN };

	*report = (struct report){ .slot = -1 };
	return poll(&fd, 1, WAIT_MS) == 1 &&
	    read(reports[0], report, sizeof(*report)) == sizeof(*report);
}

/* Hears the first report of both workers, in the order of slots. */
static bool
hear_both(struct report both[2])
{
	struct report report;
	int i;

	both[0] = both[1] = (struct report){ .slot = -1 };
	for (i = 0; i < 2; i++) {
		if (!hear(&report) || report.slot < 0 || report.slot > 1)
			return false;
		both[report.slot] = report;
	}
	return both[0].slot == 0 && both[1].slot == 1;
}

static int
be_told_to_stop(const struct prefork_worker *self)
{
	while (!prefork_stopping())
		if (ppoll(NULL, 0, NULL, &self->wait_mask) < 0 &&
		    errno != EINTR)
			abort();
	tell(self, true);
	return 0;
}

static int
wait_for_stop(struct prefork_worker *self, const void *arg)
{
	(void)arg;
	tell(self, false);
	return be_told_to_stop(self);
}

/* A worker that always has work. */
static int
never_wait(struct prefork_worker *self, const void *arg)
{
	(void)arg;
	tell(self, false);
	while (!prefork_stopping())
		continue;
	tell(self, true);
	return 0;
}

/* The worker of slot 1 gives up. */
static int
give_up(struct prefork_worker *self, const void *arg)
{
	if (self->slot == 1) {
		tell(self, false);
		return PREFORK_EXIT_GIVE_UP;
	}
	return wait_for_stop(self, arg);
}

static int
die_young(struct prefork_worker *self, const void *arg)
{
	(void)arg;
	tell(self, false);
	_exit(1);
}

static int
leave(struct prefork_worker *self, const void *arg)
{
	(void)arg;
	tell(self, false);
	return 0;
}

/* As a workflow may do. */
static int
call_exit(struct prefork_worker *self, const void *arg)
{
	(void)arg;
	tell(self, false);
	exit(self->deaths == 0 ? PREFORK_EXIT_GIVE_UP : 0);
}

/* Ends itself by each of these signals in turn. */
static const int own_signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT,
	SIGALRM, SIGXCPU, SIGXFSZ, SIGSYS, SIGTRAP, SIGPIPE };
#define OWN_SIGNALS (int)(sizeof(own_signals) / sizeof(own_signals[0]))

static int
raise_next(struct prefork_worker *self, const void *arg)
{
	if (self->deaths == OWN_SIGNALS)
		return wait_for_stop(self, arg);
	tell(self, false);
	raise(own_signals[self->deaths]);
	return 0;
}

static pid_t
start_master(int count, int (*worker)(struct prefork_worker *, const void *))
{
	const struct prefork_program program = { .count = count,
		.worker = worker };
	pid_t pid;

	if (pipe2(reports, O_CLOEXEC) != 0 || (pid = fork()) < 0)
		abort();
	if (pid == 0)
		_exit(prefork_run(&program));
	return pid;
}

/* Returns the master's exit status, -1 when a signal ended it. */
static int
end_master(pid_t master, int signal_number)
{
	int status;

	if (signal_number != 0)
		kill(master, signal_number);
	waitpid(master, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
close_reports(void)
{
	close(reports[0]);
	close(reports[1]);
}

static void
test_restart(void)
{
	pid_t master = start_master(2, wait_for_stop);
	int64_t begun_ms = time(NULL) * INT64_C(1000);
	struct report both[2], next;

	ok(hear_both(both), "each slot has a worker");
	ok(both[0].first && both[1].first,
	    "a first worker knows that it has no predecessor");
	kill(both[1].pid, SIGKILL);
	ok(hear(&next) && next.slot == 1 && next.pid != both[1].pid,
	    "a killed worker is replaced");
	ok(!next.by_itself, "a killed worker did not end itself");
	ok(!next.first && next.deaths == 1 && next.dead_pid == both[1].pid &&
		next.master_pid == master && next.died_ms >= begun_ms,
	    "a successor knows the dead worker's pid and its master");
	ok(both[0].crash_note == '\0' && both[1].crash_note == '\0' &&
		next.crash_note == '1',
	    "a successor finds the dead worker's crash note");
	kill(both[0].pid, SIGTERM);
	ok(hear(&next) && next.leaving, "a worker stops on SIGTERM");
	ok(hear(&next) && next.slot == 0 && !next.first && next.deaths == 0,
	    "the successor of a stopped worker counts no death");
	kill(next.pid, SIGINT);
	is_int(end_master(master, SIGTERM), 0, "SIGTERM stops the master");
	ok(hear_both(both) && both[0].leaving && both[1].leaving,
	    "a master that stops asks its workers to stop");
	close_reports();
}

static void
test_stop(void)
{
	pid_t master = start_master(2, never_wait);
	struct report both[2];

	hear_both(both);
	is_int(end_master(master, SIGINT), 0, "SIGINT stops the master");
	ok(hear_both(both) && both[0].leaving && both[1].leaving,
	    "workers that never wait stop with their master");
	close_reports();
}

static void
test_give_up(void)
{
	pid_t master = start_master(2, give_up);

	is_int(end_master(master, 0), PREFORK_EXIT_GIVE_UP,
	    "a worker can make its master give up");
	close_reports();
}

static void
test_exit(void)
{
	pid_t master = start_master(1, call_exit);
	struct report report;

	hear(&report);
	ok(hear(&report) && report.deaths == 1,
	    "a worker that calls exit has died, whatever its status");
	ok(report.by_itself, "a worker that calls exit has ended itself");
	ok(hear(&report) && report.deaths == 2,
	    "a worker that calls exit(0) has died");
	is_int(end_master(master, SIGTERM), 0,
	    "a worker that calls exit does not end its master");
	close_reports();
}

static void
test_signals(void)
{
	pid_t master = start_master(1, raise_next);
	struct report report;
	int i, by_itself = 0;

	hear(&report);
	for (i = 0; i < OWN_SIGNALS; i++)
		by_itself += hear(&report) && report.by_itself;
	is_int(by_itself, OWN_SIGNALS,
	    "a worker that meets a fault or a limit has ended itself");
	kill(report.pid, SIGHUP);
	ok(hear(&report) && !report.by_itself,
	    "a worker that another process ends has not ended itself");
	end_master(master, SIGTERM);
	close_reports();
}

static void
test_orphans(void)
{
	pid_t master = start_master(2, wait_for_stop);
	struct report both[2];

	hear_both(both);
	is_int(end_master(master, SIGKILL), -1, "SIGKILL ends the master");
	ok(hear_both(both) && both[0].leaving && both[1].leaving,
	    "workers do not outlive a killed master");
	close_reports();
}

static int64_t
clock_monotonic_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int reloads;

/*
 * Its argument is how the workers begin after so many reloads: b beats, g gives
 * up, w waits without a beat.  The reload f is refused.
 */
static int
follow_plan(struct prefork_worker *self, const void *arg)
{
	const char *plan = arg;

	tell(self, false);
	if (plan[reloads] == 'g')
		return PREFORK_EXIT_GIVE_UP;
	prefork_beat_if(self, plan[reloads] == 'b');
	return be_told_to_stop(self);
}

static int
reload(void *arg)
{
	const char *plan = arg;

	return plan[++reloads] == 'f' ? 0 : 1;
}

/* The manager's side of NOTIFY_SOCKET. */
static int
manager_socket(void)
{
	static char name[64];
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(name, sizeof(name), "@prefork-%d", (int)getpid());
	memcpy(address.sun_path + 1, name + 1, strlen(name) - 1);
	if (bind(fd, (struct sockaddr *)&address,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) +
		    strlen(name))) != 0 ||
	    setenv("NOTIFY_SOCKET", name, 1) != 0)
		abort();
	return fd;
}

/* The next message to the manager; "" when there is none in time. */
static const char *
said(int manager, int timeout_ms)
{
	static char text[512];
	struct pollfd fd = { .fd = manager, .events = POLLIN };
	ssize_t len = 0;

	if (poll(&fd, 1, timeout_ms) == 1)
		len = recv(manager, text, sizeof(text) - 1, 0);
	text[len < 0 ? 0 : len] = '\0';
	return text;
}

/* It may hear READY=1 before. */
static bool
hears_watchdog(int manager)
{
	return strcmp(said(manager, WAIT_MS), "WATCHDOG=1") == 0 ||
	    strcmp(said(manager, WAIT_MS), "WATCHDOG=1") == 0;
}

static pid_t
start_plan(char *plan)
{
	const struct prefork_program program = { .count = 1,
		.worker = follow_plan,
		.arg = plan,
		.reload = reload };
	pid_t pid;

	if (pipe2(reports, O_CLOEXEC) != 0 || (pid = fork()) < 0)
		abort();
	if (pid == 0)
		_exit(prefork_run(&program));
	return pid;
}

static void
test_reload(int manager)
{
	char plan[] = "bbfb";
	pid_t master = start_plan(plan);
	struct report first, next;

	hear(&first);
	is_str(said(manager, WAIT_MS), "READY=1\nSTATUS=1 workers work",
	    "the manager hears that all workers work");
	kill(first.pid, SIGHUP);
	kill(master, SIGHUP);
	ok(hear(&next) && next.generation == 1 && !next.leaving,
	    "SIGHUP starts workers with the new configuration");
	ok(hear(&next) && next.leaving && next.pid == first.pid,
	    "then the workers of the one before are asked to stop");
	ok(strncmp(said(manager, WAIT_MS),
	       "RELOADING=1\nMONOTONIC_USEC=", 27) == 0,
	    "the manager hears of the reload");
	is_str(said(manager, WAIT_MS), "READY=1\nSTATUS=1 workers work",
	    "and of its end");
	kill(master, SIGHUP);
	said(manager, WAIT_MS);
	is_str(said(manager, WAIT_MS), "READY=1\nSTATUS=1 workers work",
	    "a refused reload ends at once");
	kill(master, SIGHUP);
	ok(hear(&next) && next.generation == 2 && hear(&next) && next.leaving,
	    "after a refused reload another is possible");
	is_int(end_master(master, SIGTERM), 0,
	    "SIGTERM stops a reloaded master");
	said(manager, WAIT_MS);
	said(manager, WAIT_MS);
	is_str(said(manager, WAIT_MS),
	    "STOPPING=1\nSTATUS=Workers finish their work",
	    "the manager hears that the master stops");
	close_reports();
}

static void
test_trial(int manager)
{
	char plan[] = "bgwb";
	pid_t master;
	struct report first, waiting, next;
	int i, seen = 0;

	reloads = 0;
	master = start_plan(plan);
	hear(&first);
	said(manager, WAIT_MS);
	kill(master, SIGHUP);
	ok(hear(&next) && next.generation == 1 && hear(&next) &&
		next.generation == 1 && kill(first.pid, 0) == 0,
	    "workers that give up at a reload are tried again, beside those "
	    "of the configuration before");
	kill(master, SIGHUP);
	while (hear(&waiting) && waiting.generation < 2)
		continue;
	ok(waiting.generation == 2 && kill(first.pid, 0) == 0,
	    "workers go on until those on trial are sure");
	kill(master, SIGHUP);
	for (i = 0; i < 3 && hear(&next); i++)
		seen += next.leaving && next.pid == waiting.pid ? 1
		    : next.leaving && next.pid == first.pid     ? 10
		    : next.generation == 3                      ? 100
								: 1000;
	is_int(seen, 111,
	    "a configuration that is right takes the place of both");
	is_int(end_master(master, SIGTERM), 0, "such a master stops");
	while (*said(manager, 0) != '\0')
		continue;
	close_reports();
}

static void
test_watchdog(int manager)
{
	char plan[] = "b";
	pid_t master;
	struct report first;
	int told = 0;

	setenv("WATCHDOG_USEC", "1000000", 1);
	master = start_plan(plan);
	hear(&first);
	ok(hears_watchdog(manager),
	    "the manager hears that the workers make progress");
	while (*said(manager, 3000) != '\0' && told < 60)
		told++;
	ok(told < 60, "and hears no more when a worker makes none");
	kill(first.pid, SIGKILL);
	ok(hears_watchdog(manager), "but again when that has a successor");
	end_master(master, SIGTERM);
	close_reports();
}

static void
test_pause(void)
{
	int64_t begin_ms = clock_monotonic_ms();
	pid_t master = start_master(1, die_young);
	struct report report;
	int i;

	for (i = 0; i < 6; i++)
		hear(&report);
	ok(clock_monotonic_ms() - begin_ms >= 10 + 20 + 40 + 80,
	    "a worker that keeps dying young waits longer every time");
	ok(report.slot == 0 && report.deaths == 5,
	    "a worker that keeps dying young is forked again");
	is_int(end_master(master, SIGTERM), 0, "a pause does not delay a stop");
	close_reports();

	master = start_master(1, leave);
	hear(&report);
	ok(hear(&report) && report.deaths == 0,
	    "a worker that returns is forked again and counts no death");
	end_master(master, SIGTERM);
	close_reports();
}

int
main(void)
{
	int manager;

	test_restart();
	test_stop();
	test_give_up();
	test_exit();
	test_signals();
	test_orphans();
	test_pause();
	manager = manager_socket();
	test_reload(manager);
	test_trial(manager);
	test_watchdog(manager);
	close(manager);
	return done_testing();
}
