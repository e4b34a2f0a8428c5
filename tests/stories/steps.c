/* SPDX-License-Identifier: MIT */
/*
 * External steps.  steps.tap starts the cluster and this program.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/stories/step_types.h"
#include "tests/stories/story.h"
#include "tests/unit/tap.h"

/* Waits until a step has taken the effect so often; false after WAIT_S. */
static bool
wait_effect(const char *key, const char *what, int count)
{
	time_t end = time(NULL) + WAIT_S;

	while (effects_of(key, what, NULL) < count) {
		if (time(NULL) >= end) {
			diag("%s does not take effect %s", key, what);
			return false;
		}
		rest(5);
	}
	return true;
}

static bool
wait_death(int pid)
{
	time_t end = time(NULL) + WAIT_S;

	while (kill(pid, 0) == 0 && time(NULL) < end)
		rest(5);
	return kill(pid, 0) != 0;
}

/* Runs the step of an input: its name and its argument. */
static json_object *
run_step(struct workflow *wf, json_object *input)
{
	const struct step_type *const *type = step_types;
	const char *name = json_object_get_string(
	    json_object_array_get_idx(input, 0));

	while (strcmp((*type)->name, name) != 0)
		type++;
	return wf_step(wf, *type, json_object_array_get_idx(input, 1));
}

static json_object *
one_step(struct workflow *wf, json_object *input)
{
	json_object *result = run_step(wf, input);

	take_note(wf, "note");
	return json_object_get(result);
}

/* Returns the message of its step's error. */
static json_object *
catcher(struct workflow *wf, json_object *input)
{
	const struct wf_error *error;

	wf_catch(wf);
	run_step(wf, input);
	error = wf_error(wf);
	return json_object_new_string(
	    error == NULL ? "no error" : error->message);
}

/* Begins input meetings, and takes the results in the opposite order. */
static json_object *
parallel(struct workflow *wf, json_object *input)
{
	int count = json_object_get_int(input), sum = 0, i;
	int handles[8];

	for (i = 0; i < count; i++)
		handles[i] = wf_step_begin(wf, &meeting_step, input);
	for (i = count; i-- > 0;)
		sum += json_object_get_int(wf_step_result(wf, handles[i]));
	take_note(wf, "note");
	return json_object_new_int(sum);
}

/* Ends before its step does. */
static json_object *
leaver(struct workflow *wf, json_object *input)
{
	wf_step_begin(wf, &endless_step, input);
	wf_recv(wf, "topic", 60000);
	return NULL;
}

static json_object *
call_in_step(struct step *step, void *arg)
{
	(void)step;
	return wf_step(arg, &echo_step, NULL);
}

static json_object *
nested(struct workflow *wf, json_object *input)
{
	(void)input;
	return json_object_get(
	    wf_transaction(wf, "transaction", call_in_step, wf));
}

static const struct workflow_type types[] = { TYPE(one_step), TYPE(catcher),
	TYPE(parallel), TYPE(leaver), TYPE(nested) };

#define TYPES (sizeof(types) / sizeof(types[0]))

static const char *
left_rows(void)
{
	return sql("select count(*) from durable.external_steps");
}

static void
test_one_step(void)
{
	start("one", "one_step", "[\"echo\", {\"a\":1}]");
	is_str(output("one"), "[{\"a\":1},\"one-0\",1]",
	    "a step gets its argument, a key and the number of its attempt");
	is_int(effects_of("one-0", "echo", NULL), 1,
	    "a step that succeeds runs once");
	is_str(steps("one"), "0 echo, 1 note",
	    "a step is recorded under its name");
	is_str(sql("select started_at_epoch_ms between 1 and "
		   "completed_at_epoch_ms and application_name = 'test' from "
		   "dbos.operation_outputs where workflow_uuid = 'one' "
		   "and function_id = 0"),
	    "true", "a step is recorded with its times");
	start("nested", "nested", "null");
	ok(strstr(output("nested"), "\"DBOSInvalidStep\"") != NULL,
	    "a C step cannot call an external one");
}

static void
test_retries(void)
{
	start("flaky", "one_step", "[\"flaky\", 2]");
	start("failing", "catcher", "[\"flaky\", 9]");
	start("word", "catcher", "[\"refused\", null]");
	start("type", "catcher", "[\"refused\", 1]");
	is_str(output("flaky"), "3", "a step is repeated until it succeeds");
	is_str(notes("flaky"), "1", "its workflow goes on once");
	is_str(output("failing"),
	    "\"step 'flaky' has failed 3 times, at last with Flaky: attempt 3\"",
	    "a step fails after max_attempts, with the last error");
	is_int(effects_of("failing-0", "flaky", NULL), 3,
	    "a step has no more attempts than its type says");
	is_str(output("word"), "\"by its word\"",
	    "a final error of the function is not tried again");
	is_str(output("type"), "\"by its type\"",
	    "a final error of the type is not tried again");
	is_int(effects_of("word-0", "refused", NULL) +
		effects_of("type-0", "refused", NULL),
	    2, "a final error ends the step at its first attempt");
}

static void
test_wild(void)
{
	static const char *const ways[] = { "crash", "exit", "hang", "deaf",
		"close", "fork", "noise", "leak" };
	const char *id;
	size_t i;
	int left = 0;

	for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		start(arena_printf(arena, "wild_%s", ways[i]), "one_step",
		    arena_printf(arena, "[\"wild\", \"%s\"]", ways[i]));
	start("broken", "catcher", "[\"fragile\", \"crash\"]");
	start("quit", "catcher", "[\"fragile\", \"exit\"]");
	start("stuck", "catcher", "[\"fragile\", \"hang\"]");
	for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		id = arena_printf(arena, "wild_%s", ways[i]);
		is_str(output(id), "2",
		    arena_printf(arena,
			"a step succeeds after one that did: %s", ways[i]));
	}
	effects_of("wild_fork-0", "left", &left);
	ok(left == 0 || wait_death(left),
	    "a process that a step left behind ends with it");
	is_str(output("broken"),
	    "\"signal 11 (Segmentation fault) ended the process of attempt "
	    "1\"",
	    "the error of a crash names the signal");
	is_str(output("quit"),
	    "\"the process of attempt 1 ended itself with status 3\"",
	    "the error of an exit names the status");
	is_str(output("stuck"), "\"attempt 1 took too long\"",
	    "an attempt has a time limit");
}

static void
test_beats(void)
{
	start("counter", "one_step", "[\"counter\", 80]");
	is_str(output("counter"), "20",
	    "an attempt begins with the progress of the last one, and lasts as "
	    "long as it beats");
}

/* As the tools of the DBOS family do. */
static void
cancel(const char *id)
{
	sql("update dbos.workflow_status set status = 'CANCELLED', "
	    "queue_name = null, completed_at = durable.now_ms() "
	    "where workflow_uuid = '%s'",
	    id);
}

static void
test_cancellation(void)
{
	int pid = 0;

	start("cancelled", "one_step", "[\"endless\", null]");
	start("killed", "one_step", "[\"gate\", \"/nonexistent\"]");
	start("left", "leaver", "null");
	start("late", "one_step", "[\"endless\", null]");
	wait_effect("late-0", "begin", 1);
	sql("update dbos.workflow_status "
	    "set workflow_deadline_epoch_ms = durable.now_ms() + 50 "
	    "where workflow_uuid = 'late'");
	wait_effect("cancelled-0", "begin", 1);
	wait_effect("killed-0", "begin", 1);
	wait_effect("left-0", "begin", 1);
	ok(wait_sql("0",
	       "select count(*) from pg_stat_activity "
	       "where application_name like 'durable%' "
	       "and (backend_xid is not null or backend_xmin is not null "
	       "or state like 'idle in transaction%')"),
	    "no transaction is open while steps run");
	cancel("cancelled");
	cancel("killed");
	ok(wait_effect("cancelled-0", "stop", 1),
	    "a step learns by its beat that its workflow is cancelled");
	effects_of("killed-0", "begin", &pid);
	ok(wait_death(pid), "a step that does not beat is ended");
	sql("select durable.client_submit('{}', '{}', '{}', '{}', 'test', "
	    "array['left'], array['leaver'], array['topic'], array['1'], "
	    "array['m'])");
	is_str(ended("left"), "SUCCESS", "a workflow may end before its step");
	ok(wait_effect("left-0", "stop", 1), "that step is stopped");
	is_str(ended("late"), "CANCELLED",
	    "a deadline passes while a step runs");
	ok(wait_effect("late-0", "stop", 1), "it stops the step");
	is_str(left_rows(), "0", "no step is left of them");
}

/*
 * Runs the official command line on a workflow, and returns whether its output
 * has a text.
 */
static bool
says(const char *command, const char *id, const char *text)
{
	const char *line = arena_printf(arena,
	    "\"$DBOS_CLI\" workflow %s %s -s \"$DBOS_URL\" 2>&1", command, id);
	char output_text[16384];
	FILE *pipe = popen(line, "r"); // NOLINT(cert-env33-c)
	size_t len;

	len = fread(output_text, 1, sizeof(output_text) - 1, pipe);
	output_text[len] = '\0';
	if (pclose(pipe) == 0 && strstr(output_text, text) != NULL)
		return true;
	diag("%s: %s", line, output_text);
	return false;
}

/* The command line of the DBOS SDKs, where it is installed. */
static void
test_command_line(void)
{
	if (getenv("DBOS_CLI") == NULL) {
		diag("the command line is not installed: npm ci in tests/");
		return;
	}
	ok(says("steps", "flaky", "flaky"),
	    "the command line lists an external step");
	start("tool", "one_step", "[\"endless\", null]");
	wait_effect("tool-0", "begin", 1);
	ok(says("get", "tool", "PENDING"),
	    "the command line shows a workflow that waits for a step");
	ok(says("cancel", "tool", ""), "the command line cancels it");
	is_str(ended("tool"), "CANCELLED", "it is cancelled");
	ok(wait_effect("tool-0", "stop", 1), "and its step is stopped");
	ok(says("resume", "tool", ""), "the command line resumes it");
	ok(wait_effect("tool-0", "begin", 2), "and its step runs again");
	cancel("tool");
}

static void
test_parallel(void)
{
	start("parallel", "parallel", "4");
	is_str(output("parallel"), "16",
	    "steps that are begun together run at the same time");
	is_str(steps("parallel"),
	    "0 meeting, 1 meeting, 2 meeting, 3 meeting, 4 note",
	    "each has the number of its begin");
	is_int(effects_of("parallel-0", "begin", NULL), 1,
	    "a step that was begun is not begun again in a replay");
}

static void
test_large(void)
{
	char *text = malloc(1 << 20);

	memset(text, 'x', 1 << 20);
	memcpy(text, "[\"large\", \"", 11); // NOLINT(bugprone-*)
	snprintf(text + (1 << 20) - 3, 3, "\"]");
	start("large", "one_step", text);
	is_str(sql("select length(output) from dbos.workflow_output "
		   "where workflow_uuid = 'large' and '%s' = 'SUCCESS'",
		   ended("large")),
	    arena_number(arena, (1 << 20) - 12),
	    "a step takes and returns a megabyte");
	free(text);
}

/* The process that has the session of the steps, by the server's word. */
static const char master_sql[] = "select pid from pg_stat_activity "
				 "where application_name = 'durable steps'";

/* Signals the step master, the parent of a step process. */
static void
signal_master(int pid, const char *name)
{
	const char *command = arena_printf(arena,
	    "kill -%s $(ps -o ppid= -p %d)", name, pid);

	if (system(command) != 0)
		diag("cannot signal the parent of %d", pid);
}

static void
test_losses(void)
{
	char path[100];
	int pid = 0;

	snprintf(path, sizeof(path), "%s.go", effects);
	start("session", "one_step",
	    arena_printf(arena, "[\"gate\", \"%s\"]", path));
	wait_effect("session-0", "begin", 1);
	sql("select pg_terminate_backend((%s))", master_sql);
	wait_sql("true",
	    arena_printf(arena, "select count(*) = 1 from (%s) as s",
		master_sql));
	close(open(path, O_CREAT | O_WRONLY, 0600));
	output("session");
	unlink(path);
	is_int(effects_of("session-0", "begin", NULL), 1,
	    "a step goes on when its master loses the session");

	start("master", "one_step",
	    arena_printf(arena, "[\"gate\", \"%s\"]", path));
	wait_effect("master-0", "begin", 1);
	effects_of("master-0", "begin", &pid);
	signal_master(pid, "KILL");
	ok(wait_death(pid), "a step process dies with its master");
	ok(wait_effect("master-0", "begin", 2),
	    "a step is run again when its master was killed");
	close(open(path, O_CREAT | O_WRONLY, 0600));
	ok(strstr(output("master"), path) != NULL,
	    "and succeeds, although it has one attempt");
	is_str(steps("master"), "0 gate, 1 note", "it is recorded once");
	unlink(path);
}

/* A master that is frozen loses its session after ten seconds. */
static void
test_frozen(const struct engine *engine)
{
	pid_t daemon;
	int pid = 0;

	start("frozen", "one_step", "[\"endless\", null]");
	wait_effect("frozen-0", "begin", 1);
	effects_of("frozen-0", "begin", &pid);
	signal_master(pid, "STOP");
	daemon = story_start_daemon(engine, types, TYPES, 1);
	ok(wait_effect("frozen-0", "begin", 2),
	    "another daemon runs the step of a frozen master");
	signal_master(pid, "CONT");
	ok(wait_effect("frozen-0", "stop", 1),
	    "the master that goes on stops its own");
	cancel("frozen");
	ok(wait_effect("frozen-0", "stop", 2), "and leaves the other's alone");
	ok(story_stop_daemon(daemon), "the other daemon ends by itself");
}

int
main(void)
{
	static const struct engine engine = { .turn_size = 16,
		.turn_limit_s = 2,
		.max_attempts = 3,
		.steps = step_types,
		.step_processes = 12 };
	pid_t daemon;

	close(mkstemp(effects));
	story_begin("");
	daemon = story_start_daemon(&engine, types, TYPES, 2);
	test_one_step();
	test_retries();
	test_wild();
	test_beats();
	test_cancellation();
	test_command_line();
	test_parallel();
	test_large();
	test_losses();
	test_frozen(&engine);
	is_str(left_rows(), "0", "steps that have ended leave no row");
	ok(story_stop_daemon(daemon), "SIGTERM ends the daemon with status 0");
	story_end();
	unlink(effects);
	return done_testing();
}
