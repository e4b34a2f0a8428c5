/* SPDX-License-Identifier: MIT */
/*
 * What a daemon serves, as its SQL functions take it.
 */
#include <stdlib.h>

#include <durable/engine.h>
#include "engine/served.h"
#include "tests/unit/tap.h"

static const struct workflow_type old_order = { .name = "order",
	.version = "1" };
static const struct workflow_type new_order = { .name = "order",
	.version = "2" };
static const struct workflow_type odd = { .name = "an \"odd\" one",
	.version = "1" };
static const struct workflow_type *const types[] = { &old_order, &new_order,
	&odd, NULL };
static const char *const queues[] = { "main", "second, third", NULL };
static const struct workflow_type *const no_types[] = { NULL };
static const char *const no_queues[] = { NULL };

int
main(void)
{
	const struct engine engine = { .application = "app",
		.types = types,
		.queues = queues };
	const struct engine open_engine = { .types = types,
		.all_queues = true };
	const struct engine idle = { .types = no_types, .queues = no_queues };
	struct standby_partition part = { .part = 0, .parts = 2 };
	struct served *served = served_new(&engine), *nothing, *all;

	is_str(served_runnable(served),
	    "{\"order@1\",\"order@2\",\"order@\","
	    "\"an \\\"odd\\\" one@1\",\"an \\\"odd\\\" one@\"}",
	    "a worker may run each type, also for a workflow of no version");
	is_str(served_types(served, NULL),
	    "{\"order@1@app\",\"order@2@app\",\"an \\\"odd\\\" one@1@app\"}",
	    "without a partition all types are served");
	is_str(served_queues(served, NULL), "{\"main\",\"second, third\"}",
	    "without a partition all queues are served");

	is_str(served_types(served, &part),
	    "{\"order@1@app\",\"an \\\"odd\\\" one@1@app\"}",
	    "the first of two partitions has every second type");
	is_str(served_queues(served, &part), "{\"main\"}",
	    "the first of two partitions has every second queue");
	part.part = 1;
	is_str(served_types(served, &part), "{\"order@2@app\"}",
	    "the other partition has the other types");
	is_str(served_queues(served, &part), "{\"second, third\"}",
	    "the other partition has the other queue");
	part.parts = 0;
	is_str(served_types(served, &part),
	    "{\"order@1@app\",\"order@2@app\",\"an \\\"odd\\\" one@1@app\"}",
	    "a partition of no parts has all types");

	ok(served_supersede(served, "{order}"), "a later version is new once");
	ok(!served_supersede(served, "{order}"), "and is known then");
	is_str(served_runnable(served),
	    "{\"order@1\",\"order@2\","
	    "\"an \\\"odd\\\" one@1\",\"an \\\"odd\\\" one@\"}",
	    "a workflow of no version is left to the later version");
	is_str(served_all(served),
	    "{\"order@1\",\"order@2\",\"order@\","
	    "\"an \\\"odd\\\" one@1\",\"an \\\"odd\\\" one@\"}",
	    "what could be run stays known");
	ok(served_supersede(served, "{}"), "the later version may go");

	nothing = served_new(&idle);
	is_str(served_runnable(nothing), "{}",
	    "a worker without types may run nothing");
	is_str(served_types(nothing, NULL), "{}",
	    "a worker without types serves none");
	is_str(served_queues(nothing, NULL), "{}",
	    "a worker without queues serves none");

	all = served_new(&open_engine);
	is_str(served_queues(all, NULL), "{}",
	    "a worker of all queues serves none before it knows them");
	ok(served_set_queues(all, "{a,\"b,c\"}") &&
		!served_set_queues(all, "{a,\"b,c\"}"),
	    "it is told what is new");
	is_str(served_queues(all, NULL), "{a,\"b,c\"}", "then it serves them");
	part = (struct standby_partition){ .part = 1, .parts = 2 };
	is_str(served_queues(all, &part), "{\"b,c\"}",
	    "a partition has its part of them");
	ok(served_set_queues(all, "{}"), "a queue may go");
	is_str(served_queues(all, &part), "{}", "and is served no more");
	served_free(all);

	ok(served_type(&engine, "order", "1") == &old_order,
	    "a workflow runs as the type of its version");
	ok(served_type(&engine, "order", NULL) == &new_order,
	    "a workflow of no version runs as the last type of its name");
	ok(served_type(&engine, "order", "3") == NULL &&
		served_type(&engine, "other", NULL) == NULL,
	    "a workflow of an unknown type has none");
	served_free(nothing);
	served_free(served);
	return done_testing();
}
