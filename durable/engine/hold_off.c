/* SPDX-License-Identifier: MIT */
/*
 * The steps that met a circumstance a moment ago.
 */
#include "engine/hold_off.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"

#define PAUSE_MIN_MS 1000
#define PAUSE_MAX_MS 16000

void
hold_off_clear(struct hold_off *hold_off)
{
	size_t i;

	for (i = 0; i < HOLD_OFF_STEPS_MAX; i++)
		free(hold_off->steps[i].step);
	*hold_off = (struct hold_off){ 0 };
}

/* The entry of a step, or NULL. */
static struct held_step *
entry_of(struct hold_off *hold_off, const char *step)
{
	size_t i;

	for (i = 0; i < HOLD_OFF_STEPS_MAX; i++)
		if (hold_off->steps[i].step != NULL &&
		    strcmp(hold_off->steps[i].step, step) == 0)
			return &hold_off->steps[i];
	return NULL;
}

/* A free entry, or else the one that is tried soonest. */
static struct held_step *
free_entry(struct hold_off *hold_off)
{
	struct held_step *soonest = &hold_off->steps[0];
	size_t i;

	for (i = 0; i < HOLD_OFF_STEPS_MAX; i++) {
		struct held_step *held = &hold_off->steps[i];

		if (held->step == NULL)
			return held;
		if (held->until_ms < soonest->until_ms)
			soonest = held;
	}
	return soonest;
}

bool
hold_off_add(struct hold_off *hold_off, const char *step,
    const struct db_error *error)
{
	struct held_step *held = entry_of(hold_off, step);
	bool is_new = held == NULL;

	if (is_new) {
		held = free_entry(hold_off);
		free(held->step);
		*held = (struct held_step){ .step = memory_text(step),
			.since_ms = clock_monotonic_ms(),
			.for_ms = PAUSE_MIN_MS };
	} else if (held->for_ms < PAUSE_MAX_MS) {
		held->for_ms *= 2;
	}
	held->error = *error;
	held->error.sql = NULL;
	held->until_ms = clock_monotonic_ms() + held->for_ms;
	return is_new;
}

const struct held_step *
hold_off_find(struct hold_off *hold_off, const char *step)
{
	struct held_step *held = entry_of(hold_off, step);

	if (held == NULL)
		return NULL;
	if (held->until_ms > clock_monotonic_ms())
		return held;
	held->tried = true;
	return NULL;
}

void
hold_off_begin(struct hold_off *hold_off)
{
	size_t i;

	for (i = 0; i < HOLD_OFF_STEPS_MAX; i++)
		hold_off->steps[i].tried = false;
}

int64_t
hold_off_take_mended(struct hold_off *hold_off)
{
	int64_t failed_ms;
	size_t i;

	for (i = 0; i < HOLD_OFF_STEPS_MAX; i++) {
		struct held_step *held = &hold_off->steps[i];

		if (held->step == NULL || !held->tried)
			continue;
		failed_ms = clock_monotonic_ms() - held->since_ms;
		free(held->step);
		*held = (struct held_step){ 0 };
		return failed_ms;
	}
	return -1;
}
