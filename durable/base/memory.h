/* SPDX-License-Identifier: MIT */
/*
 * The memory of a process.
 */
#ifndef DURABLE_MEMORY_H
#define DURABLE_MEMORY_H

/*
 * Limits the data of this process to so many MiB, so that one that allocates
 * without end dies long before the host has none left for the others; 0 for
 * no limit.  Logs a warning when the system refuses.
 */
void memory_limit(int limit_mb);

#endif
