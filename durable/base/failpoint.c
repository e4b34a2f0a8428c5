/* SPDX-License-Identifier: MIT */
/*
 * Places where a test build may die or lose its connection to the database.
 */
#include "base/failpoint.h"

#ifdef DURABLE_FAILPOINTS

#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/*
 * Whether the environment variable (POINT:N) names this point and *passed,
 * which counts the calls for it, has reached N.
 */
static bool
is_now(const char *variable, const char *point, long *passed)
{
	const char *wanted = getenv(variable);
	size_t len = strlen(point);

	return wanted != NULL && strncmp(wanted, point, len) == 0 &&
	    wanted[len] == ':' &&
	    ++*passed == strtol(wanted + len + 1, NULL, 10);
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
