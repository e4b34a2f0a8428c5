/* SPDX-License-Identifier: MIT */
/*
 * Limits how much memory a process may allocate, and gives memory back.
 */
#ifndef DURABLE_MEMORY_H
#define DURABLE_MEMORY_H

/*
 * Limits the data of this process to limit_mb MiB, so that a process that
 * allocates without end dies before the host runs out of memory; 0 means no
 * limit.  Logs a warning when the system refuses.
 */
void memory_limit(int limit_mb);

/* Gives memory that is free to the system, as far as the allocator can. */
void memory_trim(void);

#endif
