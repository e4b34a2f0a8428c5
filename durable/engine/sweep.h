/* SPDX-License-Identifier: MIT */
/*
 * What a worker does for the whole database beside its turns: it says what the
 * daemon serves, and once a second it tidies up.
 */
#ifndef DURABLE_SWEEP_H
#define DURABLE_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/schedule.h"

struct db;
struct engine;
struct served;
struct session;

#define SWEEP_WARNINGS 4

/* The last warning of its kind, and when it was logged. */
struct warning {
	char what[256];
	int64_t said_ms;
};

/* Its maker sets the members up to schedule; the others begin as zero. */
struct sweep {
	const struct engine *engine;
	struct served *served;
	struct session *session;
	struct db *db; /* of the session */
	int interval_ms;
	bool notes_served; /* also says what is served, and warns */
	struct schedule schedule;
	int64_t swept_ms, noted_ms;
	bool more; /* was left to do by the last sweep */
	unsigned count;
	struct warning warnings[SWEEP_WARNINGS];
};

/*
 * Tells the database which version and queues this daemon serves.  Returns
 * false when that failed; db_last_error says why.
 */
bool sweep_register(struct sweep *sweep);

/* For how many milliseconds no sweep and no schedule is due; 0: one is due. */
int sweep_due_in_ms(const struct sweep *sweep);

/*
 * Fires the schedules that are due, and sweeps: when the interval is over, or at
 * once when the last sweep left more to do.  So what comes due together waits for
 * no interval, and the turns between the sweeps wait for no long transaction.
 *
 * A sweep wakes workflows that nothing else will wake, enqueues delayed ones,
 * cancels late ones, and ends the sessions of frozen processes.  Every half a
 * minute the worker that notes what is served also warns of workflows that no
 * daemon serves, and of what the engine ignores as yet.  Each sweep also looks
 * at what steps have left in the worker's own session, and closes it when there
 * is something.  Returns false when the connection is lost.
 */
bool sweep_if_due(struct sweep *sweep);

#endif
