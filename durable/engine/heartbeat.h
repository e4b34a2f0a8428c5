/* SPDX-License-Identifier: MIT */
/*
 * The second thread of a worker.  While a turn lasts it tells the server four
 * times a second that this process lives, because the server ends a session
 * that is idle in a transaction for a second.  So a workflow may compute for
 * long, and a frozen worker still loses its session.
 *
 * It also ends the process when the author's code of one run has had the limit
 * of time.  What counts is the CPU time that the run takes and the time that it
 * sleeps.  Waiting for the database or for a CPU counts nothing, because it is
 * not the workflow's doing.
 */
#ifndef DURABLE_HEARTBEAT_H
#define DURABLE_HEARTBEAT_H

struct db;
struct heartbeat;
struct workflow;

/*
 * Starts the thread for the calling one, which uses db and runs the workflows;
 * db may be used by its own thread as before.  A process has one at most, which
 * has the signal SIGALRM.
 */
struct heartbeat *heartbeat_new(struct db *db, int limit_s);

/* Ends the thread. */
void heartbeat_free(struct heartbeat *heartbeat);

/* A turn begins or has ended. */
void heartbeat_begin(struct heartbeat *heartbeat);
void heartbeat_end(struct heartbeat *heartbeat);

/*
 * The code of a workflow begins to run; NULL: it has left.  When it does not
 * leave within the limit, the log names it and SIGALRM ends the process.
 */
void heartbeat_watch(struct heartbeat *heartbeat, const struct workflow *wf);

#endif
