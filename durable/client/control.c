/* SPDX-License-Identifier: MIT */
/*
 * The callers' side of what a client does with any workflow: queries of the
 * functions for durable_client.
 */
#include "client/control.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

#define PAUSE_MIN_MS 5
#define PAUSE_MAX_MS 500

const char control_enqueue_sql[] =
    "select durable.start_workflow(workflow_name => o.name, "
    "queue_name => o.queue, positional_args => case when o.input is null "
    "then array[]::json[] else array[o.input::json] end, "
    "class_name => o.class_name, config_name => o.config_name, "
    "workflow_id => o.id, app_version => o.version, "
    "timeout_ms => o.timeout_ms, deduplication_id => o.deduplication_id, "
    "priority => o.priority, queue_partition_key => o.partition_key, "
    "application_name => o.application, delay_ms => o.delay_ms, "
    "attributes => o.attributes::jsonb) "
    "from json_to_record($1::json) as o (id text, name text, queue text, "
    "input text, application text, version text, class_name text, "
    "config_name text, partition_key text, deduplication_id text, "
    "attributes text, priority int, delay_ms bigint, timeout_ms bigint)";

/* A letter stands before the value: l, not ended; v, the output; f, an error. */
static const char result_sql[] =
    "select case when status in ('PENDING', 'ENQUEUED', 'DELAYED') then 'l' "
    "when status = 'SUCCESS' then 'v' || coalesce(output::text, 'null') "
    "else 'f' || coalesce(error::text, json_build_object('name', status, "
    "'message', 'the workflow has status ' || status)::text) end "
    "from durable.get_workflow($1)";

static const char list_sql[] =
    "select coalesce(json_agg(w), '[]') "
    "from json_to_record($1::json) as o (statuses text[], name text, "
    "queue text, application text, id_prefix text, from_ms bigint, "
    "until_ms bigint, most int, skip int) "
    "cross join lateral durable.list_workflows(status => o.statuses, "
    "name => o.name, queue_name => o.queue, application_name => o.application, "
    "created_from => to_timestamp(o.from_ms / 1000.0), "
    "created_until => to_timestamp(o.until_ms / 1000.0), "
    "id_prefix => o.id_prefix, max_rows => coalesce(o.most, 100), "
    "skip_rows => coalesce(o.skip, 0)) as w";

static void
add_text(json_object *options, const char *name, const char *text)
{
	if (text != NULL)
		json_object_object_add(options, name,
		    json_object_new_string(text));
}

static void
add_number(json_object *options, const char *name, int64_t number)
{
	if (number != 0)
		json_object_object_add(options, name,
		    json_object_new_int64(number));
}

/* Runs a query with the options as its parameter, and frees them. */
static struct client_answer
query_with(struct client *client, const char *sql, json_object *options)
{
	struct client_answer answer = client_query(client, sql,
	    json_object_to_json_string_ext(options, JSON_C_TO_STRING_PLAIN),
	    NULL);

	json_object_put(options);
	return answer;
}

/* No row is no workflow. */
static struct client_answer
or_unknown(struct client_answer answer)
{
	if (answer.outcome == CLIENT_NOTHING)
		answer.outcome = CLIENT_UNKNOWN;
	return answer;
}

json_object *
control_options(const struct client_enqueue *enqueue)
{
	json_object *options = json_object_new_object();

	add_text(options, "id", enqueue->id);
	add_text(options, "name", enqueue->name);
	add_text(options, "queue", enqueue->queue);
	add_text(options, "input", enqueue->input);
	add_text(options, "application", enqueue->application);
	add_text(options, "version", enqueue->version);
	add_text(options, "class_name", enqueue->class_name);
	add_text(options, "config_name", enqueue->config_name);
	add_text(options, "partition_key", enqueue->partition_key);
	add_text(options, "deduplication_id", enqueue->deduplication_id);
	add_text(options, "attributes", enqueue->attributes);
	add_number(options, "priority", enqueue->priority);
	add_number(options, "delay_ms", enqueue->delay_ms);
	add_number(options, "timeout_ms", enqueue->timeout_ms);
	return options;
}

struct client_answer
client_enqueue(struct client *client, const struct client_enqueue *enqueue)
{
	return query_with(client, control_enqueue_sql,
	    control_options(enqueue));
}

/*
 * Reads the letter and takes it off.  Returns false when the workflow has not
 * ended; then the value is freed.
 */
static bool
read_result(struct client_answer *answer)
{
	char letter = *answer->value;

	if (letter == 'l' || strcmp(answer->value, "vnull") == 0) {
		free(answer->value);
		answer->value = NULL;
		answer->outcome = letter == 'l' ? CLIENT_LATE : CLIENT_NOTHING;
		return letter != 'l';
	}
	memmove(answer->value, answer->value + 1, strlen(answer->value));
	if (letter == 'f')
		answer->outcome = CLIENT_FAILED;
	return true;
}

struct client_answer
client_result(struct client *client, const char *id, int timeout_ms)
{
	int64_t until_ms = clock_monotonic_ms() + timeout_ms;
	int64_t pause_ms = PAUSE_MIN_MS, left_ms;
	struct client_answer answer;
	struct timespec pause;

	for (;;) {
		answer = client_query(client, result_sql, id, NULL);
		if (answer.outcome != CLIENT_ANSWERED)
			return or_unknown(answer);
		left_ms = until_ms - clock_monotonic_ms();
		if (read_result(&answer) || left_ms <= 0)
			return answer;
		if (pause_ms > left_ms)
			pause_ms = left_ms;
		pause = (struct timespec){ .tv_nsec = pause_ms * 1000000 };
		nanosleep(&pause, NULL);
		pause_ms = pause_ms * 2 > PAUSE_MAX_MS ? PAUSE_MAX_MS
						       : pause_ms * 2;
	}
}

struct client_answer
client_get(struct client *client, const char *id)
{
	return or_unknown(client_query(client,
	    "select to_json(w) from durable.get_workflow($1) as w", id, NULL));
}

struct client_answer
client_list(struct client *client, const struct client_filter *filter)
{
	json_object *options = json_object_new_object(), *statuses;
	const char *const *status = filter->statuses;

	if (status != NULL) {
		statuses = json_object_new_array();
		for (; *status != NULL; status++)
			json_object_array_add(statuses,
			    json_object_new_string(*status));
		json_object_object_add(options, "statuses", statuses);
	}
	add_text(options, "name", filter->name);
	add_text(options, "queue", filter->queue);
	add_text(options, "application", filter->application);
	add_text(options, "id_prefix", filter->id_prefix);
	add_number(options, "from_ms", filter->from_ms);
	add_number(options, "until_ms", filter->until_ms);
	add_number(options, "most", filter->limit);
	add_number(options, "skip", filter->offset);
	return query_with(client, list_sql, options);
}

struct client_answer
client_steps(struct client *client, const char *id)
{
	return or_unknown(client_query(client,
	    "select (select coalesce(json_agg(l), '[]') "
	    "from durable.list_steps($1) as l) "
	    "from durable.get_workflow($1)",
	    id, NULL));
}

struct client_answer
client_cancel(struct client *client, const char *id, bool children)
{
	return or_unknown(client_query(client,
	    "select durable.cancel_workflow($1, $2::boolean)", id,
	    children ? "true" : "false"));
}

struct client_answer
client_resume(struct client *client, const char *id)
{
	return or_unknown(client_query(client,
	    "select durable.resume_workflow($1)", id, NULL));
}

struct client_answer
client_fork(struct client *client, const char *id, int start_step,
    const char *fork)
{
	json_object *options = json_object_new_object();

	add_text(options, "id", id);
	add_text(options, "fork", fork);
	json_object_object_add(options, "step",
	    json_object_new_int(start_step));
	return or_unknown(query_with(client,
	    "select durable.fork_workflow(o.id, o.step, o.fork) "
	    "from json_to_record($1::json) as o (id text, step int, fork text)",
	    options));
}

struct client_answer
client_delete(struct client *client, const char *id, bool children)
{
	struct client_answer answer = client_query(client,
	    "select durable.delete_workflow($1, $2::boolean)", id,
	    children ? "true" : "false");

	if (answer.outcome != CLIENT_ANSWERED)
		return answer;
	if (*answer.value == 'f')
		answer.outcome = CLIENT_UNKNOWN;
	free(answer.value);
	answer.value = NULL;
	return answer;
}

struct client_answer
client_retain(struct client *client, const struct client_retention *retention)
{
	json_object *options = json_object_new_object();

	add_text(options, "name", retention->name);
	json_object_object_add(options, "days",
	    json_object_new_int(retention->keep_days));
	json_object_object_add(options, "count",
	    json_object_new_int(retention->keep_count));
	json_object_object_add(options, "ids",
	    json_object_new_int(retention->id_days));
	return query_with(client,
	    "select null from json_to_record($1::json) as o (name text, "
	    "days int, count int, ids int) cross join lateral "
	    "durable.set_retention(o.name, nullif(o.days, -1), "
	    "nullif(o.count, -1), nullif(o.ids, -1))",
	    options);
}
