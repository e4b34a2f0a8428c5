/* SPDX-License-Identifier: MIT */
/*
 * How the runs of a turn are suspended.
 *
 * Workflows of a type that only wait for the same time share a timer group, a
 * row that has this time for all of them.  While all of them sleep again until
 * one time, the turn moves the group and leaves their rows in durable.waits as
 * they are.
 */
#include <string.h>

#include <durable/engine.h>
#include <durable/step.h>

#include "base/arena.h"
#include "engine/turn_api.h"
#include "engine/turn_private.h"
#include "engine/write_set.h"

/*
 * A wait ends at a multiple of GRAIN_MAX_MS milliseconds, or of a smaller power
 * of two, which makes it longer by at most the LATE_RATIO-th part of itself.
 */
#define GRAIN_MAX_MS 16
#define LATE_RATIO   32

/* The values of durable.waits.kind. */
static const char *const kind_names[] = { [WAIT_START] = "start",
	[WAIT_MESSAGE] = "message",
	[WAIT_EVENT] = "event",
	[WAIT_RESULT] = "result",
	[WAIT_STREAM] = "stream",
	[WAIT_TIMER] = "timer",
	[WAIT_HELD] = "held",
	[WAIT_STEP] = "step",
	[WAIT_ANY] = "any" };

void
turn_wait_note_due(struct turn *turn, int64_t due_ms)
{
	if (turn->due_ms == 0 || due_ms < turn->due_ms)
		turn->due_ms = due_ms;
}

/* What a wait ends with beside the time, if that may be one of several. */
static void
add_items(struct turn *turn, const char *id, const struct wait *wait)
{
	static const enum wait_kind kinds[] = {
		[WF_ITEM_MESSAGE] = WAIT_MESSAGE,
		[WF_ITEM_RESULT] = WAIT_RESULT,
		[WF_ITEM_STEP] = WAIT_STEP
	};
	size_t i;

	for (i = 0; i < wait->items_count; i++) {
		const struct wf_item *item = &wait->items[i];
		const char *keys[] = { [WF_ITEM_MESSAGE] = item->topic,
			[WF_ITEM_STEP] = arena_number(turn->arena,
			    item->step) };
		const char *const values[] = { id,
			arena_number(turn->arena, (int64_t)i),
			kind_names[kinds[item->kind]],
			item->kind == WF_ITEM_RESULT ? item->id : NULL,
			keys[item->kind] };

		write_set_add(turn->write_set, WRITE_WAIT_ITEMS, values);
	}
}

void
turn_wait_add(struct turn *turn, const char *id,
    const struct workflow_type *type, const struct wait *wait)
{
	const char *const values[] = { id,
		arena_number(turn->arena, wait->wake_ms),
		arena_printf(turn->arena, "%s@%s@%s", type->name, type->version,
		    turn->engine->application),
		kind_names[wait->kind], wait->target, wait->key,
		wait->held_ms == 0 ? NULL
				   : arena_number(turn->arena, wait->held_ms),
		wait->bytes <= TURN_LARGE_BYTES
		    ? NULL
		    : arena_number(turn->arena, (int64_t)wait->bytes) };

	write_set_add(turn->write_set, WRITE_WAITS, values);
	add_items(turn, id, wait);
	turn_wait_note_due(turn, wait->wake_ms);
}

void
turn_wait_round_up(const struct turn *turn, struct wait *wait)
{
	int64_t left_ms = wait->wake_ms - turn_now_ms(turn), grain_ms = 1;

	while (grain_ms < GRAIN_MAX_MS && left_ms >= grain_ms * 2 * LATE_RATIO)
		grain_ms *= 2;
	wait->wake_ms = run_later(wait->wake_ms,
	    (grain_ms - wait->wake_ms % grain_ms) % grain_ms);
}

/* Counts the runs from this one on that its timer group woke; 1: no group. */
static size_t
count_woken_together(const struct turn *turn, size_t from)
{
	const char *group = turn->runs[from]->timer_group;
	size_t i = from + 1;

	while (group != NULL && i < turn->count &&
	    turn->runs[i]->timer_group != NULL &&
	    strcmp(turn->runs[i]->timer_group, group) == 0)
		i++;
	return i - from;
}

/*
 * Returns the wait that the suspended runs have in common, and their number, if
 * all of them wait for the same time and for nothing else, and none is large;
 * else NULL, also when no run is suspended.
 */
static const struct wait *
common_wait(struct workflow *const runs[], size_t count, int *waiting)
{
	const struct wait *common = NULL;
	size_t i;

	*waiting = 0;
	for (i = 0; i < count; i++) {
		const struct wait *wait = &runs[i]->wait;

		if (runs[i]->end != RUN_SUSPENDED)
			continue;
		if (common == NULL)
			common = wait;
		if (wait->kind != WAIT_TIMER ||
		    wait->bytes > TURN_LARGE_BYTES ||
		    wait->wake_ms != common->wake_ms)
			return NULL;
		(*waiting)++;
	}
	return common;
}

/* Moves a timer group to the wait that its workflows share; NULL: ends it. */
static void
add_timer_group(struct turn *turn, const char *group, const struct wait *wait,
    int size)
{
	const char *const values[] = { group,
		wait == NULL ? NULL : arena_number(turn->arena, wait->wake_ms),
		arena_number(turn->arena, size) };

	write_set_add(turn->write_set, WRITE_TIMER_GROUPS, values);
	if (wait != NULL)
		turn_wait_note_due(turn, wait->wake_ms);
}

void
turn_wait_write(struct turn *turn)
{
	size_t from, count, i;

	for (from = 0; from < turn->count; from += count) {
		struct workflow *const *runs = &turn->runs[from];
		const struct wait *common = NULL;
		int size = 0;

		count = count_woken_together(turn, from);
		if (runs[0]->timer_group != NULL) {
			/* A group moves if this turn has all its workflows. */
			if (count == (size_t)runs[0]->timer_group_size)
				common = common_wait(runs, count, &size);
			add_timer_group(turn, runs[0]->timer_group, common,
			    size);
		}
		for (i = 0; i < count && common == NULL; i++)
			if (runs[i]->end == RUN_SUSPENDED)
				turn_wait_add(turn, runs[i]->id, runs[i]->type,
				    &runs[i]->wait);
	}
}
