/* SPDX-License-Identifier: MIT */
/*
 * Places where a test build may die or lose its connection to the database.
 */
#include "base/failpoint.h"

#ifdef DURABLE_FAILPOINTS

#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * The number of this call: of those of this process, or with the name of a file
 * in DURABLE_PASSES of all processes, each of which adds a byte to it.
 */
static long
count(long *passed)
{
	const char *path = getenv("DURABLE_PASSES");
	int fd = path == NULL
	    ? -1
	    : open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	++*passed;
	if (fd >= 0 && write(fd, "", 1) == 1)
		*passed = (long)lseek(fd, 0, SEEK_CUR);
	if (fd >= 0)
		close(fd);
	return *passed;
}

/*
 * Whether the environment variable (POINT:N) names this point, and this is the
 * N-th call for it.
 */
static bool
is_now(const char *variable, const char *point, long *passed)
{
	const char *wanted = getenv(variable);
	size_t len = strlen(point);

	return wanted != NULL && strncmp(wanted, point, len) == 0 &&
	    wanted[len] == ':' &&
	    count(passed) == strtol(wanted + len + 1, NULL, 10);
}

/*
 * Closes the sending half and discards the server's answers until it closes
 * its half: by then it has executed all that was sent, and ended the session.
 */
static void
lose(int fd)
{
	struct pollfd input = { .fd = fd, .events = POLLIN };
	char discarded[4096];
	ssize_t len;

	shutdown(fd, SHUT_WR);
	do {
		poll(&input, 1, -1);
		len = recv(fd, discarded, sizeof(discarded), 0);
	} while (len > 0 || (len < 0 && errno == EAGAIN));
}

void
failpoint(const char *point, int fd)
{
	static long to_die, to_lose;

	if (is_now("DURABLE_DIE", point, &to_die))
		raise(SIGKILL);
	if (is_now("DURABLE_LOSE", point, &to_lose) && fd >= 0)
		lose(fd);
}

#endif
