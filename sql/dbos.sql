-- SPDX-License-Identifier: MIT
--
-- The schema dbos: the system database that the engine shares with the DBOS
-- family of libraries and tools, in their schema version 123.  This is the
-- final state of that version in one piece, with the same names, column orders
-- and definitions (tests/sql/catalog.tap compares them), so that an official
-- client cannot tell the difference and an official upgrade finds what it
-- expects.  For this reason nothing is added here, not even a comment on an
-- object; what the engine adds is in schema durable.
--
-- Run by psql as widget_store_owner inside a transaction.  Does nothing where
-- the schema exists, at this version or a later one.
--
-- Times are milliseconds since the epoch.  Payloads are texts in the format
-- that column serialization of the same row names.

do $$
declare
    installed bigint := 0;
begin
    if to_regnamespace('dbos') is null then
        return;
    end if;
    if to_regclass('dbos.dbos_migrations') is not null then
        select coalesce(max(m.version), 0)
        into installed
        from dbos.dbos_migrations as m;
    end if;
    if installed < 123 then
        raise exception 'cannot use schema dbos: it has version %, not 123; '
            'run ''npx dbos schema'' (or ''npx dbos migrate'') of '
            '@dbos-inc/dbos-sdk 5.3 or later first', installed;
    end if;
exception
    when insufficient_privilege then
        raise exception 'cannot use schema dbos: % may not read it; '
            'run ''npx dbos schema --app-role %'' as its owner first',
            current_user, current_user;
end
$$;

select to_regnamespace('dbos') is null as missing \gset
\if :missing

create schema dbos;


-- Workflows.

-- One row per workflow: what it is, which process runs it, its status.  The
-- columns inputs, output and error are older than the payload tables; readers
-- use them when those have nothing.
create table dbos.workflow_status (
    workflow_uuid text not null,
    status text,
    name text,
    authenticated_user text,
    assumed_role text,
    authenticated_roles text,
    request text,
    output text,
    error text,
    executor_id text,
    created_at bigint not null
        default (extract(epoch from now()) * 1000.0)::bigint,
    updated_at bigint not null
        default (extract(epoch from now()) * 1000.0)::bigint,
    application_version text,
    application_id text,
    -- The catalog keeps a default null of these two, unlike one of type text.
    class_name varchar(255) default null,
    config_name varchar(255) default null,
    recovery_attempts bigint default 0,
    queue_name text,
    workflow_timeout_ms bigint,
    workflow_deadline_epoch_ms bigint,
    inputs text,
    started_at_epoch_ms bigint,
    deduplication_id text,
    priority int not null default 0,
    queue_partition_key text,
    forked_from text,
    owner_xid text,
    parent_workflow_id text,
    serialization text,
    delay_until_epoch_ms bigint,
    was_forked_from boolean not null default false,
    rate_limited boolean not null default false,
    completed_at bigint,
    attributes jsonb,
    schedule_name text,
    debounce_deadline_epoch_ms bigint,
    is_debounced boolean not null default false,
    application_name text,
    creator_xid text,
    constraint workflow_status_pkey primary key (workflow_uuid)
);

-- A queue holds at most one workflow of a deduplication id.
create unique index uq_workflow_status_dedup_id
on dbos.workflow_status (queue_name, deduplication_id)
where deduplication_id is not null;

-- For workers: what is enqueued, delayed or running.
create index idx_workflow_status_in_flight_v2
on dbos.workflow_status (queue_name, status, priority, created_at)
include (application_name)
where status in ('ENQUEUED', 'PENDING');

create index idx_workflow_status_partition_dequeue_v3
on dbos.workflow_status (queue_name, status, queue_partition_key, priority,
    created_at, workflow_uuid)
include (application_name)
where status in ('ENQUEUED', 'PENDING')
    and queue_partition_key is not null;

create index idx_workflow_status_rate_limited
on dbos.workflow_status (queue_name, started_at_epoch_ms)
where rate_limited = true;

create index idx_workflow_status_delayed
on dbos.workflow_status (delay_until_epoch_ms)
where status = 'DELAYED';

create index idx_workflow_status_deadline
on dbos.workflow_status (workflow_deadline_epoch_ms)
where status in ('ENQUEUED', 'PENDING', 'DELAYED')
    and workflow_deadline_epoch_ms is not null;

create index idx_workflow_status_pending
on dbos.workflow_status (created_at)
where status = 'PENDING';

-- For tools: lists by time, ending, origin and attribute.
create index workflow_status_created_at_index
on dbos.workflow_status (created_at);

create index idx_workflow_status_started_at
on dbos.workflow_status (started_at_epoch_ms)
where started_at_epoch_ms is not null;

create index idx_workflow_status_completed_at
on dbos.workflow_status (completed_at)
where completed_at is not null;

create index idx_workflow_status_failed
on dbos.workflow_status (status, created_at)
where status in ('ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED');

create index idx_workflow_status_forked_from
on dbos.workflow_status (forked_from)
where forked_from is not null;

create index idx_workflow_status_parent_workflow_id
on dbos.workflow_status (parent_workflow_id)
where parent_workflow_id is not null;

create index idx_workflow_status_schedule_name
on dbos.workflow_status (schedule_name)
where schedule_name is not null;

create index idx_workflow_status_attributes
on dbos.workflow_status using gin (attributes)
where attributes is not null;

-- The arguments of a workflow.  This table, workflow_output and
-- operation_outputs have no foreign key: a client that deletes a workflow
-- deletes their rows, too.
create table dbos.workflow_input (
    workflow_uuid text not null,
    inputs text,
    retention_timestamp bigint not null
        default (extract(epoch from now()) * 1000.0)::bigint,
    constraint workflow_input_pkey primary key (workflow_uuid)
);

create index idx_workflow_input_retention
on dbos.workflow_input (retention_timestamp);

-- What an ended workflow returned, or the error that ended it.
create table dbos.workflow_output (
    workflow_uuid text not null,
    output text,
    error text,
    retention_timestamp bigint not null
        default (extract(epoch from now()) * 1000.0)::bigint,
    constraint workflow_output_pkey primary key (workflow_uuid)
);

create index idx_workflow_output_retention
on dbos.workflow_output (retention_timestamp);

-- The journal: one row per step that a workflow has taken.
create table dbos.operation_outputs (
    workflow_uuid text not null,
    function_id int not null,
    function_name text not null default '',
    output text,
    error text,
    child_workflow_id text,
    started_at_epoch_ms bigint,
    completed_at_epoch_ms bigint,
    serialization text,
    application_name text,
    retention_timestamp bigint not null
        default (extract(epoch from now()) * 1000.0)::bigint,
    constraint operation_outputs_pkey
        primary key (workflow_uuid, function_id)
);

create index idx_operation_outputs_completed_at_function_name_v2
on dbos.operation_outputs (completed_at_epoch_ms, function_name)
include (application_name);

create index idx_operation_outputs_retention
on dbos.operation_outputs (retention_timestamp);


-- Messages, events and streams.

-- Messages to a workflow, before and after it has received them.
create table dbos.notifications (
    message_uuid text not null default gen_random_uuid(),
    destination_uuid text not null,
    topic text,
    message text not null,
    created_at_epoch_ms bigint not null
        default (extract(epoch from now()) * 1000.0)::bigint,
    serialization text,
    consumed boolean not null default false,
    consumed_by_function_id int,
    constraint notifications_pkey primary key (message_uuid),
    constraint notifications_destination_uuid_fkey
        foreign key (destination_uuid)
        references dbos.workflow_status (workflow_uuid)
        on update cascade
        on delete cascade
);

create index idx_workflow_topic
on dbos.notifications (destination_uuid, topic);

-- The present value of each event of a workflow.
create table dbos.workflow_events (
    workflow_uuid text not null,
    key text not null,
    value text not null,
    serialization text,
    constraint workflow_events_pkey primary key (workflow_uuid, key),
    constraint workflow_events_workflow_uuid_fkey
        foreign key (workflow_uuid)
        references dbos.workflow_status (workflow_uuid)
        on update cascade
        on delete cascade
);

-- Every value that an event has had, by the step that set it: what a
-- rewind goes back to.
create table dbos.workflow_events_history (
    workflow_uuid text not null,
    function_id int not null,
    key text not null,
    value text not null,
    serialization text,
    constraint workflow_events_history_pkey
        primary key (workflow_uuid, function_id, key),
    constraint workflow_events_history_workflow_uuid_fkey
        foreign key (workflow_uuid)
        references dbos.workflow_status (workflow_uuid)
        on update cascade
        on delete cascade
);

-- Append-only sequences of values that a workflow publishes.
create table dbos.streams (
    workflow_uuid text not null,
    key text not null,
    value text not null,
    "offset" int not null,
    function_id int not null default 0,
    serialization text,
    constraint streams_pkey primary key (workflow_uuid, key, "offset"),
    constraint streams_workflow_uuid_fkey
        foreign key (workflow_uuid)
        references dbos.workflow_status (workflow_uuid)
        on update cascade
        on delete cascade
);


-- What applications register.

-- The versions of each application; the latest runs workflows that name none.
create table dbos.application_versions (
    version_id text not null,
    version_name text not null,
    version_timestamp bigint not null
        default (extract(epoch from now()) * 1000.0)::bigint,
    created_at bigint not null
        default (extract(epoch from now()) * 1000.0)::bigint,
    application_name text,
    constraint application_versions_pkey primary key (version_id),
    constraint application_versions_version_name_key unique (version_name)
);

create unique index uq_application_versions_owner_version
on dbos.application_versions (application_name, version_name)
where application_name is not null;

create unique index uq_application_versions_unclaimed_version
on dbos.application_versions (version_name)
where application_name is null;

-- The queues and their limits.
create table dbos.queues (
    queue_id text not null default gen_random_uuid()::text,
    name text not null,
    concurrency int,
    worker_concurrency int,
    rate_limit_max int,
    rate_limit_period_sec double precision,
    priority_enabled boolean not null default false,
    partition_queue boolean not null default false,
    polling_interval_sec double precision not null default 1.0,
    created_at bigint not null
        default (extract(epoch from now()) * 1000.0)::bigint,
    updated_at bigint not null
        default (extract(epoch from now()) * 1000.0)::bigint,
    application_name text,
    partition_concurrency int,
    partition_worker_concurrency int,
    partition_rate_limit_max int,
    partition_rate_limit_period_sec double precision,
    constraint queues_pkey primary key (queue_id),
    constraint queues_name_key unique (name)
);

-- Workflows to be started by the clock.
create table dbos.workflow_schedules (
    schedule_id text not null,
    schedule_name text not null,
    workflow_name text not null,
    workflow_class_name text,
    schedule text not null,
    status text not null default 'ACTIVE',
    context text not null,
    last_fired_at text,
    automatic_backfill boolean not null default false,
    cron_timezone text,
    queue_name text,
    application_name text,
    constraint workflow_schedules_pkey primary key (schedule_id),
    constraint workflow_schedules_schedule_name_key unique (schedule_name)
);

-- How far each receiver of outside events has come.
create table dbos.event_dispatch_kv (
    service_name text not null,
    workflow_fn_name text not null,
    key text not null,
    value text,
    update_seq numeric(38, 0),
    update_time numeric(38, 15),
    constraint event_dispatch_kv_pkey
        primary key (service_name, workflow_fn_name, key)
);


-- Functions.  Their signatures, error texts and codes belong to the interface.

create function dbos.notifications_function()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    perform pg_notify('dbos_notifications_channel',
        new.destination_uuid || '::' || new.topic);
    return null;
end
$$;

-- Notifies a channel of a new message's destination and topic, at its commit.
create trigger dbos_notifications_trigger
after insert on dbos.notifications
for each row
execute function dbos.notifications_function();

-- Enqueues a workflow and returns its id.  Where the id exists, returns it and
-- ignores the other arguments.
create function dbos.enqueue_workflow(
    workflow_name text,
    queue_name text,
    positional_args json[] default array[]::json[],
    named_args json default '{}'::json,
    class_name text default null,
    config_name text default null,
    workflow_id text default null,
    app_version text default null,
    timeout_ms bigint default null,
    deadline_epoch_ms bigint default null,
    deduplication_id text default null,
    priority int default null,
    queue_partition_key text default null,
    authenticated_user text default null,
    authenticated_roles text default null,
    delay_until_epoch_ms bigint default null,
    application_name text default null
)
returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    id constant text := coalesce(workflow_id, gen_random_uuid()::text);
begin
    if coalesce(workflow_name, '') = '' then
        raise exception 'Workflow name cannot be null or empty';
    elsif coalesce(queue_name, '') = '' then
        raise exception 'Queue name cannot be null or empty';
    elsif jsonb_typeof(named_args::jsonb) <> 'object' then
        raise exception 'Named args must be a JSON object';
    elsif id = '' then
        raise exception
            'Workflow ID cannot be an empty string if provided.';
    elsif delay_until_epoch_ms < 0 then
        raise exception 'delay_until_epoch_ms must be >= 0';
    end if;

    -- Its times are the defaults of their columns.
    insert into dbos.workflow_status (workflow_uuid, status, name, class_name,
        config_name, serialization, queue_name, deduplication_id, priority,
        queue_partition_key, application_name, application_version,
        workflow_timeout_ms, workflow_deadline_epoch_ms,
        delay_until_epoch_ms, authenticated_user, authenticated_roles,
        owner_xid)
    values (id,
        case when delay_until_epoch_ms is null then 'ENQUEUED'
            else 'DELAYED' end,
        workflow_name, class_name, config_name, 'portable_json', queue_name,
        deduplication_id, coalesce(priority, 0), queue_partition_key,
        application_name, app_version, timeout_ms, deadline_epoch_ms,
        delay_until_epoch_ms, authenticated_user, authenticated_roles,
        gen_random_uuid()::text)
    on conflict (workflow_uuid) do update
    set updated_at = excluded.updated_at;

    insert into dbos.workflow_input (workflow_uuid, inputs)
    values (id, json_build_object('positionalArgs', positional_args,
        'namedArgs', named_args)::text)
    on conflict (workflow_uuid) do nothing;

    return id;
exception
    when unique_violation then
        raise exception 'DBOS queue duplicated'
        using errcode = 'unique_violation',
            detail = format('Workflow %s with queue %s and deduplication ID '
                '%s already exists', id, queue_name, deduplication_id);
end
$$;

-- Sends a message to a workflow; the same message id sends it only once.
create function dbos.send_message(
    destination_id text,
    message json,
    topic text default null,
    message_id text default null
)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    insert into dbos.notifications (message_uuid, destination_uuid, topic,
        message, serialization)
    values (coalesce(message_id, gen_random_uuid()::text), destination_id,
        coalesce(topic, '__null__topic__'), message::text, 'portable_json')
    on conflict (message_uuid) do nothing;
exception
    when foreign_key_violation then
        raise exception 'DBOS non-existent workflow'
        using errcode = 'foreign_key_violation',
            detail = format('Destination workflow %s does not exist',
                destination_id);
end
$$;


-- The version of this schema, as the family's upgrades count.
create table dbos.dbos_migrations (
    version bigint not null,
    constraint dbos_migrations_pkey primary key (version)
);

insert into dbos.dbos_migrations (version)
values (123);

\endif
