/* SPDX-License-Identifier: MIT */
/*
 * Who waits at the socket.
 */
#include "duty.h"

#include <sys/eventfd.h>
#include <sys/mman.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

/* How long somebody is at the door before another process lets him in. */
#define STAND_BY_MS 20

/* Of all processes. */
struct shared {
	atomic_int slot;       /* of the one that waits at the socket */
	atomic_ulong accepted; /* requests, by whichever */
};

SLIST_HEAD(duty_threads, duty_thread);

struct duty {
	struct shared *shared;
	int listen_fd;
	/* The process's own. */
	int slot;
	int stop_fd; /* eventfd */
	pthread_mutex_t lock;
	struct duty_threads idle;
	bool attended; /* a thread waits at the socket, or is called to it */
};

struct duty *
duty_new(int listen_fd)
{
	struct duty *duty = calloc(1, sizeof(*duty));

	if (duty == NULL || pthread_mutex_init(&duty->lock, NULL) != 0)
		abort();
	duty->listen_fd = listen_fd;
	duty->stop_fd = -1;
	duty->shared = mmap(NULL, sizeof(*duty->shared), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (duty->shared == MAP_FAILED)
		abort();
	return duty;
}

void
duty_free(struct duty *duty)
{
	munmap(duty->shared, sizeof(*duty->shared));
	if (duty->stop_fd >= 0)
		close(duty->stop_fd);
	pthread_mutex_destroy(&duty->lock);
	free(duty);
}

void
duty_enter(struct duty *duty, int slot)
{
	duty->slot = slot;
	duty->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (duty->stop_fd < 0)
		abort();
}

void
duty_begin(struct duty_thread *self)
{
	if (sem_init(&self->called, 0, 0) != 0)
		abort();
}

void
duty_end(struct duty_thread *self)
{
	sem_destroy(&self->called);
}

/* Waits until this thread is the one. */
static void
come(struct duty *duty, struct duty_thread *self)
{
	bool waits;

	pthread_mutex_lock(&duty->lock);
	waits = duty->attended;
	duty->attended = true;
	if (waits)
		SLIST_INSERT_HEAD(&duty->idle, self, link);
	pthread_mutex_unlock(&duty->lock);
	while (waits && sem_wait(&self->called) != 0)
		if (errno != EINTR)
			abort();
}

/* Calls the next one. */
static void
leave(struct duty *duty)
{
	struct duty_thread *next;

	pthread_mutex_lock(&duty->lock);
	next = SLIST_FIRST(&duty->idle);
	if (next != NULL)
		SLIST_REMOVE_HEAD(&duty->idle, link);
	duty->attended = next != NULL;
	pthread_mutex_unlock(&duty->lock);
	if (next != NULL && sem_post(&next->called) != 0)
		abort();
}

/* Whether a descriptor is readable within that time. */
static bool
is_readable(int fd, int timeout_ms)
{
	struct pollfd fds = { .fd = fd, .events = POLLIN };

	return poll(&fds, 1, timeout_ms) == 1;
}

/* Waits for somebody to be at the door, or until it is time to stop. */
static void
watch(const struct duty *duty)
{
	struct pollfd fds[] = { { .fd = duty->stop_fd, .events = POLLIN },
		{ .fd = duty->listen_fd, .events = POLLIN } };

	if (poll(fds, 2, -1) < 0 && errno != EINTR)
		abort();
}

/* Whether another process lets in who is at the door. */
static bool
is_left_to_others(const struct duty *duty)
{
	struct shared *shared = duty->shared;
	unsigned long accepted = shared->accepted;

	if (shared->slot == duty->slot)
		return false;
	if (is_readable(duty->stop_fd, STAND_BY_MS) ||
	    !is_readable(duty->listen_fd, 0) || shared->accepted != accepted)
		return true;
	shared->slot = duty->slot;
	return false;
}

bool
duty_wait(struct duty *duty, struct duty_thread *self)
{
	bool stop;

	come(duty, self);
	do {
		watch(duty);
		stop = is_readable(duty->stop_fd, 0);
	} while (!stop && is_left_to_others(duty));
	leave(duty);
	return !stop;
}

bool
duty_is_attended(struct duty *duty)
{
	bool attended;

	pthread_mutex_lock(&duty->lock);
	attended = duty->attended;
	pthread_mutex_unlock(&duty->lock);
	return attended;
}

void
duty_accepted(struct duty *duty)
{
	duty->shared->accepted++;
}

void
duty_stop(struct duty *duty)
{
	if (eventfd_write(duty->stop_fd, 1) != 0)
		abort();
}
