/* SPDX-License-Identifier: MIT */
/*
 * What a program is told of its turns.
 */
#include <durable/engine.h>

#include "engine/run.h"
#include "engine/turn.h"
#include "engine/turn_private.h"

void
turn_count_in(struct turn *turn, struct durable_stats *stats)
{
	turn->stats = stats;
}

void
turn_stats_note(struct turn *turn)
{
	struct durable_stats *stats = turn->stats;
	size_t i;

	if (stats == NULL)
		return;
	stats->turns++;
	stats->runs += turn->count;
	stats->steps += turn->steps;
	for (i = 0; i < turn->count; i++)
		stats->errors += turn->runs[i]->end == RUN_FAILED;
	stats->lag_ms = turn->taken > 0 && turn->expected_ms > 0 &&
		turn->begun_ms > turn->expected_ms
	    ? turn->begun_ms - turn->expected_ms
	    : 0;
	turn->expected_ms = turn->full ? turn->begun_ms : turn->due_ms;
}
