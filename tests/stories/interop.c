/* SPDX-License-Identifier: MIT */
/*
 * The workflows of a daemon that shares its database with an application of the
 * DBOS SDKs: interop PEER runs it beside the program PEER, which starts these
 * workflows and serves those that these start, and returns PEER's status.
 */
#include <stdlib.h>

#include <json-c/linkhash.h>

#include "tests/stories/story.h"
#include "tests/unit/tap.h"

#define MINUTE_MS 60000

/* A value of the run's as a member that the object owns, too. */
static void
add(json_object *object, const char *key, json_object *value)
{
	json_object_object_add(object, key, json_object_get(value));
}

static json_object *
object(struct workflow *wf)
{
	return wf_own(wf, json_object_new_object());
}

static json_object *
keys_of(json_object *of)
{
	json_object *keys = json_object_new_array();

	json_object_object_foreach(of, key, value)
	{
		(void)value;
		json_object_array_add(keys, json_object_new_string(key));
	}
	return keys;
}

/* DBOS's example of seven arguments, which its SDKs share. */
static json_object *
canonical(struct workflow *wf, json_object *text)
{
	json_object *item = object(wf), *status = object(wf);
	json_object *result = object(wf);

	add(status, "text", text);
	add(status, "num", wf_argument(wf, 1));
	add(status, "flag", wf_argument(wf, 5));
	wf_set_event(wf, "interop_status", status);
	add(item, "item", text);
	wf_write_stream(wf, "interop_stream", item);
	wf_close_stream(wf, "interop_stream");
	add(result, "echo_text", text);
	add(result, "echo_num", wf_argument(wf, 1));
	add(result, "echo_dt", wf_argument(wf, 2));
	json_object_object_add(result, "items_count",
	    json_object_new_int(
		(int)json_object_array_length(wf_argument(wf, 3))));
	json_object_object_add(result, "meta_keys",
	    keys_of(wf_argument(wf, 4)));
	add(result, "flag", wf_argument(wf, 5));
	add(result, "empty", wf_argument(wf, 6));
	add(result, "received", wf_recv(wf, "interop_topic", MINUTE_MS));
	return json_object_get(result);
}

/* Its example of arguments with names. */
static json_object *
named(struct workflow *wf, json_object *input)
{
	json_object *tags = wf_named(wf, "tags");
	const char *list = "";
	size_t i;

	(void)input;
	for (i = 0; i < json_object_array_length(tags); i++)
		list = wf_printf(wf, "%s%s%s", list, i == 0 ? "" : ",",
		    json_object_get_string(json_object_array_get_idx(tags, i)));
	return json_object_new_string(wf_printf(wf, "%s-%d-%s",
	    json_object_get_string(wf_named(wf, "name")),
	    json_object_get_int(wf_named(wf, "count")), list));
}

/* Starts the peer's workflow of seven arguments, and talks with it. */
static json_object *
caller(struct workflow *wf, json_object *message)
{
	static const struct workflow_type peers = {
		.name = "canonicalWorkflow"
	};
	json_object *positional = wf_own(wf, json_object_new_array());
	json_object *all = object(wf), *value;
	const char *id;
	size_t i;

	for (i = 1; i < wf_arguments(wf); i++)
		json_object_array_add(positional,
		    json_object_get(wf_argument(wf, i)));
	id = wf_start_with(wf, &peers, positional, NULL,
	    &(struct wf_start_options){ .queue = "peer",
		.application = "peer",
		.class_name = "interop",
		.priority = 3 });
	add(all, "status", wf_get_event(wf, id, "interop_status", MINUTE_MS));
	wf_read_stream(wf, id, "interop_stream", 0, MINUTE_MS, &value);
	add(all, "item", value);
	json_object_object_add(all, "ended",
	    json_object_new_boolean(wf_read_stream(wf, id, "interop_stream", 1,
					MINUTE_MS, &value) == WF_STREAM_END));
	json_object_object_add(all, "early",
	    json_object_new_boolean(wf_result_within(wf, id, 1, &value)));
	wf_send(wf, id, "interop_topic", message);
	add(all, "result", wf_result(wf, id));
	return json_object_get(all);
}

/* Controls a workflow of the peer. */
static json_object *
controller(struct workflow *wf, json_object *id)
{
	if (json_object_get_boolean(wf_argument(wf, 1)))
		wf_resume(wf, json_object_get_string(id));
	else
		wf_cancel(wf, json_object_get_string(id));
	return NULL;
}

/* Takes the steps that the peer's workflow of this name takes. */
static json_object *
scripted(struct workflow *wf, json_object *id)
{
	json_object *value;

	wf_now_ms(wf);
	wf_uuid(wf);
	if (wf_patch(wf, "gift"))
		wf_deprecate_patch(wf, "other");
	wf_write_stream(wf, "stream", NULL);
	wf_close_stream(wf, "stream");
	wf_result_within(wf, json_object_get_string(id), 1, &value);
	wf_cancel(wf, json_object_get_string(id));
	wf_resume(wf, json_object_get_string(id));
	return NULL;
}

static json_object *
finder(struct workflow *wf, json_object *wanted)
{
	wf_set_attributes(wf, wanted);
	return json_object_get(wf_find(wf, wanted, 10));
}

static const struct workflow_type types[] = {
	{ .name = "canonicalWorkflow", .version = "1", .function = canonical },
	TYPE(named), TYPE(caller), TYPE(controller), TYPE(scripted),
	TYPE(finder), TYPE(sleeper)
};

int
main(int argc, char *argv[])
{
	static const struct engine engine = { .turn_size = 16,
		.turn_limit_s = 10,
		.max_attempts = 3 };
	int status = 1;
	pid_t daemon;

	if (argc != 2)
		return 2;
	story_begin("");
	daemon = story_start_daemon(&engine, types,
	    sizeof(types) / sizeof(types[0]), 2);
	status = system(argv[1]);
	if (!story_stop_daemon(daemon))
		status = 1;
	story_end();
	return status == 0 ? 0 : 1;
}
