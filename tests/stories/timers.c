/* SPDX-License-Identifier: MIT */
/*
 * Workflows that sleep together share a timer group, and part when they must.
 * timers.tap starts the cluster and this program.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tests/stories/story.h"
#include "tests/unit/tap.h"

/* Goes to sleep 2 ms later than the run before it in the turn. */
static json_object *
drowser(struct workflow *wf, json_object *input)
{
	const struct timespec moment = { .tv_nsec = 2000000 };

	(void)input;
	nanosleep(&moment, NULL);
	wf_sleep(wf, 2000);
	return NULL;
}

/* Sleeps twice, then waits for a message for that many milliseconds. */
static json_object *
dozer(struct workflow *wf, json_object *input)
{
	const char *message;

	wf_sleep(wf, 1000);
	wf_sleep(wf, 1000);
	message = wf_recv_string(wf, "topic", json_object_get_int64(input));
	return message == NULL ? NULL : json_object_new_string(message);
}

static const struct workflow_type types[] = { TYPE(sleeper), TYPE(ticker),
	TYPE(drowser), TYPE(dozer) };

#define TYPES (sizeof(types) / sizeof(types[0]))

/* A query of one value about the waits of workflows with this prefix. */
static const char *
of_waits(const char *value, const char *prefix)
{
	return arena_printf(arena,
	    "select %s from durable.waits where workflow_uuid like '%s%%'",
	    value, prefix);
}

/* For a daemon with one worker. */
static void
test_timer_groups(void)
{
	static const char sessions[] =
	    "select array_agg(pid order by pid) from pg_stat_activity "
	    "where application_name = 'durable worker'";
	static const char places_sql[] =
	    "array_agg(ctid || ' ' || timer_group order by workflow_uuid)";
	static const char grouped_sql[] =
	    "count(timer_group) || ' ' || count(distinct timer_group)";
	struct db *other = db_new("", "other");
	char places[200], chime[16];
	bool ticked = false;
	int n;

	/* Their times are equal unless a tick crosses a step of 16 ms. */
	for (n = 0; n < 20; n++) {
		snprintf(chime, sizeof(chime), "chime%c", 'a' + n);
		start_together(chime, "ticker", "{1000,1000,1000,1000}");
		wait_sql("4", of_waits("count(*)", chime));
		if (strcmp(sql("%s", of_waits(grouped_sql, chime)), "4 1") != 0)
			continue;
		snprintf(places, sizeof(places), "%s",
		    sql("%s", of_waits(places_sql, chime)));
		ticked = wait_sql("8",
		    arena_printf(arena,
			"select count(*) from test.notes where id like '%s%%'",
			chime));
		if (strcmp(sql("%s", of_waits(grouped_sql, chime)), "4 1") == 0)
			break;
	}
	ok(n < 20,
	    "workflows that sleep equally long from one turn share a group");
	ok(ticked, "a timer group's workflows tick");
	is_str(sql("%s", of_waits(places_sql, chime)), places,
	    "a timer group's next tick leaves the waits as they are");
	sql("update dbos.workflow_status set status = 'CANCELLED' "
	    "where workflow_uuid = '%s2'",
	    chime);
	is_str(ended(arena_printf(arena, "%s1", chime)), "SUCCESS",
	    "the first of a group with a cancelled workflow succeeds");
	is_str(ended(arena_printf(arena, "%s3", chime)), "SUCCESS",
	    "the third of a group with a cancelled workflow succeeds");
	is_str(ended(arena_printf(arena, "%s4", chime)), "SUCCESS",
	    "the fourth of a group with a cancelled workflow succeeds");
	is_str(sql("select string_agg(right(id, 1) || ' ' || count, ', ' "
		   "order by id) "
		   "from (select id, count(*) from test.notes "
		   "where id like '%s%%' group by id) as n",
		   chime),
	    "1 3, 2 2, 3 3, 4 3", "each tick of a timer group happens once");

	start_together("nap", "ticker", "{1000,1000,1000}");
	ok(wait_sql("3",
	       "select count(*) from durable.waits "
	       "where workflow_uuid like 'nap%'"),
	    "three workflows of one turn sleep");
	ok(db_connect(other, "begin") &&
		db_query(other, arena,
		    "select 1 from dbos.workflow_status "
		    "where workflow_uuid = 'nap2' for update",
		    0, NULL) != NULL,
	    "a workflow of a timer group is locked");
	ok(wait_sql("2",
	       "select count(*) from test.notes where id like 'nap%'"),
	    "a locked workflow does not delay its timer group");
	db_disconnect(other);
	is_str(ended("nap2"), "SUCCESS",
	    "a workflow that was locked at its group's time succeeds");
	ok(strcmp(sql("select t.started_at_epoch_ms - s.output::bigint < 600 "
		      "from dbos.operation_outputs as s "
		      "join dbos.operation_outputs as t using (workflow_uuid) "
		      "where workflow_uuid = 'nap2' and s.function_id = 0 "
		      "and t.function_id = 1"),
	       "true") == 0,
	    "a workflow goes on when unlocked, not at its group's next time");

	start_together("doze", "dozer", "{0,60000,0,60000}");
	ok(wait_sql("4",
	       "select count(*) from dbos.operation_outputs "
	       "where workflow_uuid like 'doze%' and function_id = 1"),
	    "four workflows begin their second sleep");
	sql("select count(dbos.send_message('doze' || n, to_json('m' || n), "
	    "'topic')) "
	    "from generate_series(1, 4) as n");
	is_str(ended("doze4"), "SUCCESS",
	    "a workflow of a timer group that waits for a message ends");
	is_str(ended("doze1"), "SUCCESS",
	    "a workflow of a timer group that only looks for one ends");
	is_str(sql("select string_agg(output, ' ' order by workflow_uuid) "
		   "from dbos.workflow_output "
		   "where workflow_uuid like 'doze%%'"),
	    "\"m1\" \"m2\" \"m3\" \"m4\"",
	    "messages sent to a sleeping timer group are received");
	ok(strcmp(sql("select max(r.completed_at_epoch_ms - s.output::bigint) "
		      "< 500 from dbos.operation_outputs as r "
		      "join dbos.operation_outputs as s using (workflow_uuid) "
		      "where r.function_name = 'DBOS.recv' "
		      "and s.function_id = 1 "
		      "and workflow_uuid like 'doze%%'"),
	       "true") == 0,
	    "a message sent during a sleep is received without delay");

	start_together("part", "sleeper", "{1300,300}");
	start_together("hear", "dozer", "{60000,60000}");
	is_str(ended("part1"), "SUCCESS",
	    "a workflow that leaves its timer group succeeds");
	ok(strcmp(sql("select completed_at - s.output::bigint < 600 "
		      "from dbos.workflow_status "
		      "join dbos.operation_outputs as s using (workflow_uuid) "
		      "where workflow_uuid = 'part2' and s.function_id = 1"),
	       "true") == 0,
	    "when a timer group parts, the shorter sleep ends on time");
	ok(wait_sql("2",
	       "select count(*) from durable.waits "
	       "where workflow_uuid like 'hear%' and kind = 'message'"),
	    "workflows of a timer group may next wait for messages");
	snprintf(places, sizeof(places), "%s", sql(sessions));
	start_together("drowse", "drowser",
	    "{0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0}");
	is_str(ended("drowse16"), "SUCCESS",
	    "a turn of long and short sleeps ends");
	is_str(sql(sessions), places,
	    "a turn of long and short sleeps keeps its session");
	ok(wait_sql("0", "select count(*) from durable.timer_groups"),
	    "no timer group is left without its workflows");
	db_free(other);
}

int
main(void)
{
	static const struct engine engine = { .turn_size = 16,
		.turn_limit_s = 2,
		.max_attempts = 3 };
	pid_t daemon;

	story_begin("");
	daemon = story_start_daemon(&engine, types, TYPES, 1);
	test_timer_groups();
	ok(story_stop_daemon(daemon), "SIGTERM ends the daemon with status 0");
	story_end();
	return done_testing();
}
