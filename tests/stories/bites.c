/* SPDX-License-Identifier: MIT */
/*
 * Retention when a worker dies, or loses its session, around a bite; and two
 * daemons of one application.  bites.tap starts the cluster and this program,
 * which is built with failpoints.
 *
 * Each point has a daemon, an application and finished workflows of its own.
 * When the point has struck, the daemon is killed, and an ordinary one goes on;
 * one that has only lost a session goes on itself.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "tests/stories/story.h"
#include "tests/unit/tap.h"

/* Finished workflows of each application: a bite has fifty. */
#define FINISHED 60

static const struct workflow_type type = TYPE(good);
static const struct workflow_type *const types[] = { &type, NULL };
static const char *const queues[] = { "test", NULL };

/* A variable and a point; the second bite finds the end of the first. */
static const char *const points[][2] = {
	{ "DURABLE_DIE", "before-collect:1" },
	{ "DURABLE_DIE", "during-collect:1" },
	{ "DURABLE_DIE", "after-collect:1" },
	{ "DURABLE_DIE", "before-collect:2" },
	{ "DURABLE_DIE", "during-collect:2" },
	{ "DURABLE_LOSE", "before-collect:1" },
	{ "DURABLE_LOSE", "during-collect:1" },
	{ "DURABLE_LOSE", "during-collect:2" },
	{ "TOGETHER", "one" },
	{ "TOGETHER", "two" },
};

#define BITERS (sizeof(points) / sizeof(points[0]))

struct biter {
	const char *variable, *point;
	char application[64], log[64];
	pid_t daemon;
	bool has_struck;
};

static struct biter biters[BITERS];

/* A daemon that logs into a file of its own. */
static void
start_biter(struct biter *biter, bool strikes_now)
{
	const struct engine engine = { .conninfo = "",
		.application = biter->application,
		.executor = "tests",
		.types = types,
		.queues = queues,
		.turn_size = 16,
		.turn_limit_s = 2,
		.max_attempts = 3 };
	int fd;

	biter->daemon = fork();
	if (biter->daemon != 0)
		return;
	fd = open(biter->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	dup2(fd, STDERR_FILENO);
	if (strikes_now)
		setenv(biter->variable, biter->point, 1);
	log_open("engine");
	_exit(durable_run(&engine, 1));
}

/* Whether the log says that a process has died or lost its session. */
static bool
log_says_so(const struct biter *biter)
{
	FILE *file = fopen(biter->log, "r");
	bool found = false;
	char line[1024];

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		found = found || strstr(line, "ended by signal 9") != NULL ||
		    strstr(line, "signal 9 (Killed) ended") != NULL ||
		    strstr(line, "cannot reach the database") != NULL;
	if (file != NULL)
		fclose(file);
	return found;
}

/* Kills a daemon whose point has struck, and starts an ordinary one. */
static void
follow_biter(struct biter *biter)
{
	if (biter->has_struck || !log_says_so(biter))
		return;
	biter->has_struck = true;
	if (strcmp(biter->variable, "DURABLE_LOSE") == 0)
		return;
	kill(biter->daemon, SIGKILL);
	waitpid(biter->daemon, NULL, 0);
	start_biter(biter, false);
}

static bool
all_have_struck(void)
{
	bool all = true;
	size_t i;

	for (i = 0; i < BITERS; i++) {
		if (strcmp(biters[i].variable, "TOGETHER") == 0)
			continue;
		follow_biter(&biters[i]);
		all = all && biters[i].has_struck;
	}
	return all;
}

/* Finished workflows of an application, with a step each. */
static void
finish_workflows(const char *application)
{
	sql("with made as (insert into dbos.workflow_status (workflow_uuid, "
	    "status, name, application_name, created_at, completed_at) "
	    "select '%s ' || n, 'SUCCESS', 'past', '%s', n, n "
	    "from generate_series(1, %d) as n on conflict do nothing "
	    "returning workflow_uuid) "
	    "insert into dbos.operation_outputs (workflow_uuid, function_id) "
	    "select m.workflow_uuid, 0 from made as m returning function_id",
	    application, application, FINISHED);
}

static void
make_biter(struct biter *biter, const char *const *point)
{
	biter->variable = point[0];
	biter->point = point[1];
	snprintf(biter->log, sizeof(biter->log), "/tmp/ws-bites.%d.%d",
	    (int)getpid(), (int)(biter - biters));
	snprintf(biter->application, sizeof(biter->application), "%s %s",
	    point[0], strcmp(point[0], "TOGETHER") == 0 ? "" : point[1]);
	finish_workflows(biter->application);
}

int
main(void)
{
	const struct timespec pause = { .tv_nsec = 50000000 };
	time_t end = time(NULL) + WAIT_S;
	size_t i;

	story_begin("");
	for (i = 0; i < BITERS; i++)
		make_biter(&biters[i], points[i]);
	for (i = 0; i < BITERS; i++)
		start_biter(&biters[i], true);
	while (!all_have_struck() && time(NULL) < end)
		nanosleep(&pause, NULL);
	ok(wait_sql("0", "select count(*) from dbos.workflow_status"),
	    "every finished workflow is deleted, whatever has died");
	for (i = 0; i < BITERS; i++) {
		if (strcmp(biters[i].variable, "TOGETHER") != 0)
			ok(biters[i].has_struck,
			    arena_printf(arena, "%s: strikes",
				biters[i].application));
		ok(story_stop_daemon(biters[i].daemon),
		    arena_printf(arena, "%s: its daemon stops",
			biters[i].application));
		unlink(biters[i].log);
	}
	is_str(sql("select (select count(*) from durable.retired_ids) || ' ' "
		   "|| (select count(*) from dbos.operation_outputs)"),
	    sql("select %d || ' 0'", FINISHED * (int)(BITERS - 1)),
	    "each bite happens as a whole: ids are noted, journals are gone");
	story_end();
	return done_testing();
}
