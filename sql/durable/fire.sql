-- SPDX-License-Identifier: MIT
--
-- What a worker calls to fire schedules (schedule.sql).

create or replace function durable.schedule_times(
    expression text,
    zone text,
    after_ms bigint,
    present_ms bigint,
    most int,
    out times bigint[],
    out past_ms bigint,
    out next_at bigint,
    out error text
)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    cron durable.cron;
begin
    past_ms := after_ms;
    cron := durable.cron_parse(expression);
    times := '{}';
    loop
        -- From the whole second, and so not the one that is past.
        next_at := 1000 * durable.cron_next(cron, zone,
            div(past_ms::numeric, 1000)::bigint);
        exit when next_at is null or next_at > present_ms
            or cardinality(times) >= most;
        times := times || next_at;
        past_ms := next_at;
    end loop;
exception
    when data_exception then
        error := sqlerrm;
end
$$;
comment on function durable.schedule_times(text, text, bigint, bigint, int) is
    'The first times, most at most, at which a schedule fires after after_ms and '
    'up to present_ms; the last of them, or after_ms; and the next one. All in '
    'milliseconds since the epoch. Or else why the cron expression is none.';

create or replace function durable.read_schedule(
    timezone text,
    context text,
    out zone text,
    out error text
)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    error := 'its context is not readable';
    perform durable.schedule_arguments(context);
    error := null;
    zone := durable.cron_zone(timezone);
exception
    when data_exception then
        error := coalesce(error, sqlerrm);
end
$$;
comment on function durable.read_schedule(text, text) is
    'The time zone of a schedule as PostgreSQL has it, or why it cannot fire.';

create or replace function durable.read_schedules(schedules text[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    -- Each time zone is looked up once, because PostgreSQL reads them all.
    with kinds as materialized (
        select k.timezone, k.context, r.zone, r.error
        from (
            select distinct coalesce(w.cron_timezone, '') as timezone,
                w.context
            from dbos.workflow_schedules as w
            where w.schedule_name = any (schedules)) as k
        cross join lateral durable.read_schedule(k.timezone, k.context) as r
    )
    update durable.schedules as p
    set zone = k.zone,
        error = case when octet_length(concat(w.schedule_name,
                w.workflow_name, w.queue_name)) > 1500
                then 'its names are too long'
            else k.error end
    from dbos.workflow_schedules as w
    join kinds as k
        on k.timezone = coalesce(w.cron_timezone, '')
        and k.context = w.context
    where p.schedule_name = any (schedules)
        and w.schedule_name = p.schedule_name;
    update durable.schedules as p
    set next_at = null
    where p.schedule_name = any (schedules)
        and p.error is not null;
end
$$;
comment on function durable.read_schedules(text[]) is
    'Notes the time zones of new schedules, and what is wrong with them.';

create or replace function durable.scheduled_names(runnable text[])
returns text[]
language sql
immutable
return array(
    select left(r.type, -1)
    from unnest(runnable) as r (type)
    where r.type like '%@');
comment on function durable.scheduled_names(text[]) is
    'The names of the workflows that a daemon runs, of name@ and name@version.';

create or replace function durable.take_schedules(
    runnable text[],
    application text,
    present_ms bigint,
    most int
)
returns text[]
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    return array(
        select d.schedule_name
        from unnest(durable.scheduled_names(runnable)) as n (name)
        cross join unnest(array['', application]) as o (owner)
        cross join lateral (
            select p.schedule_name
            from durable.schedules as p
            join dbos.workflow_schedules as w
                on w.schedule_name = p.schedule_name
            where p.workflow_name = n.name
                and p.application_name = o.owner
                and p.next_at <= present_ms
                and w.status = 'ACTIVE'
            order by p.next_at
            limit most
            for update of w, p skip locked) as d
        limit most);
end
$$;
comment on function durable.take_schedules(text[], text, bigint, int) is
    'Locks schedules that are due, and returns their names.';

create or replace function durable.next_schedule(
    runnable text[],
    application text
)
returns bigint
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select min(p.next_at) - durable.now_ms()
        from unnest(durable.scheduled_names(runnable)) as n (name)
        cross join unnest(array['', application]) as o (owner)
        cross join lateral (
            select p.next_at
            from durable.schedules as p
            where p.workflow_name = n.name
                and p.application_name = o.owner
                and p.next_at is not null
            order by p.next_at
            limit 1) as p);
end
$$;
comment on function durable.next_schedule(text[], text) is
    'In how many milliseconds a schedule of these workflows fires, of the '
    'application or of none; null: there is none. Called by a worker with its '
    'sweep. runnable: name@ of each workflow.';

create or replace function durable.fire_schedules(
    runnable text[],
    application text,
    alive_ms bigint
)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    bite constant int := 250;
    most_workflows constant int := 1000;
    -- For a daemon that starts again, and for one that was started beside it.
    grace_ms constant bigint := 10000;
    present_ms bigint := durable.now_ms();
    taken text[] := durable.take_schedules(runnable, application, present_ms,
        bite);
    most_times int := most_workflows / greatest(cardinality(taken), 1);
    fired text[];
    fired_at bigint[];
begin
    if exists (
        select from durable.schedules as p
        where p.schedule_name = any (taken)
            and p.zone is null) then
        perform durable.read_schedules(taken);
    end if;
    with due as materialized (
        select p.schedule_name, w.schedule, p.zone,
            -- As with DBOS what a schedule missed is only made up for when it
            -- says so; but a daemon that lived is only late.
            case when not w.automatic_backfill
                    then greatest(p.past_ms, present_ms - alive_ms - grace_ms)
                when p.next_at = p.past_ms then least(p.past_ms,
                    durable.from_iso(w.last_fired_at))
                else p.past_ms end as past_ms
        from durable.schedules as p
        join dbos.workflow_schedules as w on w.schedule_name = p.schedule_name
        where p.schedule_name = any (taken)
            and p.error is null
    ), computed as materialized (
        select k.schedule, k.zone, k.past_ms as after_ms, t.times, t.past_ms,
            t.next_at, t.error
        from (
            select distinct d.schedule, d.zone, d.past_ms
            from due as d) as k
        cross join lateral durable.schedule_times(k.schedule, k.zone, k.past_ms,
            present_ms, most_times) as t
    ), moved as (
        update durable.schedules as p
        set past_ms = c.past_ms,
            next_at = case when c.error is null then c.next_at end,
            error = c.error
        from due as d
        join computed as c
            on c.schedule = d.schedule
            and c.zone = d.zone
            and c.after_ms = d.past_ms
        where p.schedule_name = d.schedule_name
        returning p.schedule_name, c.times
    )
    select array_agg(m.schedule_name), array_agg(t.at_ms)
    into fired, fired_at
    from moved as m
    cross join lateral unnest(m.times) as t (at_ms);
    if fired is not null then
        perform durable.enqueue_scheduled(fired, fired_at, '', application);
        update dbos.workflow_schedules as w
        set last_fired_at = f.at
        from (
            select n.name, durable.iso_ms(max(n.at_ms)) as at
            from unnest(fired, fired_at) as n (name, at_ms)
            group by n.name) as f
        where w.schedule_name = f.name
            and coalesce(w.last_fired_at < f.at, true);
    end if;
    return greatest(durable.next_schedule(runnable, application),
        -- Another worker has locked what is due.
        case when taken = '{}' then 100 end);
end
$$;
comment on function durable.fire_schedules(text[], text, bigint) is
    'Fires the schedules of these workflows that are due: enqueues a workflow '
    'for each of their times, some hundreds of schedules at a time. alive_ms: '
    'for how long the daemon has lived; times that were before are missed. '
    'Returns durable.next_schedule. Called by a worker when that is not '
    'positive.';


create or replace function durable.idle_schedules(application text)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select concat(string_agg(i.what, '; ' order by i.name)
                filter (where i.place <= 3), case when count(*) > 3
                then format(' and %s more', count(*) - 3) end)
        from (
            select n.*, row_number() over (order by n.name) as place
            from (
                select p.schedule_name as name,
                    format('"%s" (%s)', left(p.schedule_name, 60),
                        left(p.error, 100)) as what
                from durable.schedules as p
                where p.error is not null
                    and p.application_name
                        in ('', idle_schedules.application)
                union all
                select p.schedule_name,
                    format('"%s" (no daemon runs %s)',
                        left(p.schedule_name, 60), left(p.workflow_name, 60))
                from (
                    select distinct s.workflow_name, s.application_name
                    from durable.schedules as s
                    where s.error is null) as k
                join durable.schedules as p
                    on p.workflow_name = k.workflow_name
                    and p.application_name = k.application_name
                    and p.error is null
                where not exists (
                        select from durable.served as d
                        cross join unnest(d.runnable) as r (type)
                        where k.application_name in ('', d.application)
                            and starts_with(r.type, k.workflow_name || '@'))
                    and (k.application_name = idle_schedules.application
                        or k.application_name = ''
                            -- Another application may have it.
                            and not exists (
                                select from dbos.application_versions as v
                                where not exists (
                                    select from durable.served as d
                                    where d.application
                                        = v.application_name)))) as n) as i
        having count(*) > 0);
end
$$;
comment on function durable.idle_schedules(text) is
    'Which schedules of the application, or of none, do not fire though they are '
    'ACTIVE, and why; null: all do.';


grant execute on function
    durable.next_schedule(text[], text),
    durable.fire_schedules(text[], text, bigint)
to widget_store_daemon;
