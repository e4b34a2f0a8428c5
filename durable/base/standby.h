/* SPDX-License-Identifier: MIT */
/*
 * Decides which of a master's workers is active.
 *
 * Work that two workers share travels in two transactions of half the size,
 * which are in each other's way.  So one worker is active and the others stand
 * by.  A standby that finds work watches for STANDBY_WATCH_MS whether another
 * worker begins or ends some; if none does, because the active one is dead,
 * frozen or busy for long, it takes over.  When the active worker cannot do it
 * all (saturated), all work, each in its partition of the kinds of work.
 *
 * Only speed depends on this, because two workers may always work at a time.
 * The state is in memory that the master shares with its workers, without a
 * lock that a dead worker could keep.
 */
#ifndef DURABLE_STANDBY_H
#define DURABLE_STANDBY_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#define STANDBY_WATCH_MS     20

/* How long a worker may find nothing in its partition before it takes all. */
#define STANDBY_PARTITION_MS 100

struct standby;

/* The part with this number, from 0, of so many parts; parts 0 or 1: all. */
struct standby_partition {
	int part, parts;
};

/* The active slot and the activity when a worker began to watch. */
struct standby_watch {
	int slot;
	unsigned long activity;
};

/* One worker.  Its maker sets the first three; the others begin as zero. */
struct standby_member {
	struct standby *standby;
	int slot;
	const sigset_t *wait_mask;          /* of ppoll(2), while it watches */
	struct standby_partition partition; /* that standby_ask gave */
	bool helps;                         /* has all instead, for once */
	int64_t idle_since_ms; /* its partition had no work; 0: it had */
};

/* For so many workers; that of slot 0 is active first. */
struct standby *standby_new(int workers);
void standby_free(struct standby *standby);

/*
 * Before work: returns false when another worker has it, and this one stands
 * by.  Otherwise member->partition is what this worker may take now.  Blocks
 * for STANDBY_WATCH_MS at most.
 */
bool standby_ask(struct standby_member *member);

/*
 * After work: whether there was any, whether there was more than one worker
 * could take, and when there will be some (clock_monotonic_ms).
 */
void standby_tell(struct standby_member *member, bool any, bool saturated,
    int64_t due_ms);

/*
 * Whether a partition has this one of so many kinds of work.  Each partition
 * has one at least: of more partitions than kinds, some are the same.
 */
bool standby_partition_has(const struct standby_partition *partition, int kind,
    int kinds);

/* When there will be work; 0, at once, while a worker is busy. */
int64_t standby_due_ms(const struct standby *standby);

/* The parts of standby_ask, for workers with several threads. */

bool standby_is_mine(const struct standby *standby, int slot);

/* A worker begins some work. */
void standby_begin(struct standby *standby);

/* Whether a worker has reported itself saturated within the last second. */
bool standby_is_saturated(const struct standby *standby);

/*
 * A worker's partition: all, or while it is saturated one of those workers
 * that have asked within the last quarter of a second.
 */
struct standby_partition standby_partition(struct standby *standby, int slot);

struct standby_watch standby_watch(const struct standby *standby);

/*
 * At the end of the watch: makes this worker the active one.  Returns false
 * when there has been activity, or another worker was faster.
 */
bool standby_take_over(struct standby *standby,
    const struct standby_watch *watch, int slot);

/*
 * Makes the next worker the active one, if this one is; at most once in a
 * second, for the case that no worker can do the work.
 */
void standby_hand_on(struct standby *standby, int slot);

/*
 * Makes another worker the active one, if this one is: it will be busy with
 * something else for longer than a watch.
 */
void standby_give(struct standby *standby, int slot, int other);

#endif
