/* SPDX-License-Identifier: MIT */
/*
 * Finds or makes the listening socket.
 */
#include "fcgi/listen.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

#define BACKLOG          1024
#define PASSED_FD        3

/* The workers of a killed master may listen for this long after it. */
#define PATIENCE_MS      2000
#define PATIENCE_STEP_MS 20

static bool
is_listening(int fd)
{
	int listening = 0;
	socklen_t len = sizeof(listening);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) ==
	    0 &&
	    listening;
}

static int
inherited_socket(void)
{
	const char *count = getenv("LISTEN_FDS"), *pid = getenv("LISTEN_PID");

	if (count != NULL && strtol(count, NULL, 10) >= 1 &&
	    (pid == NULL || strtol(pid, NULL, 10) == getpid()) &&
	    is_listening(PASSED_FD))
		return PASSED_FD;
	if (is_listening(STDIN_FILENO))
		return STDIN_FILENO;
	log_error("cannot listen: no socket was inherited, "
		  "name one with --socket PATH");
	return -1;
}

static bool
set_address(struct sockaddr_un *address, const char *path)
{
	address->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(address->sun_path)) {
		log_error("cannot listen on '%s': the path is too long", path);
		return false;
	}
	memcpy(address->sun_path, path, strlen(path) + 1);
	return true;
}

static int
new_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* Whether a server listens at the path; EAGAIN: its backlog is full. */
static bool
is_live(const struct sockaddr_un *address)
{
	int fd = new_socket();
	bool live = fd >= 0 &&
	    (connect(fd, (const struct sockaddr *)address, sizeof(*address)) ==
		    0 ||
		errno == EAGAIN);

	if (fd >= 0)
		close(fd);
	return live;
}

/* Whether the path is unused, or has the socket of a dead server. */
static bool
is_free(const struct sockaddr_un *address)
{
	const char *path = address->sun_path;
	struct stat status;
	int waited_ms;

	if (lstat(path, &status) != 0)
		return true;
	if (!S_ISSOCK(status.st_mode)) {
		log_error("cannot listen on '%s': it exists and is no socket",
		    path);
		return false;
	}
	for (waited_ms = 0; is_live(address); waited_ms += PATIENCE_STEP_MS) {
		if (waited_ms >= PATIENCE_MS) {
			log_error("cannot listen on '%s': another server "
				  "does, stop it first",
			    path);
			return false;
		}
		poll(NULL, 0, PATIENCE_STEP_MS);
	}
	return true;
}

/*
 * Binds beside the path and renames the socket when it listens, so that no
 * client finds a path where no server listens.
 */
static bool
bind_to(int fd, const char *path)
{
	struct sockaddr_un address = { 0 };
	char beside[sizeof(address.sun_path)];

	if (snprintf(beside, sizeof(beside), "%s.%d", path, (int)getpid()) >=
	    (int)sizeof(beside)) {
		errno = ENAMETOOLONG;
		return false;
	}
	set_address(&address, beside);
	unlink(beside);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
		return false;
	if (chmod(beside, 0660) == 0 && listen(fd, BACKLOG) == 0 &&
	    rename(beside, path) == 0)
		return true;
	unlink(beside);
	return false;
}

static int
own_socket(const char *path)
{
	struct sockaddr_un address = { 0 };
	int fd;

	if (!set_address(&address, path) || !is_free(&address))
		return -1;
	fd = new_socket();
	if (fd < 0 || !bind_to(fd, path)) {
		log_error("cannot listen on '%s': %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

int
listen_open(const char *path)
{
	int fd, flags;

	if (path != NULL && *path != '\0')
		return own_socket(path);
	fd = inherited_socket();
	if (fd >= 0 &&
	    ((flags = fcntl(fd, F_GETFL)) < 0 ||
		fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)) {
		log_error("cannot make the inherited socket non-blocking: %s",
		    strerror(errno));
		return -1;
	}
	return fd;
}

void
listen_close(const char *path, int fd)
{
	struct sockaddr_un address = { 0 };

	close(fd);
	if (path != NULL && *path != '\0' && set_address(&address, path) &&
	    !is_live(&address))
		unlink(path);
}
