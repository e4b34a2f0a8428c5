-- SPDX-License-Identifier: MIT
--
-- What any program may do to workflows by SQL, whichever application runs them:
-- start, signal and control them.  Members of durable_client may call these
-- functions, and so does the command durable.  They do to the tables what the
-- clients of the DBOS SDKs do.

create or replace function durable.start_workflow(
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
    application_name text default null,
    delay_ms bigint default null,
    attributes jsonb default null,
    join_duplicate boolean default false
)
returns text
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    known text;
    id text := coalesce(workflow_id, gen_random_uuid()::text);
begin
    select s.name
    into known
    from dbos.workflow_status as s
    where s.workflow_uuid = id;
    if known <> workflow_name then
        raise exception 'workflow id ''%'' belongs to a workflow ''%''', id,
            known
        using errcode = 'unique_violation';
    elsif known is not null then
        return id;
    end if;
    begin
        perform dbos.enqueue_workflow(workflow_name, queue_name,
            positional_args, named_args, class_name, config_name, id,
            app_version, timeout_ms, deadline_epoch_ms, deduplication_id,
            priority, queue_partition_key, authenticated_user,
            authenticated_roles,
            coalesce(delay_until_epoch_ms, durable.now_ms() + delay_ms),
            application_name);
    exception
        when unique_violation then
            select s.workflow_uuid
            into known
            from dbos.workflow_status as s
            where s.queue_name = start_workflow.queue_name
                and s.deduplication_id = start_workflow.deduplication_id;
            if join_duplicate and known is not null then
                return known;
            end if;
            raise;
    end;
    if attributes is not null then
        update dbos.workflow_status as s
        set attributes = start_workflow.attributes
        where s.workflow_uuid = id
            and s.attributes is null;
    end if;
    return id;
end
$$;
comment on function durable.start_workflow(text, text, json[], json, text, text,
    text, text, bigint, bigint, text, int, text, text, text, bigint, text,
    bigint, jsonb, boolean) is
    'Enqueues a workflow and returns its id: dbos.enqueue_workflow with the same '
    'names and, beyond these, delay_ms, attributes, and join_duplicate, which '
    'returns the workflow that the queue has of this deduplication id instead of '
    'failing. A known id starts nothing; of a workflow of another name it fails '
    'with unique_violation.';

create or replace function durable.send_message(
    workflow_id text,
    message json,
    topic text default null,
    idempotency_key text default null
)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform dbos.send_message(workflow_id, message, topic,
        idempotency_key || '::' || workflow_id);
end
$$;
comment on function durable.send_message(text, json, text, text) is
    'Sends a message to a workflow, once for each idempotency key; fails with '
    'foreign_key_violation when there is no such workflow.';

create or replace function durable.status_of(id text)
returns text
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select s.status
        from dbos.workflow_status as s
        where s.workflow_uuid = id);
end
$$;
comment on function durable.status_of(text) is
    'The status of a workflow, or null: there is none of this id.';

create or replace function durable.cancel_workflow(
    workflow_id text,
    children boolean default false
)
returns text
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform durable.control(array[workflow_id],
        array[case when children then 'cancel family' else 'cancel' end]);
    return durable.status_of(workflow_id);
end
$$;
comment on function durable.cancel_workflow(text, boolean) is
    'Cancels a workflow unless it has ended by itself; with children also all '
    'that it has started. Returns its status, or null: there is no such workflow.';

create or replace function durable.resume_workflow(workflow_id text)
returns text
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform durable.control(array[workflow_id], array['resume']);
    return durable.status_of(workflow_id);
end
$$;
comment on function durable.resume_workflow(text) is
    'Enqueues a workflow again, unless it has ended by itself: it goes on behind '
    'its last step. Returns its status, or null: there is no such workflow.';

create or replace function durable.delete_workflow(
    workflow_id text,
    children boolean default false
)
returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    ids text[] := array[workflow_id];
    parents text[] := ids;
    found boolean := durable.status_of(workflow_id) is not null;
begin
    while children and parents <> '{}' loop
        parents := array(
            select s.workflow_uuid
            from dbos.workflow_status as s
            where s.parent_workflow_id = any (parents)
                and s.workflow_uuid <> all (ids));
        ids := ids || parents;
    end loop;
    -- A trigger deletes what belongs to it.
    delete from dbos.workflow_status as s
    where s.workflow_uuid = any (ids);
    return found;
end
$$;
comment on function durable.delete_workflow(text, boolean) is
    'Deletes a workflow with its journal, messages, events and streams; with '
    'children also all that it has started. Returns whether there was one.';

create or replace function durable.fork_workflow(
    workflow_id text,
    start_step int default 0,
    new_workflow_id text default null,
    app_version text default null
)
returns text
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    fork text := coalesce(new_workflow_id, gen_random_uuid()::text);
begin
    if exists (
        select from dbos.workflow_status as s
        where s.workflow_uuid = new_workflow_id
            and s.forked_from = fork_workflow.workflow_id)
    then
        return new_workflow_id;
    end if;
    -- As the clients of the DBOS SDKs do it.
    insert into dbos.workflow_status (workflow_uuid, status, name, class_name,
        config_name, queue_name, authenticated_user, assumed_role,
        authenticated_roles, application_version, application_id, forked_from,
        serialization, attributes, application_name)
    select fork, 'ENQUEUED', s.name, s.class_name, s.config_name,
        '_dbos_internal_queue', s.authenticated_user, s.assumed_role,
        s.authenticated_roles, coalesce(app_version, s.application_version),
        s.application_id, s.workflow_uuid, s.serialization, s.attributes,
        s.application_name
    from dbos.workflow_status as s
    where s.workflow_uuid = fork_workflow.workflow_id
    -- So that it is not deleted before its steps are copied.
    for share;
    if not found then
        return null;
    end if;
    insert into dbos.workflow_input (workflow_uuid, inputs)
    select fork, coalesce(i.inputs, s.inputs)
    from dbos.workflow_status as s
    left join dbos.workflow_input as i on i.workflow_uuid = s.workflow_uuid
    where s.workflow_uuid = fork_workflow.workflow_id;
    update dbos.workflow_status as s
    set was_forked_from = true
    where s.workflow_uuid = fork_workflow.workflow_id;
    insert into dbos.operation_outputs (workflow_uuid, function_id, output,
        error, serialization, function_name, child_workflow_id,
        started_at_epoch_ms, completed_at_epoch_ms, application_name)
    select fork, o.function_id, o.output, o.error, o.serialization,
        o.function_name, o.child_workflow_id, o.started_at_epoch_ms,
        o.completed_at_epoch_ms, o.application_name
    from dbos.operation_outputs as o
    where o.workflow_uuid = fork_workflow.workflow_id
        and o.function_id < start_step;
    insert into dbos.streams (workflow_uuid, key, value, serialization,
        "offset", function_id)
    select fork, s.key, s.value, s.serialization, s."offset", s.function_id
    from dbos.streams as s
    where s.workflow_uuid = fork_workflow.workflow_id
        and s.function_id < start_step;
    insert into dbos.workflow_events_history (workflow_uuid, function_id, key,
        value, serialization)
    select fork, h.function_id, h.key, h.value, h.serialization
    from dbos.workflow_events_history as h
    where h.workflow_uuid = fork_workflow.workflow_id
        and h.function_id < start_step;
    insert into dbos.workflow_events (workflow_uuid, key, value, serialization)
    select distinct on (h.key) fork, h.key, h.value, h.serialization
    from dbos.workflow_events_history as h
    where h.workflow_uuid = fork
    order by h.key, h.function_id desc;
    return fork;
end
$$;
comment on function durable.fork_workflow(text, int, text, text) is
    'Enqueues a copy of a workflow with its steps before start_step, from where '
    'the copy goes on. Returns the id of the copy, or null: there is no such '
    'workflow. A new id that is a copy of it copies nothing again; that of another '
    'workflow fails with unique_violation.';

create or replace function durable.register_queue(
    name text,
    concurrency int default null,
    worker_concurrency int default null,
    rate_limit_max int default null,
    rate_limit_period_sec double precision default null,
    partition_queue boolean default false,
    partition_concurrency int default null,
    partition_worker_concurrency int default null,
    partition_rate_limit_max int default null,
    partition_rate_limit_period_sec double precision default null,
    polling_interval_sec double precision default 1,
    application_name text default null
)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    insert into dbos.queues as q (name, concurrency, worker_concurrency,
        rate_limit_max, rate_limit_period_sec, priority_enabled,
        partition_queue, partition_concurrency, partition_worker_concurrency,
        partition_rate_limit_max, partition_rate_limit_period_sec,
        polling_interval_sec, application_name)
    values (register_queue.name, register_queue.concurrency,
        register_queue.worker_concurrency, register_queue.rate_limit_max,
        register_queue.rate_limit_period_sec, true,
        register_queue.partition_queue, register_queue.partition_concurrency,
        register_queue.partition_worker_concurrency,
        register_queue.partition_rate_limit_max,
        register_queue.partition_rate_limit_period_sec,
        register_queue.polling_interval_sec, register_queue.application_name)
    on conflict (name) do update
    set concurrency = excluded.concurrency,
        worker_concurrency = excluded.worker_concurrency,
        rate_limit_max = excluded.rate_limit_max,
        rate_limit_period_sec = excluded.rate_limit_period_sec,
        partition_queue = excluded.partition_queue,
        partition_concurrency = excluded.partition_concurrency,
        partition_worker_concurrency = excluded.partition_worker_concurrency,
        partition_rate_limit_max = excluded.partition_rate_limit_max,
        partition_rate_limit_period_sec
            = excluded.partition_rate_limit_period_sec,
        polling_interval_sec = excluded.polling_interval_sec,
        updated_at = durable.now_ms(),
        application_name = coalesce(q.application_name,
            excluded.application_name)
    where q.application_name is null
        or excluded.application_name is null
        or q.application_name = excluded.application_name;
    if not found then
        raise exception 'queue ''%'' belongs to another application',
            register_queue.name
        using errcode = 'unique_violation';
    end if;
end
$$;
comment on function durable.register_queue(text, int, int, int, double precision,
    boolean, int, int, int, double precision, double precision, text) is
    'Registers a queue, or replaces its limits; null is no limit. Fails with '
    'unique_violation when the queue is another application''s.';


grant execute on function
    durable.start_workflow(text, text, json[], json, text, text, text, text,
        bigint, bigint, text, int, text, text, text, bigint, text, bigint,
        jsonb, boolean),
    durable.send_message(text, json, text, text),
    durable.cancel_workflow(text, boolean),
    durable.resume_workflow(text),
    durable.fork_workflow(text, int, text, text),
    durable.delete_workflow(text, boolean),
    durable.register_queue(text, int, int, int, double precision, boolean, int,
        int, int, double precision, double precision, text)
to durable_client;
