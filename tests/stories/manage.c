/* SPDX-License-Identifier: MIT */
/*
 * What workflows do to other workflows: start them with options, wait for them
 * for some time, cancel and resume them.  manage.tap starts the cluster and this
 * program.
 */
#include <string.h>

#include "tests/stories/story.h"
#include "tests/unit/tap.h"

static const char *
text_of(json_object *object, const char *key)
{
	json_object *value;

	return json_object_object_get_ex(object, key, &value)
	    ? json_object_get_string(value)
	    : NULL;
}

static int64_t
number_of(json_object *object, const char *key)
{
	json_object *value;

	return json_object_object_get_ex(object, key, &value)
	    ? json_object_get_int64(value)
	    : 0;
}

/* Returns its arguments: [by place, "name"]. */
static json_object *
echo(struct workflow *wf, json_object *input)
{
	json_object *all = wf_own(wf, json_object_new_array());
	size_t i;

	(void)input;
	for (i = 0; i < wf_arguments(wf); i++)
		json_object_array_add(all, json_object_get(wf_argument(wf, i)));
	json_object_array_add(all, json_object_get(wf_named(wf, "name")));
	take_note(wf, "note");
	return json_object_get(all);
}

static const struct workflow_type echo_type = { .name = "echo",
	.version = "1",
	.function = echo };
static const struct workflow_type foreign_type = { .name = "foreign" };

/* Starts a workflow with the options that the input has; returns its error. */
static json_object *
starter(struct workflow *wf, json_object *input)
{
	json_object *attributes = NULL;
	struct wf_start_options options = { .id = text_of(input, "id"),
		.queue = text_of(input, "queue"),
		.priority = (int)number_of(input, "priority"),
		.delay_ms = number_of(input, "delay"),
		.deduplication_id = text_of(input, "deduplication"),
		.join_duplicate = text_of(input, "join") != NULL,
		.partition_key = text_of(input, "partition"),
		.application = text_of(input, "application"),
		.version = text_of(input, "version"),
		.class_name = text_of(input, "class"),
		.config_name = text_of(input, "config"),
		.timeout_ms = number_of(input, "timeout"),
		.deadline_ms = number_of(input, "deadline") };

	json_object_object_get_ex(input, "attributes", &attributes);
	options.attributes = attributes;
	wf_catch(wf);
	wf_start_with(wf,
	    text_of(input, "foreign") != NULL ? &foreign_type : &echo_type,
	    wf_argument(wf, 1), wf_argument(wf, 2), &options);
	return wf_error(wf) == NULL
	    ? NULL
	    : json_object_new_string(wf_error(wf)->name);
}

/* Waits for a child within, then without, a time. */
static json_object *
waiter(struct workflow *wf, json_object *input)
{
	json_object *all = wf_own(wf, json_object_new_array()), *result;
	const char *id = json_object_get_string(input);
	int i;

	for (i = 0; i < 2; i++) {
		json_object_array_add(all,
		    json_object_new_boolean(wf_result_within(wf, id,
			i == 0 ? 30 : 60000, &result)));
		json_object_array_add(all, json_object_get(result));
		wf_set_event(wf, "waited", json_object_new_int(i));
	}
	wf_sleep(wf, 1);
	return json_object_get(all);
}

static const struct workflow_type family_type;

/* Starts one like itself, of which the middle one does not wait. */
static json_object *
family(struct workflow *wf, json_object *input)
{
	int64_t generations = json_object_get_int64(input);

	if (generations > 0)
		wf_start(wf, &family_type, NULL, wf_int64(wf, generations - 1));
	if (generations != 1)
		wf_recv(wf, "topic", 3600000);
	return NULL;
}

static const struct workflow_type family_type = { .name = "family",
	.version = "1",
	.function = family };

/* Cancels or resumes the workflows of the input. */
static json_object *
controller(struct workflow *wf, json_object *input)
{
	const char *cancel = text_of(input, "cancel");
	const char *resume = text_of(input, "resume");
	const char *error = NULL;

	if (text_of(input, "child") != NULL)
		cancel = wf_start(wf, &echo_type, NULL, NULL);
	if (cancel != NULL)
		wf_cancel(wf, cancel);
	if (text_of(input, "family") != NULL)
		wf_cancel_family(wf, text_of(input, "family"));
	wf_catch(wf);
	if (resume != NULL)
		wf_resume(wf, resume);
	if (resume != NULL && wf_error(wf) != NULL)
		error = wf_error(wf)->name;
	take_note(wf, "behind");
	return error == NULL ? NULL : json_object_new_string(error);
}

/* Sets attributes in two turns, and finds the workflows that have some. */
static json_object *
marker(struct workflow *wf, json_object *input)
{
	json_object *wanted = json_object_new_object();

	wf_set_attributes(wf, input);
	wf_set_attributes(wf, wf_argument(wf, 1));
	wf_sleep(wf, 1);
	wf_set_attributes(wf, wf_argument(wf, 2));
	wf_sleep(wf, 1);
	json_object_object_add(wanted, "customer", json_object_new_string("c"));
	return json_object_get(wf_find(wf, wanted, 3));
}

static const struct workflow_type types[] = { TYPE(echo), TYPE(starter),
	TYPE(waiter), TYPE(controller), TYPE(listener), TYPE(marker),
	TYPE(family) };

/* Starts a starter, or another workflow, with these arguments. */
static const char *
run(const char *name, const char *id, const char *arguments)
{
	sql("select dbos.enqueue_workflow('%s', 'test', array[%s]::json[], "
	    "workflow_id => '%s')",
	    name, arguments, id);
	sql("select durable.hint('durable_due', '{\"\"}')");
	return output(id);
}

/* Columns of a workflow's row. */
static const char *
row(const char *id, const char *columns)
{
	return sql("select concat_ws(' ', %s) from dbos.workflow_status "
		   "where workflow_uuid = '%s'",
	    columns, id);
}

static void
test_start(void)
{
	is_str(run("starter", "s1",
		   "'{\"id\": \"plain\", \"attributes\": {\"a\": [1]}, "
		   "\"timeout\": 60000}', '[1, \"two\"]', '{\"name\": \"n\"}'"),
	    "null", "a workflow starts a child with options");
	is_str(output("plain"), "[1,\"two\",\"n\"]",
	    "the child has arguments by place and by name");
	is_str(
	    row("plain",
		"application_version, workflow_timeout_ms, parent_workflow_id,"
		"workflow_deadline_epoch_ms between created_at + 59000 "
		"and created_at + 61000, attributes, queue_name"),
	    "1 60000 s1 t {\"a\": [1]}",
	    "a child at once has a deadline and attributes");
	is_str(steps("s1"), "0 echo", "the step has the child's name");

	is_str(run("starter", "s2",
		   "'{\"id\": \"queued\", \"queue\": \"test\", "
		   "\"priority\": 7, \"deduplication\": \"d\", "
		   "\"partition\": \"p\", \"delay\": 3600000, "
		   "\"timeout\": 1000, \"version\": \"9\", \"class\": \"c\", "
		   "\"config\": \"f\", \"application\": \"other\"}'"),
	    "null", "a workflow enqueues another one with options");
	is_str(row("queued",
		   "status, queue_name, priority, deduplication_id, "
		   "queue_partition_key, application_version, class_name, "
		   "config_name, application_name, workflow_timeout_ms, "
		   "recovery_attempts, delay_until_epoch_ms - created_at "
		   "between 3590000 and 3610000, workflow_deadline_epoch_ms, "
		   "owner_xid, started_at_epoch_ms"),
	    "DELAYED test 7 d p 9 c f other 1000 0 t",
	    "the options are in the columns of the system database");
	is_str(run("starter", "s3",
		   "'{\"id\": \"twice\", \"queue\": \"test\", "
		   "\"deduplication\": \"d\"}'"),
	    "\"DBOSQueueDuplicatedError\"",
	    "a second workflow of a deduplication id is refused");
	is_str(row("twice", "status"), NULL,
	    "a refused workflow does not exist");
	is_str(run("starter", "joiner",
		   "'{\"id\": \"twice\", \"queue\": \"test\", "
		   "\"deduplication\": \"d\", \"join\": true}'"),
	    "null", "a second workflow of a deduplication id joins the first");
	is_str(sql("select child_workflow_id from dbos.operation_outputs "
		   "where workflow_uuid = 'joiner' and function_id = 0"),
	    "queued", "the id of the first is the recorded one");
	is_str(run("starter", "s4", "'{\"id\": \"queued\"}'"),
	    "\"DBOSConflictingWorkflowError\"",
	    "the id of a workflow of another class is refused");
	is_str(run("starter", "s5", "'{\"id\": \"plain\"}'"), "null",
	    "a workflow that exists is not started again");

	is_str(run("starter", "s6",
		   "'{\"id\": \"unversioned\", \"queue\": \"none\", "
		   "\"application\": \"other\", \"foreign\": true}'"),
	    "null", "a workflow enqueues one of another program");
	is_str(row("unversioned",
		   "name, status, application_version, application_name"),
	    "foreign ENQUEUED other",
	    "a workflow of another application asks for no version");
	is_str(run("starter", "s7", "'{\"queue\": \"test\"}', '[3]'"), "null",
	    "a workflow enqueues one in its own queue");
	is_str(output("s7-0"), "[3,null]",
	    "a workflow in a queue of the daemon runs");
	is_str(row("s7-0", "application_version, queue_name"), "1 test",
	    "a workflow of this application has the type's version");
	run("starter", "s8", "'{\"priority\": 1}'");
	ok(strstr(output("s8"), "need a queue") != NULL,
	    "options of a queue need a queue");
	run("starter", "s9", "'{\"queue\": \"test\", \"priority\": -1}'");
	ok(strstr(output("s9"), "DBOSInvalidQueuePriorityError") != NULL,
	    "a negative priority is refused");
	sql("select dbos.enqueue_workflow('starter', 'test', "
	    "array['{\"id\": \"heir\"}', 'null', 'null']::json[], "
	    "workflow_id => 'parent', timeout_ms => 3600000)");
	output("parent");
	is_str(sql("select a.workflow_deadline_epoch_ms "
		   "= b.workflow_deadline_epoch_ms "
		   "from dbos.workflow_status as a "
		   "join dbos.workflow_status as b on b.workflow_uuid = 'heir' "
		   "where a.workflow_uuid = 'parent'"),
	    "true", "a child has its parent's deadline by default");
}

static void
test_result(void)
{
	start("listened", "listener", "null");
	start("waiter", "waiter", "\"listened\"");
	ok(wait_sql("result",
	       "select kind from durable.waits as w "
	       "join dbos.workflow_events as e using (workflow_uuid) "
	       "where w.workflow_uuid = 'waiter' and e.key = 'waited'"),
	    "a wait for a result ends in time");
	sql("select dbos.send_message('listened', 'null', 'topic')");
	is_str(output("waiter"), "[false,null,true,null]",
	    "a result that is null differs from no result");
	is_str(steps("waiter"),
	    "0 DBOS.sleep, 1 DBOS.getResult, 2 DBOS.setEvent, 3 DBOS.sleep, "
	    "4 DBOS.getResult, 5 DBOS.setEvent, 6 DBOS.sleep",
	    "a wait for a result with a time-out has the SDKs' two steps");
}

static void
test_control(void)
{
	start("victim", "listener", "null");
	ok(wait_sql("message",
	       "select kind from durable.waits "
	       "where workflow_uuid = 'victim'"),
	    "a workflow waits");
	is_str(run("controller", "c1", "'{\"cancel\": \"victim\"}'"), "null",
	    "a workflow cancels another one");
	is_str(row("victim",
		   "status, queue_name, owner_xid, started_at_epoch_ms, "
		   "completed_at > 0, (select count(*) from durable.waits as w "
		   "where w.workflow_uuid = 'victim')"),
	    "CANCELLED t 0", "a cancelled workflow waits no more");
	is_str(steps("c1"), "0 DBOS.cancelWorkflow, 1 behind",
	    "a cancellation is a step");
	is_str(run("controller", "c2", "'{\"resume\": \"victim\"}'"), "null",
	    "a workflow resumes another one");
	sql("select dbos.send_message('victim', '7', 'topic')");
	is_str(output("victim"), "7", "a resumed workflow goes on");
	is_str(steps("c2"), "0 DBOS.resumeWorkflow, 1 behind",
	    "a resumption is a step");
	is_str(run("controller", "c3",
		   "'{\"cancel\": \"victim\", \"resume\": \"victim\"}'"),
	    "null", "an ended workflow may be cancelled and resumed");
	is_str(row("victim", "status"), "SUCCESS",
	    "what is cancelled and resumed when it has ended stays");
	is_str(run("controller", "c4", "'{\"resume\": \"absent\"}'"),
	    "\"DBOSNonExistentWorkflowError\"",
	    "a workflow that does not exist cannot be resumed");
	is_str(run("controller", "c5", "'{\"cancel\": \"absent\"}'"), "null",
	    "cancelling a workflow that does not exist does nothing");

	start("self", "controller", "{\"cancel\": \"self\"}");
	is_str(ended("self"), "CANCELLED", "a workflow cancels itself");
	is_str(notes("self"), "0", "it takes no step after that");
	is_str(run("controller", "c6", "'{\"resume\": \"self\"}'"), "null",
	    "a workflow that cancelled itself is resumed");
	is_str(output("self"), "null", "it goes on behind its cancellation");
	is_str(notes("self"), "1", "its next step happens once");

	start("killer", "controller", "{\"child\": true}");
	is_str(output("killer"), "null", "a workflow cancels its new child");
	ok(strstr("CANCELLED SUCCESS", ended("killer-0")) != NULL,
	    "a child of the same turn has ended in one way");
	is_str(sql("select count(*) from durable.waits "
		   "where workflow_uuid like 'killer%%'"),
	    "0", "and waits for nothing");
	is_str(run("controller", "c7", "'{\"cancel\": \"held\"}'"), "null",
	    "a workflow cancels one that does not run here");
}

static void
test_family(void)
{
	start("elder", "family", "2");
	ok(wait_sql("message",
	       "select kind from durable.waits "
	       "where workflow_uuid = 'elder-0-0'"),
	    "a grandchild waits");
	is_str(run("controller", "f1", "'{\"family\": \"elder\"}'"), "null",
	    "a workflow cancels a family");
	is_str(sql("select string_agg(status, ' ' order by workflow_uuid) "
		   "from dbos.workflow_status "
		   "where workflow_uuid like 'elder%%'"),
	    "CANCELLED SUCCESS CANCELLED",
	    "a family has the children of those that have ended");
	start("own", "controller", "{\"family\": \"own\"}");
	is_str(ended("own"), "CANCELLED", "a workflow cancels its own family");
	is_str(notes("own"), "0", "and takes no step after that");
}

static void
test_attributes(void)
{
	is_str(run("marker", "m1",
		   "'{\"customer\": \"c\", \"a\": [1, 2]}', '{\"a\": [3]}', "
		   "'{\"b\": null}'"),
	    "[\"m1\"]", "a workflow finds itself by an attribute");
	is_str(row("m1", "attributes"),
	    "{\"a\": [3], \"b\": null, \"customer\": \"c\"}",
	    "attributes are added, and later values replace earlier ones");
	is_str(steps("m1"),
	    "0 DBOS.setAttributes, 1 DBOS.setAttributes, 2 DBOS.sleep, "
	    "3 DBOS.setAttributes, 4 DBOS.sleep, 5 DBOS.listWorkflows",
	    "attributes and searches are steps");
	is_str(run("marker", "m2",
		   "'{\"customer\": \"d\"}', '{\"customer\": \"c\"}', '{}'"),
	    "[\"m1\",\"m2\"]", "a workflow finds another one");
	is_str(run("marker", "m3", "'[]', '{}', '{}'"),
	    "{\"name\":\"DBOSInvalidInput\",\"message\":"
	    "\"attributes of a workflow are not a valid JSON object\"}",
	    "attributes are an object");
}

/* Many workflows cancel each other in the same turns. */
static void
test_crowd(void)
{
	sql("select durable.client_submit(array_agg('crowd' || n), "
	    "array_agg('controller'::text), array_agg('test'::text), "
	    "array_agg(format('{\"cancel\": \"crowd%%s\"}', n %% 60 + 1)), "
	    "'test', '{}', '{}', '{}', '{}', '{}') "
	    "from generate_series(1, 60) as n");
	ok(wait_sql("60",
	       "select count(*) from dbos.workflow_status "
	       "where workflow_uuid like 'crowd%' "
	       "and status in ('CANCELLED', 'SUCCESS')"),
	    "workflows that cancel each other end");
	is_str(sql("select count(*) from durable.waits "
		   "where workflow_uuid like 'crowd%%'"),
	    "0", "none of them waits");
	is_str(sql("select count(*) from (select s.workflow_uuid "
		   "from dbos.workflow_status as s "
		   "left join test.notes as n on n.id = s.workflow_uuid "
		   "where s.workflow_uuid like 'crowd%%' "
		   "and s.status = 'SUCCESS' "
		   "group by 1 having count(n.id) <> 1) as wrong"),
	    "0", "each that ended by itself took its step once");
}

int
main(void)
{
	static const struct engine engine = { .turn_size = 16,
		.turn_limit_s = 10,
		.max_attempts = 3 };
	pid_t daemon;

	story_begin("");
	daemon = story_start_daemon(&engine, types,
	    sizeof(types) / sizeof(types[0]), 2);
	test_start();
	test_result();
	test_control();
	test_family();
	test_attributes();
	test_crowd();
	ok(story_stop_daemon(daemon), "SIGTERM ends the daemon with status 0");
	story_end();
	return done_testing();
}
