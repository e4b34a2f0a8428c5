/* SPDX-License-Identifier: MIT */
/*
 * Patches and versions: workflows of changed functions, and daemons with
 * different versions.  versions.tap starts the cluster and this program.
 */
#include <string.h>

#include "tests/stories/story.h"
#include "tests/unit/tap.h"

/* Takes a note, waits for a message, takes another note. */
static json_object *
unpatched(struct workflow *wf, json_object *input)
{
	(void)input;
	take_note(wf, "one");
	wf_recv(wf, "go", 60000);
	take_note(wf, "two");
	wf_recv(wf, "go", 60000);
	return json_object_new_string("unpatched");
}

static json_object *
patched(struct workflow *wf, json_object *input)
{
	bool early, late;

	(void)input;
	early = wf_patch(wf, "early");
	take_note(wf, "one");
	if (early)
		take_note(wf, "gift");
	wf_recv(wf, "go", 60000);
	late = wf_patch(wf, "late");
	take_note(wf, "two");
	wf_recv(wf, "go", 60000);
	return json_object_new_string(
	    wf_printf(wf, "%s %s", early ? "early" : "-", late ? "late" : "-"));
}

static json_object *
deprecated(struct workflow *wf, json_object *input)
{
	(void)input;
	wf_deprecate_patch(wf, "early");
	take_note(wf, "one");
	take_note(wf, "gift");
	wf_recv(wf, "go", 60000);
	wf_deprecate_patch(wf, "late");
	take_note(wf, "two");
	wf_recv(wf, "go", 60000);
	return json_object_new_string("deprecated");
}

static json_object *
first(struct workflow *wf, json_object *input)
{
	(void)input;
	wf_recv(wf, "go", 60000);
	return json_object_new_string("first");
}

static json_object *
second(struct workflow *wf, json_object *input)
{
	(void)input;
	wf_recv(wf, "go", 60000);
	return json_object_new_string("second");
}

static const struct engine engine = { .turn_size = 16,
	.turn_limit_s = 10,
	.max_attempts = 3 };

static pid_t
start_daemon(const struct workflow_type *types, size_t count)
{
	/* One worker, because the others look every five seconds only. */
	return story_start_daemon(&engine, types, count, 1);
}

/* Lets a workflow of this id come to its message. */
static void
wait_for(const char *id, const char *step)
{
	ok(wait_sql("true",
	       arena_printf(arena,
		   "select exists (select from durable.waits as w "
		   "join dbos.operation_outputs as o using (workflow_uuid) "
		   "where w.workflow_uuid = '%s' and w.kind = 'message' "
		   "and o.function_id = %s)",
		   id, step)),
	    arena_printf(arena, "%s waits behind step %s", id, step));
}

static void
go(const char *id)
{
	sql("select dbos.send_message('%s', 'null', 'go')", id);
}

static void
test_patch(void)
{
	static const struct workflow_type before[] = {
		{ .name = "patched", .version = "1", .function = unpatched }
	};
	static const struct workflow_type now[] = {
		{ .name = "patched", .version = "1", .function = patched }
	};
	static const struct workflow_type then[] = {
		{ .name = "patched", .version = "1", .function = deprecated }
	};
	pid_t daemon = start_daemon(before, 1);

	start("old", "patched", "null");
	start("older", "patched", "null");
	wait_for("old", "2");
	wait_for("older", "2");
	go("older");
	wait_for("older", "5");
	ok(story_stop_daemon(daemon), "the unpatched daemon ends");

	daemon = start_daemon(now, 1);
	start("new", "patched", "null");
	wait_for("new", "4");
	go("old");
	go("old");
	is_str(output("old"), "\"- late\"",
	    "a run takes a patch that it has not come to, and no other");
	is_str(steps("old"),
	    "0 one, 1 DBOS.recv, 2 DBOS.sleep, 3 DBOS.patch-late, 4 two, "
	    "5 DBOS.recv, 6 DBOS.sleep",
	    "a patch is a step with the name that the DBOS SDKs give it");
	go("older");
	is_str(output("older"), "\"- -\"",
	    "a run that is behind the patches takes none");
	is_str(notes("older"), "2", "its steps happened once");
	ok(story_stop_daemon(daemon), "the patched daemon ends");

	daemon = start_daemon(then, 1);
	go("new");
	go("new");
	is_str(output("new"), "\"deprecated\"",
	    "a run with the patch's mark goes on without the patch");
	start("newest", "patched", "null");
	go("newest");
	go("newest");
	is_str(output("newest"), "\"deprecated\"",
	    "a new run needs no mark of a deprecated patch");
	is_str(steps("newest"),
	    "0 one, 1 gift, 2 DBOS.recv, 3 DBOS.sleep, 4 two, 5 DBOS.recv, "
	    "6 DBOS.sleep",
	    "a deprecated patch is no step");
	ok(story_stop_daemon(daemon), "the last daemon ends");
}

/* Starts a workflow that asks for no version, and returns which took it. */
static const char *
taken_by(const char *id)
{
	start(id, "versioned", "null");
	ok(wait_sql("true",
	       arena_printf(arena,
		   "select exists (select from durable.waits "
		   "where workflow_uuid = '%s')",
		   id)),
	    "a workflow waits");
	return sql("select application_version from dbos.workflow_status "
		   "where workflow_uuid = '%s'",
	    id);
}

/* Lets both daemons note which version is the latest. */
static void
wait_latest(const char *version, const char *runnable)
{
	ok(wait_sql(runnable,
	       "select string_agg(array_to_string(runnable, ','), ' ' "
	       "order by runnable) from durable.served"),
	    arena_printf(arena, "the daemons know version %s", version));
}

static void
test_versions(void)
{
	static const struct workflow_type one[] = {
		{ .name = "versioned", .version = "v1", .function = first }
	};
	static const struct workflow_type two[] = {
		{ .name = "versioned", .version = "v2", .function = second }
	};
	pid_t older = start_daemon(one, 1), newer;
	int i;

	is_str(taken_by("w1"), "v1", "the only version takes new workflows");
	newer = start_daemon(two, 1);
	wait_latest("v2", "versioned@v1 versioned@v2,versioned@");
	for (i = 2; i < 6; i++)
		is_str(taken_by(arena_printf(arena, "w%d", i)), "v2",
		    "the newer of two versions takes new workflows");
	is_str(sql("select string_agg(concat_ws(' ', version, is_latest, "
		   "workflows), ', ' order by version) from durable.versions "
		   "where name = 'versioned'"),
	    "v1 f 1, v2 t 4",
	    "durable.versions says which versions have workflows");
	go("w1");
	is_str(output("w1"), "\"first\"",
	    "a workflow that has begun goes on with its version");
	is_str(sql("select string_agg(version_name, ' ' "
		   "order by version_timestamp desc) "
		   "from dbos.application_versions where version_name like "
		   "'v%%'"),
	    "v2 v1", "the newer version is the latest one for the tools");
	ok(story_stop_daemon(older), "the older daemon ends");
	older = start_daemon(one, 1);
	is_str(taken_by("w6"), "v2",
	    "an older version that starts again is not the latest");
	/* As the client's setLatestApplicationVersion does. */
	sql("update dbos.application_versions set version_timestamp = "
	    "durable.now_ms() where version_name = 'v1'");
	wait_latest("v1", "versioned@v1,versioned@ versioned@v2");
	is_str(sql("select version from durable.versions "
		   "where name = 'versioned' and is_latest"),
	    "v1", "a version is made the latest");
	is_str(taken_by("w7"), "v1",
	    "the daemon of that version takes new workflows again");
	ok(story_stop_daemon(older), "the older daemon ends again");
	ok(story_stop_daemon(newer), "the newer daemon ends");
}

int
main(void)
{
	story_begin("");
	test_patch();
	test_versions();
	story_end();
	return done_testing();
}
