-- SPDX-License-Identifier: MIT
--
-- Queues with limits (limits.sql).  A turn takes nothing of such a queue
-- (take.sql).  Before its turn a worker calls durable.admit, in a transaction
-- of its own: under an advisory lock of the queue it counts what runs and what
-- began in the period, and makes as many enqueued workflows as there is room
-- for PENDING, with a wait that is due.  From then on they are as all that are
-- due, so a process that dies anywhere leaves nothing to mend.
--
-- An SDK takes no advisory lock.  It locks the rows that it takes, in a
-- snapshot that fails when they have been updated since.  So an admission locks
-- its rows before it counts for the last time, and gives up when it cannot; see
-- durable.rival_heads.

create table if not exists durable.queue_rounds (
    queue text not null constraint queue_rounds_pkey primary key,
    partition_key text not null
) with (fillfactor = 50);
comment on table durable.queue_rounds is
    'Where the partitions of a queue are in their round: each admission goes '
    'on behind the partition at which the last one ended.';
comment on column durable.queue_rounds.queue is 'A partitioned queue.';
comment on column durable.queue_rounds.partition_key is
    'The partition that was looked at last.';

create or replace function durable.find_enqueued(
    queue text,
    partition text,
    runnable text[],
    application text,
    most int
)
returns text[]
language plpgsql
as $$
begin
    return array(
        select s.workflow_uuid
        from unnest(runnable) as r (type)
        cross join unnest(array['', '@' || application]) as o (owner)
        cross join lateral (
            (select s.workflow_uuid, s.priority, s.created_at
            from dbos.workflow_status as s
            where partition is null
                and durable.queue_key(s.queue_name, s.name,
                    s.application_version, s.application_name)
                    = array[queue, r.type, o.owner]
                and s.status = 'ENQUEUED'
            order by s.priority, s.created_at
            limit most)
            union all
            (select s.workflow_uuid, s.priority, s.created_at
            from dbos.workflow_status as s
            where durable.queue_key(s.queue_name, s.name,
                    s.application_version, s.application_name)
                    = array[queue, r.type, o.owner]
                and s.queue_partition_key = partition
                and s.queue_partition_key is not null
                and s.status = 'ENQUEUED'
            order by s.priority, s.created_at
            limit most)) as s
        order by s.priority, s.created_at, s.workflow_uuid
        limit most);
end
$$;
comment on function durable.find_enqueued(text, text, text[], text, int) is
    'The first workflows that are enqueued in a queue, or in one of its '
    'partitions, and that the calling worker may run, in the queue''s order.';

create or replace function durable.next_partition(
    queue text,
    runnable text[],
    application text,
    former text
)
returns text
language plpgsql
as $$
begin
    return min(n.key)
    from unnest(runnable) as r (type)
    cross join unnest(array['', '@' || application]) as o (owner)
    cross join lateral (
        (select s.queue_partition_key as key
        from dbos.workflow_status as s
        where former is null
            and durable.queue_key(s.queue_name, s.name, s.application_version,
                s.application_name) = array[queue, r.type, o.owner]
            and s.queue_partition_key is not null
            and s.status = 'ENQUEUED'
        order by s.queue_partition_key, s.priority, s.created_at
        limit 1)
        union all
        (select s.queue_partition_key
        from dbos.workflow_status as s
        where durable.queue_key(s.queue_name, s.name, s.application_version,
                s.application_name) = array[queue, r.type, o.owner]
            and s.queue_partition_key > former
            and s.status = 'ENQUEUED'
        order by s.queue_partition_key, s.priority, s.created_at
        limit 1)) as n;
end
$$;
comment on function durable.next_partition(text, text[], text, text) is
    'The first partition of a queue behind former (null: the first of all) in '
    'which a workflow is enqueued that the calling worker may run; or null.';

create or replace function durable.rival_heads(
    queue text,
    application text,
    ids text[]
)
returns text[]
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    key text[] := array[queue];
    heads text[] := '{}';
begin
    if not exists (
        select from dbos.application_versions as v
        where coalesce(v.application_name, application)
                = rival_heads.application
            and not exists (
                select from durable.types as t
                where t.application = rival_heads.application
                    and t.version = v.version_name))
    then
        return heads;
    end if;
    loop
        key := durable.next_key(key);
        exit when key is null or key[1] <> queue;
        continue when key[3] not in ('', '@' || application);
        heads := heads || array(
            select h.workflow_uuid
            from (
                select s.workflow_uuid
                from dbos.workflow_status as s
                where durable.queue_key(s.queue_name, s.name,
                        s.application_version, s.application_name) = key
                    and s.status = 'ENQUEUED'
                order by s.priority, s.created_at
                limit 1) as h
            where h.workflow_uuid <> all (ids));
    end loop;
    return heads;
end
$$;
comment on function durable.rival_heads(text, text, text[]) is
    'Where an SDK runs the same application: the first workflow of each kind '
    'that is enqueued in the queue, except those of ids. One of them is the '
    'first that an SDK would take. An admission updates them, so that an SDK '
    'which counted before the admission, and would take others, fails and '
    'counts again.';

create or replace function durable.admit_workflows(
    ids text[],
    runnable text[],
    application text,
    executor text,
    is_rate_limited boolean
)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    present_ms constant bigint := durable.due_now_ms();
    -- What a step takes beside its output, as in durable.take_enqueued.
    step_bytes constant int := 200;
begin
    with admitted as (
        -- As the dequeue of the DBOS SDKs.
        update dbos.workflow_status as s
        set status = 'PENDING',
            owner_xid = gen_random_uuid()::text,
            executor_id = executor,
            -- Without a version: the last one of its name in the list.
            application_version = coalesce(nullif(s.application_version, ''), (
                select substr(r.type, length(s.name) + 2)
                from unnest(runnable) with ordinality as r (type, place)
                where starts_with(r.type, s.name || '@')
                    and substr(r.type, length(s.name) + 2) ~ '^[^@]+$'
                order by r.place desc
                limit 1)),
            application_name = coalesce(s.application_name, application),
            started_at_epoch_ms = present_ms,
            rate_limited = is_rate_limited,
            recovery_attempts = coalesce(s.recovery_attempts, 0) + 1,
            updated_at = present_ms,
            workflow_deadline_epoch_ms = coalesce(s.workflow_deadline_epoch_ms,
                present_ms + s.workflow_timeout_ms)
        where s.workflow_uuid = any (ids)
        returning s.workflow_uuid, s.name || '@' || s.application_version
            || '@' || s.application_name as type,
            octet_length(s.inputs) as bytes
    )
    insert into durable.waits as w (workflow_uuid, wake_at, type, kind, bytes)
    select a.workflow_uuid, present_ms, a.type, 'start',
        case when durable.is_large(a.bytes) then a.bytes end
    from (
        select a.workflow_uuid, a.type, coalesce((
                select octet_length(i.inputs)
                from dbos.workflow_input as i
                where i.workflow_uuid = a.workflow_uuid), a.bytes, 0)
            + coalesce((
                select sum(step_bytes + coalesce(octet_length(o.output), 0))
                from dbos.operation_outputs as o
                where o.workflow_uuid = a.workflow_uuid), 0) as bytes
        from admitted as a) as a
    on conflict on constraint waits_pkey do update
    set wake_at = excluded.wake_at,
        type = excluded.type,
        kind = excluded.kind,
        target = null,
        key = null,
        timer_group = null,
        held_since = null,
        bytes = excluded.bytes;
end
$$;
comment on function durable.admit_workflows(text[], text[], text, text,
    boolean) is
    'Makes enqueued workflows pending, with a wait that is due.';

create or replace function durable.lock_enqueued(queue text, ids text[])
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    return count(*) = cardinality(ids)
    from (
        select
        from dbos.workflow_status as s
        where s.workflow_uuid = any (ids)
            and s.status = 'ENQUEUED'
            and s.queue_name = queue
        -- A message to one of them, which shares its key, is in no way.
        for no key update skip locked) as n;
end
$$;
comment on function durable.lock_enqueued(text, text[]) is
    'Locks enqueued workflows of a queue. Returns whether it got all of them; '
    'else a session is about to begin, cancel or move one.';

create or replace function durable.choose_of_partitions(
    q durable.limited_queues,
    runnable text[],
    application text,
    executor text,
    room int,
    inout quota int,
    out ids text[],
    out again_ms bigint
)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    -- So that no call is long.  The next one goes on from there.
    most_looks constant int := 2000;
    start constant text := (
        select r.partition_key
        from durable.queue_rounds as r
        where r.queue = q.name);
    types constant text[] := array(
        select r.type
        from unnest(runnable) as r (type)
        where durable.find_enqueued(q.name, null, array[r.type], application,
            1) <> '{}');
    is_behind_end boolean := start is null;
    key text := start;
    last_key text;
    own record;
    looks int := 0;
begin
    ids := '{}';
    loop
        last_key := key;
        key := durable.next_partition(q.name, types, application, key);
        if key is null and not is_behind_end then
            is_behind_end := true;
            key := durable.next_partition(q.name, types, application, null);
        end if;
        exit when key is null or is_behind_end and key > start;
        looks := looks + 1;
        select r.room, r.again_ms
        into own
        from durable.room(q.name, key, application, executor,
            q.partition_concurrency, q.partition_worker_concurrency,
            q.partition_rate_max, q.partition_rate_ms,
            least(quota, room - cardinality(ids))) as r;
        if own.room > 0 then
            ids := ids || durable.find_enqueued(q.name, key, types,
                application, own.room);
        end if;
        again_ms := least(again_ms, own.again_ms);
        if looks >= most_looks then
            again_ms := durable.now_ms();
        end if;
        if cardinality(ids) >= room or looks >= most_looks then
            last_key := key;
            exit;
        end if;
    end loop;
    quota := greatest((room - cardinality(ids)) / greatest(looks, 1), 1);
    if last_key is distinct from start then
        insert into durable.queue_rounds as r (queue, partition_key)
        values (q.name, last_key)
        on conflict on constraint queue_rounds_pkey do update
        set partition_key = excluded.partition_key;
    end if;
end
$$;
comment on function durable.choose_of_partitions(durable.limited_queues,
    text[], text, text, int, int) is
    'The first enqueued workflows of the partitions of a queue, at most room, '
    'and quota of each that has room for them, round by round: it goes on '
    'behind the partition at which the last call ended, and ends where it began. '
    'Returns the quota with which another round would use the room that is '
    'left; again_ms: when a partition has room again.';

create or replace function durable.admit_queue(
    q durable.limited_queues,
    runnable text[],
    application text,
    executor text,
    max_workflows int
)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    most int := max_workflows;
    quota int := 1;
    own record;
    ids text[];
    heads text[];
    again_ms bigint;
begin
    loop
        select r.room, r.again_ms
        into own
        from durable.room(q.name, null, application, executor, q.concurrency,
            q.worker_concurrency, q.rate_max, q.rate_ms, most) as r;
        if most = 0 then
            return durable.now_ms();
        elsif own.room = 0 then
            return own.again_ms;
        end if;
        if q.is_partitioned then
            select c.quota, c.ids, c.again_ms
            into quota, ids, again_ms
            from durable.choose_of_partitions(q, runnable, application,
                executor, own.room, quota) as c;
        else
            ids := durable.find_enqueued(q.name, null, runnable, application,
                own.room);
        end if;
        if ids = '{}' then
            return again_ms;
        end if;
        heads := durable.rival_heads(q.name, application, ids);
        if not durable.lock_enqueued(q.name, ids || heads) then
            return durable.now_ms() + 20;
        end if;
        -- What a session committed before it let go of the rows.
        select r.room
        into own
        from durable.room(q.name, null, application, executor, q.concurrency,
            q.worker_concurrency, q.rate_max, q.rate_ms, most) as r;
        ids := ids[1:own.room];
        perform durable.admit_workflows(ids, runnable, application, executor,
            num_nonnulls(q.rate_max, q.partition_rate_max) > 0);
        update dbos.workflow_status as s
        set updated_at = s.updated_at
        where s.workflow_uuid = any (heads);
        most := most - cardinality(ids);
    end loop;
end
$$;
comment on function durable.admit_queue(durable.limited_queues, text[], text,
    text, int) is
    'durable.admit of one queue, which the caller has locked.';

create or replace function durable.admit(
    queues text[],
    runnable text[],
    application text,
    executor text,
    max_workflows int
)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    q durable.limited_queues;
    due_ms bigint;
begin
    for q in
        select l.*
        from durable.limited_queues as l
        where l.name = any (queues)
            and (
                select true
                from dbos.workflow_status as s
                where s.queue_name = l.name
                    and s.status = 'ENQUEUED'
                order by s.priority, s.created_at
                limit 1)
        order by l.name
    loop
        continue when durable.find_enqueued(q.name, null, runnable,
            application, 1) = '{}';
        -- Another session admits, which may not see what has just ended.
        due_ms := least(due_ms, case when pg_try_advisory_xact_lock(
                'durable.queue_rounds'::regclass::oid::int, hashtext(q.name))
            then durable.admit_queue(q, runnable, application, executor,
                max_workflows)
            else durable.now_ms() + 10 end);
    end loop;
    return due_ms;
end
$$;
comment on function durable.admit(text[], text[], text, text, int) is
    'Lets enqueued workflows of queues with limits begin, of each queue at '
    'most max_workflows, as many as its limits have room for: from now on they '
    'are due. Returns when to call it again, in milliseconds since the epoch; '
    'null: when a workflow of such a queue has been enqueued or has ended. Called by '
    'a worker before its turn, in a transaction of its own.';


grant execute on function durable.admit(text[], text[], text, text, int)
to widget_store_daemon;
