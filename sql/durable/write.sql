-- SPDX-License-Identifier: MIT
--
-- What a worker writes in its turn: a function for each kind of row, called
-- once for many workflows, in the order of this file.  The waits come
-- before what the turn itself sends, sets or ends, so that this wakes them.

create or replace function durable.turn_end_waits(ids text[])
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    delete from durable.waits as w
    where w.workflow_uuid = any (ids);
end
$$;
comment on function durable.turn_end_waits(text[]) is
    'Deletes the waits of the workflows of a turn that have ended.';

create or replace function durable.turn_consumed(ids text[], numbers int[])
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    update dbos.notifications as n
    set consumed = true,
        consumed_by_function_id = c.number
    from unnest(ids, numbers) as c (id, number)
    where n.message_uuid = c.id;
end
$$;
comment on function durable.turn_consumed(text[], int[]) is
    'Marks the messages that a turn received, and by which step.';

create or replace function durable.make_timer_groups(
    due_at bigint[],
    types text[],
    kinds text[],
    sizes bigint[]
)
returns bigint[]
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    timer_groups bigint[];
begin
    if cardinality(kinds) = 1 or 'timer' <> all (kinds) then
        return null;
    end if;
    with made as (
        insert into durable.timer_groups as g (type, wake_at, size)
        select n.type, n.at, count(*)
        from unnest(due_at, types, kinds, sizes) as n (at, type, kind, bytes)
        where n.kind = 'timer'
            and n.bytes is null
        group by n.type, n.at
        having count(*) > 1
        returning g.timer_group, g.type, g.wake_at
    )
    select array_agg(g.timer_group order by n.place)
    from unnest(due_at, types, kinds, sizes) with ordinality
        as n (at, type, kind, bytes, place)
    left join made as g
        on g.type = n.type
        and g.wake_at = n.at
        and n.kind = 'timer'
        and n.bytes is null
    into timer_groups;
    return timer_groups;
end
$$;
comment on function durable.make_timer_groups(bigint[], text[], text[],
    bigint[]) is
    'Makes a timer group of the waits of a type that only the same time ends, '
    'if there are several; not of large workflows, which a turn counts one by '
    'one.  Returns the group of each wait, or null.';

create or replace function durable.look_again(
    ids text[],
    kinds text[],
    targets text[],
    keys text[]
)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    watched record;
    look_in_ms bigint;
    present_ms constant bigint := durable.due_now_ms();
begin
    for watched in
        select n.id, n.kind, n.target, n.key
        from unnest(ids, kinds, targets, keys) as n (id, kind, target, key)
        where n.kind in ('event', 'result', 'stream')
        order by n.target
    loop
        perform
        from dbos.workflow_status as s
        where s.workflow_uuid = watched.target
        for update skip locked;
        if not found then
            look_in_ms := case when exists (
                select from dbos.workflow_status as s
                where s.workflow_uuid = watched.target)
            then 10 else 1000 end;
        elsif watched.kind = 'event' and exists (
                select from dbos.workflow_events as e
                where e.workflow_uuid = watched.target
                    and e.key = watched.key)
            or watched.kind = 'stream' and exists (
                select from dbos.streams as m
                where m.workflow_uuid = watched.target
                    and m."offset" = split_part(watched.key, ':', 1)::int
                    and m.key = substr(watched.key,
                        strpos(watched.key, ':') + 1))
            or watched.kind in ('result', 'stream') and exists (
                select from dbos.workflow_status as s
                where s.workflow_uuid = watched.target
                    and s.status not in ('PENDING', 'ENQUEUED', 'DELAYED'))
        then
            look_in_ms := 0;
        else
            continue;
        end if;
        update durable.waits as w
        set wake_at = least(w.wake_at, present_ms + look_in_ms)
        where w.workflow_uuid = watched.id;
        perform durable.hint('durable_due', '{""}');
    end loop;
end
$$;
comment on function durable.look_again(text[], text[], text[], text[]) is
    'The second look of I5, for workflows that begin to wait for an event, a '
    'result or a stream of a target: makes a wait due when its target has set '
    'the event, has written the value or has ended, with the target locked '
    'against its writers.  When another session has locked the target, or it '
    'does not exist yet, the workflow looks again soon.  Notifies the workers, '
    'because none may know that time.';

create or replace function durable.turn_waits(
    ids text[],
    due_at bigint[],
    types text[],
    kinds text[],
    targets text[],
    keys text[],
    held bigint[] default null,
    sizes bigint[] default null
)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    timer_groups constant bigint[] :=
        durable.make_timer_groups(due_at, types, kinds, sizes);
    present_ms constant bigint := durable.due_now_ms();
begin
    insert into durable.waits as w (workflow_uuid, wake_at, type, kind, target,
        key, timer_group, held_since, bytes)
    select n.id, case when n.timer_group is null then n.at end, n.type, n.kind,
        n.target, n.key, n.timer_group, n.held, n.bytes
    from unnest(ids, due_at, types, kinds, targets, keys, timer_groups, held,
        sizes)
        as n (id, at, type, kind, target, key, timer_group, held, bytes)
    on conflict on constraint waits_pkey do update
    set wake_at = excluded.wake_at,
        type = excluded.type,
        kind = excluded.kind,
        target = excluded.target,
        key = excluded.key,
        timer_group = excluded.timer_group,
        held_since = excluded.held_since,
        bytes = excluded.bytes;
    -- A message that a step of this turn has sent came before the wait.  No
    -- other transaction can have sent one (I5), so a turn without such a step
    -- need not look at what may be many messages.
    if 'message' = any (kinds)
        and current_setting('durable.has_sent', true) = 'true' then
        update durable.waits as w
        set wake_at = present_ms
        where w.workflow_uuid = any (ids)
            and w.kind = 'message'
            and w.wake_at > durable.now_ms()
            and exists (
                select from dbos.notifications as m
                where m.destination_uuid = w.workflow_uuid
                    and m.topic = w.key
                    and not m.consumed);
        if found then
            perform durable.hint('durable_due', '{""}');
        end if;
    end if;
    if num_nonnulls(variadic targets) > 0 then
        perform durable.look_again(ids, kinds, targets, keys);
    end if;
    if 'step' = any (kinds) then
        perform durable.look_at_steps(ids, kinds, keys);
    end if;
end
$$;
comment on function durable.turn_waits(text[], bigint[], text[], text[],
    text[], text[], bigint[], bigint[]) is
    'Writes what the workflows of a turn wait for; the columns of durable.waits, '
    'an element a workflow.';

create or replace function durable.turn_timer_groups(
    timer_groups bigint[],
    due_at bigint[],
    sizes int[]
)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    update durable.timer_groups as g
    set wake_at = n.at,
        size = n.size
    from unnest(timer_groups, due_at, sizes) as n (timer_group, at, size)
    where g.timer_group = n.timer_group
        and n.at is not null;
    delete from durable.timer_groups as g
    using unnest(timer_groups, due_at) as n (timer_group, at)
    where g.timer_group = n.timer_group
        and n.at is null
        -- It stays while a wait refers to it: the turn skips locked workflows.
        and not exists (
            select from durable.waits as w where w.timer_group = g.timer_group);
end
$$;
comment on function durable.turn_timer_groups(bigint[], bigint[], int[]) is
    'Moves the timer groups of a turn that sleep again as a whole; where '
    'due_at is null, deletes the group unless a wait refers to it.';

create or replace function durable.turn_journal(
    ids text[],
    numbers int[],
    names text[],
    outputs text[],
    errors text[],
    children text[],
    serializations text[],
    started_ms bigint[],
    completed_ms bigint[],
    application text
)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    -- The column's default, computed once instead of once a row.
    present_ms bigint := extract(epoch from now()) * 1000.0;
begin
    insert into dbos.operation_outputs (workflow_uuid, function_id,
        function_name, output, error, child_workflow_id, serialization,
        started_at_epoch_ms, completed_at_epoch_ms, application_name,
        retention_timestamp)
    select n.id, n.number, n.name, n.output, n.error, n.child,
        n.serialization, n.started, n.completed, application, present_ms
    from unnest(ids, numbers, names, outputs, errors, children,
        serializations, started_ms, completed_ms)
        as n (id, number, name, output, error, child, serialization, started,
        completed);
end
$$;
comment on function durable.turn_journal(text[], int[], text[], text[],
    text[], text[], text[], bigint[], bigint[], text) is
    'Writes the steps of a turn.';

create or replace function durable.turn_continue(
    ids text[],
    numbers int[],
    inputs text[]
)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    -- By their places, because a join that was planned for an empty table reads
    -- all of it.
    delete from dbos.operation_outputs as o
    where o.ctid = any (array(
        select d.place
        from unnest(ids, numbers) as n (id, number)
        cross join lateral (
            select o.ctid as place
            from dbos.operation_outputs as o
            where o.workflow_uuid = n.id
                and o.function_id >= coalesce((
                    select c.function_id
                    from durable.continuations as c
                    where c.workflow_uuid = n.id), 0)
                and o.function_id < n.number
            offset 0) as d));
    insert into durable.continuations (workflow_uuid, function_id)
    select n.id, n.number
    from unnest(ids, numbers) as n (id, number)
    on conflict (workflow_uuid) do update
    set function_id = excluded.function_id;
    insert into dbos.workflow_input (workflow_uuid, inputs)
    select n.id, n.input
    from unnest(ids, inputs) as n (id, input)
    on conflict (workflow_uuid) do update
    set inputs = excluded.inputs;
    update dbos.workflow_status as s
    set serialization = 'portable_json'
    where s.workflow_uuid = any (ids)
        and s.serialization is distinct from 'portable_json';
end
$$;
comment on function durable.turn_continue(text[], int[], text[]) is
    'Lets workflows go on from their top: deletes the steps before the one of '
    'this number, and replaces the input.';

create or replace function durable.turn_cleanups(ids text[], may_run boolean[])
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    delete from durable.cleanups as c
    using unnest(ids, may_run) as n (id, may_run)
    where c.workflow_uuid = n.id
        and not n.may_run;
    insert into durable.cleanups (workflow_uuid)
    select n.id
    from unnest(ids, may_run) as n (id, may_run)
    where n.may_run
    on conflict do nothing;
end
$$;
comment on function durable.turn_cleanups(text[], boolean[]) is
    'Notes which workflows of a turn are to clean up when they are cancelled; '
    'forgets those that have ended.';

create or replace function durable.message_id(at_us bigint)
returns text
language sql
volatile
set search_path = pg_catalog, pg_temp
return overlay(overlay(gen_random_uuid()::text
    placing substr(lpad(to_hex(at_us / 1000), 12, '0'), 1, 8) || '-'
        || substr(lpad(to_hex(at_us / 1000), 12, '0'), 9, 4) from 1)
    placing '7' || lpad(to_hex(at_us % 1000 * 4), 3, '0') from 15);
comment on function durable.message_id(bigint) is
    'A UUID of version 7 (RFC 9562): ids sort as the times they are made of, '
    'so that messages of one millisecond keep their order.';

create or replace function durable.turn_messages(
    destinations text[],
    topics text[],
    messages text[]
)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
-- Two turns that send to each other's workflows would wait without end; the one
-- that gives up first is repeated.
set lock_timeout = '200ms'
as $$
declare
    present_us bigint := extract(epoch from clock_timestamp()) * 1000000;
begin
    insert into dbos.notifications (message_uuid, destination_uuid, topic,
        message, serialization, created_at_epoch_ms)
    select durable.message_id(present_us + n.place), n.destination, n.topic,
        n.message, 'portable_json', (present_us + n.place) / 1000
    from unnest(destinations, topics, messages)
        with ordinality as n (destination, topic, message, place)
    order by n.destination, n.place;
end
$$;
comment on function durable.turn_messages(text[], text[], text[]) is
    'Inserts the messages that a turn sent.';

create or replace function durable.turn_events(
    ids text[],
    numbers int[],
    keys text[],
    payloads text[],
    serializations text[]
)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
-- Another turn may have locked a workflow that an event wakes (tables.sql).
set lock_timeout = '200ms'
as $$
begin
    insert into dbos.workflow_events_history (workflow_uuid, function_id, key,
        value, serialization)
    select n.id, n.number, n.key, n.value, n.serialization
    from unnest(ids, numbers, keys, payloads, serializations)
        as n (id, number, key, value, serialization);
    -- The later value of an event that a turn sets twice stands.
    insert into dbos.workflow_events (workflow_uuid, key, value, serialization)
    select distinct on (n.id, n.key) n.id, n.key, n.value, n.serialization
    from unnest(ids, numbers, keys, payloads, serializations)
        as n (id, number, key, value, serialization)
    order by n.id, n.key, n.number desc
    on conflict (workflow_uuid, key) do update
    set value = excluded.value,
        serialization = excluded.serialization;
end
$$;
comment on function durable.turn_events(text[], int[], text[], text[],
    text[]) is
    'Sets the events of a turn, and writes their history.';

create or replace function durable.turn_statuses(
    ids text[],
    statuses text[],
    begun int[],
    versions text[],
    deadlines bigint[],
    outputs text[],
    errors text[],
    application text,
    executor text
)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
-- As turn_events.
set lock_timeout = '200ms'
as $$
declare
    present_ms bigint := durable.now_ms();
    -- When the turn began, before its steps.
    begun_ms bigint := extract(epoch from now()) * 1000;
begin
    update dbos.workflow_status as s
    set status = n.status,
        updated_at = present_ms,
        completed_at = case when n.status <> 'PENDING' then present_ms end,
        owner_xid = case when n.status = 'PENDING'
            then gen_random_uuid()::text end,
        deduplication_id = case when n.status = 'PENDING'
            then s.deduplication_id end,
        queue_name = case when n.status <> 'CANCELLED' then s.queue_name end,
        executor_id = executor,
        application_version = n.version,
        application_name = coalesce(s.application_name, application),
        recovery_attempts = coalesce(s.recovery_attempts, 0) + n.begun,
        started_at_epoch_ms = case when n.begun = 1 then begun_ms
            else s.started_at_epoch_ms end,
        workflow_deadline_epoch_ms = n.deadline
    from unnest(ids, statuses, begun, versions, deadlines)
        as n (id, status, begun, version, deadline)
    where s.workflow_uuid = n.id;
    insert into dbos.workflow_output (workflow_uuid, output, error)
    select n.id, n.output, n.error
    from unnest(ids, statuses, outputs, errors)
        as n (id, status, output, error)
    where n.status in ('SUCCESS', 'ERROR')
    on conflict (workflow_uuid) do update
    set output = excluded.output,
        error = excluded.error;
end
$$;
comment on function durable.turn_statuses(text[], text[], int[], text[],
    bigint[], text[], text[], text, text) is
    'Moves workflows on: begun from a queue (PENDING), or ended.';


grant execute on function
    durable.turn_end_waits(text[]),
    durable.turn_consumed(text[], int[]),
    durable.turn_waits(text[], bigint[], text[], text[], text[], text[],
        bigint[], bigint[]),
    durable.turn_timer_groups(bigint[], bigint[], int[]),
    durable.turn_journal(text[], int[], text[], text[], text[], text[],
        text[], bigint[], bigint[], text),
    durable.turn_continue(text[], int[], text[]),
    durable.turn_cleanups(text[], boolean[]),
    durable.turn_messages(text[], text[], text[]),
    durable.turn_events(text[], int[], text[], text[], text[]),
    durable.turn_statuses(text[], text[], int[], text[], bigint[], text[],
        text[], text, text)
to widget_store_daemon;
