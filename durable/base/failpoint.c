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

/* Whether it is this point's turn, by what a variable says. */
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
 * Says no more, and hears nothing of what the server says until it, too, has
 * gone: by then it has done all that it had been told, and ended the session.
 */
static void
lose(int fd)
{
	struct pollfd input = { .fd = fd, .events = POLLIN };
	char unheard[4096];
	ssize_t len;

	shutdown(fd, SHUT_WR);
	do {
		poll(&input, 1, -1);
		len = recv(fd, unheard, sizeof(unheard), 0);
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
