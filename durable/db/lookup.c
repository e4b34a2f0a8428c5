/* SPDX-License-Identifier: MIT */
/*
 * A thread a lookup; the last of its thread and its callers frees it.
 */
#include "db/lookup.h"

#include <arpa/inet.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"

/* Enough for the modules of the name service. */
#define STACK_SIZE 262144

struct name_lookup {
	LIST_ENTRY(name_lookup) link; /* of those under way */
	char *name;
	int fd;      /* eventfd */
	int holders; /* the thread and the callers */
	bool done;
	int error; /* of getaddrinfo */
	size_t count;
	char addresses[LOOKUP_ADDRESSES][LOOKUP_ADDRESS_SIZE];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static LIST_HEAD(, name_lookup) under_way = LIST_HEAD_INITIALIZER(under_way);

static bool
is_address(const char *name)
{
	unsigned char address[sizeof(struct in6_addr)];

	/* No name has a colon, which an address with a zone has. */
	return strchr(name, ':') != NULL ||
	    inet_pton(AF_INET, name, address) == 1;
}

static void
leave_lookup(struct name_lookup *lookup)
{
	bool last;

	pthread_mutex_lock(&lock);
	last = --lookup->holders == 0;
	pthread_mutex_unlock(&lock);
	if (!last)
		return;
	close(lookup->fd);
	free(lookup->name);
	free(lookup);
}

/* Keeps the first addresses of a list as text. */
static void
keep_addresses(struct name_lookup *lookup, const struct addrinfo *found)
{
	for (; found != NULL && lookup->count < LOOKUP_ADDRESSES;
	     found = found->ai_next)
		if (getnameinfo(found->ai_addr, found->ai_addrlen,
			lookup->addresses[lookup->count], LOOKUP_ADDRESS_SIZE,
			NULL, 0, NI_NUMERICHOST) == 0)
			lookup->count++;
}

static void *
look_up(void *arg)
{
	struct name_lookup *lookup = arg;
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;
	int error = getaddrinfo(lookup->name, NULL, &hints, &found);

	pthread_mutex_lock(&lock);
	lookup->error = error;
	if (error == 0)
		keep_addresses(lookup, found);
	lookup->done = true;
	LIST_REMOVE(lookup, link);
	pthread_mutex_unlock(&lock);
	if (error == 0)
		freeaddrinfo(found);
	if (eventfd_write(lookup->fd, 1) != 0)
		abort();
	leave_lookup(lookup);
	return NULL;
}

/* Starts the thread, which takes no signals: those are the process's. */
static bool
start_thread(struct name_lookup *lookup)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	pthread_t thread;
	bool started;

	sigfillset(&all);
	if (pthread_attr_init(&attributes) != 0)
		return false;
	pthread_sigmask(SIG_SETMASK, &all, &before);
	started = pthread_attr_setstacksize(&attributes, STACK_SIZE) == 0 &&
	    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) ==
		0 &&
	    pthread_create(&thread, &attributes, look_up, lookup) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return started;
}

/* Makes a lookup and starts it; NULL when that is not possible. */
static struct name_lookup *
make_lookup(const char *name)
{
	struct name_lookup *lookup = memory_new(sizeof(*lookup));

	lookup->name = memory_text(name);
	lookup->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	lookup->holders = 2;
	if (lookup->fd >= 0 && start_thread(lookup)) {
		LIST_INSERT_HEAD(&under_way, lookup, link);
		return lookup;
	}
	if (lookup->fd >= 0)
		close(lookup->fd);
	free(lookup->name);
	free(lookup);
	return NULL;
}

bool
lookup_is_needed(const char *name)
{
	return name != NULL && *name != '\0' && *name != '/' && *name != '@' &&
	    strchr(name, ',') == NULL && !is_address(name);
}

struct name_lookup *
lookup_begin(const char *name)
{
	struct name_lookup *lookup;

	pthread_mutex_lock(&lock);
	LIST_FOREACH(lookup, &under_way, link)
		if (strcmp(lookup->name, name) == 0)
			break;
	if (lookup != NULL)
		lookup->holders++;
	else
		lookup = make_lookup(name);
	pthread_mutex_unlock(&lock);
	return lookup;
}

int
lookup_fd(const struct name_lookup *lookup)
{
	return lookup->fd;
}

size_t
lookup_count(const struct name_lookup *lookup)
{
	size_t count;

	pthread_mutex_lock(&lock);
	count = lookup->count;
	pthread_mutex_unlock(&lock);
	return count;
}

const char *
lookup_address(const struct name_lookup *lookup, size_t i)
{
	return lookup->addresses[i];
}

const char *
lookup_error(const struct name_lookup *lookup)
{
	const char *error;

	pthread_mutex_lock(&lock);
	error = !lookup->done    ? "the name service does not answer"
	    : lookup->error != 0 ? gai_strerror(lookup->error)
				 : "the name has no address";
	pthread_mutex_unlock(&lock);
	return error;
}

void
lookup_end(struct name_lookup *lookup)
{
	if (lookup != NULL)
		leave_lookup(lookup);
}
