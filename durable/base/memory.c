/* SPDX-License-Identifier: MIT */
/*
 * Replaces malloc, calloc and realloc of the whole process by functions that
 * abort instead of returning NULL, because json-c 0.16 reports success and
 * writes null or cut-off text when it gets no memory, and a journal would keep
 * that.  Another process resumes the workflows.
 *
 * A program's own malloc comes before any library's (glibc's manual, Replacing
 * malloc).  It calls the next one: the C library's, or an allocator that is
 * preloaded or linked after libdurable.  dlsym finds it without allocating
 * (glibc from 2.34, musl).  The address sanitizer aborts by itself.
 */
#include "base/memory.h"

#include <sys/resource.h>

#include <dlfcn.h>
#include <errno.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if !defined(__SANITIZE_ADDRESS__) && !__has_feature(address_sanitizer)

static void __attribute__((noreturn)) die(void)
{
	log_error("no memory, the process ends: the memory limit or the host "
		  "allows no more");
	abort();
}

void *
malloc(size_t size)
{
	static void *(*next)(size_t);
	void *memory;

	if (next == NULL)
		next = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
	memory = next(size);
	if (memory == NULL)
		die();
	return memory;
}

void *
calloc(size_t count, size_t size)
{
	static void *(*next)(size_t, size_t);
	void *memory;

	if (next == NULL)
		next = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "calloc");
	memory = next(count, size);
	if (memory == NULL)
		die();
	return memory;
}

/* With size 0 realloc frees the memory, and NULL is no failure. */
void *
realloc(void *old, size_t size)
{
	static void *(*next)(void *, size_t);
	void *memory;

	if (next == NULL)
		next = (void *(*)(void *, size_t))dlsym(RTLD_NEXT, "realloc");
	memory = next(old, size);
	if (memory == NULL && size > 0)
		die();
	return memory;
}

#endif

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
