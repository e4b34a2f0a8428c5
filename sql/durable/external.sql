-- SPDX-License-Identifier: MIT
--
-- External steps: what a turn writes of those that its workflows begin, and what
-- a step master calls, which has them run by its processes.
--
-- A step master takes rows in one transaction and writes their results in a
-- later one, so that none is open while a step runs.  Its session holds an
-- advisory lock on its number, and a row whose owner has no lock is free.
--
-- Lock order: the rows of external_steps before the waits of their workflows.
--
-- I5: a turn that lets a workflow wait for a step locks its row until it has
-- committed the wait (look_at_steps), and a step master deletes the row before
-- it looks for the wait.

-- What a turn writes.

create or replace function durable.turn_external(
    ids text[],
    numbers int[],
    types text[],
    arguments text[],
    application text
)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    present_ms constant bigint := durable.due_now_ms();
begin
    insert into durable.external_steps (workflow_uuid, function_id, type,
        application, argument, next_at)
    select n.id, n.number, n.type, application, n.argument, present_ms
    from unnest(ids, numbers, types, arguments)
        as n (id, number, type, argument)
    -- One snapshot: a step that ends has either row.
    where not exists (
            select from durable.external_steps as e
            where e.workflow_uuid = n.id
                and e.function_id = n.number)
        and not exists (
            select from dbos.operation_outputs as o
            where o.workflow_uuid = n.id
                and o.function_id = n.number)
    on conflict do nothing;
end
$$;
comment on function durable.turn_external(text[], int[], text[], text[],
    text) is
    'Inserts the external steps that the workflows of a turn begin, except those '
    'that are there or have ended: a workflow that runs again begins the last '
    'ones again.';

create or replace function durable.look_at_steps(
    ids text[],
    kinds text[],
    keys text[]
)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    awaited record;
    present_ms constant bigint := durable.due_now_ms();
begin
    for awaited in
        select n.id, n.key::int as number
        from unnest(ids, kinds, keys) as n (id, kind, key)
        where n.kind = 'step'
            -- A step of this very turn is seen by no step master.
            and not exists (
                select from durable.external_steps as e
                where e.workflow_uuid = n.id
                    and e.function_id = n.key::int
                    and e.xmin = pg_current_xact_id()::xid)
    loop
        perform
        from durable.external_steps as e
        where e.workflow_uuid = awaited.id
            and e.function_id = awaited.number
        for share skip locked;
        continue when found;
        update durable.waits as w
        set wake_at = least(w.wake_at, present_ms + n.look_in_ms)
        from (
            select case when exists (
                    select from dbos.operation_outputs as o
                    where o.workflow_uuid = awaited.id
                        and o.function_id = awaited.number) then 0
                when exists (
                    select from durable.external_steps as e
                    where e.workflow_uuid = awaited.id
                        and e.function_id = awaited.number) then 10
                end as look_in_ms) as n
        where w.workflow_uuid = awaited.id
            and n.look_in_ms is not null;
        perform durable.hint('durable_due', '{""}');
    end loop;
end
$$;
comment on function durable.look_at_steps(text[], text[], text[]) is
    'The second look of I5, for workflows that begin to wait for an external '
    'step: makes a wait due when the step has ended, and in 10 ms when a step '
    'master is just writing that; else locks the step against its end.';

create or replace function durable.turn_forget(ids text[])
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
-- A step master may just write the end of a step, and wait for this turn.
set lock_timeout = '200ms'
as $$
begin
    perform durable.forget_steps(ids);
end
$$;
comment on function durable.turn_forget(text[]) is
    'Deletes the external steps that ended workflows of a turn have left.';

-- What a step master calls.

create or replace function durable.step_register(
    former int,
    ids text[],
    numbers int[],
    attempts int[],
    failures int[]
)
returns int
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    own int := nextval('durable.step_masters');
    present_ms constant bigint := durable.due_now_ms();
begin
    perform pg_advisory_lock('durable.external_steps'::regclass::oid::int, own);
    -- Also what was freed meanwhile and is not begun again; but no attempt
    -- whose failure is counted.
    update durable.external_steps as e
    set owner = own,
        next_at = null
    from unnest(ids, numbers, attempts, step_register.failures)
        as n (id, number, attempt, failures)
    where e.workflow_uuid = n.id
        and e.function_id = n.number
        and e.attempt = n.attempt
        and e.failures = n.failures
        and (e.owner = former or e.owner is null);
    -- The answer that had these was lost, so nothing has begun.
    update durable.external_steps as e
    set owner = null,
        next_at = present_ms,
        attempt = e.attempt - 1
    where e.owner = former;
    return own;
end
$$;
comment on function durable.step_register(int, text[], int[], int[], int[]) is
    'Returns the number of a new session of a step master, and locks it for the '
    'session. former: the number of its last session, or null. The steps that the '
    'master still runs, given by the other columns, are the new session''s.';

create or replace function durable.step_take(
    own int,
    application text,
    types text[],
    most int
)
returns table (
    workflow_uuid text,
    function_id int,
    type text,
    argument text,
    attempt int,
    failures int,
    progress text
)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    present_ms bigint := durable.now_ms();
begin
    return query
    with due as materialized (
        select d.workflow_uuid, d.function_id
        from (
            select l.*
            from unnest(types) as t (type)
            cross join lateral (
                select e.workflow_uuid, e.function_id, e.next_at
                from durable.external_steps as e
                where e.application = step_take.application
                    and e.type = t.type
                    and e.next_at <= present_ms
                order by e.next_at
                limit most
                for update skip locked) as l) as d
        order by d.next_at
        limit most
    )
    update durable.external_steps as e
    set owner = own,
        next_at = null,
        attempt = e.attempt + 1,
        started_ms = coalesce(e.started_ms, present_ms)
    from due as d
    where e.workflow_uuid = d.workflow_uuid
        and e.function_id = d.function_id
    returning e.workflow_uuid, e.function_id, e.type, e.argument, e.attempt,
        e.failures, e.progress;
end
$$;
comment on function durable.step_take(int, text, text[], int) is
    'Takes the external steps of these types that are due longest, so many at '
    'most, and returns what their attempt begins with.';

create or replace function durable.step_next(application text, types text[])
returns bigint
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select min(n.next_at) - durable.now_ms()
        from unnest(types) as t (type)
        cross join lateral (
            select e.next_at
            from durable.external_steps as e
            where e.application = step_next.application
                and e.type = t.type
                and e.next_at is not null
            order by e.next_at
            limit 1) as n);
end
$$;
comment on function durable.step_next(text, text[]) is
    'In how many milliseconds the next external step of these types is due; '
    'null: none is known.';

create or replace function durable.step_settle(
    own int,
    application text,
    ids text[],
    numbers int[],
    attempts int[],
    results text[],
    errors text[],
    delays bigint[],
    failed int[]
)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    present_ms bigint := durable.due_now_ms();
    ended record;
begin
    with gone as (
        delete from durable.external_steps as e
        using unnest(ids, numbers, attempts, results, errors, delays)
            as n (id, number, attempt, result, error, delay)
        where e.workflow_uuid = n.id
            and e.function_id = n.number
            and e.attempt = n.attempt
            and e.owner = own
            and n.delay is null
        returning e.workflow_uuid, e.function_id, e.type, e.started_ms,
            n.result, n.error
    ), recorded as (
        insert into dbos.operation_outputs (workflow_uuid, function_id,
            function_name, output, error, serialization, started_at_epoch_ms,
            completed_at_epoch_ms, application_name)
        select g.workflow_uuid, g.function_id, g.type, g.result, g.error,
            'portable_json', g.started_ms, present_ms, application
        from gone as g
        on conflict do nothing
    )
    select array_agg(g.workflow_uuid) as ids,
        array_agg(g.function_id) as numbers,
        sum(octet_length(g.result)) as bytes
    into ended
    from gone as g;
    update durable.external_steps as e
    set owner = null,
        next_at = present_ms + n.delay,
        failures = e.failures + n.failed,
        error = coalesce(n.error, e.error)
    from unnest(ids, numbers, attempts, errors, delays, failed)
        as n (id, number, attempt, error, delay, failed)
    where e.workflow_uuid = n.id
        and e.function_id = n.number
        and e.attempt = n.attempt
        and e.owner = own
        and n.delay is not null;
    if ended.ids is not null then
        perform durable.wake_by_steps(ended.ids, ended.numbers);
        if durable.is_large(ended.bytes::bigint) then
            perform durable.count_results(ended.ids, ended.numbers);
        end if;
    end if;
end
$$;
comment on function durable.step_settle(int, text, text[], int[], int[],
    text[], text[], bigint[], int[]) is
    'Writes how attempts have ended, those that are still the caller''s: with a '
    'result or an error, which goes into the journal and wakes the workflow; or, '
    'where delay is not null, to be tried again in so many milliseconds, with so '
    'many failures more.';

create or replace function durable.wake_by_steps(ids text[], numbers int[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    present_ms constant bigint := durable.due_now_ms();
begin
    update durable.waits as w
    set wake_at = present_ms
    from unnest(ids, numbers) as n (id, number)
    where w.workflow_uuid = n.id
        and w.wake_at > durable.now_ms()
        and (w.kind = 'step'
            and w.key = n.number::text
            or w.kind = 'any'
            and exists (
                select from durable.wait_items as i
                where i.workflow_uuid = n.id
                    and i.kind = 'step'
                    and i.key = n.number::text));
end
$$;
comment on function durable.wake_by_steps(text[], int[]) is
    'Makes the workflows due that wait for these steps.';

create or replace function durable.count_results(ids text[], numbers int[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    update durable.waits as w
    set bytes = coalesce(w.bytes, 0) + octet_length(o.output)
    from unnest(ids, numbers) as n (id, number)
    join dbos.operation_outputs as o
        on o.workflow_uuid = n.id
        and o.function_id = n.number
    where w.workflow_uuid = n.id
        and durable.is_large(octet_length(o.output));
end
$$;
comment on function durable.count_results(text[], int[]) is
    'Adds large results to what a turn loads of their workflows.';

create or replace function durable.step_look(
    own int,
    ids text[],
    numbers int[],
    attempts int[],
    progress text[]
)
returns table (workflow_uuid text, function_id int)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    update durable.external_steps as e
    set progress = n.progress
    from unnest(ids, numbers, attempts, step_look.progress)
        as n (id, number, attempt, progress)
    where e.workflow_uuid = n.id
        and e.function_id = n.number
        and e.attempt = n.attempt
        and e.owner = own
        and n.progress is not null;
    perform durable.step_release();
    return query
    select n.id, n.number
    from unnest(ids, numbers, attempts) as n (id, number, attempt)
    where not exists (
        select from durable.external_steps as e
        where e.workflow_uuid = n.id
            and e.function_id = n.number
            and e.attempt = n.attempt
            and e.owner = own);
end
$$;
comment on function durable.step_look(int, text[], int[], int[], text[]) is
    'Called by a step master every second, and when a step may have been '
    'cancelled: notes the progress of what it runs, where that is not null, and '
    'returns those that are no longer its own. Frees the steps of dead masters.';

create or replace function durable.step_release()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    present_ms constant bigint := durable.due_now_ms();
begin
    -- At once the first time; then with a pause, in case that the step is what
    -- ends its daemon.
    update durable.external_steps as e
    set owner = null,
        next_at = present_ms + case when e.attempt - e.failures > 1
            then 1000 * 2 ^ least(e.attempt - e.failures - 2, 6) else 0 end
    where e.owner in (
            select distinct r.owner
            from durable.external_steps as r
            where r.owner is not null
                and not exists (
                    select from pg_locks as l
                    where l.locktype = 'advisory'
                        and l.database = (
                            select d.oid from pg_database as d
                            where d.datname = current_database())
                        and l.classid = 'durable.external_steps'::regclass
                        and l.objid::bigint = r.owner));
end
$$;
comment on function durable.step_release() is
    'Frees the external steps of step masters without a session.';

grant execute on function
    durable.turn_external(text[], int[], text[], text[], text),
    durable.turn_forget(text[]),
    durable.step_register(int, text[], int[], int[], int[]),
    durable.step_take(int, text, text[], int),
    durable.step_next(text, text[]),
    durable.step_settle(int, text, text[], int[], int[], text[], text[],
        bigint[], int[]),
    durable.step_look(int, text[], int[], int[], text[])
to widget_store_daemon;
