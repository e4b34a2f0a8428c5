/* SPDX-License-Identifier: MIT */
/*
 * Allocations that succeed, and the limit of a process.
 */
#include "base/memory.h"

#include <sys/resource.h>

#include <errno.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* What memory_check wants to be free: as much as a small value needs. */
#define SPARE 65536

void
memory_die(void)
{
	log_error("no memory, the process ends: the memory limit or the host "
		  "allows no more");
	abort();
}

void *
memory_new(size_t size)
{
	void *memory = calloc(1, size);

	if (memory == NULL)
		memory_die();
	return memory;
}

void *
memory_resize(void *old, size_t count, size_t size)
{
	void *memory = reallocarray(old, count, size);

	if (memory == NULL)
		memory_die();
	return memory;
}

char *
memory_text(const char *text)
{
	char *copy = strdup(text);

	if (copy == NULL)
		memory_die();
	return copy;
}

void
memory_check(void)
{
	/* volatile, so that no compiler leaves the allocation out. */
	void *volatile spare = malloc(SPARE);

	if (spare == NULL)
		memory_die();
	free(spare);
}

void
memory_forbid_cores(void)
{
	const struct rlimit none = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &none) != 0)
		log_warning("cannot forbid core dumps: %s", strerror(errno));
}

void
memory_trim(void)
{
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}

void
memory_limit(int limit_mb)
{
	struct rlimit limit;

	/* AddressSanitizer's shadow is larger than any limit. */
#ifdef __SANITIZE_ADDRESS__
	limit_mb = 0;
#endif
	if (limit_mb == 0)
		return;
	limit.rlim_cur = limit.rlim_max = (rlim_t)limit_mb << 20;
	if (setrlimit(RLIMIT_DATA, &limit) != 0)
		log_warning("cannot limit the memory to %d MiB: %s; the "
			    "process runs without a limit",
		    limit_mb, strerror(errno));
}
