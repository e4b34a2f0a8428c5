-- SPDX-License-Identifier: MIT
--
-- What a turn takes: workflows that can go on, locked until it commits.
--
-- Before its turn a worker calls admit (queue.sql), if a queue has limits.  In
-- the turn it calls, in one transaction: turn_begin and turn_take (here);
-- turn_load and turn_inbox (load.sql); the statements of the steps; the
-- writers (write.sql); and next_due (due.sql) when it may sleep after the turn.

create or replace function durable.turn_begin(queues text[])
returns table (present_ms bigint, has_suspects boolean, has_limits boolean)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select durable.now_ms(), exists (
        select from durable.suspects as x
        where durable.attempt_is_due(x.next_at, durable.now_ms())), exists (
        select from durable.limited_queues as l
        where l.name = any (queues));
end
$$;
comment on function durable.turn_begin(text[]) is
    'The time at which a turn begins, in milliseconds since the epoch, whether '
    'a suspect may be tried, and whether one of the queues has limits.  Called '
    'by a worker, first in its turn.';

create or replace function durable.set_taken(ids text[])
returns text
language sql
volatile
return set_config('durable.taken', ids::text, true);
comment on function durable.set_taken(text[]) is
    'Keeps the ids of the workflows that a turn has taken until the end of its '
    'transaction, for the statements behind turn_take in its round trip.';

create or replace function durable.taken()
returns text[]
language sql
stable
-- Without settings of its own, so that the planner replaces it by its body.
return coalesce(nullif(current_setting('durable.taken', true), ''),
    '{}')::text[];
comment on function durable.taken() is
    'The ids of the workflows that this turn has taken.  Called by a worker in '
    'its turn, as the parameter of turn_load and turn_inbox.';

create or replace function durable.take_only(
    only_ids text[],
    runnable text[],
    application text
)
returns setof text
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    present_ms bigint := durable.now_ms();
    taken text[];
begin
    select coalesce(array_agg(t.workflow_uuid), '{}')
    into taken
    from (
        select s.workflow_uuid
        from dbos.workflow_status as s
        where s.workflow_uuid = any (only_ids)
            and durable.can_run(s.name, s.application_version,
                s.application_name, runnable, application)
            and durable.is_due(s.workflow_uuid, s.status, present_ms)
        for update of s skip locked) as t;
    perform durable.set_taken(taken);
    return query
    select unnest(taken);
end
$$;
comment on function durable.take_only(text[], text[], text) is
    'Locks the workflows of only_ids that can go on, and returns their ids.';

create or replace function durable.is_large(bytes bigint)
returns boolean
language sql
immutable
parallel safe
return bytes > 8192;
comment on function durable.is_large(bigint) is
    'Whether a turn counts the bytes of a workflow.  256 that are not large have '
    '2 MiB at most.';

create or replace function durable.is_left_out(
    bytes bigint,
    large_bytes numeric
)
returns boolean
language sql
immutable
parallel safe
return coalesce(durable.is_large(bytes) and large_bytes - bytes >= 1048576,
    false);
comment on function durable.is_left_out(bigint, numeric) is
    'Whether a turn has no room for a workflow of so many bytes (null: it is '
    'not large), because the large ones of its type or queue, up to this one, '
    'have large_bytes.';

create or replace function durable.take_waiting(
    types text[],
    application text,
    from_ms bigint,
    max_workflows int,
    excluded text[],
    newest boolean
)
returns table (
    workflow_uuid text,
    type text,
    held_since bigint,
    left_out boolean
)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    present_ms bigint := durable.now_ms();
begin
    return query
    with waiting as materialized (
        select w.workflow_uuid, w.type, w.held_since,
            durable.is_left_out(w.bytes, w.large_bytes) as left_out
        from unnest(types) as t (type)
        cross join lateral (
            select l.*, sum(l.bytes) over (rows unbounded preceding)
                as large_bytes
            from (
                select o.*
                from (
                    select w.*
                    from durable.suspended as w
                    where not newest
                        and w.type = t.type
                        and w.wake_at between from_ms and present_ms
                        and w.workflow_uuid not in (select unnest(excluded))
                        and coalesce(w.application_name, application)
                            = application
                    order by w.wake_at
                    limit max_workflows
                    for update skip locked) as o
                union all
                select n.*
                from (
                    select w.*
                    from durable.suspended as w
                    where newest
                        and w.type = t.type
                        and w.wake_at <= present_ms
                        and w.workflow_uuid not in (select unnest(excluded))
                        and coalesce(w.application_name, application)
                            = application
                    order by w.wake_at desc
                    limit max_workflows
                    for update skip locked) as n) as l) as w
        -- Outside, because inside it the planner may read the status index.
        where durable.goes_on(w.workflow_uuid, w.status)
    )
    select w.*
    from waiting as w
    cross join (
        select durable.set_taken(durable.taken() || array(
            select a.workflow_uuid
            from waiting as a
            where not a.left_out))) as x;
end
$$;
comment on function durable.take_waiting(text[], text, bigint, int, text[],
    boolean) is
    'Takes at most max_workflows of each type whose waits are due: those that '
    'became due first, or last.';

create or replace function durable.take_sleeping(
    types text[],
    application text,
    from_ms bigint,
    max_workflows int,
    excluded text[]
)
returns table (workflow_uuid text, type text, timer_group bigint, size int)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    present_ms bigint := durable.now_ms();
begin
    return query
    with sleeping as materialized (
        select w.workflow_uuid, w.type, w.timer_group, w.size
        from unnest(types) as t (type)
        cross join lateral (
            select w.workflow_uuid, g.type, g.timer_group, g.size, w.status
            from durable.timer_groups as g
            join durable.suspended as w on w.timer_group = g.timer_group
            where g.type = t.type
                and g.wake_at between from_ms and present_ms
                and w.workflow_uuid not in (select unnest(excluded))
                and coalesce(w.application_name, application) = application
            order by g.wake_at
            limit max_workflows
            -- The group first: a turn that cannot lock it locks nothing of it.
            for update of g, w skip locked) as w
        where durable.goes_on(w.workflow_uuid, w.status)
    )
    select w.*
    from sleeping as w
    cross join (
        select durable.set_taken(durable.taken() || array(
            select a.workflow_uuid
            from sleeping as a))) as x;
end
$$;
comment on function durable.take_sleeping(text[], text, bigint, int, text[]) is
    'Takes at most max_workflows of each type whose timer groups are due.';

create or replace function durable.take_enqueued(
    queues text[],
    runnable text[],
    application text,
    from_ms bigint,
    max_workflows int,
    suspected text[]
)
returns table (workflow_uuid text, queue text, left_out boolean)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    -- What a step takes beside its output.
    step_bytes constant int := 200;
begin
    return query
    -- Lengths, which need no reading of a value that is stored apart.
    with enqueued as materialized (
        select e.workflow_uuid, q.queue,
            durable.is_left_out(e.bytes, e.large_bytes) as left_out
        from unnest(queues) as q (queue)
        cross join lateral (
            select l.workflow_uuid, l.bytes,
                sum(l.bytes) filter (where durable.is_large(l.bytes))
                    over (rows unbounded preceding) as large_bytes
            from (
                select s.workflow_uuid, coalesce((
                        select octet_length(i.inputs)
                        from dbos.workflow_input as i
                        where i.workflow_uuid = s.workflow_uuid),
                        s.bytes, 0) + case when s.may_have_steps then coalesce((
                        select sum(step_bytes
                            + coalesce(octet_length(o.output), 0))
                        from dbos.operation_outputs as o
                        where o.workflow_uuid = s.workflow_uuid), 0)
                        else 0 end as bytes
                from (
                    select s.workflow_uuid, s.bytes, s.may_have_steps
                    from unnest(runnable) as r (type)
                    cross join unnest(array['', '@' || application])
                        as o (owner)
                    cross join lateral (
                        select s.workflow_uuid, s.priority, s.created_at,
                            octet_length(s.inputs) as bytes,
                            -- To resume a workflow is to update its row.
                            s.updated_at <> s.created_at
                                or s.forked_from is not null as may_have_steps
                        from dbos.workflow_status as s
                        where durable.queue_key(s.queue_name, s.name,
                                s.application_version, s.application_name)
                                = array[q.queue, r.type, o.owner]
                            and s.status = 'ENQUEUED'
                            and s.created_at >= from_ms
                            and s.workflow_uuid <> all (suspected)
                        order by s.priority, s.created_at
                        limit max_workflows
                        for update of s skip locked) as s
                    order by s.priority, s.created_at
                    limit max_workflows) as s
                -- Each length is looked up once.
                offset 0) as l) as e
        -- Here, too, because a queue may have got limits a moment ago.
        where (
            select true
            from durable.limited_queues as l
            where l.name = q.queue) is null
    )
    select e.*
    from enqueued as e
    cross join (
        select durable.set_taken(durable.taken() || array(
            select a.workflow_uuid
            from enqueued as a
            where not a.left_out))) as x;
end
$$;
comment on function durable.take_enqueued(text[], text[], text, bigint, int,
    text[]) is
    'Takes at most max_workflows of each queue that the worker may run and that '
    'has no limits, in the '
    'order of the queue.  Of several types it locks as many each, and leaves '
    'the last to another turn.';

create or replace function durable.turn_take(
    types text[],
    queues text[],
    runnable text[],
    application text,
    max_workflows int,
    only_ids text[],
    from_ms bigint default 0
)
returns table (
    workflow_uuid text,
    source text,
    timer_group bigint,
    timer_group_size int,
    held_since bigint,
    left_out boolean
)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    present_ms bigint := durable.now_ms();
    oldest_max int := (max_workflows + 1) / 2;
    taken_count int := 0;
    suspected text[];
    waiting_queues text[];
    due_types text[];
    sleeping_types text[];
begin
    if only_ids is not null then
        return query
        select o.id, '', null::bigint, null::int, w.held_since,
            false
        from durable.take_only(only_ids, runnable, application) as o (id)
        left join durable.waits as w on w.workflow_uuid = o.id;
        return;
    end if;
    select array(select x.workflow_uuid from durable.suspects as x),
        array(select q.queue from durable.waiting_queues(queues, from_ms)
            as q (queue)),
        array(
            select t.type
            from unnest(types) as t (type)
            where (
                select true
                from durable.waits as w
                where w.type = t.type
                    and w.wake_at between from_ms and present_ms
                order by w.wake_at
                limit 1)),
        array(
            select t.type
            from unnest(types) as t (type)
            where (
                select true
                from durable.timer_groups as g
                where g.type = t.type
                    and g.wake_at between from_ms and present_ms
                order by g.wake_at
                limit 1))
    into suspected, waiting_queues, due_types, sleeping_types;
    perform durable.set_taken('{}');
    if due_types <> '{}' then
        return query
        select w.workflow_uuid, w.type, null::bigint, null::int, w.held_since,
            w.left_out
        from durable.take_waiting(due_types, application, from_ms, oldest_max,
            suspected, false) as w;
        get diagnostics taken_count = row_count;
    end if;
    if sleeping_types <> '{}' then
        return query
        -- No large workflow is in a timer group.
        select s.workflow_uuid, s.type, s.timer_group, s.size, null::bigint,
            false
        from durable.take_sleeping(sleeping_types, application, from_ms,
            max_workflows, suspected) as s;
    end if;
    if taken_count >= oldest_max then
        return query
        select n.workflow_uuid, n.type, null::bigint, null::int, n.held_since,
            n.left_out
        from durable.take_waiting(due_types, application, from_ms,
            max_workflows - oldest_max, suspected || durable.taken(), true)
            as n;
    end if;
    if waiting_queues <> '{}' then
        return query
        select e.workflow_uuid, e.queue, null::bigint, null::int, null::bigint,
            e.left_out
        from durable.take_enqueued(waiting_queues, runnable, application,
            from_ms, max_workflows, suspected) as e;
    end if;
end
$$;
comment on function durable.turn_take(text[], text[], text[], text, int,
    text[], bigint) is
    'Locks workflows that can go on until the end of the transaction: at most '
    'max_workflows of each type (as in durable.waits) that are due, as many in its '
    'timer groups, and as many of each queue; or the workflows of only_ids, '
    'when it is not null.  What came due before from_ms is not looked for.  '
    'source: the type or the queue, empty for only_ids.  '
    'timer_group: the group that woke the workflow, and timer_group_size '
    'workflows at most; the rows of a group stand together.  left_out: the turn '
    'has no room for this workflow, which stays due.  Called by a worker in its '
    'turn.';


grant execute on function
    durable.now_ms(),
    durable.turn_begin(text[]),
    durable.taken(),
    durable.turn_take(text[], text[], text[], text, int, text[], bigint)
to widget_store_daemon;
