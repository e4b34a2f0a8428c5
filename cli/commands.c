/* SPDX-License-Identifier: MIT */
/*
 * The commands: what each calls, with which options.
 */
#include <stddef.h>

#include "cli/cli.h"

static const char *const an_id[] = { "ID:workflow_id::text", NULL };
static const char *const ids[] = { "ID...:workflow_id::text", NULL };
static const char *const id_and_key[] = { "ID:workflow_id::text",
	"KEY:key::text", NULL };
static const char *const id_and_message[] = { "ID:workflow_id::text",
	"MESSAGE:message::json", NULL };
static const char *const a_name[] = { "NAME:name::text", NULL };
static const char *const a_workflow[] = { "NAME:workflow_name::text", NULL };
static const char *const a_schedule[] = { "NAME:name::text",
	"WORKFLOW:workflow::text", "CRON:schedule::text", NULL };

static const struct flag list_flags[] = {
	/* Filters, then pages. */
	{ "status", "STATUS", "of this status; may be repeated", "status",
	    "text[]", true },
	{ "name", "NAME", "of this workflow function", "name", "text", false },
	{ "queue", "QUEUE", "of this queue", "queue_name", "text", false },
	{ "application", "NAME", "of this application", "application_name",
	    "text", false },
	{ "from", "TIME", "created at this time or later", "created_from",
	    "timestamptz", false },
	{ "until", "TIME", "created before this time", "created_until",
	    "timestamptz", false },
	{ "prefix", "TEXT", "whose id begins so", "id_prefix", "text", false },
	{ "limit", "N", "at most so many (100)", "max_rows", "int", false },
	{ "offset", "N", "behind so many", "skip_rows", "int", false },
	{ "values", NULL, "with input, output and error, in --json",
	    "with_values", "boolean", false },
	{ 0 }
};

static const struct flag start_flags[] = {
	{ "queue", "QUEUE", "the queue; needed", "queue_name", "text", false },
	{ "arg", "JSON", "an argument; may be repeated", "positional_args",
	    "json[]", true },
	{ "named", "JSON", "arguments with names, an object", "named_args",
	    "json", false },
	{ "id", "ID", "the workflow's id: a known one starts nothing",
	    "workflow_id", "text", false },
	{ "application", "NAME", "whose workflow it is", "application_name",
	    "text", false },
	{ "class", "NAME", "the class of the function", "class_name", "text",
	    false },
	{ "instance", "NAME", "the configured instance of the class",
	    "config_name", "text", false },
	{ "version", "VERSION", "for this version only", "app_version", "text",
	    false },
	{ "priority", "N", "lower is earlier", "priority", "int", false },
	{ "partition", "KEY", "the partition of the queue",
	    "queue_partition_key", "text", false },
	{ "deduplication-id", "ID", "at most one of it in the queue",
	    "deduplication_id", "text", false },
	{ "join", NULL, "return the one that there is of it", "join_duplicate",
	    "boolean", false },
	{ "delay-ms", "N", "not before so many milliseconds", "delay_ms",
	    "bigint", false },
	{ "timeout-ms", "N", "cancelled so long after its start", "timeout_ms",
	    "bigint", false },
	{ "user", "NAME", "the authenticated user", "authenticated_user",
	    "text", false },
	{ "attributes", "JSON", "attributes to find it by, an object",
	    "attributes", "jsonb", false },
	{ "wait", "[=SECONDS]", "wait for its end and print its result", NULL,
	    NULL, false },
	{ 0 }
};

static const struct flag wait_flags[] = {
	{ "wait", "[=SECONDS]", "wait for it", NULL, NULL, false }, { 0 }
};

static const struct flag send_flags[] = {
	/* The place, and what makes it one message. */
	{ "topic", "TOPIC", "on this topic", "topic", "text", false },
	{ "key", "KEY", "once for this key", "idempotency_key", "text", false },
	{ 0 }
};

static const struct flag children_flags[] = {
	{ "children", NULL, "with all that it has started", "children",
	    "boolean", false },
	{ 0 }
};

static const struct flag fork_flags[] = {
	{ "step", "N", "go on at this step (0)", "start_step", "int", false },
	{ "id", "ID", "the id of the copy", "new_workflow_id", "text", false },
	{ "version", "VERSION", "for this version", "app_version", "text",
	    false },
	{ 0 }
};

static const struct flag stream_flags[] = {
	/* A page. */
	{ "offset", "N", "from this value on (0)", "from_offset", "int",
	    false },
	{ "limit", "N", "at most so many (1000)", "max_rows", "int", false },
	{ 0 }
};

static const struct flag queue_flags[] = {
	/* Limits of the queue, then of each of its partitions. */
	{ "concurrency", "N", "at most so many run", "concurrency", "int",
	    false },
	{ "worker-concurrency", "N", "in each executor", "worker_concurrency",
	    "int", false },
	{ "rate-limit", "N", "at most so many begin in a period",
	    "rate_limit_max", "int", false },
	{ "rate-period", "SECONDS", "the period", "rate_limit_period_sec",
	    "float8", false },
	{ "partitions", NULL, "each partition is a queue of its own",
	    "partition_queue", "boolean", false },
	{ "partition-concurrency", "N", "at most so many of a partition run",
	    "partition_concurrency", "int", false },
	{ "partition-worker-concurrency", "N", "in each executor",
	    "partition_worker_concurrency", "int", false },
	{ "partition-rate-limit", "N", "at most so many of it begin",
	    "partition_rate_limit_max", "int", false },
	{ "partition-rate-period", "SECONDS", "in this time",
	    "partition_rate_limit_period_sec", "float8", false },
	{ "application", "NAME", "whose queue it is", "application_name",
	    "text", false },
	{ 0 }
};

static const struct flag schedule_flags[] = {
	{ "context", "JSON", "the second argument of the workflow", "context",
	    "json", false },
	{ "timezone", "ZONE", "of the cron expression (UTC)", "timezone",
	    "text", false },
	{ "queue", "QUEUE", "the queue", "queue", "text", false },
	{ "application", "NAME", "whose schedule it is", "application", "text",
	    false },
	{ "class", "NAME", "the class of the function", "class_name", "text",
	    false },
	{ "automatic-backfill", NULL, "make up for times without a daemon",
	    "automatic_backfill", "boolean", false },
	{ "replace", NULL, "change one that there is", "replace", "boolean",
	    false },
	{ 0 }
};

static const struct flag retention_flags[] = {
	/* What is not given stays. */
	{ "days", "N", "keep them so long after their end; 0: for ever",
	    "keep_days", "int", false },
	{ "count", "N", "keep only so many of the latest; 0: any number",
	    "keep_count", "int", false },
	{ "id-days", "N", "so long their ids start nothing; 0: for ever",
	    "id_days", "int", false },
	{ 0 }
};

static const struct flag gc_flags[] = {
	/* What it looks at. */
	{ "application", "NAME", "of this application and of none", NULL, NULL,
	    false },
	{ "dry-run", NULL, "only say what would be deleted", NULL, NULL,
	    false },
	{ 0 }
};

static const struct flag top_flags[] = {
	{ "count", "N", "end after so many pictures", NULL, NULL, false }, { 0 }
};

static const char list_columns[] =
    "workflow_id as \"ID\", status as \"STATUS\", name as \"NAME\", "
    "queue_name as \"QUEUE\", created_at::timestamptz(0) as \"CREATED\"";
static const char steps_columns[] =
    "step as \"STEP\", name as \"NAME\", started_at::timestamptz(3) as "
    "\"STARTED\", completed_at::timestamptz(3) as \"COMPLETED\", "
    "coalesce(child_workflow_id, left(coalesce(error, output)::text, 60)) as "
    "\"RESULT\"";
static const char queues_columns[] =
    "name as \"QUEUE\", application_name as \"APPLICATION\", "
    "enqueued as \"ENQUEUED\", running as \"RUNNING\", "
    "concurrency as \"CONCURRENCY\", "
    "rate_limit_max || '/' || rate_limit_period_sec || ' s' as \"RATE\", "
    "case when partition_queue then 'yes' end as \"PARTITIONS\"";
static const char schedules_columns[] =
    "name as \"SCHEDULE\", status as \"STATUS\", schedule as \"CRON\", "
    "coalesce(cron_timezone, 'UTC') as \"ZONE\", "
    "workflow_name as \"WORKFLOW\", queue_name as \"QUEUE\", "
    "last_fired_at as \"LAST\", next_at as \"NEXT\", error as \"ERROR\"";

static const char retention_columns[] =
    "name as \"NAME\", keep_days as \"DAYS\", keep_count as \"COUNT\", "
    "id_days as \"ID DAYS\"";

const struct command commands[] = {
	{ "list", "list workflows, the newest first", "list_workflows", NULL,
	    list_flags, list_columns, run_table },
	{ "get", "print a workflow with its input and its end", "get_workflow",
	    an_id, wait_flags, NULL, run_get },
	{ "steps", "print the journal of a workflow", "list_steps", an_id, NULL,
	    steps_columns, run_steps },
	{ "start", "enqueue a workflow and print its id", "start_workflow",
	    a_workflow, start_flags, "workflow_id", run_start },
	{ "send", "send a message, JSON, to a workflow", "send_message",
	    id_and_message, send_flags, NULL, run_void },
	{ "event", "print an event of a workflow", "get_event", id_and_key,
	    wait_flags, NULL, run_event },
	{ "stream", "print what a workflow has written to a stream",
	    "read_stream", id_and_key, stream_flags, NULL, run_table },
	{ "cancel", "cancel workflows", "cancel_workflow", ids, children_flags,
	    "status", run_value },
	{ "resume", "let cancelled or waiting workflows go on",
	    "resume_workflow", ids, NULL, "status", run_value },
	{ "fork", "start a copy of a workflow at one of its steps",
	    "fork_workflow", an_id, fork_flags, "workflow_id", run_value },
	{ "delete", "delete workflows with all that is theirs",
	    "delete_workflow", ids, children_flags, "deleted", run_value },
	{ "queues", "list queues, their limits and how full they are",
	    "list_queues", NULL, NULL, queues_columns, run_table },
	{ "queues register", "register a queue, or replace its limits",
	    "register_queue", a_name, queue_flags, NULL, run_void },
	{ "schedules", "list schedules", "list_schedules", NULL, NULL,
	    schedules_columns, run_table },
	{ "schedules create", "make a schedule", "create_schedule", a_schedule,
	    schedule_flags, NULL, run_void },
	{ "schedules pause", "let a schedule fire no more", "pause_schedule",
	    a_name, NULL, NULL, run_void },
	{ "schedules resume", "let it fire again", "resume_schedule", a_name,
	    NULL, NULL, run_void },
	{ "schedules delete", "delete a schedule", "delete_schedule", a_name,
	    NULL, NULL, run_void },
	{ "schedules trigger", "start its workflow now", "trigger_schedule",
	    a_name, NULL, "workflow_id", run_value },
	{ "schedules backfill", "start it for the times between FROM and UNTIL",
	    "backfill_schedule",
	    (const char *const[]){ "NAME:name::text",
		"FROM:\"from\"::timestamptz", "UNTIL:until::timestamptz",
		NULL },
	    NULL, "q as \"ID\"", run_table },
	{ "retention", "list how long finished workflows are kept",
	    "list_retention", NULL, NULL, retention_columns, run_table },
	{ "retention set", "set it for a name, or for all others ('*')",
	    "set_retention", a_name, retention_flags, NULL, run_void },
	{ "retention reset", "let a name have what '*' has", "reset_retention",
	    a_name, NULL, NULL, run_void },
	{ "gc", "delete the workflows that are kept no longer", "collect", NULL,
	    gc_flags, NULL, run_gc },
	{ "stats", "print the figures of the engine", "client_metrics", NULL,
	    NULL, NULL, run_table },
	{ "top", "watch queues, workers and rates", "client_metrics", NULL,
	    top_flags, NULL, run_top },
	{ 0 }
};
