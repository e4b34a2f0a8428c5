-- SPDX-License-Identifier: MIT
--
-- The gauges of /metrics and of durable stats.

create or replace function durable.count_waiting()
returns double precision
language sql
stable
set search_path = pg_catalog, pg_temp
return (
    select greatest(c.reltuples, 0)
    from pg_class as c
    where c.oid = 'durable.waits'::regclass);
comment on function durable.count_waiting() is
    'The number of waiting workflows, by the planner''s estimate.';

create or replace function durable.due_lag_ms()
returns bigint
language sql
volatile
set search_path = pg_catalog, pg_temp
begin atomic
    with recursive types as (
        select min(w.type) as type
        from durable.waits as w
        union all
        select (
            select min(w.type)
            from durable.waits as w
            where w.type > t.type)
        from types as t
        where t.type is not null
    )
    select greatest(0, durable.now_ms() - min(least((
        select w.wake_at
        from durable.waits as w
        where w.type = t.type
        order by w.wake_at
        limit 1), (
        select g.wake_at
        from durable.timer_groups as g
        where g.type = t.type
        order by g.wake_at
        limit 1))))
    from types as t;
end;
comment on function durable.due_lag_ms() is
    'For how long the oldest due wait has been due, in milliseconds, or 0.';

create or replace function durable.oldest_transaction_seconds()
returns double precision
language sql
volatile
set search_path = pg_catalog, pg_temp
return (
    select coalesce(extract(epoch from max(clock_timestamp() - a.xact_start)),
        0)
    from pg_stat_activity as a
    where a.datname = current_database()
        and a.pid <> pg_backend_pid());
comment on function durable.oldest_transaction_seconds() is
    'The age of the oldest open transaction of this database, among those that '
    'the owner of the schema may see.';

create or replace function durable.used_queues()
returns setof text
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
    -- The names that the index has, one after the other.
    with recursive queues as (
        select min(s.queue_name) as name
        from dbos.workflow_status as s
        where s.status in ('ENQUEUED', 'PENDING')
        union all
        select (
            select min(s.queue_name)
            from dbos.workflow_status as s
            where s.status in ('ENQUEUED', 'PENDING')
                and s.queue_name > q.name)
        from queues as q
        where q.name is not null
    )
    select q.name
    from queues as q
    where q.name is not null;
end;
comment on function durable.used_queues() is
    'The queues that have enqueued or pending workflows, in order.';

create or replace function durable.queue_gauges(most int)
returns table (queue text, enqueued bigint, oldest_seconds double precision)
language sql
volatile
set search_path = pg_catalog, pg_temp
begin atomic
    select q.name, n.enqueued, n.oldest_seconds
    from (
        select u.name
        from durable.used_queues() as u (name)
        limit 100) as q
    cross join lateral (
        select count(*) as enqueued, greatest(0, (durable.now_ms()
            - coalesce(min(w.created_at), durable.now_ms())) / 1000.0)
            as oldest_seconds
        from (
            select s.created_at
            from dbos.workflow_status as s
            where s.queue_name = q.name
                and s.status = 'ENQUEUED'
            order by s.priority, s.created_at
            limit most) as w) as n;
end;
comment on function durable.queue_gauges(int) is
    'For each of at most 100 queues that have workflows: how many are enqueued, '
    'counted to most, and since when the oldest of these.';

create or replace function durable.metrics()
returns table (
    name text,
    value double precision,
    labels text,
    help text
)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    most constant int := 10000;
begin
    return query
    values ('daemon_workers', durable.daemon_workers()::double precision, '',
            'Workers that are connected and not frozen.'),
        ('due_lag_seconds', durable.due_lag_ms() / 1000.0, '',
            'For how long the oldest due workflow has been due.'),
        ('waiting_workflows', durable.count_waiting(), '',
            'Suspended workflows, by the estimate of the planner.'),
        ('suspects', (
            select count(*)
            from durable.suspects), '',
            'Workflows that may have killed their process or session.'),
        ('oldest_transaction_seconds', durable.oldest_transaction_seconds(), '',
            'Age of the oldest open transaction of the database.'),
        ('unserved_workflows', (
            select max(u.workflows)
            from durable.unserved as u), '',
            'Workflows that no daemon serves, counted to 10000.'),
        ('notification_queue_usage', (
            select max(q.tenths) / 10.0
            from durable.notification_queue as q), '',
            'How full the notification queue of the server is, from 0 to 1.'),
        ('enqueued_workflows', (
            select count(*)
            from (
                select
                from dbos.workflow_status as s
                where s.status = 'ENQUEUED'
                -- By the index that has only these.
                order by durable.queue_key(s.queue_name, s.name,
                    s.application_version, s.application_name)
                limit most) as e), '',
            'Enqueued workflows of all queues, counted to 10000.');
    return query
    select g.name, g.value, format('{queue=%s}', to_json(q.queue)), g.help
    from durable.queue_gauges(most) as q
    cross join lateral (
        values ('queue_enqueued_workflows', q.enqueued::double precision,
            'Enqueued workflows of a queue, counted to 10000.'),
        ('queue_oldest_enqueued_seconds', q.oldest_seconds,
            'Age of the oldest of these.')) as g (name, value, help);
    return query
    select 'table_bytes', pg_total_relation_size(c.oid)::double precision,
        format('{table="%s.%s"}', n.nspname, c.relname),
        'Size of a table of the engine, with its indexes.'
    from pg_class as c
    join pg_namespace as n on n.oid = c.relnamespace
    where n.nspname in ('dbos', 'durable')
        and c.relkind = 'r';
end
$$;
comment on function durable.metrics() is
    'Returns the gauges of the web''s /metrics: a name, a value, labels as '
    'Prometheus writes them, and a line of help. Costs a few thousand rows at '
    'most, however many workflows there are.';

create or replace function durable.metrics_page()
returns text
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
begin atomic
    select string_agg(g.lines, '' order by g.name)
    from (
        select m.name, format(E'# HELP durable_%1$s %2$s\n'
                '# TYPE durable_%1$s gauge\n', m.name, m.help)
            || string_agg(format(E'durable_%s%s %s\n', m.name, m.labels,
                m.value), '' order by m.labels) as lines
        from durable.metrics() as m
        where m.value is not null
        group by m.name, m.help) as g;
end;
comment on function durable.metrics_page() is
    'The gauges in the text format of Prometheus.';

grant execute on function durable.metrics_page() to widget_store_web;
