/* SPDX-License-Identifier: MIT */
/*
 * What the runs of a turn add to the rows that it writes before its commit.
 */
#include <durable/engine.h>

#include "base/arena.h"
#include "db/value.h"
#include "engine/turn_api.h"
#include "engine/turn_private.h"
#include "engine/write_set.h"

void
turn_add_step(struct turn *turn, const struct workflow *wf, int number,
    const struct entry *entry)
{
	struct arena *arena = turn->arena;
	const char *const values[] = { wf->id, arena_number(arena, number),
		entry->name, entry->output, entry->error, entry->child,
		entry->serialization, arena_number(arena, entry->started_ms),
		arena_number(arena, entry->completed_ms) };

	write_set_add(turn->write_set, WRITE_JOURNAL, values);
	turn->steps++;
}

void
turn_add_continue(struct turn *turn, const struct workflow *wf, int number,
    const char *input)
{
	const char *const values[] = { wf->id,
		arena_number(turn->arena, number), input };

	if (wf->has_external)
		write_set_add(turn->write_set, WRITE_FORGOTTEN, values);
	write_set_add(turn->write_set, WRITE_CONTINUED, values);
}

void
turn_add_event(struct turn *turn, const struct workflow *wf, int number,
    const char *key, const char *value)
{
	const char *const values[] = { wf->id,
		arena_number(turn->arena, number), key, value, VALUE_PORTABLE };
	const char *const hint[] = { arena_printf(turn->arena, "%s::%s", wf->id,
	    key) };

	write_set_add(turn->write_set, WRITE_EVENTS, values);
	write_set_add(turn->write_set, WRITE_HINTS, hint);
}

void
turn_add_stream(struct turn *turn, const struct workflow *wf, int number,
    const char *key, const char *value)
{
	const char *const values[] = { wf->id,
		arena_number(turn->arena, number), key, value };
	const char *const hint[] = { arena_printf(turn->arena, "%s::%s", wf->id,
	    key) };

	write_set_add(turn->write_set, WRITE_STREAMS, values);
	write_set_add(turn->write_set, WRITE_STREAM_HINTS, hint);
}

void
turn_add_attributes(struct turn *turn, const struct workflow *wf,
    const char *attributes)
{
	const char *const values[] = { wf->id, attributes };

	write_set_add(turn->write_set, WRITE_ATTRIBUTES, values);
}

void
turn_add_external(struct turn *turn, const struct workflow *wf, int number,
    const char *type, const char *argument)
{
	static const char *const hint[] = { "" };
	const char *const values[] = { wf->id,
		arena_number(turn->arena, number), type, argument };

	write_set_add(turn->write_set, WRITE_EXTERNAL, values);
	if (!turn->hints_steps)
		write_set_add(turn->write_set, WRITE_STEP_HINTS, hint);
	turn->hints_steps = true;
}

void
turn_add_chosen(struct turn *turn, const struct workflow *wf)
{
	const char *const values[] = { wf->id };

	write_set_add(turn->write_set, WRITE_CHOSEN, values);
}

void
turn_add_message(struct turn *turn, const char *id, const char *topic,
    const char *text)
{
	const char *const values[] = { id, topic, text };

	write_set_add(turn->write_set, WRITE_MESSAGES, values);
}

void
turn_add_consumed(struct turn *turn, const struct message *message, int number)
{
	const char *const values[] = { message->id,
		arena_number(turn->arena, number) };

	write_set_add(turn->write_set, WRITE_CONSUMED, values);
}

void
turn_hint_due(struct turn *turn)
{
	const char *const payload = "";

	write_set_add(turn->write_set, WRITE_DUE_HINTS, &payload);
}

void
turn_add_control(struct turn *turn, const char *id, enum turn_control control)
{
	static const char *const names[] = { "cancel", "cancel family",
		"resume" };
	const char *const values[] = { id, names[control] };

	write_set_add(turn->write_set, WRITE_CONTROLS, values);
	turn_hint_due(turn);
}
