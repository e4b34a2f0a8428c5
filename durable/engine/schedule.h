/* SPDX-License-Identifier: MIT */
/*
 * Schedules: a worker enqueues their workflows when their time has come.  What
 * is due, and when the next one is, durable.fire_schedules decides.
 */
#ifndef DURABLE_SCHEDULE_H
#define DURABLE_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

struct arena;
struct db;
struct db_rows;
struct engine;
struct served;

/* Its maker sets the members up to wakes; the others begin as zero. */
struct schedule {
	const struct engine *engine;
	const struct served *served;
	struct db *db;
	int64_t began_ms; /* when the daemon did, since the epoch */
	bool wakes;       /* for the next time; else for what is overdue only */
	bool is_known;    /* that there is a next time */
	int64_t due_ms;   /* that time, by the monotonic clock */
	int64_t failed_ms;
};

/* Queues the look when the next schedule is due; *rows is for schedule_note. */
void schedule_queue_look(struct schedule *schedule, struct arena *arena,
    const struct db_rows **rows);

/* Heeds the answer; NULL: there is none. */
void schedule_note(struct schedule *schedule, const struct db_rows *rows);

/* For how many milliseconds none is due, INT_MAX at most; 0: one is due. */
int schedule_due_in_ms(const struct schedule *schedule);

/*
 * Fires some hundreds of the schedules that are due; when there are more, one
 * is still due.  Returns false when the connection is lost.
 */
bool schedule_fire_if_due(struct schedule *schedule);

#endif
