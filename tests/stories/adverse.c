/* SPDX-License-Identifier: MIT */
/*
 * adverse: to be preloaded; a host where allocations fail now and then, calls
 * are interrupted, and reads and writes are short.
 *
 * The environment says what one in how many calls meets; unset is never:
 *
 *	ADVERSE_MEMORY		no memory
 *	ADVERSE_SHORT		fewer bytes, of read, write, recv and send
 *	ADVERSE_INTERRUPTED	EINTR, of all these, poll, ppoll and accept4
 *	ADVERSE_SEED		which ones
 *
 * Only the store's programs are struck, not the shell that starts them, and not
 * what they log.
 */
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static uint64_t no_memory, fewer, interrupted, seed;
static atomic_uint_fast64_t calls;

static uint64_t
read_rate(const char *name)
{
	const char *text = getenv(name);

	return text == NULL ? 0 : strtoull(text, NULL, 10);
}

static void __attribute__((constructor)) read_rates(void)
{
	if (strncmp(program_invocation_short_name, "widget-store", 12) != 0)
		return;
	seed = read_rate("ADVERSE_SEED");
	no_memory = read_rate("ADVERSE_MEMORY");
	fewer = read_rate("ADVERSE_SHORT");
	interrupted = read_rate("ADVERSE_INTERRUPTED");
}

/* The process's next random number; splitmix64. */
static uint64_t
chance(void)
{
	uint64_t x = seed + (uint64_t)getpid() * 1000003U +
	    atomic_fetch_add(&calls, 1) * 0x9e3779b97f4a7c15U;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
	return x ^ (x >> 31);
}

static bool
meets(uint64_t rate, int error)
{
	if (rate == 0 || chance() % rate != 0)
		return false;
	errno = error;
	return true;
}

static size_t
some_of(size_t len)
{
	return len > 1 && fewer != 0 && chance() % fewer == 0
	    ? 1 + chance() % (len - 1)
	    : len;
}

/* Memory.  A dlsym that succeeds allocates nothing. */

void *
malloc(size_t size)
{
	static void *(*next)(size_t);

	if (next == NULL)
		next = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
	return meets(no_memory, ENOMEM) ? NULL : next(size);
}

void *
calloc(size_t count, size_t size)
{
	static void *(*next)(size_t, size_t);

	if (next == NULL)
		next = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "calloc");
	return meets(no_memory, ENOMEM) ? NULL : next(count, size);
}

void *
realloc(void *old, size_t size)
{
	static void *(*next)(void *, size_t);

	if (next == NULL)
		next = (void *(*)(void *, size_t))dlsym(RTLD_NEXT, "realloc");
	return meets(no_memory, ENOMEM) ? NULL : next(old, size);
}

/* Calls. */

ssize_t
read(int fd, void *bytes, size_t len)
{
	return meets(interrupted, EINTR)
	    ? -1
	    : syscall(SYS_read, fd, bytes, some_of(len));
}

ssize_t
write(int fd, const void *bytes, size_t len)
{
	if (fd == STDERR_FILENO)
		return syscall(SYS_write, fd, bytes, len);
	return meets(interrupted, EINTR)
	    ? -1
	    : syscall(SYS_write, fd, bytes, some_of(len));
}

ssize_t
recv(int fd, void *bytes, size_t len, int flags)
{
	return meets(interrupted, EINTR)
	    ? -1
	    : recvfrom(fd, bytes, some_of(len), flags, NULL, NULL);
}

ssize_t
send(int fd, const void *bytes, size_t len, int flags)
{
	return meets(interrupted, EINTR)
	    ? -1
	    : sendto(fd, bytes, some_of(len), flags, NULL, 0);
}

int
accept4(int fd, struct sockaddr *restrict address, socklen_t *restrict len,
    int flags)
{
	return meets(interrupted, EINTR)
	    ? -1
	    : (int)syscall(SYS_accept4, fd, address, len, flags);
}

static int
wait_for(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
    const sigset_t *mask)
{
	struct timespec left = { 0 };

	/* A copy, because the kernel writes the time left there. */
	if (timeout != NULL)
		left = *timeout;
	return (int)syscall(SYS_ppoll, fds, count,
	    timeout == NULL ? NULL : &left, mask, (size_t)_NSIG / 8);
}

int
ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
    const sigset_t *mask)
{
	return meets(interrupted, EINTR) ? -1
					 : wait_for(fds, count, timeout, mask);
}

int
poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
	const struct timespec timeout = { .tv_sec = timeout_ms / 1000,
		.tv_nsec = timeout_ms % 1000 * 1000000L };

	return meets(interrupted, EINTR)
	    ? -1
	    : wait_for(fds, count, timeout_ms < 0 ? NULL : &timeout, NULL);
}
