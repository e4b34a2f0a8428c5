/* SPDX-License-Identifier: MIT */
/*
 * Who is on duty.
 */
#include "base/standby.h"

#include <sys/mman.h>

#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"

#define HAND_ON_MS 1000

/* For how long a report that there is enough for all holds. */
#define CROWDED_MS 1000

/* Who has not asked for its share for so long has none. */
#define ABSENT_MS  (5 * DUTY_SHARE_MS / 2)

struct duty {
	int workers;
	atomic_int slot;
	atomic_ulong signs; /* of life: beginnings and ends of work */
	_Atomic int64_t due_ms, handed_on_ms, crowded_until_ms;
	_Atomic int64_t asked_ms[]; /* for its share, by slot */
};

static size_t
size_of(int workers)
{
	return sizeof(struct duty) + (size_t)workers * sizeof(int64_t);
}

struct duty *
duty_new(int workers)
{
	struct duty *duty = mmap(NULL, size_of(workers), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (duty == MAP_FAILED)
		abort();
	duty->workers = workers;
	return duty;
}

void
duty_free(struct duty *duty)
{
	munmap(duty, size_of(duty->workers));
}

bool
duty_is_mine(const struct duty *duty, int slot)
{
	return duty->slot == slot;
}

void
duty_begin(struct duty *duty)
{
	duty->due_ms = 0;
	duty->signs++;
}

void
duty_report(struct duty *duty, bool crowded, int64_t due_ms)
{
	if (crowded)
		duty->crowded_until_ms = monotonic_ms() + CROWDED_MS;
	duty->due_ms = due_ms;
	duty->signs++;
}

bool
duty_is_crowded(const struct duty *duty)
{
	return monotonic_ms() < duty->crowded_until_ms;
}

struct duty_share
duty_share(struct duty *duty, int slot)
{
	struct duty_share share = { .part = 0, .parts = 1 };
	int64_t now_ms = monotonic_ms();
	int other;

	duty->asked_ms[slot] = now_ms;
	if (now_ms >= duty->crowded_until_ms)
		return share;
	for (other = 0; other < duty->workers; other++) {
		if (other == slot ||
		    now_ms - duty->asked_ms[other] >= ABSENT_MS)
			continue;
		share.parts++;
		if (other < slot)
			share.part++;
	}
	return share;
}

bool
duty_share_has(const struct duty_share *share, int kind, int kinds)
{
	int parts = share->parts < kinds ? share->parts : kinds;

	return parts <= 1 || kind % parts == share->part % parts;
}

int64_t
duty_due_ms(const struct duty *duty)
{
	return duty->due_ms;
}

struct duty_watch
duty_watch(const struct duty *duty)
{
	return (struct duty_watch){ .slot = duty->slot, .signs = duty->signs };
}

bool
duty_take_over(struct duty *duty, const struct duty_watch *watch, int slot)
{
	int before = watch->slot;

	return duty->signs == watch->signs &&
	    atomic_compare_exchange_strong(&duty->slot, &before, slot);
}

void
duty_hand_on(struct duty *duty, int slot)
{
	int64_t now_ms = monotonic_ms();

	if (now_ms - duty->handed_on_ms < HAND_ON_MS)
		return;
	if (atomic_compare_exchange_strong(&duty->slot, &slot,
		(slot + 1) % duty->workers))
		duty->handed_on_ms = now_ms;
}
