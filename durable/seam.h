/* SPDX-License-Identifier: MIT */
/*
 * Places where a test build may die.  In a build with DURABLE_SEAMS the
 * environment variable DURABLE_DIE=POINT:N makes the process kill itself with
 * SIGKILL the N-th time it comes to the point; else nothing is compiled in.
 */
#ifndef DURABLE_SEAM_H
#define DURABLE_SEAM_H

#ifdef DURABLE_SEAMS
void seam(const char *point);
#else
static inline void
seam(const char *point)
{
	(void)point;
}
#endif

#endif
