-- SPDX-License-Identifier: MIT
--
-- What people and programs call for schedules (schedule.sql).

create or replace function durable.create_schedule(
    name text,
    workflow text,
    schedule text,
    context json default 'null',
    timezone text default null,
    queue text default null,
    application text default null,
    class_name text default null,
    automatic_backfill boolean default false,
    replace boolean default false
)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    owner text;
begin
    perform durable.cron_parse(create_schedule.schedule);
    perform durable.cron_zone(create_schedule.timezone);
    insert into dbos.workflow_schedules as w (schedule_id, schedule_name,
        workflow_name, workflow_class_name, schedule, context,
        automatic_backfill, cron_timezone, queue_name, application_name)
    values (gen_random_uuid()::text, create_schedule.name,
        create_schedule.workflow, coalesce(create_schedule.class_name, ''),
        create_schedule.schedule, '{"json":' || create_schedule.context
            || ',"__dbos_serializer":"superjson"}',
        create_schedule.automatic_backfill, create_schedule.timezone,
        create_schedule.queue, create_schedule.application)
    on conflict (schedule_name) do update
    set workflow_name = excluded.workflow_name,
        workflow_class_name = excluded.workflow_class_name,
        schedule = excluded.schedule,
        context = excluded.context,
        automatic_backfill = excluded.automatic_backfill,
        cron_timezone = excluded.cron_timezone,
        queue_name = excluded.queue_name,
        application_name = coalesce(w.application_name,
            excluded.application_name)
    where create_schedule.replace
        and coalesce(w.application_name, excluded.application_name)
            is not distinct from coalesce(excluded.application_name,
                w.application_name);
    if not found then
        select coalesce(' of application ' || w.application_name, '')
        into owner
        from dbos.workflow_schedules as w
        where w.schedule_name = create_schedule.name;
        raise unique_violation using message =
            format('there is a schedule "%s"%s', name, owner);
    end if;
end
$$;
comment on function durable.create_schedule(text, text, text, json, text, text,
    text, text, boolean, boolean) is
    'Registers a schedule, ACTIVE: when it fires it enqueues the workflow with '
    'the time and the context as arguments. schedule: a cron expression '
    '(durable.cron_parse); timezone: null is UTC; queue: null is the internal '
    'one; application: null is whichever runs the workflow; automatic_backfill: '
    'times are made up for at which no daemon lived. replace: one of this name '
    'is changed, and goes on, or stays PAUSED; else it is a unique_violation. '
    'Raises invalid_parameter_value for what is no schedule or time zone.';

create or replace function durable.set_schedule_status(name text, status text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    update dbos.workflow_schedules as w
    set status = set_schedule_status.status
    where w.schedule_name = set_schedule_status.name;
    if not found then
        raise no_data_found using message =
            format('there is no schedule "%s"', name);
    end if;
end
$$;
comment on function durable.set_schedule_status(text, text) is
    'Raises no_data_found when there is no such schedule.';

create or replace function durable.pause_schedule(name text)
returns void
language sql
security definer
set search_path = pg_catalog, pg_temp
return durable.set_schedule_status(name, 'PAUSED');
comment on function durable.pause_schedule(text) is
    'A schedule fires no more until durable.resume_schedule. Raises '
    'no_data_found when there is none.';

create or replace function durable.resume_schedule(name text)
returns void
language sql
security definer
set search_path = pg_catalog, pg_temp
return durable.set_schedule_status(name, 'ACTIVE');
comment on function durable.resume_schedule(text) is
    'A schedule fires again, from the next time on or, with automatic_backfill, '
    'from the last time that it fired. Raises no_data_found when there is none.';

create or replace function durable.delete_schedule(name text)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    delete from dbos.workflow_schedules as w
    where w.schedule_name = delete_schedule.name;
    if not found then
        raise no_data_found using message =
            format('there is no schedule "%s"', name);
    end if;
end
$$;
comment on function durable.delete_schedule(text) is
    'Deletes a schedule, and none of its workflows. Raises no_data_found when '
    'there is none.';

create or replace function durable.trigger_schedule(name text)
returns text
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    at_ms bigint := durable.now_ms();
    id text;
begin
    -- One at a time, so that each has a time of its own.
    perform from dbos.workflow_schedules as w
    where w.schedule_name = trigger_schedule.name
    for update;
    if not found then
        raise no_data_found using message =
            format('there is no schedule "%s"', name);
    end if;
    loop
        id := 'sched-' || name || '-trigger-' || durable.iso_ms(at_ms);
        exit when not exists (
            select from dbos.workflow_status as s where s.workflow_uuid = id);
        at_ms := at_ms + 1;
    end loop;
    perform durable.enqueue_scheduled(array[name], array[at_ms], 'trigger-',
        null);
    return id;
end
$$;
comment on function durable.trigger_schedule(text) is
    'Enqueues the workflow of a schedule now, also of a PAUSED one, and returns '
    'its id. Raises no_data_found when there is no such schedule.';

create or replace function durable.backfill_schedule(
    name text,
    "from" timestamptz,
    until timestamptz
)
returns setof text
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    most constant int := 1000;
    past_ms bigint := floor(extract(epoch from "from") * 1000);
    until_ms bigint := ceil(extract(epoch from until) * 1000) - 1;
    found_schedule record;
    found_times record;
begin
    select w.schedule, durable.cron_zone(w.cron_timezone) as zone
    into found_schedule
    from dbos.workflow_schedules as w
    where w.schedule_name = backfill_schedule.name;
    if not found then
        raise no_data_found using message =
            format('there is no schedule "%s"', name);
    end if;
    perform durable.cron_parse(found_schedule.schedule);
    loop
        select t.times, t.past_ms
        into found_times
        from durable.schedule_times(found_schedule.schedule,
            found_schedule.zone, past_ms, until_ms, most) as t;
        perform durable.enqueue_scheduled(array_fill(name, array[cardinality(
            found_times.times)]), found_times.times, '', null);
        return query
        select 'sched-' || name || '-' || durable.iso_ms(t.at_ms)
        from unnest(found_times.times) with ordinality as t (at_ms, place)
        order by t.place;
        exit when cardinality(found_times.times) < most;
        past_ms := found_times.past_ms;
    end loop;
end
$$;
comment on function durable.backfill_schedule(text, timestamptz, timestamptz) is
    'Enqueues the workflows of a schedule for all its times after from and '
    'before until, unless they are there, and returns their ids. Raises '
    'no_data_found when there is no such schedule.';

create or replace function durable.list_schedules()
returns table (
    name text,
    status text,
    schedule text,
    workflow_name text,
    queue_name text,
    application_name text,
    cron_timezone text,
    automatic_backfill boolean,
    last_fired_at timestamptz,
    next_at timestamptz,
    error text
)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    return query
    select w.schedule_name, w.status, w.schedule, w.workflow_name,
        w.queue_name, w.application_name, w.cron_timezone,
        w.automatic_backfill,
        to_timestamp(durable.from_iso(w.last_fired_at) / 1000.0),
        to_timestamp(nullif(p.next_at, p.past_ms) / 1000.0), p.error
    from dbos.workflow_schedules as w
    left join durable.schedules as p on p.schedule_name = w.schedule_name
    order by w.schedule_name;
end
$$;
comment on function durable.list_schedules() is
    'All schedules. next_at: null when it is PAUSED, fires never, or no daemon '
    'has looked at it yet; error: why an ACTIVE one does not fire.';


grant execute on function
    durable.create_schedule(text, text, text, json, text, text, text, text,
        boolean, boolean),
    durable.pause_schedule(text),
    durable.resume_schedule(text),
    durable.delete_schedule(text),
    durable.trigger_schedule(text),
    durable.backfill_schedule(text, timestamptz, timestamptz),
    durable.list_schedules()
to durable_client;
