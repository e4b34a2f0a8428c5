/* SPDX-License-Identifier: MIT */
/*
 * Memory that is there, or the process ends: another one resumes its workflows.
 * Limits how much a process may allocate, and gives memory back.
 */
#ifndef DURABLE_MEMORY_H
#define DURABLE_MEMORY_H

#include <stddef.h>

/* Logs that there is no memory, and aborts. */
void memory_die(void) __attribute__((noreturn));

/* Returns size zeroed bytes, for the caller to free(3). */
void *memory_new(size_t size);

/* Makes it an array of count elements of this size, as reallocarray(3). */
void *memory_resize(void *old, size_t count, size_t size);

/* Returns a copy of the text, for the caller to free(3). */
char *memory_text(const char *text);

/*
 * Limits the data of this process to limit_mb MiB, so that a process that
 * allocates without end dies before the host runs out of memory; 0 means no
 * limit.  Logs a warning when the system refuses.
 */
void memory_limit(int limit_mb);

/*
 * Ends the process when it is about to come to its limit.  For code of others,
 * such as json-c, that may take a refused allocation for a value: what it has
 * made since the last call is good, unless one allocation alone was refused.
 */
void memory_check(void);

/*
 * Lets this process and its children write no core when they crash, because a
 * core has the secrets of the process, and customers' data.
 */
void memory_forbid_cores(void);

/* Gives memory that is free to the system, as far as the allocator can. */
void memory_trim(void);

#endif
