/* SPDX-License-Identifier: MIT */
/*
 * Which of a master's workers does what any of them could do.
 *
 * Work that two of them share travels in two transactions of half the size,
 * which are in each other's way.  So one is on duty, and the others stand by.
 * Who stands by and finds that there is something to do watches for a moment
 * (DUTY_WATCH_MS) whether anybody begins to; if nobody does, because who was
 * on duty is dead, frozen, or busy for long, it takes the duty over.
 *
 * When one cannot do it all they divide it (duty_share), so that they do not
 * want the same rows, and what is of one kind stays with one of them.
 *
 * Nothing depends on it but speed: two may be at work at a time.  It is in
 * memory that the master shares with its workers, so there is no waiting for
 * who died.
 */
#ifndef DURABLE_DUTY_H
#define DURABLE_DUTY_H

#include <stdbool.h>
#include <stdint.h>

#define DUTY_WATCH_MS 20

struct duty;

/* Of so many workers, that of slot 0 first. */
struct duty *duty_new(int workers);

void duty_free(struct duty *duty);

bool duty_is_mine(const struct duty *duty, int slot);

/* Somebody begins to work. */
void duty_begin(struct duty *duty);

/*
 * Somebody has done his work, and knows whether there is enough for all, and
 * when there will be something to do (monotonic_ms).
 */
void duty_report(struct duty *duty, bool crowded, int64_t due_ms);

/* Whether that was so within the last second. */
bool duty_is_crowded(const struct duty *duty);

/* A part from 0 of so many. */
struct duty_share {
	int part, parts;
};

/*
 * This worker's part of what is to be done now: all, or while it is crowded one
 * of those who ask.  Who has one looks again within DUTY_SHARE_MS, as it does
 * not know of the others' work, and one of them may be gone.
 */
#define DUTY_SHARE_MS 100
struct duty_share duty_share(struct duty *duty, int slot);

/*
 * Whether a share has that one of so many kinds of work.  Each has one at
 * least: where there are more shares than kinds, some have the same.
 */
bool duty_share_has(const struct duty_share *share, int kind, int kinds);

/* When there will be something to do; 0, at once, while somebody works. */
int64_t duty_due_ms(const struct duty *duty);

/* What there was to see when a worker began to watch. */
struct duty_watch {
	int slot;
	unsigned long signs;
};

struct duty_watch duty_watch(const struct duty *duty);

/*
 * At the end of the watch: takes the duty over, unless there has been a sign
 * of life, or another worker was faster; then it returns false.
 */
bool
duty_take_over(struct duty *duty, const struct duty_watch *watch, int slot);

/*
 * Makes it the duty of the next worker, if it is this one's; not more often
 * than once in a second, when nobody can do it.
 */
void duty_hand_on(struct duty *duty, int slot);

#endif
