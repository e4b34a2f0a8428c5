/* SPDX-License-Identifier: MIT */
/*
 * Workflows of many steps: the function of each is entered once a turn and not
 * once a step, and they do not keep the others waiting.  many_steps.tap starts
 * the cluster and this program.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "tests/stories/story.h"
#include "tests/unit/tap.h"

#define FAILING  200
#define BESIDE   12   /* workflows of a few steps beside those of many */
#define SMALL_MB 64   /* of memory, of which 32 fibers have a part */
#define LARGE_MB 1024 /* the daemon's default */
#define SOON_MS  5000 /* much more than a turn takes */

/* Two arguments set these, and the program tells no other story then. */
static int copies = 16, steps_each = 2000;

/* How often the functions were entered, in all processes. */
static struct {
	atomic_int many, failing;
} * entered;

/* Starts workflows of a type, "<name> 1" and so on, in one turn. */
static void
start_many(const char *type, const char *name, int count)
{
	sql("select durable.client_submit(array_agg('%s ' || n), "
	    "array_agg('%s'::text), array_agg('test'::text), "
	    "array_agg(null::text), 'test', '{}', '{}', '{}', '{}', '{}') "
	    "from generate_series(1, %d) as n",
	    name, type, count);
	sql("select pg_notify('durable_due', '')");
}

/* Whether all so many workflows of a name end with this output. */
static bool
end_with(const char *name, int count, const char *output)
{
	return wait_sql(arena_printf(arena, "%d", count),
	    arena_printf(arena,
		"select count(*) from dbos.workflow_output as o "
		"join dbos.workflow_status as s using (workflow_uuid) "
		"where o.workflow_uuid like '%s %%' and s.status = 'SUCCESS' "
		"and o.output = '%s'",
		name, output));
}

/* In how many turns workflows of a name have made steps. */
static int
turns_of(const char *name)
{
	return (int)strtol(sql("select count(distinct xmin::text) "
			       "from dbos.operation_outputs "
			       "where workflow_uuid like '%s %%'",
			       name),
	    NULL, 10);
}

/* Every step takes a number, so a step that is made twice is seen. */
static json_object *
many(struct workflow *wf, json_object *input)
{
	int i, steps = 0;

	(void)input;
	atomic_fetch_add(&entered->many, 1);
	for (i = 0; i < steps_each; i++)
		steps += wf_sql_int64(wf, "take",
			     "select nextval('test.taken')", 0, NULL) > 0;
	return json_object_new_int(steps);
}

static json_object *
brief(struct workflow *wf, json_object *input)
{
	int64_t sum = 0;

	(void)input;
	sum += wf_sql_int64(wf, "one", "select 1", 0, NULL);
	sum += wf_sql_int64(wf, "two", "select 2", 0, NULL);
	wf_sql_void(wf, "void", "select 3", 0, NULL);
	return json_object_new_int64(sum);
}

/* Waits for the workflows of many steps, for as long as they make some. */
static bool
many_end(void)
{
	const char *wanted = arena_printf(arena, "%d", steps_each);
	long before, taken = 0;

	do {
		if (end_with("many", copies, wanted))
			return true;
		before = taken;
		taken = strtol(sql("select last_value from test.taken"), NULL,
		    10);
	} while (taken > before);
	return false;
}

static void
test_linear(void)
{
	int turns;

	start_many("many", "many", copies);
	start_many("brief", "beside", BESIDE);
	ok(end_with("beside", BESIDE, "3"),
	    "workflows beside those of many steps end right");
	ok(many_end(), "workflows of many steps end right");
	turns = turns_of("many");
	diag("%d copies of %d steps: entered %d times in %d turns", copies,
	    steps_each, entered->many, turns);
	ok(entered->many <= copies * (turns + 1),
	    "a workflow of many steps is replayed once a turn at most");
	is_str(sql("select last_value from test.taken"),
	    arena_printf(arena, "%d", copies * steps_each),
	    "each of many steps happens once");
}

static json_object *
refuse(struct step *step, void *arg)
{
	(void)arg;
	step_fail(step, "Refused", "as always");
}

/* Every step fails, by itself or by its statement. */
static json_object *
failing(struct workflow *wf, json_object *input)
{
	int i, failed = 0;

	(void)input;
	atomic_fetch_add(&entered->failing, 1);
	for (i = 0; i < FAILING; i++) {
		wf_catch(wf);
		wf_transaction(wf, "refuse", refuse, NULL);
		failed += wf_error(wf) != NULL &&
		    strcmp(wf_error(wf)->name, "Refused") == 0;
		wf_catch(wf);
		wf_sql(wf, "divide", "select 1 / 0", 0, NULL);
		failed += wf_error(wf) != NULL;
	}
	return json_object_new_int(failed);
}

static void
test_failing(void)
{
	int turns;

	start_many("failing", "failing", 1);
	ok(end_with("failing", 1, arena_printf(arena, "%d", 2 * FAILING)),
	    "a workflow may catch the errors of many steps");
	turns = turns_of("failing");
	diag("%d steps that fail: entered %d times in %d turns", 2 * FAILING,
	    entered->failing, turns);
	/* The turn of many that meets the first error is rolled back. */
	ok(entered->failing <= turns + 2,
	    "a workflow of steps that fail is replayed once a turn at most");
}

/* The three that follow make steps until the test ends them. */

static json_object *
asks(struct workflow *wf, json_object *input)
{
	(void)input;
	while (!wf_sql_bool(wf, "ask", "select stop from test.stop", 0, NULL))
		continue;
	return NULL;
}

static json_object *
query(struct step *step, void *arg)
{
	(void)arg;
	return json_object_get(
	    step_sql(step, "select stop from test.stop", 0, NULL));
}

static json_object *
runs_steps(struct workflow *wf, json_object *input)
{
	(void)input;
	while (
	    !json_object_get_boolean(wf_transaction(wf, "query", query, NULL)))
		continue;
	return NULL;
}

static json_object *
tells(struct workflow *wf, json_object *input)
{
	int i;

	(void)input;
	do
		for (i = 0; i < 5000; i++)
			wf_sql_void(wf, "tell", "select 1", 0, NULL);
	while (!wf_sql_bool(wf, "ask", "select stop from test.stop", 0, NULL));
	return NULL;
}

/* The time in which workflows of a few steps end beside endless ones. */
static int64_t
brief_beside(const char *endless, const char *name, int count)
{
	const char *beside = arena_printf(arena, "beside %s", name);
	int64_t begun_ms;

	sql("update test.stop set stop = false");
	start_many(endless, name, count);
	wait_sql("true",
	    arena_printf(arena,
		"select count(*) > 0 from dbos.operation_outputs "
		"where workflow_uuid like '%s %%'",
		name));
	begun_ms = clock_monotonic_ms();
	start_many("brief", beside, BESIDE);
	if (!end_with(beside, BESIDE, "3"))
		return INT64_MAX;
	return clock_monotonic_ms() - begun_ms;
}

static void
test_endless(const char *endless, const char *name, int count)
{
	int64_t took_ms = brief_beside(endless, name, count);

	diag("beside %s: %lld ms", name, (long long)took_ms);
	ok(took_ms < SOON_MS,
	    arena_printf(arena, "%s without end keep no other waiting", name));
	sql("update test.stop set stop = true");
	ok(end_with(name, count, "null"),
	    arena_printf(arena, "%s end at last", name));
}

/* The name's memory is shared, and changed while the others wait. */
static json_object *
shared_name(struct workflow *wf, json_object *input)
{
	static char name[64];
	int i;

	(void)input;
	for (i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "%s: %d", wf_id(wf), i);
		wf_sql(wf, name, "select 1", 0, NULL);
	}
	return NULL;
}

static void
test_names(void)
{
	start_many("shared_name", "shared_name", copies);
	ok(end_with("shared_name", copies, "null"),
	    "workflows may share the memory of a step's name");
	is_str(
	    sql("select count(*) from dbos.operation_outputs "
		"where function_name = workflow_uuid || ': ' || function_id"),
	    arena_printf(arena, "%d", 3 * copies),
	    "a step has the name that it was called by");
}

/* Uses so many kilobytes of the stack, or all when that is not enough. */
static int
descend(int kb)
{
	volatile char some[1024];

	some[0] = (char)kb;
	return kb == 0 ? some[0] : descend(kb - 1) + some[0] - (char)kb;
}

static json_object *
deep(struct workflow *wf, json_object *input)
{
	(void)input;
	descend(120);
	return json_object_new_int(
	    (int)wf_sql_int64(wf, "one", "select 1", 0, NULL));
}

static json_object *
too_deep(struct workflow *wf, json_object *input)
{
	(void)wf, (void)input;
	return json_object_new_int(descend(100000));
}

static void
test_stacks(void)
{
	start_many("deep", "deep", 1);
	ok(end_with("deep", 1, "1"), "a workflow may use 120 KiB of its stack");
	start_many("too_deep", "too_deep", 1);
	start_many("brief", "beside too_deep", BESIDE);
	ok(wait_sql("MAX_RECOVERY_ATTEMPTS_EXCEEDED",
	       "select status from dbos.workflow_status "
	       "where workflow_uuid = 'too_deep 1'"),
	    "a workflow that uses up its stack is given up");
	ok(end_with("beside too_deep", BESIDE, "3"),
	    "the workflows beside it end right");
}

static const struct workflow_type types[] = { TYPE(many), TYPE(brief),
	TYPE(failing), TYPE(asks), TYPE(runs_steps), TYPE(tells),
	TYPE(shared_name), TYPE(deep), TYPE(too_deep) };

#define TYPES (sizeof(types) / sizeof(types[0]))

static pid_t
start_daemon(int memory_mb)
{
	return story_start_daemon(&(struct engine){ .turn_size = 64,
				      .turn_limit_s = 30,
				      .max_attempts = 2,
				      .memory_limit_mb = memory_mb },
	    types, TYPES, 1);
}

static void
test_all(void)
{
	test_linear();
	test_failing();
	test_names();
	test_endless("asks", "steps", 2);
	test_endless("runs_steps", "C steps", 2);
	test_endless("tells", "steps without a result", 2);
	test_stacks();
}

int
main(int argc, char *argv[])
{
	pid_t daemon;

	if (argc == 3) {
		copies = (int)strtol(argv[1], NULL, 10);
		steps_each = (int)strtol(argv[2], NULL, 10);
	}

	entered = mmap(NULL, sizeof(*entered), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (entered == MAP_FAILED)
		return 1;
	story_begin("create sequence test.taken;"
		    "create table test.stop as select false as stop;"
		    "grant usage on schema test to public;");
	daemon = start_daemon(argc == 3 ? LARGE_MB : 0);
	if (argc == 3)
		test_linear();
	else
		test_all();
	ok(story_stop_daemon(daemon), "SIGTERM ends the daemon with status 0");
	if (argc != 3) {
		daemon = start_daemon(SMALL_MB);
		test_endless("asks", "runs with all fibers", 40);
		ok(story_stop_daemon(daemon),
		    "SIGTERM ends the daemon of few fibers with status 0");
	}
	story_end();
	return done_testing();
}
