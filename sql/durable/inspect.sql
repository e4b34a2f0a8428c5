-- SPDX-License-Identifier: MIT
--
-- What any program may read of workflows by SQL, whichever application runs
-- them.  Members of durable_client may call these functions, and so does the
-- command durable.

select to_regtype('durable.workflow') is null as missing \gset
\if :missing
create type durable.workflow as (
    workflow_id text,
    status text,
    name text,
    class_name text,
    config_name text,
    queue_name text,
    queue_partition_key text,
    priority int,
    deduplication_id text,
    application_name text,
    application_version text,
    executor_id text,
    parent_workflow_id text,
    forked_from text,
    schedule_name text,
    attributes jsonb,
    attempts bigint,
    timeout_ms bigint,
    created_at timestamptz,
    updated_at timestamptz,
    started_at timestamptz,
    completed_at timestamptz,
    delayed_until timestamptz,
    deadline_at timestamptz,
    input json,
    output json,
    error json
);
\endif
comment on type durable.workflow is
    'A workflow as durable.get_workflow and durable.list_workflows return it.';

create or replace function durable.as_time(ms bigint)
returns timestamptz
language sql
immutable
strict
parallel safe
set search_path = pg_catalog, pg_temp
return to_timestamp(ms / 1000.0);
comment on function durable.as_time(bigint) is
    'A time of milliseconds since the epoch.';

create or replace function durable.as_json(value text, serialization text)
returns json
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
begin
    if serialization = 'js_superjson' then
        return value::json -> 'json';
    end if;
    return value::json;
exception
    when data_exception or program_limit_exceeded then
        return to_json(value);
end
$$;
comment on function durable.as_json(text, text) is
    'A stored value as JSON: without the wrapping of js_superjson; a JSON string '
    'of the stored text for a format that is no JSON.';

create or replace function durable.describe(
    s dbos.workflow_status,
    with_values boolean
)
returns durable.workflow
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    w durable.workflow;
begin
    w := row(s.workflow_uuid, s.status, s.name, s.class_name, s.config_name,
        s.queue_name, s.queue_partition_key, s.priority, s.deduplication_id,
        s.application_name, s.application_version, nullif(s.executor_id, ''),
        s.parent_workflow_id, s.forked_from, s.schedule_name, s.attributes,
        s.recovery_attempts, s.workflow_timeout_ms,
        durable.as_time(s.created_at), durable.as_time(s.updated_at),
        durable.as_time(s.started_at_epoch_ms),
        durable.as_time(s.completed_at),
        durable.as_time(s.delay_until_epoch_ms),
        durable.as_time(s.workflow_deadline_epoch_ms), null, null, null);
    if with_values then
        w.input := durable.as_json(coalesce((
            select i.inputs
            from dbos.workflow_input as i
            where i.workflow_uuid = s.workflow_uuid), s.inputs),
            s.serialization);
        select durable.as_json(coalesce(max(o.output), s.output),
                s.serialization),
            durable.as_json(coalesce(max(o.error), s.error), s.serialization)
        into w.output, w.error
        from dbos.workflow_output as o
        where o.workflow_uuid = s.workflow_uuid;
    end if;
    return w;
end
$$;
comment on function durable.describe(dbos.workflow_status, boolean) is
    'A workflow for clients; with_values: with its input, output and error.';

create or replace function durable.get_workflow(workflow_id text)
returns setof durable.workflow
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select d.*
    from dbos.workflow_status as s
    cross join lateral durable.describe(s, true) as d
    where s.workflow_uuid = get_workflow.workflow_id;
end
$$;
comment on function durable.get_workflow(text) is
    'A workflow with its input and, when it has ended, its output or error; no '
    'row when there is none of this id. Does not wait.';

create or replace function durable.list_workflows(
    status text[] default null,
    name text default null,
    queue_name text default null,
    application_name text default null,
    created_from timestamptz default null,
    created_until timestamptz default null,
    id_prefix text default null,
    max_rows int default 100,
    skip_rows int default 0,
    with_values boolean default false
)
returns setof durable.workflow
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
-- A plan for the values of each call, because partial indexes serve some.
set plan_cache_mode = force_custom_plan
set jit = off
as $$
#variable_conflict use_column
declare
    one text := case when cardinality(list_workflows.status) = 1
        then list_workflows.status[1] end;
    several text[] := case when one is null then list_workflows.status end;
    from_ms bigint := ceil(extract(epoch from created_from) * 1000);
    until_ms bigint := ceil(extract(epoch from created_until) * 1000);
    pattern text := regexp_replace(id_prefix, '([\\%_])', '\\\1', 'g') || '%';
begin
    return query
    select d.*
    from (
        select s
        from dbos.workflow_status as s
        where (one is null or s.status = one)
            and (several is null or s.status = any (several))
            and (list_workflows.name is null or s.name = list_workflows.name)
            and (list_workflows.queue_name is null
                or s.queue_name = list_workflows.queue_name)
            and (list_workflows.application_name is null
                or s.application_name = list_workflows.application_name)
            and (from_ms is null or s.created_at >= from_ms)
            and (until_ms is null or s.created_at < until_ms)
            and (pattern is null or s.workflow_uuid like pattern)
        order by s.created_at desc, s.workflow_uuid desc
        limit max_rows
        offset skip_rows) as n
    cross join lateral durable.describe(n.s, with_values) as d;
end
$$;
comment on function durable.list_workflows(text[], text, text, text,
    timestamptz, timestamptz, text, int, int, boolean) is
    'Workflows that pass all filters, of which those that are null pass '
    'everything, the newest first; created_until is exclusive. Fast in a large '
    'table: no filter, created_from, created_until, and a status that is not '
    'SUCCESS; name, queue_name and application_name where their workflows are '
    'frequent among those; id_prefix in a database of collation C. Others may '
    'read the whole table: set statement_timeout.';

create or replace function durable.list_steps(workflow_id text)
returns table (
    step int,
    name text,
    output json,
    error json,
    child_workflow_id text,
    started_at timestamptz,
    completed_at timestamptz
)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    return query
    select o.function_id, o.function_name,
        durable.as_json(o.output, o.serialization),
        durable.as_json(o.error, o.serialization), o.child_workflow_id,
        durable.as_time(o.started_at_epoch_ms),
        durable.as_time(o.completed_at_epoch_ms)
    from dbos.operation_outputs as o
    where o.workflow_uuid = list_steps.workflow_id
    order by o.function_id;
end
$$;
comment on function durable.list_steps(text) is
    'The journal of a workflow: its steps, in their order.';

create or replace function durable.get_event(workflow_id text, key text)
returns json
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    return (
        select durable.as_json(e.value, e.serialization)
        from dbos.workflow_events as e
        where e.workflow_uuid = get_event.workflow_id
            and e.key = get_event.key);
end
$$;
comment on function durable.get_event(text, text) is
    'The value of an event of a workflow, or null: it is not set. Does not wait.';

create or replace function durable.read_stream(
    workflow_id text,
    key text,
    from_offset int default 0,
    max_rows int default 1000
)
returns table ("offset" int, value json)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    return query
    select s."offset", durable.as_json(s.value, s.serialization)
    from dbos.streams as s
    where s.workflow_uuid = read_stream.workflow_id
        and s.key = read_stream.key
        and s."offset" >= from_offset
        and s.value not in ('__DBOS_STREAM_CLOSED__',
            '"__DBOS_STREAM_CLOSED__"')
    order by s."offset"
    limit max_rows;
end
$$;
comment on function durable.read_stream(text, text, int, int) is
    'The values of a stream of a workflow from an offset on, as far as they are '
    'written. Does not wait.';

create or replace function durable.list_queues()
returns table (
    name text,
    application_name text,
    registered boolean,
    enqueued bigint,
    running bigint,
    concurrency int,
    worker_concurrency int,
    rate_limit_max int,
    rate_limit_period_sec double precision,
    partition_queue boolean,
    partition_concurrency int,
    partition_worker_concurrency int,
    partition_rate_limit_max int,
    partition_rate_limit_period_sec double precision
)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    most constant int := 10000;
    names text[];
begin
    select array_agg(distinct n.name order by n.name)
    into names
    from (
        select u.name from durable.used_queues() as u (name)
        union all
        select q.name from dbos.queues as q) as n;
    return query
    select n.name, q.application_name, q.name is not null,
        (select count(*)
        from (
            select from dbos.workflow_status as s
            where s.queue_name = n.name
                and s.status = 'ENQUEUED'
            limit most) as e),
        (select count(*)
        from (
            select from dbos.workflow_status as s
            where s.queue_name = n.name
                and s.status = 'PENDING'
            limit most) as r),
        q.concurrency, q.worker_concurrency, q.rate_limit_max,
        q.rate_limit_period_sec, q.partition_queue, q.partition_concurrency,
        q.partition_worker_concurrency, q.partition_rate_limit_max,
        q.partition_rate_limit_period_sec
    from unnest(names) with ordinality as n (name, place)
    left join lateral (
        select q.*
        from dbos.queues as q
        where q.name = n.name
        offset 0) as q on true
    order by n.place;
end
$$;
comment on function durable.list_queues() is
    'The queues that are registered, with their limits, and those that have '
    'workflows: how many are enqueued, and how many have begun and not ended, '
    'each counted to 10000.';

create or replace function durable.client_metrics()
returns table (name text, value double precision)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    since_ms bigint := durable.now_ms() - 5000;
begin
    return query
    select m.name, m.value
    from durable.metrics() as m
    where m.labels = '';
    return query
    select 'steps_per_second', count(*) / 5::double precision
    from (
        select from dbos.operation_outputs as o
        where o.completed_at_epoch_ms >= since_ms
        limit 100000) as o;
    return query
    select 'ended_per_second', count(*) / 5::double precision
    from (
        select from dbos.workflow_status as s
        where s.completed_at >= since_ms
        limit 100000) as s;
    return query
    select 'commits', pg_stat_get_db_xact_commit(d.oid)::double precision
    from pg_database as d
    where d.datname = current_database();
end
$$;
comment on function durable.client_metrics() is
    'durable.metrics, and besides the rates of the last five seconds: steps and '
    'ended workflows a second (each counted to 100000); and the commits in this '
    'database since its statistics were reset.';


grant execute on function
    durable.get_workflow(text),
    durable.list_workflows(text[], text, text, text, timestamptz, timestamptz,
        text, int, int, boolean),
    durable.list_steps(text),
    durable.get_event(text, text),
    durable.read_stream(text, text, int, int),
    durable.list_queues(),
    durable.client_metrics(),
    durable.version()
to durable_client;
