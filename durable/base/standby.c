/* SPDX-License-Identifier: MIT */
/*
 * Which worker is active.
 */
#include "base/standby.h"

#include <sys/mman.h>

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"

#define HAND_ON_MS   1000

/* How long all work after a worker reported itself saturated. */
#define SATURATED_MS 1000

/* A worker that has not asked for this long loses its partition. */
#define ABSENT_MS    (5 * STANDBY_PARTITION_MS / 2)

struct standby {
	int workers;
	atomic_int slot;
	atomic_ulong activity; /* beginnings and ends of work */
	_Atomic int64_t due_ms, handed_on_ms, saturated_until_ms;
	_Atomic int64_t asked_ms[]; /* for its partition, by slot */
};

static size_t
size_of(int workers)
{
	return sizeof(struct standby) + (size_t)workers * sizeof(int64_t);
}

struct standby *
standby_new(int workers)
{
	struct standby *standby = mmap(NULL, size_of(workers),
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (standby == MAP_FAILED)
		abort();
	standby->workers = workers;
	return standby;
}

void
standby_free(struct standby *standby)
{
	munmap(standby, size_of(standby->workers));
}

bool
standby_is_mine(const struct standby *standby, int slot)
{
	return standby->slot == slot;
}

void
standby_begin(struct standby *standby)
{
	standby->due_ms = 0;
	standby->activity++;
}

bool
standby_is_saturated(const struct standby *standby)
{
	return clock_monotonic_ms() < standby->saturated_until_ms;
}

struct standby_partition
standby_partition(struct standby *standby, int slot)
{
	struct standby_partition partition = { .part = 0, .parts = 1 };
	int64_t now_ms = clock_monotonic_ms();
	int other;

	standby->asked_ms[slot] = now_ms;
	if (now_ms >= standby->saturated_until_ms)
		return partition;
	for (other = 0; other < standby->workers; other++) {
		if (other == slot ||
		    now_ms - standby->asked_ms[other] >= ABSENT_MS)
			continue;
		partition.parts++;
		if (other < slot)
			partition.part++;
	}
	return partition;
}

bool
standby_partition_has(const struct standby_partition *partition, int kind,
    int kinds)
{
	int parts = partition->parts < kinds ? partition->parts : kinds;

	return parts <= 1 || kind % parts == partition->part % parts;
}

int64_t
standby_due_ms(const struct standby *standby)
{
	return standby->due_ms;
}

struct standby_watch
standby_watch(const struct standby *standby)
{
	return (struct standby_watch){ .slot = standby->slot,
		.activity = standby->activity };
}

bool
standby_take_over(struct standby *standby, const struct standby_watch *watch,
    int slot)
{
	int before = watch->slot;

	return standby->activity == watch->activity &&
	    atomic_compare_exchange_strong(&standby->slot, &before, slot);
}

void
standby_hand_on(struct standby *standby, int slot)
{
	int64_t now_ms = clock_monotonic_ms();

	if (now_ms - standby->handed_on_ms < HAND_ON_MS)
		return;
	if (atomic_compare_exchange_strong(&standby->slot, &slot,
		(slot + 1) % standby->workers))
		standby->handed_on_ms = now_ms;
}

void
standby_give(struct standby *standby, int slot, int other)
{
	atomic_compare_exchange_strong(&standby->slot, &slot, other);
}

/* Waits for the length of a watch, or until a signal of the mask. */
static void
watch_on(const sigset_t *wait_mask)
{
	const struct timespec time = { .tv_nsec = STANDBY_WATCH_MS * 1000000L };

	if (ppoll(NULL, 0, &time, wait_mask) < 0 && errno != EINTR)
		abort();
}

bool
standby_ask(struct standby_member *member)
{
	struct standby *standby = member->standby;
	const struct standby_watch watch = standby_watch(standby);

	if (!standby_is_mine(standby, member->slot) &&
	    !standby_is_saturated(standby)) {
		watch_on(member->wait_mask);
		if (!standby_take_over(standby, &watch, member->slot))
			return false;
	}
	member->partition = standby_partition(standby, member->slot);
	member->helps = member->partition.parts > 1 &&
	    member->idle_since_ms != 0 &&
	    clock_monotonic_ms() - member->idle_since_ms >=
		STANDBY_PARTITION_MS;
	if (member->helps)
		member->partition.parts = 1;
	standby_begin(standby);
	return true;
}

void
standby_tell(struct standby_member *member, bool any, bool saturated,
    int64_t due_ms)
{
	struct standby *standby = member->standby;

	/* A worker helps for as long as a turn leaves more to do. */
	if (member->partition.parts <= 1 || any) {
		if (!member->helps || !saturated)
			member->idle_since_ms = 0;
	} else if (member->idle_since_ms == 0) {
		member->idle_since_ms = clock_monotonic_ms();
	}
	if (saturated)
		standby->saturated_until_ms = clock_monotonic_ms() +
		    SATURATED_MS;
	standby->due_ms = due_ms;
	standby->activity++;
}
