-- SPDX-License-Identifier: MIT
--
-- The client half: what a process calls that runs no workflows.

create or replace function durable.client_submit(
    start_ids text[],
    start_names text[],
    start_queues text[],
    start_inputs text[],
    application text,
    send_ids text[],
    send_names text[],
    send_topics text[],
    send_messages text[],
    send_keys text[]
)
returns table (kind text, "position" int, outcome text)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    created text[];
    sent text[];
begin
    if start_ids <> '{}' then
        -- The courier notifies behind its commit.
        perform set_config('durable.has_announced', 'true', true);
        -- In the order of the ids, as in every batch, so that none deadlocks.
        with inserted as (
            insert into dbos.workflow_status (workflow_uuid, status, name,
                serialization, queue_name, executor_id, application_id,
                application_name, recovery_attempts, creator_xid,
                authenticated_user, assumed_role)
            select distinct on (n.id) n.id, 'ENQUEUED', n.name, 'portable_json',
                n.queue, '', '', application, 0, gen_random_uuid()::text, '', ''
            from unnest(start_ids, start_names, start_queues)
                as n (id, name, queue)
            where not exists (
                select from durable.retired_ids as r
                where r.workflow_uuid = n.id)
            order by n.id
            on conflict (workflow_uuid) do nothing
            returning workflow_uuid
        ), given as (
            insert into dbos.workflow_input (workflow_uuid, inputs)
            select distinct on (n.id) n.id,
                case when n.input is null then '{"positionalArgs":[]}'
                    else '{"positionalArgs":[' || n.input || ']}' end
            from unnest(start_ids, start_inputs) as n (id, input)
            where n.id in (select i.workflow_uuid from inserted as i)
            on conflict (workflow_uuid) do update
            set inputs = excluded.inputs
        )
        select coalesce(array_agg(i.workflow_uuid), '{}')
        into created
        from inserted as i;
    end if;
    if cardinality(created) = cardinality(start_ids) then
        return query
        select 'start'::text, place, 'created'::text
        from generate_series(1, cardinality(created)) as place;
    elsif start_ids <> '{}' then
        return query
        select 'start'::text, n.place::int,
            case when s.name <> n.name then 'conflict'
                when n.id = any (created) then 'created'
                when s.workflow_uuid is not null then 'exists'
                when (
                    select true
                    from durable.retired_ids as r
                    where r.workflow_uuid = n.id) then 'retired'
                -- It was deleted just now.
                else 'busy' end
        from unnest(start_ids, start_names)
            with ordinality as n (id, name, place)
        left join dbos.workflow_status as s on s.workflow_uuid = n.id;
    end if;
    if send_ids <> '{}' then
        -- Skip workflows that a turn has locked, so that no batch waits for a
        -- turn.
        with free as materialized (
            select s.workflow_uuid as id, s.name
            from dbos.workflow_status as s
            where s.workflow_uuid = any (send_ids)
            for key share skip locked
        ), inserted as (
            insert into dbos.notifications (message_uuid, destination_uuid,
                topic,
                message, serialization)
            select distinct on (n.id, n.key) n.key || '::' || n.id, n.id,
                n.topic,
                n.message, 'portable_json'
            from unnest(send_ids, send_names, send_topics, send_messages,
                send_keys) as n (id, name, topic, message, key)
            join free as f on f.id = n.id
            where f.name = n.name
            order by n.id, n.key
            on conflict (message_uuid) do nothing
            returning message_uuid
        )
        select coalesce(array_agg(i.message_uuid), '{}')
        into sent
        from inserted as i;
    end if;
    if cardinality(sent) = cardinality(send_ids) then
        return query
        select 'send'::text, place, 'sent'::text
        from generate_series(1, cardinality(sent)) as place;
    elsif send_ids <> '{}' then
        return query
        select 'send'::text, n.place::int,
            case when s.workflow_uuid is null then 'unknown'
                when n.key || '::' || n.id = any (sent) then 'sent'
                -- No exists, which the planner may answer by reading all rows.
                when (
                    select true
                    from dbos.notifications as m
                    where m.message_uuid = n.key || '::' || n.id) then 'exists'
                else 'busy' end
        from unnest(send_ids, send_names, send_keys)
            with ordinality as n (id, name, key, place)
        left join dbos.workflow_status as s
            on s.workflow_uuid = n.id
            and s.name = n.name;
    end if;
end
$$;
comment on function durable.client_submit(text[], text[], text[], text[],
    text, text[], text[], text[], text[], text[]) is
    'Called by a client''s courier, as in the web. Enqueues workflows and '
    'sends messages, each once per id or per id and key; the arrays of either '
    'kind have one element per call. Inputs and messages are JSON texts; a '
    'null input is no argument. Returns a row per call: its kind (start, '
    'send), its position from 1, and its outcome. start: created, exists, '
    'conflict (the id is that of a workflow of another name), retired (of one that '
    'has ended and was deleted: see durable.retired_ids), or busy (start it '
    'again). send: sent, '
    'exists, unknown (no workflow of this id and name), or busy (a turn has '
    'locked the workflow: send again).';

create or replace function durable.client_events(ids text[], keys text[])
returns table (
    "position" int,
    present boolean,
    value text,
    serialization text
)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    return query
    select n.place::int, e.workflow_uuid is not null, e.value,
        e.serialization
    from unnest(ids, keys) with ordinality as n (id, key, place)
    left join dbos.workflow_events as e
        on e.workflow_uuid = n.id
        and e.key = n.key
    left join dbos.workflow_status as s on s.workflow_uuid = n.id
    where e.workflow_uuid is not null
        or s.workflow_uuid is null
        or s.status not in ('PENDING', 'ENQUEUED', 'DELAYED');
end
$$;
comment on function durable.client_events(text[], text[]) is
    'Called by a client''s courier. Returns a row for each event that is '
    'decided, with its position from 1: present, with its value and the format '
    'of that; or not present, because the workflow has ended or does not exist '
    'and will not set it. No row: the event may still come.';


-- State of the engine, for an operator.

create or replace function durable.is_json(value text)
returns boolean
language plpgsql
immutable
strict
set search_path = pg_catalog, pg_temp
as $$
begin
    -- jsonb, because json takes escapes that no text can hold, as \u0000.
    perform value::jsonb;
    return true;
exception
    when data_exception or program_limit_exceeded then
        return false;
end
$$;
comment on function durable.is_json(text) is
    'Returns whether a stored value is JSON that PostgreSQL can read. Called by '
    'the audit, whose role is an administrator or a member of '
    'pg_read_all_data.';

create or replace function durable.daemon_workers()
returns bigint
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
begin atomic
    select count(*)
    from pg_locks as l
    join pg_stat_activity as a on a.pid = l.pid
    where l.locktype = 'advisory'
        and l.database = (
            select d.oid from pg_database as d
            where d.datname = current_database())
        and l.classid = 1146442305
        and l.objid = 1
        and l.granted
        -- Both columns are null for an owner that may not see them.
        and (a.state is null
            or a.state = 'active'
            or a.state_change > clock_timestamp() - interval '4 s');
end;
comment on function durable.daemon_workers() is
    'Returns the number of the daemon''s workers that can run workflows: each '
    'holds a shared advisory lock as long as its session lasts, and sends a '
    'statement or a Sync at least once a second, unless its process is frozen. '
    'Called by durable.daemon_alive and durable.metrics.';

create or replace function durable.daemon_alive()
returns boolean
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
return durable.daemon_workers() > 0;
comment on function durable.daemon_alive() is
    'Returns whether a worker of the daemon can run workflows. Called by the '
    'web for /readyz.';


-- Grants.

grant execute on function
    durable.client_submit(text[], text[], text[], text[], text, text[],
        text[], text[], text[], text[]),
    durable.client_events(text[], text[]),
    durable.daemon_alive()
to widget_store_web;
grant execute on function durable.is_json(text)
to pg_read_all_data;
