/* SPDX-License-Identifier: MIT */
/*
 * Which of a master's workers does what any of them could do.
 *
 * Work that two of them share travels in two transactions of half the size,
 * which are in each other's way.  So one is on duty, and the others stand by.
 * Who stands by and finds that there is something to do watches for a moment
 * (STANDBY_WATCH_MS) whether anybody begins to; if nobody does, because who was
 * on duty is dead, frozen, or busy for long, it takes the duty over.
 *
 * When one cannot do it all they divide it (standby_partition), so that they do
 * not want the same rows, and what is of one kind stays with one of them.
 *
 * Nothing depends on it but speed: two may be at work at a time.  It is in
 * memory that the master shares with its workers, so there is no waiting for
 * who died.
 */
#ifndef DURABLE_STANDBY_H
#define DURABLE_STANDBY_H

#include <stdbool.h>
#include <stdint.h>

#define STANDBY_WATCH_MS 20

struct standby;

/* Of so many workers, that of slot 0 first. */
struct standby *standby_new(int workers);

void standby_free(struct standby *standby);

bool standby_is_mine(const struct standby *standby, int slot);

/* Somebody begins to work. */
void standby_begin(struct standby *standby);

/*
 * Somebody has done his work, and knows whether there is enough for all, and
 * when there will be something to do (clock_monotonic_ms).
 */
void standby_report(struct standby *standby, bool saturated, int64_t due_ms);

/* Whether that was so within the last second. */
bool standby_is_saturated(const struct standby *standby);

/* A part from 0 of so many. */
struct standby_partition {
	int part, parts;
};

/*
 * This worker's part of what is to be done now: all, or while it is saturated
 * one of those who ask.  Who has one looks again within STANDBY_PARTITION_MS,
 * as it does not know of the others' work, and one of them may be gone.
 */
#define STANDBY_PARTITION_MS 100
struct standby_partition standby_partition(struct standby *standby, int slot);

/*
 * Whether a share has that one of so many kinds of work.  Each has one at
 * least: where there are more shares than kinds, some have the same.
 */
bool standby_partition_has(const struct standby_partition *partition, int kind,
    int kinds);

/* When there will be something to do; 0, at once, while somebody works. */
int64_t standby_due_ms(const struct standby *standby);

/* What there was to see when a worker began to watch. */
struct standby_watch {
	int slot;
	unsigned long activity;
};

struct standby_watch standby_watch(const struct standby *standby);

/*
 * At the end of the watch: takes the duty over, unless there has been a sign
 * of life, or another worker was faster; then it returns false.
 */
bool standby_take_over(struct standby *standby,
    const struct standby_watch *watch, int slot);

/*
 * Makes it the duty of the next worker, if it is this one's; not more often
 * than once in a second, when nobody can do it.
 */
void standby_hand_on(struct standby *standby, int slot);

#endif
