/* SPDX-License-Identifier: MIT */
/*
 * The engine's door refuses what it cannot run, before it starts a worker.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <durable/engine.h>
#include "tests/unit/tap.h"

static json_object *
idle(struct workflow *wf, json_object *input)
{
	(void)wf;
	(void)input;
	return NULL;
}

static const struct workflow_type job = { .name = "job",
	.version = "1",
	.function = idle };
static const struct workflow_type next_job = { .name = "job",
	.version = "2",
	.function = idle };
static const struct workflow_type same_job = { .name = "job",
	.version = "1",
	.function = idle };
static const struct workflow_type odd_job = { .name = "job",
	.version = "1@2",
	.function = idle };
static const struct workflow_type long_job = {
	.name = "a name of fifty bytes, which is repeated x4 ......"
		"a name of fifty bytes, which is repeated x4 ......"
		"a name of fifty bytes, which is repeated x4 ......"
		"a name of fifty bytes, which is repeated x4 ......",
	.version = "1",
	.function = idle
};
static const struct workflow_type empty_job = { .name = "job",
	.function = idle };
static const struct workflow_type no_job = { .name = "job", .version = "1" };
static const struct workflow_type nameless = { .version = "1",
	.function = idle };

static const struct workflow_type *const children[] = { &job, &next_job, NULL };
static const struct workflow_type parent = { .name = "parent",
	.version = "1",
	.function = idle,
	.children = children };

static const char *const queues[] = { "main", DURABLE_INTERNAL_QUEUE, NULL };

static FILE *said;

/* Asserts that the engine is refused by one line with this text. */
static void
refuses(const struct engine *engine, int workers, const char *text,
    const char *title)
{
	char line[512] = "", more[512];
	int status;

	rewind(said);
	if (ftruncate(fileno(said), 0) != 0)
		abort();
	status = durable_run(engine, workers);
	rewind(said);
	if (!ok(status == DURABLE_EXIT_USAGE &&
		    fgets(line, sizeof(line), said) != NULL &&
		    strstr(line, text) != NULL &&
		    fgets(more, sizeof(more), said) == NULL,
		title))
		diag("status %d: %s", status, line);
}

/* As refuses, of an engine with these types. */
static void
refuses_types(const struct engine *engine,
    const struct workflow_type *const *types, const char *text,
    const char *title)
{
	struct engine wrong = *engine;

	wrong.types = types;
	refuses(&wrong, 1, text, title);
}

static void
refuses_queues(const struct engine *engine, const char *const *names,
    const char *text, const char *title)
{
	struct engine wrong = *engine;

	wrong.queues = names;
	refuses(&wrong, 1, text, title);
}

#define TYPES(...) \
	(const struct workflow_type *const[]) \
	{ \
		__VA_ARGS__, NULL \
	}
#define QUEUES(...) \
	(const char *const[]) \
	{ \
		__VA_ARGS__, NULL \
	}

int
main(void)
{
	const struct engine right = { .conninfo = "",
		.application = "app",
		.executor = "host",
		.types = TYPES(&job, &next_job),
		.queues = queues,
		.turn_size = 16,
		.turn_limit_s = 30,
		.max_attempts = 3 };
	struct engine wrong = right;

	said = tmpfile();
	if (said == NULL || dup2(fileno(said), STDERR_FILENO) < 0)
		return 1;

	refuses_types(&right, NULL, "no workflow types",
	    "types NULL are refused");
	refuses_types(&right, TYPES(NULL), "no workflow types",
	    "an engine without types is refused");
	refuses_types(&right, TYPES(&job, &next_job, &same_job),
	    "two workflow types 'job' of version '1'",
	    "two types of a name and version are refused");
	refuses_types(&right, TYPES(&odd_job), "'1@2'",
	    "a version with an '@' is refused");
	refuses_types(&right, TYPES(&long_job), "more than 198 bytes",
	    "a type with a very long name is refused");
	refuses_types(&right, TYPES(&empty_job), "version",
	    "a type without a version is refused");
	refuses_types(&right, TYPES(&no_job), "no function",
	    "a type without a function is refused");
	refuses_types(&right, TYPES(&nameless), "name",
	    "a type without a name is refused");

	refuses_types(&right, TYPES(&job, &parent),
	    "'parent' starts 'job' of version '2'",
	    "a type without one of its children is refused");

	refuses_queues(&right, NULL, "no queues", "queues NULL are refused");
	refuses_queues(&right, QUEUES(NULL), "no queues",
	    "an engine without queues is refused");
	refuses_queues(&right, QUEUES("main", "main"), "two queues 'main'",
	    "a queue that is named twice is refused");
	refuses_queues(&right, QUEUES("main", ""), "queue",
	    "a queue without a name is refused");

	wrong.turn_size = 0;
	refuses(&wrong, 1, "turn_size is 0", "turn_size 0 is refused");
	wrong = right;
	wrong.turn_limit_s = 0;
	refuses(&wrong, 1, "turn_limit_s is 0", "turn_limit_s 0 is refused");
	wrong = right;
	wrong.max_attempts = -1;
	refuses(&wrong, 1, "max_attempts is -1",
	    "a negative max_attempts is refused");
	wrong = right;
	wrong.application = NULL;
	refuses(&wrong, 1, "application is empty",
	    "an engine without an application is refused");
	wrong = right;
	wrong.conninfo = NULL;
	refuses(&wrong, 1, "conninfo is NULL", "conninfo NULL is refused");
	refuses(&right, 0, "workers is 0",
	    "an engine of no workers is refused");
	return done_testing();
}
