/* SPDX-License-Identifier: MIT */
/*
 * Thousands of workflows that are due at once: what is woken now goes on beside
 * them, and what comes due together begins at the speed of the turns.
 * storm.tap starts the cluster and this program.
 */
#include <limits.h>
#include <stdlib.h>

#include "tests/stories/story.h"
#include "tests/unit/tap.h"

#define OVERDUE 4000
#define DELAYED 8000

/* How long less than a thousand a second take for these. */
#define SLOW_MS 6000

/*
 * With an input, ends at once; else returns how many are overdue when it
 * receives its message.
 */
static json_object *
waiter(struct workflow *wf, json_object *input)
{
	if (input != NULL)
		return NULL;
	wf_recv(wf, "go", 3600000);
	return json_object_get(wf_sql(wf, "overdue",
	    "select count(*) from durable.waits "
	    "where workflow_uuid like 'overdue %'",
	    0, NULL));
}

static const struct workflow_type types[] = { TYPE(waiter) };

/* Makes workflows, "<prefix> 1" and so on; columns are more of their row. */
static void
make(const char *prefix, int count, const char *columns, const char *values)
{
	sql("with made as (insert into dbos.workflow_status (workflow_uuid, "
	    "name, application_name, serialization, %s) "
	    "select '%s ' || n, 'waiter', 'test', 'portable_json', %s "
	    "from generate_series(1, %d) as n returning workflow_uuid), "
	    "given as (insert into dbos.workflow_input (workflow_uuid, inputs) "
	    "select workflow_uuid, '{\"positionalArgs\":[\"now\"]}' from made) "
	    "select count(*) from made",
	    columns, prefix, values, count);
}

/* The message and the overdue waits are committed together. */
static void
test_woken(void)
{
	start("woken", "waiter", "null");
	wait_sql("message",
	    "select kind from durable.waits where workflow_uuid = 'woken'");
	make("overdue", OVERDUE, "status, application_version",
	    "'PENDING', '1'");
	sql("with waits as (insert into durable.waits (workflow_uuid, wake_at, "
	    "type, kind) select 'overdue ' || n, n, 'waiter@1@test', 'timer' "
	    "from generate_series(1, %d) as n), sent as ("
	    "insert into dbos.notifications (destination_uuid, topic, message, "
	    "serialization) values ('woken', 'go', '1', 'portable_json')) "
	    "select 1",
	    OVERDUE);
	if (!ok(strtol(output("woken"), NULL, 10) > OVERDUE / 2,
		"what is woken goes on before all that is overdue"))
		diag("it left %s", output("woken"));
	ok(wait_sql("0",
	       "select count(*) from durable.waits "
	       "where workflow_uuid like 'overdue %'"),
	    "what is overdue is run beside it");
}

/* Waits for all; how long it took from the first to the last, in ms. */
static int
took_ms(const char *prefix, const char *column)
{
	const char *took;

	wait_sql("0",
	    arena_printf(arena,
		"select count(*) from dbos.workflow_status "
		"where workflow_uuid like '%s %%' and %s is null",
		prefix, column));
	took = sql("select max(%s) - min(%s) from dbos.workflow_status "
		   "where workflow_uuid like '%s %%'",
	    column, column, prefix);
	return took == NULL ? INT_MAX : (int)strtol(took, NULL, 10);
}

/*
 * A busy machine may be slow, but then it is as slow with what is enqueued from
 * the first.
 */
static void
is_quick(int ms, int enqueued_ms, const char *title)
{
	if (!ok(ms < SLOW_MS || ms / 3 < enqueued_ms, title))
		diag("it took %d ms, and %d when enqueued", ms, enqueued_ms);
}

static void
test_together(void)
{
	int enqueued_ms;

	make("enqueued", DELAYED, "status, queue_name", "'ENQUEUED', 'test'");
	enqueued_ms = took_ms("enqueued", "started_at_epoch_ms");
	make("delayed", DELAYED, "status, queue_name, delay_until_epoch_ms",
	    "'DELAYED', 'test', 1");
	is_quick(took_ms("delayed", "started_at_epoch_ms"), enqueued_ms,
	    "delayed workflows begin at the speed of the turns");
	make("late", DELAYED, "status, queue_name, workflow_deadline_epoch_ms",
	    "'DELAYED', 'test', 1");
	is_quick(took_ms("late", "completed_at"), enqueued_ms,
	    "late workflows are cancelled without a pause");
}

int
main(void)
{
	static const struct engine engine = { .turn_size = 64,
		.turn_limit_s = 30,
		.max_attempts = 3 };
	pid_t daemon;

	story_begin("");
	daemon = story_start_daemon(&engine, types, 1, 1);
	test_woken();
	test_together();
	ok(story_stop_daemon(daemon), "SIGTERM ends the daemon with status 0");
	story_end();
	return done_testing();
}
