/* SPDX-License-Identifier: MIT */
/*
 * Who is on duty.
 */
#include "duty.h"

#include <sys/mman.h>

#include <stdatomic.h>
#include <stdlib.h>

#include "monotonic.h"

#define HAND_ON_MS 1000

struct duty {
	int workers;
	atomic_int slot;
	atomic_ulong signs; /* of life: beginnings and ends of work */
	atomic_bool crowded;
	_Atomic int64_t due_ms, handed_on_ms;
};

struct duty *
duty_new(int workers)
{
	struct duty *duty = mmap(NULL, sizeof(*duty), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (duty == MAP_FAILED)
		abort();
	duty->workers = workers;
	return duty;
}

void
duty_free(struct duty *duty)
{
	munmap(duty, sizeof(*duty));
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
	duty->crowded = crowded;
	duty->due_ms = due_ms;
	duty->signs++;
}

bool
duty_is_crowded(const struct duty *duty)
{
	return duty->crowded;
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
