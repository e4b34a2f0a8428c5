/* SPDX-License-Identifier: MIT */
/*
 * The socket of a service manager.  These few lines take the place of
 * libsystemd, so that a build needs no other library on any system.
 */
#include "base/service.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

#define TEXT_LEN 512

/* Sets the address that NOTIFY_SOCKET names; returns its length, 0 for none. */
static socklen_t
manager_address(struct sockaddr_un *address)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t len = path == NULL ? 0 : strlen(path);

	if (len < 2 || len >= sizeof(address->sun_path) ||
	    (*path != '/' && *path != '@'))
		return 0;
	address->sun_family = AF_UNIX;
	memcpy(address->sun_path, path, len);
	/* An address in Linux's abstract namespace begins with a NUL byte. */
	if (*path == '@')
		address->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

void
service_notify(const char *format, ...)
{
	struct sockaddr_un address = { 0 };
	socklen_t address_len = manager_address(&address);
	char text[TEXT_LEN];
	va_list args;
	int fd;

	if (address_len == 0)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 ||
	    sendto(fd, text, strlen(text), MSG_NOSIGNAL,
		(struct sockaddr *)&address, address_len) < 0)
		log_warning("cannot speak to the service manager: %s",
		    strerror(errno));
	if (fd >= 0)
		close(fd);
}

int64_t
service_watchdog_ms(void)
{
	const char *pid = getenv("WATCHDOG_PID"), *us = getenv("WATCHDOG_USEC");

	if (us == NULL || (pid != NULL && strtol(pid, NULL, 10) != getpid()))
		return 0;
	return strtoll(us, NULL, 10) / 1000;
}
