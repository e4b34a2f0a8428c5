/* SPDX-License-Identifier: MIT */
/*
 * Places where a test build may die or lose its connection to the database.
 *
 * In a build with DURABLE_FAILPOINTS the environment variable
 * DURABLE_DIE=POINT:N makes a process kill itself with SIGKILL the N-th time it
 * reaches the point, and DURABLE_LOSE=POINT:N makes it lose the connection
 * there.  With DURABLE_PASSES=FILE the N-th of all processes' times counts; each
 * adds a byte to the file.  Other builds have no failpoints.  Points: before-,
 * during- and after-trip of a round trip; before-, during- and after-commit of a
 * turn that ran a workflow; those of external steps (engine/step_trip.c and
 * step_child.c).  During: all has been sent and no answer has been read.
 */
#ifndef DURABLE_FAILPOINT_H
#define DURABLE_FAILPOINT_H

#ifdef DURABLE_FAILPOINTS
/* fd is the socket of the connection to the database, -1 without one. */
void failpoint(const char *point, int fd);
#else
static inline void
failpoint(const char *point, int fd)
{
	(void)point;
	(void)fd;
}
#endif

#endif
