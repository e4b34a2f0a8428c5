-- SPDX-License-Identifier: MIT
--
-- What the daemon's workers call beside their turns: sweep about once a second,
-- register when they have connected.

create or replace function durable.heed_clock()
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    present_ms bigint := durable.now_ms();
    former_ms bigint;
begin
    select c.latest_ms
    into former_ms
    from durable.clock as c;
    if present_ms >= former_ms - 1000 then
        perform durable.due_now_ms();
        return;
    end if;
    update durable.clock as c
    set latest_ms = present_ms
    where c.ctid = any (array(
            select l.ctid
            from durable.clock as l
            where l.latest_ms = former_ms
            for update skip locked));
    if found then
        -- Up to the former time, plus the ten seconds by which latest_ms may be
        -- old and the 16 s for which a step may be held off.  Twice, because a
        -- turn may replace a timer group, while the first pass waits for its
        -- lock, by waits and groups that this pass does not see.
        for look in 1..2 loop
            update durable.timer_groups as g
            set wake_at = present_ms
            where g.wake_at > present_ms
                and g.wake_at <= former_ms + 10000 + 16000;
            update durable.waits as w
            set wake_at = present_ms
            where w.wake_at > present_ms
                and w.wake_at <= former_ms + 10000 + 16000;
        end loop;
        update durable.external_steps as e
        set next_at = present_ms
        where e.next_at > present_ms
            and e.next_at <= former_ms + 10000 + 64000;
        -- What has fired already has its id.
        update durable.schedules as p
        set past_ms = present_ms,
            next_at = present_ms
        where p.past_ms > present_ms;
    end if;
end
$$;
comment on function durable.heed_clock() is
    'When the clock was put back: makes due what was due before, by waits and '
    'by timer groups, and lets schedules fire from now on. A workflow that wakes '
    'before its time suspends itself again. Called by durable.sweep.';

create or replace function durable.cancel_late(
    application text,
    max_workflows int
)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    present_ms bigint := durable.now_ms();
    cancelled int;
begin
    with late as materialized (
        select s.workflow_uuid
        from unnest(array['', '@' || application]) as o (owner)
        cross join lateral (
            select s.workflow_uuid
            from dbos.workflow_status as s
            where coalesce('@' || s.application_name, '') = o.owner
                and s.status in ('ENQUEUED', 'PENDING', 'DELAYED')
                and s.workflow_deadline_epoch_ms is not null
                and s.workflow_deadline_epoch_ms + 0 <= present_ms
            order by s.workflow_deadline_epoch_ms + 0
            limit max_workflows
            for update skip locked) as s
    )
    update dbos.workflow_status as s
    set status = 'CANCELLED',
        completed_at = present_ms,
        updated_at = present_ms,
        owner_xid = null,
        queue_name = null,
        deduplication_id = null,
        started_at_epoch_ms = null
    -- By the ids: a join that was planned for an empty table reads all of it.
    where s.workflow_uuid = any (array(
        select l.workflow_uuid
        from late as l));
    get diagnostics cancelled = row_count;
    return cancelled >= max_workflows;
end
$$;
comment on function durable.cancel_late(text, int) is
    'Cancels workflows of the application, and as many of none, that are past '
    'their deadline. Returns whether there may be more. Called by '
    'durable.sweep.';

create or replace function durable.enqueue_delayed(
    queues text[],
    runnable text[],
    application text
)
returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    bite constant int := 256;
    present_ms bigint := durable.now_ms();
    enqueued int;
begin
    with due as materialized (
        select s.workflow_uuid
        from unnest(queues) as q (queue)
        cross join unnest(runnable) as r (type)
        cross join unnest(array['', '@' || application]) as o (owner)
        cross join lateral (
            select s.workflow_uuid
            from dbos.workflow_status as s
            where durable.queue_key(s.queue_name, s.name,
                    s.application_version, s.application_name)
                    = array[q.queue, r.type, o.owner]
                and s.status = 'DELAYED'
                and s.delay_until_epoch_ms + 0 <= present_ms
            order by s.delay_until_epoch_ms + 0
            limit bite
            for update skip locked) as s
    )
    update dbos.workflow_status as s
    set status = 'ENQUEUED',
        updated_at = present_ms,
        deduplication_id = case when not s.is_debounced
            then s.deduplication_id end
    where s.workflow_uuid = any (array(
        select d.workflow_uuid
        from due as d));
    get diagnostics enqueued = row_count;
    return enqueued >= bite;
end
$$;
comment on function durable.enqueue_delayed(text[], text[], text) is
    'Enqueues delayed workflows that the calling worker serves and whose time '
    'has come: of each kind about as many as a turn takes. Returns whether there '
    'may be more, for which the worker comes again after its next turn. Called by '
    'each worker with its sweep.';

create or replace function durable.heed_arrivals(max_arrivals int)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    present_ms bigint := durable.due_now_ms();
    arrivals text[];
begin
    with taken as (
        delete from durable.arrivals as a
        where a.ctid = any (array(
            select b.ctid
            from durable.arrivals as b
            limit max_arrivals
            for update skip locked))
        returning a.workflow_uuid
    )
    select coalesce(array_agg(t.workflow_uuid), '{}')
    into arrivals
    from taken as t;
    update durable.waits as w
    set wake_at = least(w.wake_at, present_ms)
    where w.workflow_uuid = any (arrivals)
        and w.kind in ('message', 'any')
        and w.wake_at > durable.now_ms();
    update durable.waits as w
    set wake_at = least(w.wake_at, present_ms)
    where w.target = any (arrivals)
        and w.wake_at > durable.now_ms();
    update durable.waits as w
    set wake_at = least(w.wake_at, present_ms)
    where w.workflow_uuid = any (array(
            select i.workflow_uuid
            from durable.wait_items as i
            where i.target = any (arrivals)))
        and w.kind = 'any'
        and w.wake_at > durable.now_ms();
    return cardinality(arrivals) >= max_arrivals;
end
$$;
comment on function durable.heed_arrivals(int) is
    'Wakes what waits for noted arrivals, and deletes their notes. Returns '
    'whether there may be more. Called by durable.sweep.';

create or replace function durable.delete_stale(
    types text[],
    max_waits int,
    from_ms bigint
)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    -- A variable, because the result of a volatile function is no index bound.
    past_ms bigint := durable.now_ms() - 1000;
    stale text;
begin
    -- A wait without a pending workflow (its table was truncated, say) would be
    -- due for ever.
    for stale in
        select due.workflow_uuid
        from unnest(types) as t (type)
        cross join lateral (
            (select w.workflow_uuid
            from durable.waits as w
            where w.type = t.type
                and w.wake_at >= from_ms
                and w.wake_at < past_ms
            order by w.wake_at
            limit max_waits)
            union all
            (select w.workflow_uuid
            from durable.timer_groups as g
            join durable.waits as w on w.timer_group = g.timer_group
            where g.type = t.type
                and g.wake_at >= from_ms
                and g.wake_at < past_ms
            order by g.wake_at
            limit max_waits)) as due
        where not coalesce((
            select durable.goes_on(s.workflow_uuid, s.status)
            from dbos.workflow_status as s
            where s.workflow_uuid = due.workflow_uuid), false)
    loop
        delete from durable.waits as w
        where w.workflow_uuid = stale
            and durable.is_due(stale, 'PENDING', past_ms)
            and not exists (
                select from dbos.workflow_status as s
                where s.workflow_uuid = stale
                    and durable.goes_on(s.workflow_uuid, s.status));
    end loop;
    -- Timer groups that all their workflows have left.
    delete from durable.timer_groups as g
    where g.timer_group in (
            select d.timer_group
            from unnest(types) as t (type)
            cross join lateral (
                select e.timer_group
                from durable.timer_groups as e
                where e.type = t.type
                    and e.wake_at >= from_ms
                    and e.wake_at < past_ms
                order by e.wake_at
                limit max_waits) as e
            join durable.timer_groups as d on d.timer_group = e.timer_group
            where not exists (
                select from durable.waits as w
                where w.timer_group = d.timer_group)
            for update of d skip locked);
end
$$;
comment on function durable.delete_stale(text[], int, bigint) is
    'Deletes waits without a workflow and timer groups without waits, among '
    'the most overdue ones that came due at from_ms or later. Called by '
    'durable.sweep.';

create or replace function durable.sweep(
    types text[],
    application text,
    everything boolean default true
)
returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    more boolean;
begin
    perform durable.heed_clock();
    perform durable.heed_notification_queue();
    perform durable.delete_stale(types, 1000, case when everything then 0
        else durable.now_ms() - 10000 end);
    more := durable.heed_arrivals(1000);
    -- Fewer, because the triggers of an application run for each.
    more := durable.cancel_late(application, 256) or more;
    return more;
end
$$;
comment on function durable.sweep(text[], text, boolean) is
    'Called by each worker of the daemon, every second (all but a daemon''s '
    'first worker: every five), with the types that it runs and '
    'its application; once a minute with everything, so that it also deletes '
    'what was overdue ten seconds ago. Heeds the clock, frees the notification '
    'queue of what all sessions have read, deletes waits without a workflow and '
    'empty timer groups, wakes the workflows that wait for noted arrivals and '
    'cancels workflows past their deadline, of each so many at most. Returns '
    'whether there may be more, for which the worker comes again after its next '
    'turn.';

create or replace function durable.end_frozen()
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform pg_terminate_backend(a.pid)
    from pg_stat_activity as a
    join (
        values ('widget_store_web', interval '10 s', interval '10 s'),
            ('widget_store_daemon', interval '20 s', interval '2 s'))
        as n (program, writing, sending) on n.program = a.usename
    where a.datname = current_database()
        -- As far as the owner may (roles.sql).
        and pg_has_role(a.usesysid, 'usage')
        -- Where the owner runs programs, its other sessions are of people.
        and ('widget_store_owner'
                not in ('widget_store_web', 'widget_store_daemon')
            or a.application_name = 'durable worker')
        -- A session that delivers notifications has begun a transaction, and
        -- no query.
        and (a.wait_event = 'ClientWrite'
            and greatest(a.xact_start, a.query_start)
                < clock_timestamp() - n.writing
            or a.wait_event = 'ClientRead'
            and a.state = 'active'
            and a.query_start < clock_timestamp() - n.sending
                -- A large message is announced (db.c), and may come at 100
                -- bytes a millisecond.
                - interval '1 ms' * coalesce(substring(a.query from
                '^select ''a message of ([0-9]{1,10}) bytes follows''$'), '0')
                ::float8 / 100);
end
$$;
comment on function durable.end_frozen() is
    'Ends the sessions of programs of this database that are frozen where no '
    'time-out runs, because the session is not idle: while the server writes to '
    'the program (for longer than any statement may take), results or '
    'notifications, or while the program sends a statement. Such a session may '
    'hold locks, and keeps dead rows and the notification queue from being '
    'freed. Called by a worker with every fifth sweep.';

create or replace function durable.register(
    application text,
    version text,
    queues text[]
)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    insert into dbos.application_versions (version_id, version_name,
        application_name)
    values (gen_random_uuid()::text, version, application)
    on conflict do nothing;
    insert into dbos.queues (name, application_name)
    select queue, application
    from unnest(queues) as queue
    where queue not like '\_dbos\_%'
    on conflict do nothing;
end
$$;
comment on function durable.register(text, text, text[]) is
    'Called by each worker of the daemon when it has connected: tells the '
    'tools of the DBOS family which version and queues are served. What is '
    'registered already stays.';

create or replace function durable.all_queues(application text)
returns text[]
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return '{_dbos_internal_queue}'::text[] || array(
        select q.name
        from dbos.queues as q
        where coalesce(q.application_name, all_queues.application)
                = all_queues.application
            and q.name not like '\_dbos\_%'
        order by q.name);
end
$$;
comment on function durable.all_queues(text) is
    'The queues of an application and of none, with the internal one. Called by '
    'each worker with its sweep, if its daemon serves all.';


-- Grants.

grant execute on function
    durable.all_queues(text),
    durable.enqueue_delayed(text[], text[], text),
    durable.sweep(text[], text, boolean),
    durable.end_frozen(),
    durable.register(text, text, text[])
to widget_store_daemon;
