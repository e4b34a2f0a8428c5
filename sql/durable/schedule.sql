-- SPDX-License-Identifier: MIT
--
-- Schedules: rows of dbos.workflow_schedules, each of which enqueues a workflow
-- at the times of its cron expression (cron.sql).  What any program writes there
-- a trigger notes in durable.schedules, and the workers fire by this table.
--
-- Exactly once: the id of a workflow has the schedule and the time, so that of
-- all engines that fire it one inserts it; and the transaction that inserts it
-- says that the time is past.  Lock order: the row of dbos.workflow_schedules,
-- then the one of durable.schedules; a worker skips what is locked.

create table if not exists durable.schedules (
    schedule_name text not null constraint schedules_pkey primary key,
    workflow_name text not null,
    application_name text not null,
    past_ms bigint not null,
    next_at bigint,
    zone text,
    error text
);
comment on table durable.schedules is
    'One row per schedule that is ACTIVE.';
comment on column durable.schedules.schedule_name is
    'As in dbos.workflow_schedules.';
comment on column durable.schedules.workflow_name is
    'As in dbos.workflow_schedules.';
comment on column durable.schedules.application_name is
    'As in dbos.workflow_schedules; empty: no application''s.';
comment on column durable.schedules.past_ms is
    'Up to this time it has fired, in milliseconds since the epoch.';
comment on column durable.schedules.next_at is
    'When it fires next, in milliseconds since the epoch; past_ms: that is not '
    'known yet; null: never.';
comment on column durable.schedules.zone is
    'Its time zone as PostgreSQL has it; null: not known yet.';
comment on column durable.schedules.error is
    'Why it does not fire; null: it does.';

create index if not exists schedules_due on durable.schedules
    (workflow_name, application_name, next_at);

create or replace function durable.note_schedule()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    present_ms bigint := durable.now_ms();
begin
    if tg_op = 'TRUNCATE' then
        delete from durable.schedules;
        return null;
    end if;
    if tg_op = 'UPDATE' and old.status = 'ACTIVE' and (old.schedule,
        coalesce(old.cron_timezone, ''), old.status) = (new.schedule,
        coalesce(new.cron_timezone, ''), new.status) then
        -- Its times are as before, so that none is lost.
        update durable.schedules as p
        set schedule_name = new.schedule_name,
            workflow_name = new.workflow_name,
            application_name = coalesce(new.application_name, ''),
            next_at = p.past_ms,
            zone = null,
            error = null
        where p.schedule_name = old.schedule_name;
        return null;
    end if;
    if tg_op <> 'INSERT' then
        delete from durable.schedules as p
        where p.schedule_name = old.schedule_name;
    end if;
    if tg_op <> 'DELETE' and new.status = 'ACTIVE' then
        insert into durable.schedules (schedule_name, workflow_name,
            application_name, past_ms, next_at)
        values (new.schedule_name, new.workflow_name,
            coalesce(new.application_name, ''), present_ms, present_ms);
    end if;
    return null;
end
$$;
comment on function durable.note_schedule() is
    'Trigger on dbos.workflow_schedules: notes that a schedule is new, or '
    'another one, so that a worker looks when it fires.';

select pg_has_role(c.relowner, 'usage') as owned
from pg_class as c
where c.oid = 'dbos.workflow_schedules'::regclass \gset
\if :owned
\else
reset role;
\endif
create or replace trigger durable_note_schedule
after insert or delete on dbos.workflow_schedules
for each row
execute function durable.note_schedule();
create or replace trigger durable_note_schedule_update
after update on dbos.workflow_schedules
for each row
-- last_fired_at changes each time, and a program that registers its schedules
-- again when it starts changes nothing.
when ((old.schedule_name, old.workflow_name, old.schedule, old.status,
    old.context, old.cron_timezone, old.queue_name, old.application_name)
    is distinct from (new.schedule_name, new.workflow_name, new.schedule,
    new.status, new.context, new.cron_timezone, new.queue_name,
    new.application_name))
execute function durable.note_schedule();
create or replace trigger durable_note_schedule_truncate
after truncate on dbos.workflow_schedules
for each statement
execute function durable.note_schedule();
set role widget_store_owner;

-- What was registered before the engine was installed.
insert into durable.schedules (schedule_name, workflow_name, application_name,
    past_ms, next_at)
select w.schedule_name, w.workflow_name, coalesce(w.application_name, ''),
    n.present_ms, n.present_ms
from (select durable.now_ms() as present_ms) as n
cross join dbos.workflow_schedules as w
where w.status = 'ACTIVE'
on conflict do nothing;

create or replace function durable.iso_ms(at_ms bigint)
returns text
language sql
immutable
parallel safe
return to_char(timestamp 'epoch' + interval '1 ms' * at_ms,
    'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
comment on function durable.iso_ms(bigint) is
    'A time in milliseconds since the epoch as JavaScript''s toISOString has it.';

create or replace function durable.from_iso(at text)
returns bigint
language plpgsql
immutable
strict
set search_path = pg_catalog, pg_temp
as $$
begin
    return (extract(epoch from (at::timestamptz)) * 1000)::bigint;
exception
    when data_exception then
        return null;
end
$$;
comment on function durable.from_iso(text) is
    'A time in milliseconds since the epoch; null when the text is none.';

create or replace function durable.superjson_paths(node json, is_values boolean)
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
declare
    -- An array is about the value itself, an object about its members.
    root constant json := case when json_typeof(node) = 'array' and not is_values
        then node -> 0 end;
    members constant json := case when json_typeof(node) = 'object' then node
        when not is_values then node -> 1 end;
begin
    if node is null then
        return '';
    elsif json_typeof(node) not in ('object', 'array') then
        raise invalid_parameter_value using message = 'notes of no known kind';
    elsif json_typeof(node) = 'array' and is_values then
        return ',"1":' || node;
    end if;
    return concat(case when root is not null then ',"1":' || (
            select json_agg('1.' || r.path)
            from json_array_elements_text(root) as r (path)) end, (
        select string_agg(concat(',', to_json('1.' || m.key), ':',
            case when is_values then m.value else (
                select json_agg('1.' || r.path)
                from json_array_elements_text(m.value) as r (path)) end), '')
        from json_each(members) as m));
end
$$;
comment on function durable.superjson_paths(json, boolean) is
    'The members of superjson''s notes about a value (of the types in it, or of '
    'what in it is the same), for an array of which it is element 1.';

create or replace function durable.schedule_arguments(
    context text,
    out before text,
    out behind text,
    out serialization text
)
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
declare
    whole json := context::json;
    same text;
begin
    if json_typeof(whole) = 'object'
        and whole ->> '__dbos_serializer' = 'superjson' then
        same := durable.superjson_paths(whole -> 'meta'
            -> 'referentialEqualities', false);
        before := '{"json":["';
        behind := concat('",', coalesce((whole -> 'json')::text, 'null'),
            '],"meta":{"values":{"0":["Date"]', durable.superjson_paths(
            whole -> 'meta' -> 'values', true), '}',
            case when same <> '' then ',"referentialEqualities":{'
                || substr(same, 2) || '}' end,
            '},"__dbos_serializer":"superjson"}');
        serialization := 'js_superjson';
    else
        before := '{"positionalArgs":["';
        behind := concat('",', whole, ']}');
        serialization := 'portable_json';
    end if;
end
$$;
comment on function durable.schedule_arguments(text) is
    'What stands before and behind the time in the arguments of a scheduled '
    'workflow, and the format: the one that the context of its schedule has. '
    'A context that no SDK has written is plain JSON.';

create or replace function durable.schedule_version(owner text, workflow text)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return coalesce((
        select t.version
        from durable.types as t
        where t.application = owner
            and t.name = workflow
        order by durable.type_rank(t.application, t.version, t.registered_at)
            desc
        limit 1), (
        select v.version_name
        from dbos.application_versions as v
        where coalesce(v.application_name, owner) is not distinct from owner
            or owner is null
        order by v.version_timestamp desc
        limit 1));
end
$$;
comment on function durable.schedule_version(text, text) is
    'The version that a scheduled workflow gets: the latest one of its function '
    'or, where no daemon has registered that, of the application, as with the '
    'SDKs.';

create or replace function durable.enqueue_scheduled(
    schedules text[],
    times bigint[],
    kind text,
    application text
)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    with fired as materialized (
        select 'sched-' || n.schedule || '-' || kind || t.at as id,
            w.schedule_name, w.workflow_name, w.workflow_class_name,
            coalesce(nullif(w.queue_name, ''), '_dbos_internal_queue') as queue,
            o.owner, a.serialization,
            durable.schedule_version(o.owner, w.workflow_name) as version,
            a.before || t.at || a.behind as inputs
        from (
            select s.schedule, array_agg(durable.iso_ms(s.at_ms)) as at
            from unnest(schedules, times) as s (schedule, at_ms)
            group by s.schedule) as n
        join dbos.workflow_schedules as w on w.schedule_name = n.schedule
        cross join lateral (
            select coalesce(w.application_name, application, (
                select y.application
                from durable.types as y
                where y.name = w.workflow_name
                order by y.registered_at desc
                limit 1)) as owner
            offset 0) as o
        cross join lateral durable.schedule_arguments(w.context) as a
        cross join lateral unnest(n.at) as t (at)
    ), inserted as (
        insert into dbos.workflow_status (workflow_uuid, status, name,
            class_name, serialization, queue_name, executor_id,
            application_version, application_id, application_name,
            recovery_attempts, schedule_name, authenticated_user, assumed_role,
            authenticated_roles)
        select f.id, 'ENQUEUED', f.workflow_name,
            nullif(f.workflow_class_name, ''), f.serialization,
            f.queue, '', f.version, '', f.owner, 0, f.schedule_name, '', '',
            '[]'
        from fired as f
        where not exists (
            select from durable.retired_ids as r
            where r.workflow_uuid = f.id)
        -- As in every batch, so that none deadlocks.
        order by f.id
        on conflict (workflow_uuid) do nothing
    )
    -- Where the workflow was there, so is this.
    insert into dbos.workflow_input (workflow_uuid, inputs)
    select f.id, f.inputs
    from fired as f
    where not exists (
        select from durable.retired_ids as r
        where r.workflow_uuid = f.id)
    order by f.id
    on conflict (workflow_uuid) do nothing;
end
$$;
comment on function durable.enqueue_scheduled(text[], bigint[], text, text) is
    'Enqueues the workflows of schedules at times in milliseconds since the '
    'epoch, an element each, unless they are there. Where a schedule has no '
    'application they are of this one or, when it is null, of one that has such '
    'workflows. kind: what the ids have in front of the time.';
