-- SPDX-License-Identifier: MIT
--
-- Which workflows can go on, and when: the rules by which turns take them
-- (take.sql), and the time until which a worker may sleep.

create or replace function durable.can_run(
    name text,
    version text,
    owner text,
    runnable text[],
    application text
)
returns boolean
language sql
immutable
parallel safe
return name || '@' || coalesce(version, '') = any (runnable)
    and (owner = application or owner is null);
comment on function durable.can_run(text, text, text, text[], text) is
    'Whether a worker may run a workflow of this name, version and owner.  '
    'runnable: name@version of each of its types, and name@ for a workflow of no '
    'version.';

create or replace function durable.queue_key(
    queue text,
    name text,
    version text,
    owner text
)
returns text[]
language sql
immutable
parallel safe
return array[queue, left(name || '@' || coalesce(version, ''), 200),
    coalesce('@' || owner, '')];
comment on function durable.queue_key(text, text, text, text) is
    'The first column of the index durable_enqueued: queue, type (name@version, '
    'or name@) and owner (@application, or empty) of an enqueued workflow.  The '
    'index repeats this expression, because a program that inserts a row may '
    'execute no function of ours.';

create or replace function durable.goes_on(id text, status text)
returns boolean
language sql
stable
return case status when 'PENDING' then true when 'CANCELLED' then exists (
    select from durable.cleanups as c where c.workflow_uuid = id)
    else false end;
comment on function durable.goes_on(text, text) is
    'Whether a workflow that has begun may run: until it ends or, if it is '
    'cancelled, has cleaned up.';

create or replace function durable.is_due(
    id text,
    status text,
    present_ms bigint
)
returns boolean
language sql
stable
return case status when 'ENQUEUED' then not exists (
        select from dbos.workflow_status as s
        join durable.limited_queues as l on l.name = s.queue_name
        where s.workflow_uuid = id)
    else durable.goes_on(id, status) and exists (
        select from durable.waiting as w
        where w.workflow_uuid = id
            and w.wake_at <= present_ms) end;
comment on function durable.is_due(text, text, bigint) is
    'Whether a workflow can go on at this time: one that is enqueued in a queue '
    'with limits cannot, until it is admitted.';

create or replace function durable.waiting_queues(queues text[], from_ms bigint)
returns setof text
language sql
stable
begin atomic
    select q.queue
    from unnest(queues) as q (queue)
    -- No exists, which the planner may make a join that reads all rows; and in
    -- the order of the index that begins with the queue.
    where (
        select true
        from dbos.workflow_status as s
        where s.queue_name = q.queue
            and s.status = 'ENQUEUED'
            and s.created_at >= from_ms
        order by s.priority, s.created_at
        limit 1)
    and (
        select true
        from durable.limited_queues as l
        where l.name = q.queue) is null;
end;
comment on function durable.waiting_queues(text[], bigint) is
    'The queues without limits in which any workflow is enqueued, whether or '
    'not it is served.';

create or replace view durable.suspended as
select w.workflow_uuid, w.wake_at, w.type, w.timer_group, w.held_since,
    w.bytes, s.status, s.application_name
from durable.waits as w
join dbos.workflow_status as s on s.workflow_uuid = w.workflow_uuid;
comment on view durable.suspended is
    'The waits, each with what a turn has to know of its workflow.  A turn locks '
    'both rows: another worker may have run the workflow since the statement '
    'began, and then the wait is not due any more.';
comment on column durable.suspended.workflow_uuid is 'As in durable.waits.';
comment on column durable.suspended.wake_at is 'As in durable.waits.';
comment on column durable.suspended.type is 'As in durable.waits.';
comment on column durable.suspended.timer_group is 'As in durable.waits.';
comment on column durable.suspended.held_since is 'As in durable.waits.';
comment on column durable.suspended.bytes is 'As in durable.waits.';
comment on column durable.suspended.status is 'As in dbos.workflow_status.';
comment on column durable.suspended.application_name is
    'As in dbos.workflow_status.';

create or replace function durable.next_due(
    types text[],
    queues text[],
    runnable text[],
    application text,
    begun_ms bigint,
    from_ms bigint default 0
)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    -- For workflows that were due at the begin and still are: another worker
    -- has locked them, and does not notify when it dies.
    locked_ms constant bigint := durable.now_ms() + 100;
    due_ms bigint;
    waiting_queues text[];
begin
    select (
        select min(d.at_ms)
        from (
            select least((
                select locked_ms
                from durable.suspended as w
                where w.type = t.type
                    and w.wake_at between from_ms and begun_ms
                    and coalesce(w.application_name, application) = application
                order by w.wake_at
                limit 1), (
                select w.wake_at
                from durable.waits as w
                where w.type = t.type
                    and w.wake_at > begun_ms
                order by w.wake_at
                limit 1), (
                select locked_ms
                from durable.timer_groups as g
                join durable.suspended as w on w.timer_group = g.timer_group
                where g.type = t.type
                    and g.wake_at between from_ms and begun_ms
                    and coalesce(w.application_name, application) = application
                order by g.wake_at
                limit 1), (
                select g.wake_at
                from durable.timer_groups as g
                where g.type = t.type
                    and g.wake_at > begun_ms
                order by g.wake_at
                limit 1)) as at_ms
            from unnest(types) as t (type)) as d),
        array(select q.queue from durable.waiting_queues(queues, from_ms) as q (queue))
    into due_ms, waiting_queues;
    if waiting_queues = '{}' or due_ms <= locked_ms then
        return due_ms;
    end if;
    return coalesce((
        select locked_ms
        from unnest(waiting_queues) as q (queue)
        cross join unnest(runnable) as r (type)
        cross join unnest(array['', '@' || application]) as o (owner)
        cross join lateral (
            select
            from dbos.workflow_status as s
            where durable.queue_key(s.queue_name, s.name,
                    s.application_version, s.application_name)
                    = array[q.queue, r.type, o.owner]
                and s.status = 'ENQUEUED'
                and s.created_at >= from_ms
            order by s.priority, s.created_at
            limit 1) as s
        limit 1), due_ms);
end
$$;
comment on function durable.next_due(text[], text[], text[], text, bigint,
    bigint) is
    'When a worker has to have its next turn, in milliseconds since the epoch; '
    'null: when it is notified.  begun_ms: what turn_begin returned; from_ms: '
    'what turn_take got.  Called by a worker behind the writers of its turn, before the commit.';

grant execute on function
    durable.next_due(text[], text[], text[], text, bigint, bigint)
to widget_store_daemon;
