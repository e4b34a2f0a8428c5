/* SPDX-License-Identifier: MIT */
/*
 * Workflows with code that no workflow should have, and what each kind comes
 * to.
 */
#include "tests/stories/torture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* C that is wrong. */

static json_object *
changes_buffer(struct workflow *wf, json_object *input)
{
	static char buffer[32];
	int64_t sum = 0;
	int i;

	(void)input;
	for (i = 1; i <= 3; i++) {
		snprintf(buffer, sizeof(buffer), "select %d", i);
		sum += wf_sql_int64(wf, "number", buffer, 0, NULL);
		memset(buffer, 'x', sizeof(buffer) - 1);
	}
	return json_object_new_int64(sum);
}

static int
recurse(volatile char *above)
{
	volatile char frame[4096];

	frame[0] = *above;
	return frame[0] != 0 ? 0 : recurse(frame) + frame[0];
}

static void
make_death(struct chance *chance, struct deed *deed)
{
	deed_put_number(deed, "how", chance_below(chance, 6));
}

static json_object *
dies(struct workflow *wf, json_object *input)
{
	volatile char start = 0;

	wf_sleep(wf, 1);
	switch (deed_number(input, "how")) {
	case 0:
		exit(0);
	case 1:
		_exit(3);
	case 2:
		abort();
	case 3:
		raise(SIGFPE);
		break;
	case 4:
		recurse(&start);
		break;
	default:
		raise(SIGSEGV);
		break;
	}
	return NULL;
}

static json_object *
loops(struct workflow *wf, json_object *input)
{
	volatile bool forever = true;

	(void)wf, (void)input;
	while (forever)
		continue;
	return NULL;
}

static json_object *
returns_input(struct workflow *wf, json_object *input)
{
	wf_set_event(wf, "input", input);
	wf_set_event(wf, "input", json_object_get(input));
	wf_send(wf, wf_id(wf), "input", input);
	return input;
}

static json_object *
returns_part(struct workflow *wf, json_object *input)
{
	json_object *part, *message;

	wf_send(wf, wf_id(wf), "input", input);
	message = wf_recv(wf, "input", 60000);
	part = json_object_object_get(message, "part");
	wf_set_event(wf, "part", part);
	return part;
}

static void
make_part(struct chance *chance, struct deed *deed)
{
	static const char *const parts[] = { "one", "two" };

	deed_put_text(deed, "part", chance_of(chance, 2, parts));
}

/* Sleeps in a C step, whichever call that is. */
static json_object *
calls_inside(struct step *step, void *arg)
{
	struct workflow *wf = arg;

	step_sql(step, "insert into test.notes values ('inside')", 0, NULL);
	if (strlen(wf_id(wf)) % 2 == 0)
		wf_sleep(wf, 1);
	else
		wf_recv(wf, "inside", 1);
	return NULL;
}

static json_object *
nested_call(struct workflow *wf, json_object *input)
{
	(void)input;
	wf_transaction(wf, "outer", calls_inside, wf);
	return NULL;
}

static json_object *
fails(struct workflow *wf, json_object *input)
{
	(void)input;
	wf_sleep(wf, 1);
	wf_fail(wf, "OwnError", "as it wants");
}

static json_object *
changes_steps(struct workflow *wf, json_object *input)
{
	static int runs;

	(void)input;
	wf_sql(wf, wf_printf(wf, "step %d", runs++), "select 1", 0, NULL);
	wf_sleep(wf, 1);
	return NULL;
}

/* Texts that are not UTF-8, in all places. */
static json_object *
no_utf8(struct workflow *wf, json_object *input)
{
	static const char bad[] = "\xff\xfe";
	const char *const params[] = { bad };

	switch (deed_number(input, "where")) {
	case 0:
		wf_sql(wf, "param", "select $1::text", 1, params);
		break;
	case 1:
		wf_sql_void(wf, bad, "select 1", 0, NULL);
		break;
	case 2:
		wf_set_event(wf, bad, NULL);
		break;
	case 3:
		wf_send(wf, wf_id(wf), bad, NULL);
		break;
	case 4:
		wf_start(wf, &echo_type, bad, NULL);
		break;
	default:
		wf_sql(wf, "text", bad, 0, NULL);
		break;
	}
	return NULL;
}

static void
make_no_utf8(struct chance *chance, struct deed *deed)
{
	deed_put_number(deed, "where", chance_below(chance, 6));
}

static json_object *
takes_time(struct step *step, void *arg)
{
	const struct timespec time = { .tv_sec = 1, .tv_nsec = 300000000 };

	(void)arg;
	step_sql(step, "insert into test.notes values ('slow')", 0, NULL);
	nanosleep(&time, NULL);
	return json_object_get(step_sql(step, "select 1", 0, NULL));
}

static json_object *
slow_step(struct workflow *wf, json_object *input)
{
	(void)input;
	return wf_transaction(wf, "slow", takes_time, NULL);
}

/* Two rows in one order or the other, while other workers do the same. */
static json_object *
crosses(struct workflow *wf, json_object *input)
{
	static const char update[] = "update torture.pair set n = n + 1 "
				     "where side = $1";
	const char *const params[] = { deed_text(input, "first") };
	const char *const others[] = {
		strcmp(params[0], "left") == 0 ? "right" : "left"
	};

	wf_sql(wf, "first", update, 1, params);
	wf_sql(wf, "second", update, 1, others);
	return NULL;
}

static void
make_crosses(struct chance *chance, struct deed *deed)
{
	static const char *const sides[] = { "left", "right" };

	deed_put_text(deed, "first", chance_of(chance, 2, sides));
}

/* Large or many. */

static json_object *
large_values(struct workflow *wf, json_object *input)
{
	size_t size = (size_t)deed_number(input, "size");
	char *text = wf_alloc(wf, size + 1);

	memset(text, 'y', size);
	wf_set_event(wf, "large", wf_own(wf, json_object_new_string(text)));
	return json_object_new_string(text);
}

static void
make_large_values(struct chance *chance, struct deed *deed)
{
	deed_put_number(deed, "size", 100000 + chance_below(chance, 1900000));
}

static json_object *
many_steps(struct workflow *wf, json_object *input)
{
	int i, steps = deed_number(input, "steps");

	for (i = 0; i < steps; i++)
		wf_sql_void(wf, "step", "select 1", 0, NULL);
	wf_sleep(wf, 1);
	for (i = 0; i < steps; i++)
		wf_set_event(wf, "event", NULL);
	return NULL;
}

static void
make_many_steps(struct chance *chance, struct deed *deed)
{
	deed_put_number(deed, "steps", 100 + chance_below(chance, 400));
}

static json_object *
many_messages(struct workflow *wf, json_object *input)
{
	int i, messages = deed_number(input, "messages");

	for (i = 0; i < messages; i++)
		wf_send(wf, wf_id(wf), "others", NULL);
	wf_send(wf, wf_id(wf), "own", NULL);
	wf_sleep(wf, 1);
	wf_recv(wf, "own", 60000);
	return json_object_new_string("received");
}

static void
make_many_messages(struct chance *chance, struct deed *deed)
{
	deed_put_number(deed, "messages", 100 + chance_below(chance, 400));
}

/* Children and others. */

static json_object *
deep(struct workflow *wf, json_object *input)
{
	int depth = json_object_get_int(input);
	const char *child;

	if (depth == 0)
		wf_fail(wf, "DeepError", "at the bottom");
	child = wf_start(wf, &deep_type, NULL, json_object_new_int(depth - 1));
	return wf_result(wf, child);
}

const struct workflow_type deep_type = { .name = "deep",
	.version = "1",
	.function = deep };

static json_object *
nests(struct workflow *wf, json_object *input)
{
	const char *child = wf_start(wf, &deep_type, NULL,
	    json_object_new_int(deed_number(input, "depth")));

	return wf_result(wf, child);
}

static void
make_nests(struct chance *chance, struct deed *deed)
{
	deed_put_number(deed, "depth", 1 + chance_below(chance, 8));
}

/* A child of a type that the engine does not have. */
static json_object *
starts_unknown(struct workflow *wf, json_object *input)
{
	static const struct workflow_type unknown = { .name = "unknown",
		.version = "1",
		.function = fails };

	(void)input;
	return wf_result(wf, wf_start(wf, &unknown, NULL, NULL));
}

static json_object *
takes_other_id(struct workflow *wf, json_object *input)
{
	(void)input;
	return wf_result(wf, wf_start(wf, &echo_type, wf_id(wf), NULL));
}

static json_object *
waits_for_itself(struct workflow *wf, json_object *input)
{
	(void)input;
	return wf_result(wf, wf_id(wf));
}

static json_object *
waits_for_none(struct workflow *wf, json_object *input)
{
	(void)input;
	return wf_result(wf, "there is no such workflow");
}

static json_object *
sends_to_none(struct workflow *wf, json_object *input)
{
	wf_set_event(wf, "input", input);
	wf_send(wf, "there is no such workflow", "topic", NULL);
	return NULL;
}

static json_object *
sleeps_long(struct workflow *wf, json_object *input)
{
	wf_set_event(wf, "input", input);
	wf_sleep(wf, INT64_C(3600) * 1000);
	return NULL;
}

/* The generator sends it a message. */
static json_object *
receives(struct workflow *wf, json_object *input)
{
	(void)input;
	return wf_recv(wf, "bad", 60000);
}

static void
make_receives(struct chance *chance, struct deed *deed)
{
	static const char *const messages[] = { "{\"a\\u0000b\":1}",
		"[\"\\ud800\"]", "18446744073709551616", "[1e", "", "-" };

	deed_put_text(deed, "message",
	    chance_of(chance, sizeof(messages) / sizeof(*messages), messages));
}

const struct kind code_kinds[] = {
	{ "changes_buffer", "a changed buffer is another statement",
	    changes_buffer, 2, "SUCCESS", "6", NULL },
	{ "dies", "what kills its process is given up", dies, 2,
	    "MAX_RECOVERY_ATTEMPTS_EXCEEDED", NULL, make_death },
	{ "loops", "what loops for ever is given up", loops, 1,
	    "MAX_RECOVERY_ATTEMPTS_EXCEEDED", NULL, NULL },
	{ "returns_input", "an input that is used often is released once",
	    returns_input, 3, "SUCCESS", NULL, NULL },
	{ "returns_part", "a part of a message may be returned", returns_part,
	    3, "SUCCESS", NULL, make_part },
	{ "nested_call", "a call of the workflow in a C step is refused",
	    nested_call, 3, "ERROR", "DBOSInvalidStep", NULL },
	{ "fails", "a workflow may fail", fails, 2, "ERROR", "OwnError", NULL },
	{ "changes_steps", "a workflow with changing steps fails",
	    changes_steps, 3, "any", NULL, NULL },
	{ "no_utf8", "texts that are not UTF-8 fail their workflow", no_utf8, 6,
	    "ERROR", NULL, make_no_utf8 },
	{ "slow_step", "a C step may take longer than a second", slow_step, 1,
	    "SUCCESS", "1", NULL },
	{ "crosses", "a deadlock ends no workflow", crosses, 6, "SUCCESS", NULL,
	    make_crosses },
	{ "large_values", "large values are kept", large_values, 2, "SUCCESS",
	    "yyyy", make_large_values },
	{ "many_steps", "many steps end", many_steps, 2, "SUCCESS", NULL,
	    make_many_steps },
	{ "many_messages", "many messages of another topic harm none",
	    many_messages, 2, "SUCCESS", "received", make_many_messages },
	{ "nests", "the error of a child's child comes to all above it", nests,
	    2, "ERROR", "DeepError", make_nests },
	{ "starts_unknown", "a child of an unknown type is refused",
	    starts_unknown, 1, "ERROR", "DBOSNotRegisteredError", NULL },
	{ "takes_other_id", "a child cannot have another workflow's id",
	    takes_other_id, 2, "ERROR", "DBOSConflictingWorkflowError", NULL },
	{ "waits_for_itself", "a workflow that waits for itself fails",
	    waits_for_itself, 1, "ERROR", "DBOSInvalidInput", NULL },
	{ "waits_for_none", "a workflow that waits for none fails",
	    waits_for_none, 1, "ERROR", "DBOSNonExistentWorkflowError", NULL },
	{ "sends_to_none", "a message to none fails its workflow",
	    sends_to_none, 3, "ERROR", "DBOSNonExistentWorkflowError", NULL },
	{ "cancelled", "a cancelled workflow stays cancelled", sleeps_long, 2,
	    "CANCELLED", NULL, NULL },
	{ "late", "a deadline ends its workflow", sleeps_long, 2, "CANCELLED",
	    NULL, NULL },
	{ "receives", "a message that cannot be read fails its receiver",
	    receives, 5, "ERROR", "DBOSInvalidInput", make_receives },
};

const size_t code_kinds_count = sizeof(code_kinds) / sizeof(code_kinds[0]);
