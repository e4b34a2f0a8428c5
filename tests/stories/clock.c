/* SPDX-License-Identifier: MIT */
/*
 * clock: to be preloaded; a host's clock that a test puts forward or back.
 *
 * The file that the environment variable CLOCK_OFFSET names holds one 64-bit
 * number, the seconds by which the time of day is wrong.  All processes map it,
 * so that a step happens to all of them at one moment, as on a host, and the
 * monotonic clock goes on as it was.  Unlike libfaketime it has no lock that a
 * process could die with, and calls nothing that a signal handler may not.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *offset_s;

static void __attribute__((constructor)) map_offset(void)
{
	const char *path = getenv("CLOCK_OFFSET");
	int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	void *map;

	if (fd < 0)
		return;
	map = mmap(NULL, sizeof(*offset_s), PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (map != MAP_FAILED)
		offset_s = map;
}

static int64_t
offset(clockid_t id)
{
	return offset_s != NULL &&
		(id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)
	    ? *offset_s
	    : 0;
}

int
clock_gettime(clockid_t id, struct timespec *now)
{
	int status = (int)syscall(SYS_clock_gettime, id, now);

	if (status == 0)
		now->tv_sec += offset(id);
	return status;
}

int
gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	int status = (int)syscall(SYS_gettimeofday, now, zone);

	if (status == 0)
		now->tv_sec += offset(CLOCK_REALTIME);
	return status;
}

time_t
time(time_t *now)
{
	struct timespec present;

	clock_gettime(CLOCK_REALTIME_COARSE, &present);
	if (now != NULL)
		*now = present.tv_sec;
	return present.tv_sec;
}
