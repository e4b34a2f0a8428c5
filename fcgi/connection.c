/* SPDX-License-Identifier: MIT */
/*
 * Reads requests from connections, and answers them.
 */
#include "fcgi/connection.h"

#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdint.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "fcgi/fastcgi.h"

#define EXHAUSTED_PAUSE_MS 50
#define COMPLAINT_MS       1000

/* Logs why a connection was closed, unless another one was just logged. */
static void
complain(const char *reason)
{
	static _Atomic int64_t next_ms;
	int64_t now_ms = clock_monotonic_ms(), due_ms = atomic_load(&next_ms);

	if (now_ms >= due_ms &&
	    atomic_compare_exchange_strong(&next_ms, &due_ms,
		now_ms + COMPLAINT_MS))
		log_warning("a connection was closed without an answer: %s",
		    reason);
}

/* Waits until the descriptor is ready; false when the time is over. */
static bool
wait_until(int fd, short events, int64_t end_ms)
{
	struct pollfd fds = { .fd = fd, .events = events };
	int64_t left_ms;
	int ready;

	do {
		left_ms = end_ms - clock_monotonic_ms();
		ready = poll(&fds, 1, left_ms < 0 ? 0 : (int)left_ms);
	} while (ready < 0 && errno == EINTR);
	return ready > 0;
}

/* Returns why there is no whole request, NULL when there is one. */
static const char *
read_request(int fd, struct fastcgi *request, int64_t end_ms)
{
	enum fastcgi_state state = FASTCGI_MORE;
	char bytes[16384];
	ssize_t len;

	while (state == FASTCGI_MORE) {
		len = recv(fd, bytes, sizeof(bytes), 0);
		if (len > 0)
			state = fastcgi_feed(request, bytes, (size_t)len);
		else if (len == 0)
			return "the web server closed it early";
		else if (errno != EAGAIN && errno != EINTR)
			return "the web server has gone";
		/* A client that always has another byte ends as well. */
		if (state == FASTCGI_MORE && !wait_until(fd, POLLIN, end_ms))
			return "no whole request came in time "
			       "(read-timeout-ms)";
		if (state == FASTCGI_MORE && clock_monotonic_ms() >= end_ms)
			return "the request came too slowly (read-timeout-ms)";
	}
	return state == FASTCGI_WHOLE ? NULL : "its request is malformed";
}

int
connection_accept(int listen_fd, struct fastcgi *request, int timeout_ms)
{
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	const char *reason;

	if (fd < 0) {
		/* No descriptor or memory is free until a request ends. */
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
		    errno == ENOBUFS)
			poll(NULL, 0, EXHAUSTED_PAUSE_MS);
		return -1;
	}
	reason = read_request(fd, request, clock_monotonic_ms() + timeout_ms);
	if (reason == NULL)
		return fd;
	complain(reason);
	close(fd);
	return -1;
}

void
connection_end(int fd, const struct strbuf *answer, int timeout_ms)
{
	int64_t end_ms = clock_monotonic_ms() + timeout_ms;
	size_t sent = 0;
	ssize_t len;

	while (sent < answer->len) {
		len = send(fd, answer->text + sent, answer->len - sent,
		    MSG_NOSIGNAL);
		if (len > 0)
			sent += (size_t)len;
		else if (errno != EAGAIN && errno != EINTR)
			break;
		if (sent < answer->len &&
		    (!wait_until(fd, POLLOUT, end_ms) ||
			clock_monotonic_ms() >= end_ms))
			break;
	}
	close(fd);
}
