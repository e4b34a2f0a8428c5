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
    if present_ms between former_ms - 1000 and former_ms + 60000 then
        return;
    end if;
    update durable.clock as c
    set latest_ms = present_ms
    where c.latest_ms = former_ms;
    if found and present_ms < former_ms then
        -- Up to the former time, plus the minute by which latest_ms may be old
        -- and the 16 s for which a step may be held off.  Twice, because a
        -- turn may replace a timer group, while the first pass waits for its
        -- lock, by waits and groups that this pass does not see.
        for look in 1..2 loop
            update durable.timer_groups as g
            set wake_at = present_ms
            where g.wake_at > present_ms
                and g.wake_at <= former_ms + 60000 + 16000;
            update durable.waits as w
            set wake_at = present_ms
            where w.wake_at > present_ms
                and w.wake_at <= former_ms + 60000 + 16000;
        end loop;
    end if;
end
$$;
comment on function durable.heed_clock() is
    'When the clock was put back: makes due what was due before, by waits and '
    'by timer groups. A workflow that wakes before its time suspends itself '
    'again. Called by durable.sweep.';

create or replace function durable.sweep(types text[], application text)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    -- A variable, because the result of a volatile function is no index bound.
    present_ms bigint := durable.now_ms();
    arrival text;
    stale text;
begin
    perform durable.heed_clock();
    -- A wait without a pending workflow (its table was truncated, say) would be
    -- due for ever.
    for stale in
        select due.workflow_uuid
        from unnest(types) as t (type)
        cross join lateral (
            (select w.workflow_uuid
            from durable.waits as w
            where w.type = t.type
                and w.wake_at < present_ms - 1000
            order by w.wake_at
            limit 1000)
            union all
            (select w.workflow_uuid
            from durable.timer_groups as g
            join durable.waits as w on w.timer_group = g.timer_group
            where g.type = t.type
                and g.wake_at < present_ms - 1000
            order by g.wake_at
            limit 1000)) as due
    loop
        delete from durable.waits as w
        where w.workflow_uuid = stale
            and durable.is_due(stale, 'PENDING', present_ms - 1000)
            and not exists (
                select from dbos.workflow_status as s
                where s.workflow_uuid = stale
                    and s.status = 'PENDING');
    end loop;
    -- Timer groups that all their workflows have left.
    delete from durable.timer_groups as g
    where g.timer_group in (
            select d.timer_group
            from durable.timer_groups as d
            where d.type = any (types)
                and d.wake_at < present_ms - 1000
                and not exists (
                    select from durable.waits as w
                        where w.timer_group = d.timer_group)
            for update skip locked);
    for arrival in
        delete from durable.arrivals as a
        returning a.workflow_uuid
    loop
        update durable.waits as w
        set wake_at = least(w.wake_at, present_ms)
        where w.workflow_uuid = arrival
            and w.kind = 'message'
            and w.wake_at > durable.now_ms();
        update durable.waits as w
        set wake_at = least(w.wake_at, present_ms)
        where w.target = arrival
            and w.wake_at > durable.now_ms();
    end loop;
    update dbos.workflow_status as s
    set status = 'CANCELLED',
        completed_at = present_ms,
        updated_at = present_ms,
        owner_xid = null,
        queue_name = null,
        deduplication_id = null,
        started_at_epoch_ms = null
    where s.workflow_uuid in (
        select late.workflow_uuid
        from dbos.workflow_status as late
        where late.status in ('ENQUEUED', 'PENDING', 'DELAYED')
            and late.workflow_deadline_epoch_ms is not null
            and late.workflow_deadline_epoch_ms <= present_ms
            and (late.application_name = application
                or late.application_name is null)
        limit 1000
        for update skip locked);
    update dbos.workflow_status as s
    set status = 'ENQUEUED',
        updated_at = present_ms,
        deduplication_id = case when not s.is_debounced
            then s.deduplication_id end
    where s.workflow_uuid in (
        select delayed.workflow_uuid
        from dbos.workflow_status as delayed
        where delayed.status = 'DELAYED'
            and delayed.delay_until_epoch_ms <= present_ms
            and (delayed.application_name = application
                or delayed.application_name is null)
        limit 1000
        for update skip locked);
end
$$;
comment on function durable.sweep(text[], text) is
    'Called by each worker of the daemon, every second (all but a daemon''s '
    'first worker: every five), with the types that it runs (name@version) and '
    'its application. Heeds the clock, deletes waits without a workflow and '
    'empty timer groups, wakes the workflows that wait for noted arrivals, '
    'cancels workflows past their deadline and enqueues delayed ones.';

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


-- Grants.

grant execute on function
    durable.sweep(text[], text),
    durable.register(text, text, text[])
to widget_store_daemon;
