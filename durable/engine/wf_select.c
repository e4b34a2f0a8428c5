/* SPDX-License-Identifier: MIT */
/*
 * The call of a workflow's author that waits for the first of several things.
 */
#include <string.h>

#include <durable/step.h>
#include "base/arena.h"
#include "db/value.h"
#include "engine/run.h"
#include "engine/turn_api.h"

/* Whether a workflow has ended, or there is none of this id. */
static bool
has_ended(struct workflow *wf, const char *id)
{
	static const char sql[] = "select 1 from durable.workflow_result($1) "
				  "where status in ('PENDING', 'ENQUEUED', "
				  "'DELAYED')";
	const struct db_error *refused;
	const struct db_rows *rows;

	turn_savepoint(wf->turn);
	rows = turn_query(wf->turn, wf, sql, 1, &id, &refused);
	if (rows == NULL)
		wf_fail(wf, "DatabaseError", "%s", refused->message);
	turn_release(wf->turn);
	return db_row_count(rows) == 0;
}

/* Whether an item is there; asks the database for results and messages. */
static bool
is_there(struct workflow *wf, const struct wf_item *item, int number)
{
	switch (item->kind) {
	case WF_ITEM_MESSAGE:
		return run_has_message(wf, item->topic, number);
	case WF_ITEM_RESULT:
		return has_ended(wf, item->id);
	case WF_ITEM_STEP:
		if (item->step < wf->first || item->step >= wf->next)
			wf_fail(wf, "DBOSInvalidInput",
			    "%d is no handle of a step that the workflow has "
			    "begun",
			    item->step);
		return run_knows(wf, item->step);
	}
	return false;
}

/* Copies the author's items, whose memory may change while the run pauses. */
static struct wf_item *
copy_items(struct workflow *wf, const struct wf_item items[], size_t count)
{
	struct arena *arena = turn_arena(wf->turn);
	struct wf_item *copy = arena_alloc(arena, (count + 1) * sizeof(*copy));
	size_t i;

	for (i = 0; i < count; i++) {
		copy[i] = items[i];
		copy[i].id = arena_strdup(arena, items[i].id);
		copy[i].topic = arena_strdup(arena,
		    items[i].topic == NULL ? RUN_DEFAULT_TOPIC
					   : items[i].topic);
	}
	return copy;
}

/* The target of the first result, by which its end finds this wait. */
static const char *
first_target(const struct wf_item items[], size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (items[i].kind == WF_ITEM_RESULT)
			return items[i].id;
	return NULL;
}

/* Returns the index of an item that is there, or -1 when the time is over. */
static int
choose(struct workflow *wf, const struct wf_item items[], size_t count,
    int64_t wake_ms, int number)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (is_there(wf, &items[i], number))
			return (int)i;
	if (turn_now_ms(wf->turn) < wake_ms)
		run_suspend(wf,
		    &(struct wait){ .kind = WAIT_ANY,
			.wake_ms = wake_ms,
			.target = first_target(items, count),
			.items = items,
			.items_count = count });
	return -1;
}

int
wf_select(struct workflow *wf, const struct wf_item items[], size_t count,
    int64_t timeout_ms)
{
	static const char name[] = "DBOS.select";
	const struct entry *entry;
	const struct wf_item *copy;
	int64_t started_ms, wake_ms;
	int number, timeout_number, chosen;
	bool came_before;

	entry = run_call(wf, name, &number);
	timeout_number = wf->next++;
	if (entry != NULL)
		return json_object_get_int(run_answer(wf, entry));
	came_before = run_knows(wf, timeout_number);
	wake_ms = run_timeout(wf, timeout_number, timeout_ms, &started_ms);
	copy = copy_items(wf, items, count);
	chosen = choose(wf, copy, count, wake_ms, number);
	if (came_before)
		turn_add_chosen(wf->turn, wf);
	run_record_output(wf, number, name, wf_number(wf, chosen), started_ms);
	run_pause(wf);
	return json_object_get_int(run_recorded(wf, number));
}
