/* SPDX-License-Identifier: MIT */
/*
 * Memory: the limit of a process, and no core of it.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "tests/unit/tap.h"

/* Runs a function in a child, in a folder of its own; returns how it ended. */
static int
end_of(void (*function)(void))
{
	char folder[] = "/tmp/t-memory.XXXXXX", command[64];
	int status = -1;
	pid_t pid;

	if (mkdtemp(folder) == NULL || (pid = fork()) < 0)
		abort();
	if (pid == 0) {
		if (chdir(folder) != 0 ||
		    freopen("/dev/null", "w", stderr) == NULL)
			_exit(9);
		function();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command) == 0 ? status : -1;
}

static void
allow_cores(void)
{
	const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };

	signal(SIGABRT, SIG_DFL);
	setrlimit(RLIMIT_CORE, &all);
}

static bool
is_piped(void)
{
	FILE *file = fopen("/proc/sys/kernel/core_pattern", "re");
	bool piped = file != NULL && fgetc(file) == '|';

	if (file != NULL)
		fclose(file);
	return piped;
}

static void
crash(void)
{
	allow_cores();
	abort();
}

static void
crash_without_core(void)
{
	struct rlimit limit;

	allow_cores();
	memory_forbid_cores();
	/* A host that gives cores to a program leaves the limit to that. */
	if (getrlimit(RLIMIT_CORE, &limit) != 0 || limit.rlim_max != 0)
		_exit(8);
	if (is_piped())
		raise(SIGKILL);
	abort();
}

/* AddressSanitizer's shadow is larger than any limit. */
#ifndef __SANITIZE_ADDRESS__

static void
eat(void)
{
	size_t eaten;

	memory_limit(64);
	for (eaten = 0; eaten < 256; eaten++)
		memset(memory_new(1 << 20), 1, 1 << 20);
}

static void
eat_less(void)
{
	memory_limit(64);
	memset(memory_new(16 << 20), 1, 16 << 20);
}

#endif

int
main(void)
{
	int status;

	log_open("memory");
#ifndef __SANITIZE_ADDRESS__
	status = end_of(eat);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT,
	    "a process that takes more than its limit ends");
	is_int(end_of(eat_less), 0, "a process may take what its limit allows");
#endif
	if (!WCOREDUMP(end_of(crash)))
		diag("this host writes no cores at all");
	status = end_of(crash_without_core);
	ok(WIFSIGNALED(status) && !WCOREDUMP(status),
	    "a process that may leave no core leaves none");
	return done_testing();
}
