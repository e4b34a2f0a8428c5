-- SPDX-License-Identifier: MIT
--
-- The deletion of finished workflows by the policies of retention.sql, in bites
-- that a worker takes beside the turns.
--
-- A round goes through the finished workflows of an application and a name, from
-- the oldest to a time that stays the same during the round.  Each bite is a
-- transaction: it deletes some workflows with all that is theirs, and notes their
-- ids.  So a bite happens as a whole or not at all, and what it has not noted is
-- deleted again by the next.  One session bites at a time, but nothing depends on
-- that: a bite locks its workflows, and leaves out what another session has
-- locked.

create table if not exists durable.collections (
    owner text not null,
    name text not null,
    place_ms bigint not null default 0,
    cut_ms bigint not null default 0,
    next_at bigint not null default 0,
    constraint collections_pkey primary key (owner, name)
);
comment on table durable.collections is
    'One row per application and name of finished workflows: how far the round '
    'through them has come.';
comment on column durable.collections.owner is
    '@ and the application, or the empty text for workflows of none.';
comment on column durable.collections.name is 'Name of the workflow function.';
comment on column durable.collections.place_ms is
    'Workflows that ended before this time have been looked at, in milliseconds '
    'since the epoch; 0: the next bite begins a round.';
comment on column durable.collections.cut_ms is
    'Workflows that ended before this time are deleted in this round.';
comment on column durable.collections.next_at is
    'When its next bite is due, in milliseconds since the epoch.';

create table if not exists durable.collector (
    next_at bigint not null default 0,
    look_at bigint not null default 0
);
comment on table durable.collector is
    'One row: what all workers know of the deletion.';
comment on column durable.collector.next_at is
    'When a worker may take the next bite, in milliseconds since the epoch.';
comment on column durable.collector.look_at is
    'When to look next for new names and for ids that are free again.';

insert into durable.collector (next_at)
select 0
where not exists (select from durable.collector);

-- What is deleted.

create or replace function durable.is_kept(id text, parent text)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return exists (
            select from dbos.workflow_status as s
            where s.workflow_uuid = parent
                and s.status not in ('SUCCESS', 'ERROR'))
        or exists (
            select from dbos.workflow_status as s
            where s.forked_from = id)
        or exists (
            select from durable.waits as w where w.workflow_uuid = id)
        or exists (
            select from durable.waits as w where w.target = id)
        or exists (
            select from durable.wait_items as i where i.target = id);
end
$$;
comment on function durable.is_kept(text, text) is
    'Whether a finished workflow is kept whatever its age: its parent goes on or '
    'can be resumed, and would ask for it again; a fork refers to its steps; a '
    'workflow waits for it; or it cleans up.';

create or replace function durable.weigh(id text)
returns table (rows bigint, bytes bigint)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    -- The size of what is stored apart is known without reading it.  With each
    -- row go its header, its keys and its index entries.
    return query
    select count(*) + 2, coalesce(sum(200 + n.bytes), 0)::bigint + 1500
    from (
        select coalesce(pg_column_size(o.output), 0)
            + coalesce(pg_column_size(o.error), 0) as bytes
        from dbos.operation_outputs as o
        where o.workflow_uuid = id
        union all
        select pg_column_size(m.message)
        from dbos.notifications as m
        where m.destination_uuid = id
        union all
        select pg_column_size(e.value)
        from dbos.workflow_events as e
        where e.workflow_uuid = id
        union all
        select pg_column_size(h.value)
        from dbos.workflow_events_history as h
        where h.workflow_uuid = id
        union all
        select pg_column_size(t.value)
        from dbos.streams as t
        where t.workflow_uuid = id
        union all
        select coalesce(pg_column_size(i.inputs), 0)
        from dbos.workflow_input as i
        where i.workflow_uuid = id) as n;
end
$$;
comment on function durable.weigh(text) is
    'About how many rows and bytes, with those of indexes, a workflow has.';

create or replace function durable.delete_finished(ids text[], id_days int)
returns int
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    free_at bigint := durable.now_ms() + nullif(id_days, 0) * 86400000::bigint;
    free text[];
begin
    -- Losing a bite costs nothing: the next one deletes the same again.
    perform set_config('synchronous_commit', 'off', true);
    free := array(
        select s.workflow_uuid
        from dbos.workflow_status as s
        where s.workflow_uuid = any (ids)
            and s.status in ('SUCCESS', 'ERROR', 'CANCELLED')
        for update skip locked);
    -- Once more, because a workflow may have begun to wait for it before the
    -- lock; behind the lock none does (I5).
    free := array(
        select s.workflow_uuid
        from unnest(free) as n (id)
        join dbos.workflow_status as s on s.workflow_uuid = n.id
        where not durable.is_kept(s.workflow_uuid, s.parent_workflow_id));
    -- Before the deletion, whose triggers may keep an id for ever.
    insert into durable.retired_ids as r (workflow_uuid, until_ms)
    select n.id, free_at
    from unnest(free) as n (id)
    on conflict (workflow_uuid) do update
    set until_ms = case when r.until_ms is not null
        then greatest(r.until_ms, excluded.until_ms) end
    where r.until_ms is not null;
    delete from dbos.workflow_status as s
    where s.workflow_uuid = any (free);
    return cardinality(free);
end
$$;
comment on function durable.delete_finished(text[], int) is
    'Deletes those of the workflows that have finished, that nothing keeps and that '
    'no other session has locked, and keeps their ids for so many days (0: for '
    'ever). Triggers delete what is theirs. Returns how many there were.';

create or replace function durable.bite(
    owner text,
    of_name text,
    out workflows int,
    out rows bigint,
    out bytes bigint
)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    most constant int := 200;
    job durable.collections;
    found_one record;
    weight record;
    ids text[] := '{}';
    looked int := 0;
begin
    rows := 0;
    bytes := 0;
    select c.*
    into job
    from durable.collections as c
    where c.owner = bite.owner
        and c.name = of_name
    for update;
    if job.place_ms = 0 then
        job.cut_ms := durable.cut_of(job.owner, job.name);
    end if;
    for found_one in
        select s.workflow_uuid as id, s.parent_workflow_id as parent,
            coalesce(s.completed_at, s.created_at) as at_ms
        from dbos.workflow_status as s
        where coalesce('@' || s.application_name, '') = job.owner
            and coalesce(s.name, '') = job.name
            and s.status in ('SUCCESS', 'ERROR', 'CANCELLED')
            and coalesce(s.completed_at, s.created_at) >= job.place_ms
            and coalesce(s.completed_at, s.created_at) < job.cut_ms
        order by coalesce(s.completed_at, s.created_at)
        limit most
    loop
        looked := looked + 1;
        job.place_ms := found_one.at_ms;
        continue when durable.is_kept(found_one.id, found_one.parent);
        select w.*
        into weight
        from durable.weigh(found_one.id) as w;
        ids := ids || found_one.id;
        rows := rows + weight.rows;
        bytes := bytes + weight.bytes;
        exit when cardinality(ids) >= 50 or rows >= 2000 or bytes >= 4194304;
    end loop;
    workflows := durable.delete_finished(ids,
        (durable.policy_of(job.name)).id_days);
    update durable.collections as c
    set cut_ms = job.cut_ms,
        -- Not on from a time of which something was deleted, because more may
        -- have ended then.
        place_ms = case when ids = '{}' and looked < most then 0
            else job.place_ms + (workflows = 0)::int end,
        next_at = durable.now_ms()
            + case when ids = '{}' and looked < most then 300000 else 0 end
    where c.owner = job.owner
        and c.name = job.name;
end
$$;
comment on function durable.bite(text, text) is
    'Deletes finished workflows of an owner and a name: 50 of them, or 2000 rows, '
    'or 4 MiB, with the last one as a whole, and looks at 200 at most. At the end of '
    'a round the next one is due in five minutes. Returns what it has deleted, with '
    'rows and bytes as durable.weigh.';

create or replace function durable.find_collections()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    insert into durable.collections (owner, name)
    with recursive kinds (owner, name) as (
        (select coalesce('@' || s.application_name, ''), coalesce(s.name, '')
        from dbos.workflow_status as s
        where s.status in ('SUCCESS', 'ERROR', 'CANCELLED')
        order by coalesce('@' || s.application_name, ''), coalesce(s.name, '')
        limit 1)
        union all
        select n.owner, n.name
        from kinds as k
        cross join lateral (
            select coalesce('@' || s.application_name, '') as owner,
                coalesce(s.name, '') as name
            from dbos.workflow_status as s
            where (coalesce('@' || s.application_name, ''),
                    coalesce(s.name, '')) > (k.owner, k.name)
                and s.status in ('SUCCESS', 'ERROR', 'CANCELLED')
            order by coalesce('@' || s.application_name, ''),
                coalesce(s.name, '')
            limit 1) as n
    )
    select k.owner, k.name
    from kinds as k
    on conflict do nothing;
end
$$;
comment on function durable.find_collections() is
    'Notes the owners and names of finished workflows, with an index entry for '
    'each.';

create or replace function durable.free_ids()
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    most constant int := 1000;
    freed int;
    present_ms bigint := durable.now_ms();
begin
    delete from durable.retired_ids as r
    where r.workflow_uuid = any (array(
        select i.workflow_uuid
        from durable.retired_ids as i
        where i.until_ms <= present_ms
        order by i.until_ms
        limit most
        for update skip locked));
    get diagnostics freed = row_count;
    return freed = most;
end
$$;
comment on function durable.free_ids() is
    'Frees some ids whose time is over. Returns whether there may be more.';

create or replace function durable.collect(
    application text,
    share int,
    out wait_ms bigint,
    out name text,
    out workflows int,
    out rows bigint,
    out bytes bigint
)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    begun_ms bigint := durable.now_ms();
    state durable.collector;
    job record;
begin
    if share > 0 and not pg_try_advisory_xact_lock(1146442305, 4) then
        wait_ms := 1000;
        return;
    elsif share = 0 then
        perform pg_advisory_xact_lock(1146442305, 4);
    end if;
    select c.* into state from durable.collector as c;
    wait_ms := state.next_at - begun_ms;
    -- A later time than a minute from now is from a clock that was put back.
    if share > 0 and wait_ms between 1 and 60000 then
        return;
    end if;
    if state.look_at not between begun_ms + 1 and begun_ms + 60000 then
        perform durable.find_collections();
        state.look_at := begun_ms + case when durable.free_ids() then 0
            else 60000 end;
    end if;
    select c.owner, c.name
    into job
    from durable.collections as c
    where (collect.application is null
            or c.owner in ('', '@' || collect.application))
        and (c.next_at <= begun_ms or c.next_at > begun_ms + 300000)
    order by c.next_at, c.owner, c.name
    limit 1;
    if found then
        name := job.name;
        select b.workflows, b.rows, b.bytes
        into workflows, rows, bytes
        from durable.bite(job.owner, job.name) as b;
        wait_ms := least(60000, share * (durable.now_ms() - begun_ms + 1));
        state.next_at := durable.now_ms() + wait_ms;
    else
        wait_ms := 5000;
    end if;
    update durable.collector as c
    set next_at = state.next_at,
        look_at = state.look_at
    where (c.next_at, c.look_at)
        is distinct from (state.next_at, state.look_at);
end
$$;
comment on function durable.collect(text, int) is
    'Takes a bite of the finished workflows of an application and of none, or of '
    'all (null), unless one was taken just now: after each a pause of share times '
    'as long is kept, by all sessions together; 0: none. Returns how long to wait '
    'for the next, and what was deleted; a null name: no bite is due. Called by a '
    'worker that rests, and by the command durable.';

create or replace function durable.collect_begin()
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform durable.find_collections();
    perform durable.begin_collections('*');
end
$$;
comment on function durable.collect_begin() is
    'Lets new rounds of durable.collect begin at once, for all names.';

create or replace function durable.collect_estimate(of_application text default null)
returns table (
    name text,
    application text,
    workflows bigint,
    rows bigint,
    bytes bigint,
    ended_before timestamptz
)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    perform durable.find_collections();
    return query
    select c.name, nullif(ltrim(c.owner, '@'), ''), n.workflows,
        (n.workflows * w.rows)::bigint, (n.workflows * w.bytes)::bigint,
        durable.as_time(t.cut_ms)
    from durable.collections as c
    cross join lateral (
        select durable.cut_of(c.owner, c.name) as cut_ms
        offset 0) as t
    cross join lateral (
        select count(*) as workflows
        from dbos.workflow_status as s
        where coalesce('@' || s.application_name, '') = c.owner
            and coalesce(s.name, '') = c.name
            and s.status in ('SUCCESS', 'ERROR', 'CANCELLED')
            and coalesce(s.completed_at, s.created_at) < t.cut_ms) as n
    cross join lateral (
        select coalesce(avg(v.rows), 0) as rows, coalesce(avg(v.bytes), 0) as bytes
        from (
            select s.workflow_uuid as id
            from dbos.workflow_status as s
            where coalesce('@' || s.application_name, '') = c.owner
                and coalesce(s.name, '') = c.name
                and s.status in ('SUCCESS', 'ERROR', 'CANCELLED')
                and coalesce(s.completed_at, s.created_at) < t.cut_ms
            order by coalesce(s.completed_at, s.created_at)
            limit 100) as i
        cross join lateral durable.weigh(i.id) as v) as w
    where n.workflows > 0
        and (of_application is null
            or c.owner in ('', '@' || of_application))
    order by c.name, c.owner;
end
$$;
comment on function durable.collect_estimate(text) is
    'What the policies would delete now, of an application and of none, or of all '
    '(null): how many workflows that ended before a time, among them those that '
    'something keeps (durable.is_kept), and about how many rows and bytes, from the '
    'oldest hundred.';


grant execute on function
    durable.collect(text, int)
to widget_store_daemon;
grant execute on function
    durable.collect(text, int),
    durable.collect_begin(),
    durable.collect_estimate(text)
to durable_client;
