/* SPDX-License-Identifier: MIT */
/*
 * What a workflow cleans up when it is cancelled, is past its deadline or fails.
 * cleanup.tap starts the cluster and this program.
 */
#include <stdlib.h>

#include "tests/stories/story.h"
#include "tests/unit/tap.h"

static char car[] = "car", flight[] = "flight";

/* What a clean-up leaves behind: a row with its name. */
static void
undo(struct workflow *wf, void *arg)
{
	const char *const params[] = { wf_id(wf), arg };

	wf_sql_void(wf, "undo", "insert into test.undone values ($1, $2)", 2,
	    params);
}

/* A clean-up of several turns. */
static void
undo_slowly(struct workflow *wf, void *arg)
{
	int i;

	for (i = 0; i < 20; i++) {
		undo(wf, arg);
		wf_sleep(wf, 10);
	}
}

static void
undo_badly(struct workflow *wf, void *arg)
{
	(void)arg;
	wf_sql(wf, "divide", "select 1 / 0", 0, NULL);
}

/* Books two things, and waits with both booked. */
static json_object *
books(struct workflow *wf, json_object *input)
{
	char hotel[] = "hotel"; /* on the stack */

	take_note(wf, "car");
	wf_push_cleanup(wf, undo, car);
	take_note(wf, "flight");
	wf_push_cleanup(wf, undo, flight);
	wf_pop_cleanup(wf, false);
	wf_push_cleanup(wf, undo, hotel);
	if (input != NULL && json_object_get_int(input) == 0)
		wf_fail(wf, "NoRoom", "there is no room");
	wf_recv(wf, "topic", json_object_get_int64(input));
	wf_pop_cleanup(wf, true);
	wf_pop_cleanup(wf, false);
	return NULL;
}

static json_object *
books_slowly(struct workflow *wf, json_object *input)
{
	(void)input;
	wf_push_cleanup(wf, undo_slowly, car);
	wf_sleep(wf, 3600000);
	return NULL;
}

static json_object *
books_badly(struct workflow *wf, json_object *input)
{
	(void)input;
	wf_push_cleanup(wf, undo, car);
	wf_push_cleanup(wf, undo_badly, NULL);
	wf_sleep(wf, 3600000);
	return NULL;
}

static json_object *
refund(struct step_call *call, json_object *argument)
{
	return step_attempt(call) < 2 ? step_error(call, "Busy", "later")
				      : json_object_get(argument);
}

static const struct step_type refund_step = { .name = "refund",
	.function = refund,
	.max_attempts = 5,
	.first_delay_ms = 10 };

/* A clean-up outside the database. */
static void
pay_back(struct workflow *wf, void *arg)
{
	static char done[] = "paid back";

	wf_step(wf, &refund_step, wf_string(wf, arg));
	undo(wf, done);
}

static json_object *
pays(struct workflow *wf, json_object *input)
{
	(void)input;
	wf_push_cleanup(wf, pay_back, car);
	wf_sleep(wf, 3600000);
	return NULL;
}

/* A clean-up that waits for an answer, and sleeps. */
static void
look_and_rest(struct workflow *wf, void *arg)
{
	static char none[] = "nothing";

	undo(wf, wf_sql_bool(wf, "look", "select true", 0, NULL) ? arg : none);
	wf_sleep(wf, 10);
	undo(wf, arg);
}

/* Fails at once, or behind a wait, with clean-ups that wait. */
static json_object *
gives_up(struct workflow *wf, json_object *input)
{
	wf_push_cleanup(wf, undo, flight);
	wf_push_cleanup(wf, pay_back, car);
	wf_push_cleanup(wf, look_and_rest, car);
	if (input != NULL)
		wf_sleep(wf, json_object_get_int(input));
	wf_fail(wf, "NoRoom", "there is no room");
}

static const struct workflow_type types[] = { TYPE(books), TYPE(books_slowly),
	TYPE(books_badly), TYPE(pays), TYPE(gives_up), TYPE(sleeper) };

#define TYPES (sizeof(types) / sizeof(types[0]))

/* What has been undone for a workflow, in this order. */
static const char *
undone(const char *id)
{
	return sql("select coalesce(string_agg(what, ' ' order by place), '') "
		   "from test.undone where id = '%s'",
	    id);
}

static void
wait_until_it_waits(const char *id)
{
	wait_sql("1",
	    arena_printf(arena,
		"select count(*) from durable.waits where workflow_uuid = '%s'",
		id));
}

/* As a DBOS client does. */
static void
cancel(const char *id)
{
	sql("update dbos.workflow_status set status = 'CANCELLED', "
	    "queue_name = null, deduplication_id = null, "
	    "started_at_epoch_ms = null, completed_at = durable.now_ms() "
	    "where workflow_uuid = '%s'",
	    id);
}

/* Waits until nothing of the workflow is left to run. */
static bool
is_clean(const char *id)
{
	return wait_sql("0",
	    arena_printf(arena,
		"select (select count(*) from durable.waits "
		"where workflow_uuid = '%s') + (select count(*) "
		"from durable.cleanups where workflow_uuid = '%s')",
		id, id));
}

static void
test_cancel(void)
{
	start("cancelled", "books", "3600000");
	wait_until_it_waits("cancelled");
	cancel("cancelled");
	ok(is_clean("cancelled"), "a cancelled workflow cleans up to the end");
	is_str(undone("cancelled"), "hotel car",
	    "clean-ups run once each, the latest first");
	is_str(ended("cancelled"), "CANCELLED",
	    "a cancelled workflow stays cancelled while it cleans up");
	is_str(steps("cancelled"),
	    "0 car, 1 flight, 2 durable.cleanup, 3 DBOS.sleep, 4 undo, 5 undo",
	    "the journal has where a workflow stopped, and its clean-ups");
	sql("update dbos.workflow_status set status = 'ENQUEUED', "
	    "queue_name = 'test' where workflow_uuid = 'cancelled'");
	is_str(ended("cancelled"), "CANCELLED",
	    "a workflow that has cleaned up is cancelled when it is resumed");
	is_str(undone("cancelled"), "hotel car",
	    "a resumed workflow does not clean up twice");
	start("sleeper", "sleeper", "null");
	wait_until_it_waits("sleeper");
	cancel("sleeper");
	ok(is_clean("sleeper"), "a workflow without clean-ups just ends");
}

/* The sessions of the workers end while a workflow cleans up. */
static void
test_deaths(void)
{
	int i;

	start("slow", "books_slowly", "null");
	wait_until_it_waits("slow");
	cancel("slow");
	for (i = 0; i < 5; i++) {
		wait_sql("true",
		    arena_printf(arena,
			"select count(*) > %d from test.undone "
			"where id = 'slow'",
			i * 3));
		sql("select count(pg_terminate_backend(pid)) "
		    "from pg_stat_activity "
		    "where application_name = 'durable worker'");
	}
	ok(is_clean("slow"), "clean-ups go on after the ends of sessions");
	is_str(sql("select count(*) from test.undone where id = 'slow'"), "20",
	    "each step of a clean-up takes effect once");
}

static void
test_ends(void)
{
	start("returns", "books", "1");
	is_str(ended("returns"), "SUCCESS", "a workflow pops its clean-ups");
	is_str(undone("returns"), "hotel",
	    "wf_pop_cleanup runs a clean-up when it is asked to");
	start("fails", "books", "0");
	is_str(output("fails"),
	    "{\"name\":\"NoRoom\",\"message\":\"there is no room\"}",
	    "a workflow that fails ends with its error");
	is_str(undone("fails"), "hotel car",
	    "a workflow that fails cleans up before");
	start("late", "books", "3600000");
	wait_until_it_waits("late");
	sql("update dbos.workflow_status "
	    "set workflow_deadline_epoch_ms = durable.now_ms() + 50 "
	    "where workflow_uuid = 'late'");
	is_str(ended("late"), "CANCELLED",
	    "a workflow past its deadline is cancelled");
	ok(is_clean("late"), "a workflow past its deadline cleans up");
	is_str(undone("late"), "hotel car",
	    "a workflow past its deadline undoes all");
	start("bad", "books_badly", "null");
	wait_until_it_waits("bad");
	cancel("bad");
	wait_sql("ERROR",
	    "select status from dbos.workflow_status "
	    "where workflow_uuid = 'bad'");
	is_str(undone("bad"), "",
	    "a clean-up that fails ends the workflow with its error");
}

/* What a workflow that fails undoes, while it waits for answers and times. */
static void
test_waits(void)
{
	static const char *const inputs[] = { "null", "20" };
	const char *id;
	size_t i;

	for (i = 0; i < 2; i++) {
		id = arena_printf(arena, "gives_up_%s", inputs[i]);
		start(id, "gives_up", inputs[i]);
		is_str(output(id),
		    "{\"name\":\"NoRoom\",\"message\":\"there is no "
		    "room\"}",
		    "the error of a workflow outlasts clean-ups that wait");
		is_str(undone(id), "car car paid back flight",
		    "a workflow that fails waits for its clean-ups");
		is_str(ended(id), "ERROR", "and ends behind them");
	}
}

static void
test_external(void)
{
	start("pays", "pays", "null");
	wait_until_it_waits("pays");
	cancel("pays");
	ok(is_clean("pays"), "a clean-up waits for an external step");
	is_str(undone("pays"), "paid back", "and goes on behind it");
	is_str(steps("pays"),
	    "0 DBOS.sleep, 1 durable.cleanup, 2 refund, 3 undo",
	    "the external step of a clean-up is in the journal");
}

int
main(void)
{
	static const struct step_type *const step_types[] = { &refund_step,
		NULL };
	static const struct engine engine = { .steps = step_types,
		.step_processes = 1,
		.turn_size = 16,
		.turn_limit_s = 30,
		.max_attempts = 3 };
	pid_t daemon;

	story_begin("create table test.undone (id text, what text, "
		    "place int generated always as identity); "
		    "grant insert on test.undone to widget_store_daemon");
	daemon = story_start_daemon(&engine, types, TYPES, 2);
	test_cancel();
	test_deaths();
	test_ends();
	test_waits();
	test_external();
	ok(story_stop_daemon(daemon), "SIGTERM ends the daemon with status 0");
	story_end();
	return done_testing();
}
