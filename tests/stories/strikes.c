/* SPDX-License-Identifier: MIT */
/*
 * External steps whose step master, step process or worker dies, or loses its
 * session, at each point where something is committed or handed over; and the
 * admission of workflows from a queue with limits.
 * strikes.tap starts the cluster and this program, which is built with
 * failpoints.
 *
 * Each point has a daemon, an application and a workflow of its own, and all go
 * on at the same time.  When the point has struck, the daemon is killed, and an
 * ordinary one goes on; one that has only lost a session goes on itself.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <durable/step.h>
#include "base/log.h"
#include "tests/stories/story.h"
#include "tests/unit/tap.h"

static char effects[] = "/tmp/ws-strikes.XXXXXX";

static json_object *
echo(struct step_call *call, json_object *argument)
{
	int fd = open(effects, O_WRONLY | O_APPEND);

	dprintf(fd, "%s\n", step_key(call));
	close(fd);
	return json_object_get(argument);
}

static const struct step_type echo_step = { .name = "echo",
	.function = echo,
	.max_attempts = 100,
	.first_delay_ms = 200 };

static const struct step_type *const step_types[] = { &echo_step, NULL };

/* One step, then two at the same time; takes the one that ends first first. */
static json_object *
three_steps(struct workflow *wf, json_object *input)
{
	struct wf_item items[2] = { { .kind = WF_ITEM_STEP },
		{ .kind = WF_ITEM_STEP } };
	int first, sum;

	sum = json_object_get_int(wf_step(wf, &echo_step, input));
	take_note(wf, "note");
	items[0].step = wf_step_begin(wf, &echo_step, json_object_new_int(20));
	items[1].step = wf_step_begin(wf, &echo_step, json_object_new_int(300));
	first = wf_select(wf, items, 2, 600000);
	sum += json_object_get_int(wf_step_result(wf, items[first].step));
	sum += json_object_get_int(wf_step_result(wf, items[1 - first].step));
	take_note(wf, "note");
	return json_object_new_int(sum);
}

static const struct workflow_type type = TYPE(three_steps);
static const struct workflow_type *const types[] = { &type, NULL };
static const char *const queues[] = { "test", "limited", DURABLE_INTERNAL_QUEUE,
	NULL };

/* A variable, a point, and the queue of the workflow if that has limits. */
static const char *const points[][3] = {
	{ "DURABLE_DIE", "before-commit:1" },
	{ "DURABLE_DIE", "during-commit:1" },
	{ "DURABLE_DIE", "after-commit:1" },
	{ "DURABLE_DIE", "before-commit:2" },
	{ "DURABLE_DIE", "during-commit:2" },
	{ "DURABLE_DIE", "after-commit:2" },
	{ "DURABLE_DIE", "during-take:1" },
	{ "DURABLE_DIE", "step-taken:1" },
	{ "DURABLE_DIE", "step-given:1" },
	{ "DURABLE_DIE", "step-run:1" },
	{ "DURABLE_DIE", "step-ran:1" },
	{ "DURABLE_DIE", "before-settle:1" },
	{ "DURABLE_DIE", "during-settle:1" },
	{ "DURABLE_DIE", "after-settle:1" },
	{ "DURABLE_DIE", "step-given:2" },
	{ "DURABLE_DIE", "during-settle:2" },
	{ "DURABLE_LOSE", "during-commit:1" },
	{ "DURABLE_LOSE", "during-commit:2" },
	{ "DURABLE_LOSE", "during-take:1" },
	{ "DURABLE_LOSE", "during-take:2" },
	{ "DURABLE_LOSE", "before-settle:1" },
	{ "DURABLE_LOSE", "during-settle:1" },
	{ "DURABLE_LOSE", "during-settle:2" },
	/* Around the admission, whose round trip depends on when it is asked. */
	{ "DURABLE_DIE", "before-trip:4", "limited" },
	{ "DURABLE_DIE", "during-trip:4", "limited" },
	{ "DURABLE_DIE", "during-trip:5", "limited" },
	{ "DURABLE_DIE", "during-trip:6", "limited" },
	{ "DURABLE_DIE", "during-trip:7", "limited" },
	{ "DURABLE_DIE", "during-trip:8", "limited" },
	{ "DURABLE_DIE", "after-trip:5", "limited" },
	{ "DURABLE_LOSE", "during-trip:6", "limited" },
};

#define STRIKES (sizeof(points) / sizeof(points[0]))

/* A point, and its daemon, whose application it names. */
struct strike {
	const char *variable, *point, *queue;
	pid_t daemon;
	bool has_struck;
};

static struct strike strikes[STRIKES];

static const char *
name_of(const struct strike *strike)
{
	return arena_printf(arena, "%s %s", strike->variable, strike->point);
}

static const char *
log_of(const struct strike *strike)
{
	return arena_printf(arena, "%s.%zu", effects,
	    (size_t)(strike - strikes));
}

/* A daemon that logs into a file of its own. */
static void
start_daemon(struct strike *strike, bool strikes_now)
{
	const struct engine engine = { .conninfo = "",
		.application = name_of(strike),
		.executor = "tests",
		.types = types,
		.queues = queues,
		.steps = step_types,
		.step_processes = 2,
		.turn_size = 16,
		.turn_limit_s = 2,
		.max_attempts = 3 };
	int fd;

	strike->daemon = fork();
	if (strike->daemon != 0)
		return;
	fd = open(log_of(strike), O_WRONLY | O_CREAT | O_APPEND, 0600);
	dup2(fd, STDERR_FILENO);
	if (strikes_now)
		setenv(strike->variable, strike->point, 1);
	log_open("engine");
	_exit(durable_run(&engine, 1));
}

/* Whether the log says that a process has died or lost its session. */
static bool
has_struck(const struct strike *strike)
{
	static const char *const signs[] = { "ended by signal 9",
		"signal 9 (Killed) ended", "cannot reach the database" };
	FILE *file = fopen(log_of(strike), "r");
	bool found = false;
	char line[1024];
	size_t i;

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		for (i = 0; i < sizeof(signs) / sizeof(signs[0]); i++)
			found = found || strstr(line, signs[i]) != NULL;
	if (file != NULL)
		fclose(file);
	return found;
}

static void
begin(struct strike *strike)
{
	start_daemon(strike, true);
	sql("select durable.client_submit(array['%s'], array['three_steps'], "
	    "array['%s'], array['1'], '%s', '{}', '{}', '{}', '{}', '{}')",
	    name_of(strike), strike->queue, name_of(strike));
}

/* Kills a daemon whose point has struck, and starts an ordinary one. */
static void
follow(struct strike *strike)
{
	if (strike->has_struck || !has_struck(strike))
		return;
	strike->has_struck = true;
	if (strcmp(strike->variable, "DURABLE_LOSE") == 0)
		return;
	kill(strike->daemon, SIGKILL);
	waitpid(strike->daemon, NULL, 0);
	start_daemon(strike, false);
}

/* Until all have struck, and all workflows have ended; or for WAIT_S. */
static void
follow_all(void)
{
	static const char left[] = "select count(*) from dbos.workflow_status "
				   "where status <> 'SUCCESS'";
	const struct timespec pause = { .tv_nsec = 50000000 };
	time_t end = time(NULL) + WAIT_S;
	bool over = false;
	size_t i;

	while (!over && time(NULL) < end) {
		over = true;
		for (i = 0; i < STRIKES; i++) {
			follow(&strikes[i]);
			over = over && strikes[i].has_struck;
		}
		nanosleep(&pause, NULL);
	}
	wait_sql("0", left);
}

static int
effects_of(const char *key)
{
	FILE *file = fopen(effects, "r");
	char line[200];
	int count = 0;

	while (fgets(line, sizeof(line), file) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		count += strcmp(line, key) == 0;
	}
	fclose(file);
	return count;
}

static void
check(const struct strike *strike)
{
	const char *id = name_of(strike);
	bool once = strcmp(strike->variable, "DURABLE_LOSE") == 0;
	static const int steps[] = { 0, 2, 3 };
	int least = 1000, most = 0, count;
	size_t i;

	for (i = 0; i < 3; i++) {
		count = effects_of(arena_printf(arena, "%s-%d", id, steps[i]));
		least = count < least ? count : least;
		most = count > most ? count : most;
	}
	ok(strike->has_struck, arena_printf(arena, "%s: strikes", id));
	is_str(output(id), "321",
	    arena_printf(arena, "%s: the workflow gets all results", id));
	is_str(notes(id), "2",
	    arena_printf(arena, "%s: it goes on once behind each", id));
	ok(least >= 1 && (most == 1 || !once),
	    arena_printf(arena, "%s: each step takes effect%s", id,
		once ? " once" : ""));
}

int
main(void)
{
	size_t i;

	close(mkstemp(effects));
	story_begin(
	    "insert into dbos.queues (name, concurrency, rate_limit_max, "
	    "rate_limit_period_sec) values ('limited', 1, 100, 1)");
	for (i = 0; i < STRIKES; i++) {
		strikes[i].variable = points[i][0];
		strikes[i].point = points[i][1];
		strikes[i].queue = points[i][2] == NULL ? "test" : points[i][2];
		begin(&strikes[i]);
	}
	follow_all();
	for (i = 0; i < STRIKES; i++)
		check(&strikes[i]);
	is_str(
	    sql("select count(*) filter (where queue_name = 'limited') || ' ' "
		"|| count(*) from dbos.workflow_status where rate_limited"),
	    "8 8", "what is in a queue with limits was admitted");
	is_str(sql("select (select count(*) from durable.external_steps) "
		   "+ (select count(*) from durable.wait_items) "
		   "+ (select count(*) from durable.waits)"),
	    "0", "no row is left of any step or wait");
	for (i = 0; i < STRIKES; i++) {
		story_stop_daemon(strikes[i].daemon);
		unlink(log_of(&strikes[i]));
	}
	story_end();
	unlink(effects);
	return done_testing();
}
