/* SPDX-License-Identifier: MIT */
/*
 * The engine beside the main loop of a program, which keeps its signals, its
 * children and its end.  background.tap starts the cluster and this program.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/stories/story.h"
#include "tests/unit/tap.h"

static json_object *
greets(struct workflow *wf, json_object *input)
{
	wf_log(wf, "greeting %s", json_object_get_string(input));
	take_note(wf, "greeted");
	return NULL;
}

static json_object *
fails(struct workflow *wf, json_object *input)
{
	(void)input;
	wf_fail(wf, "Wrong", "as it has to be");
}

static const struct workflow_type greets_type = TYPE(greets);
static const struct workflow_type fails_type = TYPE(fails);
static const struct workflow_type *const types[] = { &greets_type, &fails_type,
	NULL };
static const char *const queues[] = { "test", DURABLE_INTERNAL_QUEUE, NULL };
static const struct engine engine = { .conninfo = "",
	.application = "test",
	.executor = "tests",
	.types = types,
	.queues = queues,
	.turn_size = 64,
	.turn_limit_s = 30,
	.max_attempts = 3 };

/* What the log was told, in this process and in others. */
static struct {
	int lines, greetings, foreign;
	char last[200];
} said;

/* How often a process ran what the program has registered, shared by all. */
static int *at_exits;

static void
count_exit(void)
{
	++*at_exits;
}

static void
note(void *arg, enum durable_level level, const char *workflow,
    const char *text)
{
	said.lines++;
	if (*(const pid_t *)arg != getpid())
		said.foreign++;
	if (level == DURABLE_INFO && workflow != NULL &&
	    strcmp(workflow, "ada") == 0 && strcmp(text, "greeting Ada") == 0)
		said.greetings++;
	snprintf(said.last, sizeof(said.last), "%s", text);
}

/* The program's loop, until a query returns what is wanted. */
static bool
loop_until(struct durable *durable, const char *want, const char *query)
{
	struct pollfd input = { .fd = durable_fd(durable), .events = POLLIN };
	time_t end = time(NULL) + WAIT_S;
	const char *got = NULL;

	while (time(NULL) < end) {
		if (poll(&input, 1, 10) > 0 && !durable_handle(durable))
			return false;
		got = sql("%s", query);
		if (got != NULL && strcmp(got, want) == 0)
			return true;
	}
	diag("%s: got %s, want %s", query, got == NULL ? "nothing" : got, want);
	return false;
}

/* Waits until a number is 1; false after WAIT_S seconds. */
static bool
loop_until_one(struct durable *durable, const int *number)
{
	struct pollfd input = { .fd = durable_fd(durable), .events = POLLIN };
	time_t end = time(NULL) + WAIT_S;

	while (*number != 1 && durable_handle(durable) && time(NULL) < end)
		poll(&input, 1, 1000);
	return *number == 1;
}

/* Waits until so many runs are counted: a worker counts what has committed. */
static bool
counts_runs(struct durable *durable, unsigned long runs)
{
	time_t end = time(NULL) + WAIT_S;

	while (durable_stats(durable).runs != runs && time(NULL) < end)
		poll(NULL, 0, 10);
	return durable_stats(durable).runs == runs;
}

/* Whether the engine ends by itself while the program waits for that. */
static bool
ends(struct durable *durable)
{
	static const int never;

	return !loop_until_one(durable, &never) && !durable_handle(durable);
}

#define WORKERS \
	"select count(*) from pg_stat_activity " \
	"where application_name = 'durable worker'"

/* The only child of a process. */
static pid_t
child_of(pid_t pid)
{
	char line[64] = "";
	FILE *file = fopen(arena_printf(arena, "/proc/%d/task/%d/children",
			       (int)pid, (int)pid),
	    "r");

	if (file == NULL)
		return 0;
	if (fgets(line, sizeof(line), file) == NULL)
		line[0] = '\0';
	fclose(file);
	return (pid_t)strtol(line, NULL, 10);
}

static void
test_refusal(pid_t *self)
{
	struct engine wrong = engine;

	wrong.turn_size = 0;
	ok(durable_start(&wrong, 1, note, self) == NULL && said.lines == 1 &&
		strstr(said.last, "turn_size is 0") != NULL,
	    "a wrong engine is refused by one line of the log");
	ok(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD,
	    "a refused engine leaves no process");
}

static void
test_loop(struct durable *durable)
{
	pid_t worker = child_of(child_of(getpid()));
	struct durable_stats stats;

	start("ada", "greets", "\"Ada\"");
	start("bad", "fails", "null");
	ok(loop_until(durable, "SUCCESS ERROR",
	       "select string_agg(status, ' ' order by workflow_uuid) "
	       "from dbos.workflow_status"),
	    "workflows end while the program has its own loop");
	ok(loop_until_one(durable, &said.greetings),
	    "the log has a workflow's line, with its id, once");
	is_int(said.foreign, 0, "the log is called in the program's process");
	ok(counts_runs(durable, 2), "each run is counted");
	stats = durable_stats(durable);
	ok(stats.turns >= 1 && stats.steps == 1 && stats.errors == 1,
	    "turns, runs, steps and errors are counted");
	kill(worker, SIGKILL);
	start("bob", "greets", "\"Bob\"");
	ok(loop_until(durable, "SUCCESS",
	       "select status from dbos.workflow_status "
	       "where workflow_uuid = 'bob'"),
	    "a worker that was killed is replaced");
	ok(counts_runs(durable, 3), "the counts outlive a worker");
}

typedef void signal_handler(int);

/* What the program has set for each signal. */
static void
read_signals(signal_handler *handlers[])
{
	struct sigaction action = { .sa_handler = SIG_DFL };
	int number;

	for (number = 0; number < NSIG; number++) {
		sigaction(number, NULL, &action);
		handlers[number] = action.sa_handler;
	}
}

static void
test_manners(pid_t *self)
{
	signal_handler *before[NSIG], *after[NSIG];
	struct durable *durable;
	int status = 0;
	pid_t own;

	read_signals(before);
	durable = durable_start(&engine, 1, note, self);
	if (durable == NULL)
		abort();
	own = fork();
	if (own == 0)
		_exit(7);
	loop_until(durable, "1", WORKERS);
	test_loop(durable);
	read_signals(after);
	ok(memcmp(before, after, sizeof(before)) == 0,
	    "the program's signals stay as they are");
	ok(waitpid(own, &status, 0) == own && WEXITSTATUS(status) == 7,
	    "the program's own child is left to the program");
	is_int(durable_close(durable), 0, "an engine that is closed ends well");
	is_int(*at_exits, 0, "no process of the engine runs the program's end");
	ok(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD,
	    "a closed engine leaves no process");
}

static void
test_deaths(pid_t *self)
{
	struct durable *durable = durable_start(&engine, 1, note, self);
	pid_t program;
	int status;

	if (durable == NULL)
		abort();
	loop_until(durable, "1", WORKERS);
	kill(child_of(getpid()), SIGKILL);
	ok(ends(durable), "the program is told of its master's death");
	is_int(durable_close(durable), 1, "an engine that was killed says so");
	program = fork();
	if (program == 0) {
		if (durable_start(&engine, 2, NULL, NULL) == NULL)
			_exit(1);
		pause();
	}
	ok(wait_sql("2", WORKERS), "an engine without a log starts");
	kill(program, SIGKILL);
	ok(waitpid(program, &status, 0) == program && wait_sql("0", WORKERS),
	    "the workers end with a program that was killed");
}

int
main(void)
{
	pid_t self = getpid();

	at_exits = mmap(NULL, sizeof(*at_exits), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (at_exits == MAP_FAILED || atexit(count_exit) != 0)
		abort();
	story_begin("");
	test_refusal(&self);
	test_manners(&self);
	test_deaths(&self);
	story_end();
	return done_testing();
}
