/* SPDX-License-Identifier: MIT */
/*
 * The wait for the first of several things.  select.tap starts the cluster and
 * this program.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <durable/step.h>
#include "tests/stories/story.h"
#include "tests/unit/tap.h"

/* Sleeps for its argument in milliseconds, and returns it. */
static json_object *
nap(struct step_call *call, json_object *argument)
{
	int ms = json_object_get_int(argument);
	const struct timespec time = { .tv_sec = ms / 1000,
		.tv_nsec = ms % 1000 * 1000000L };

	(void)call;
	nanosleep(&time, NULL);
	return json_object_get(argument);
}

static const struct step_type nap_step = { .name = "nap", .function = nap };
static const struct step_type *const step_types[] = { &nap_step, NULL };

static json_object *
child(struct workflow *wf, json_object *input)
{
	wf_recv(wf, "topic", json_object_get_int64(input));
	return json_object_new_string("result");
}

static const struct workflow_type child_type = TYPE(child);

/*
 * Waits for the first of a message on "a", one on "b", a child that ends by
 * itself after input[0] ms, and a step of input[1] ms, for at most input[2] ms,
 * and returns the index and what the call for it returned.
 */
static json_object *
chooser(struct workflow *wf, json_object *input)
{
	json_object *all = wf_own(wf, json_object_new_array()), *value = NULL;
	struct wf_item items[] = { { .kind = WF_ITEM_MESSAGE, .topic = "a" },
		{ .kind = WF_ITEM_MESSAGE, .topic = "b" },
		{ .kind = WF_ITEM_RESULT }, { .kind = WF_ITEM_STEP } };
	int index;

	items[2].id = wf_start(wf, &child_type, NULL,
	    json_object_array_get_idx(input, 0));
	items[3].step = wf_step_begin(wf, &nap_step,
	    json_object_array_get_idx(input, 1));
	take_note(wf, "note");
	index = wf_select(wf, items, 4,
	    json_object_get_int64(json_object_array_get_idx(input, 2)));
	take_note(wf, "note");
	switch (index) {
	case 0:
	case 1:
		value = wf_recv(wf, items[index].topic, 0);
		break;
	case 2:
		value = wf_result(wf, items[2].id);
		break;
	case 3:
		value = wf_step_result(wf, items[3].step);
		break;
	}
	json_object_array_add(all, json_object_new_int(index));
	json_object_array_add(all, json_object_get(value));
	return json_object_get(all);
}

/* Sends itself a message, and waits for that or another. */
static json_object *
talker(struct workflow *wf, json_object *input)
{
	static const struct wf_item items[] = { { .kind = WF_ITEM_MESSAGE,
						    .topic = "a" },
		{ .kind = WF_ITEM_MESSAGE } };

	wf_send(wf, wf_id(wf), NULL, input);
	if (wf_select(wf, items, 2, 60000) != 1)
		return NULL;
	return json_object_get(wf_recv(wf, NULL, 0));
}

/* Takes the results of input steps as they come. */
static json_object *
gatherer(struct workflow *wf, json_object *input)
{
	int left = json_object_get_int(input), sum = 0, i;
	struct wf_item items[10];

	for (i = 0; i < left; i++)
		items[i] = (struct wf_item){ .kind = WF_ITEM_STEP,
			.step = wf_step_begin(wf, &nap_step,
			    json_object_new_int((left - i) * 10)) };
	while (left > 0) {
		i = wf_select(wf, items, (size_t)left, 60000);
		sum = sum * 10 +
		    json_object_get_int(wf_step_result(wf, items[i].step)) / 10;
		items[i] = items[--left];
	}
	return json_object_new_int(sum);
}

/* Waits for the result of a workflow that is not there. */
static json_object *
astray(struct workflow *wf, json_object *input)
{
	const struct wf_item item = { .kind = WF_ITEM_RESULT,
		.id = json_object_get_string(input) };

	if (wf_select(wf, &item, 1, 60000) != 0)
		return NULL;
	wf_catch(wf);
	wf_result(wf, item.id);
	return json_object_new_string(wf_error(wf)->name);
}

static const struct workflow_type types[] = { TYPE(child), TYPE(chooser),
	TYPE(talker), TYPE(gatherer), TYPE(astray) };

#define TYPES (sizeof(types) / sizeof(types[0]))

static bool
wait_wait(const char *id)
{
	return wait_sql("true",
	    arena_printf(arena,
		"select count(*) = 1 from durable.waits "
		"where workflow_uuid = '%s' and kind = 'any'",
		id));
}

static void
send_to(const char *id, const char *topic, const char *message)
{
	sql("select durable.client_submit('{}', '{}', '{}', '{}', 'test', "
	    "array['%s'], array['chooser'], array['%s'], array['%s'], "
	    "array['%s%s'])",
	    id, topic, message, id, topic);
}

static void
test_each(void)
{
	start("first", "chooser", "[60000, 60000, 60000]");
	start("second", "chooser", "[60000, 60000, 60000]");
	start("child", "chooser", "[100, 60000, 60000]");
	start("step", "chooser", "[60000, 100, 60000]");
	start("time", "chooser", "[60000, 60000, 100]");
	start("none", "chooser", "[60000, 60000, 0]");
	wait_wait("first");
	wait_wait("second");
	send_to("first", "a", "7");
	send_to("second", "other", "1");
	send_to("second", "b", "8");
	is_str(output("first"), "[0,7]", "the first message ends the wait");
	is_str(output("second"), "[1,8]",
	    "so does one on the other topic, and none on a third");
	is_str(output("child"), "[2,\"result\"]", "so does a child's result");
	is_str(output("step"), "[3,100]", "so does an external step");
	is_str(output("time"), "[-1,null]", "so does the time");
	is_str(output("none"), "[-1,null]", "a time of 0 only looks");
	is_str(notes("first"), "2", "the workflow goes on once");
	is_str(steps("step"),
	    "0 child, 1 nap, 2 note, 3 DBOS.select, 4 DBOS.sleep, 5 note",
	    "the choice is recorded");
	is_str(sql("select output from dbos.operation_outputs "
		   "where workflow_uuid = 'child' and function_id = 3"),
	    "2", "as the index of what came");
}

static void
test_others(void)
{
	start("both", "chooser", "[60000, 60000, 60000]");
	wait_wait("both");
	sql("select durable.client_submit('{}', '{}', '{}', '{}', 'test', "
	    "array['both', 'both'], array['chooser', 'chooser'], "
	    "array['b', 'a'], array['8', '7'], array['m1', 'm2'])");
	is_str(output("both"), "[0,7]", "of two at a time the first item wins");
	start("talker", "talker", "5");
	is_str(output("talker"), "5",
	    "a message that the workflow has sent itself ends the wait");
	start("gatherer", "gatherer", "4");
	ok(strlen(output("gatherer")) == 4,
	    "results can be taken as they come");
	start("astray", "astray", "\"nowhere\"");
	is_str(output("astray"), "\"DBOSNonExistentWorkflowError\"",
	    "a workflow that does not exist ends the wait");
}

static void
test_cancelled(void)
{
	start("cancelled", "chooser", "[60000, 60000, 60000]");
	wait_wait("cancelled");
	sql("update dbos.workflow_status set status = 'CANCELLED', "
	    "queue_name = null where workflow_uuid = 'cancelled'");
	is_str(sql("select (select count(*) from durable.waits "
		   "where workflow_uuid = 'cancelled') "
		   "+ (select count(*) from durable.wait_items) "
		   "+ (select count(*) from durable.external_steps "
		   "where workflow_uuid = 'cancelled')"),
	    "0", "a wait that has ended or was cancelled leaves no row");
}

int
main(void)
{
	static const struct engine engine = { .turn_size = 16,
		.turn_limit_s = 2,
		.max_attempts = 3,
		.steps = step_types };
	pid_t daemon;

	story_begin("");
	daemon = story_start_daemon(&engine, types, TYPES, 2);
	test_each();
	test_others();
	test_cancelled();
	ok(story_stop_daemon(daemon), "SIGTERM ends the daemon with status 0");
	story_end();
	return done_testing();
}
