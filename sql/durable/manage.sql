-- SPDX-License-Identifier: MIT
--
-- What workflows do to other workflows: start, find, cancel and resume them.
-- Called by a worker in its turn, and by api.sql.

create or replace function durable.turn_start(
    ids text[],
    names text[],
    versions text[],
    inputs text[],
    parents text[],
    deadlines bigint[],
    application text,
    executor text
)
returns setof text
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    present_ms bigint := durable.now_ms();
    created text[];
begin
    with inserted as (
        insert into dbos.workflow_status (workflow_uuid, status, name,
            serialization, executor_id, application_version, application_id,
            application_name, recovery_attempts, workflow_deadline_epoch_ms,
            parent_workflow_id, owner_xid, creator_xid, authenticated_user,
            assumed_role, started_at_epoch_ms)
        select distinct on (n.id) n.id, 'PENDING', n.name, 'portable_json',
            executor, n.version, '', application, 1, n.deadline, n.parent,
            n.token, n.token, '', '', present_ms
        from (
            select c.id, c.name, c.version, c.parent, c.deadline, c.place,
                gen_random_uuid()::text as token
            from unnest(ids, names, versions, parents, deadlines)
                with ordinality
                as c (id, name, version, parent, deadline, place)) as n
        where not exists (
            select from durable.retired_ids as r
            where r.workflow_uuid = n.id)
        order by n.id, n.place
        on conflict (workflow_uuid) do nothing
        returning workflow_uuid
    ), given as (
        insert into dbos.workflow_input (workflow_uuid, inputs)
        select distinct on (n.id) n.id, n.input
        from unnest(ids, inputs) with ordinality as n (id, input, place)
        where n.id in (select i.workflow_uuid from inserted as i)
        order by n.id, n.place
        on conflict (workflow_uuid) do update
        set inputs = excluded.inputs
    )
    select coalesce(array_agg(i.workflow_uuid), '{}')
    into created
    from inserted as i;
    return query
    select case when n.place = array_position(ids, n.id)
            and n.id = any (created) then 'created'
        when n.name = s.name or s.workflow_uuid is null then 'exists'
        else 'conflict' end
    from unnest(ids, names) with ordinality as n (id, name, place)
    left join dbos.workflow_status as s on s.workflow_uuid = n.id
    order by n.place;
end
$$;
comment on function durable.turn_start(text[], text[], text[], text[], text[],
    bigint[], text, text) is
    'Inserts children, which the calling turn runs or lets wait.  Returns for '
    'each: created, exists (with this name, or ended and deleted: see '
    'durable.retired_ids) or conflict (with another).';

create or replace function durable.turn_start_with(
    ids text[],
    names text[],
    versions text[],
    inputs text[],
    parents text[],
    deadlines bigint[],
    options jsonb[],
    application text,
    executor text
)
returns setof text
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    present_ms bigint := durable.now_ms();
    created text[];
begin
    with inserted as (
        insert into dbos.workflow_status (workflow_uuid, status, name,
            class_name, config_name, serialization, executor_id,
            application_version, application_id, application_name,
            recovery_attempts, workflow_timeout_ms, workflow_deadline_epoch_ms,
            queue_name, priority, deduplication_id, queue_partition_key,
            delay_until_epoch_ms, attributes, parent_workflow_id, owner_xid,
            creator_xid, authenticated_user, assumed_role, started_at_epoch_ms)
        select distinct on (n.id) n.id, case when n.queue is null then 'PENDING'
                when n.delay_until is null then 'ENQUEUED'
                else 'DELAYED' end,
            n.name, n.class_name, n.config_name, 'portable_json', executor,
            n.version, '', coalesce(n.owner, application),
            (n.queue is null)::int, n.timeout_ms, n.deadline, n.queue,
            coalesce(n.priority, 0), n.deduplication_id, n.partition_key,
            n.delay_until, n.attributes, n.parent,
            case when n.queue is null then n.token end, n.token, '', '',
            case when n.queue is null then present_ms end
        from (
            select c.id, c.name, c.version, c.parent, c.deadline, c.place,
                gen_random_uuid()::text as token, o.*
            from unnest(ids, names, versions, parents, deadlines, options)
                with ordinality as c (id, name, version, parent, deadline,
                option, place)
            cross join lateral jsonb_to_record(c.option) as o (class_name text,
                config_name text, queue text, owner text, priority int,
                delay_until bigint, timeout_ms bigint, deduplication_id text,
                partition_key text, attributes jsonb)) as n
        where not exists (
            select from durable.retired_ids as r
            where r.workflow_uuid = n.id)
        order by n.id, n.place
        -- An id that is known, or a deduplication id that its queue has.
        on conflict do nothing
        returning workflow_uuid
    ), given as (
        insert into dbos.workflow_input (workflow_uuid, inputs)
        select distinct on (n.id) n.id, n.input
        from unnest(ids, inputs) with ordinality as n (id, input, place)
        where n.id in (select i.workflow_uuid from inserted as i)
        order by n.id, n.place
        on conflict (workflow_uuid) do update
        set inputs = excluded.inputs
    )
    select coalesce(array_agg(i.workflow_uuid), '{}')
    into created
    from inserted as i;
    return query
    select case when s.workflow_uuid is null and r.workflow_uuid is not null
            then 'exists'
        when s.workflow_uuid is null and d.workflow_uuid is not null
            then 'joined ' || d.workflow_uuid
        when s.workflow_uuid is null then 'duplicated'
        when n.place = array_position(ids, n.id)
            and n.id = any (created) then 'created'
        when n.name = s.name
            and s.class_name is not distinct from n.option ->> 'class_name'
            and s.config_name is not distinct from n.option ->> 'config_name'
            then 'exists'
        else 'conflict' end
    from unnest(ids, names, options) with ordinality as n (id, name, option,
        place)
    left join dbos.workflow_status as s on s.workflow_uuid = n.id
    left join durable.retired_ids as r on r.workflow_uuid = n.id
    left join dbos.workflow_status as d
        on s.workflow_uuid is null
            and n.option ? 'join_duplicate'
            and d.queue_name = n.option ->> 'queue'
            and d.deduplication_id = n.option ->> 'deduplication_id'
    order by n.place;
end
$$;
comment on function durable.turn_start_with(text[], text[], text[], text[],
    text[], bigint[], jsonb[], text, text) is
    'turn_start with options, which name columns: class_name, config_name, '
    'queue, owner (an application), priority, delay_until, timeout_ms, '
    'deduplication_id, partition_key, attributes. Enqueues what has a queue, '
    'which the turn does not run. Returns duplicated, too: the queue has a '
    'workflow of this deduplication id; with join_duplicate joined and the id '
    'of that workflow.';

create or replace function durable.control(ids text[], commands text[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    present_ms bigint := durable.now_ms();
    parents text[];
    seen text[] := '{}';
begin
    loop
        -- As the clients of the DBOS SDKs do it.
        with controlled as materialized (
            select s.workflow_uuid, n.command = 'resume' as resumes
            from (
                select distinct on (c.id) c.id, c.command
                from unnest(ids, commands) with ordinality
                    as c (id, command, place)
                order by c.id, c.place desc) as n
            join dbos.workflow_status as s on s.workflow_uuid = n.id
            where s.status not in ('SUCCESS', 'ERROR')
            order by s.workflow_uuid
            for update of s
        )
        update dbos.workflow_status as s
        set status = case when c.resumes then 'ENQUEUED' else 'CANCELLED' end,
            queue_name = case when c.resumes then '_dbos_internal_queue' end,
            completed_at = case when not c.resumes then present_ms end,
            recovery_attempts = case when c.resumes then 0
                else s.recovery_attempts end,
            workflow_deadline_epoch_ms = case when not c.resumes
                then s.workflow_deadline_epoch_ms end,
            owner_xid = null,
            deduplication_id = null,
            started_at_epoch_ms = null,
            updated_at = present_ms
        from controlled as c
        where s.workflow_uuid = c.workflow_uuid;
        -- A generation at a time: a workflow that is cancelled starts no child
        -- any more, and a new statement sees those that it had started.
        parents := array(
            select c.id
            from unnest(ids, commands) as c (id, command)
            where c.command = 'cancel family');
        exit when parents = '{}';
        seen := seen || parents;
        select array_agg(s.workflow_uuid), array_agg('cancel family'::text)
        into ids, commands
        from dbos.workflow_status as s
        where s.parent_workflow_id = any (parents)
            -- Rows made by hand may form a circle.
            and s.workflow_uuid <> all (seen);
    end loop;
end
$$;
comment on function durable.control(text[], text[]) is
    'Cancels workflows, alone or with all that they and their children have '
    'started (cancel family), or enqueues them again (resume), unless they have '
    'ended by themselves. Of several commands for a workflow the last counts.';

create or replace function durable.turn_control(ids text[], commands text[])
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
-- As turn_events; another turn may have locked the workflow.
set lock_timeout = '200ms'
as $$
begin
    perform durable.control(ids, commands);
end
$$;
comment on function durable.turn_control(text[], text[]) is
    'durable.control, for a turn.';

create or replace function durable.turn_attributes(
    ids text[],
    attributes jsonb[]
)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    added record;
begin
    for added in
        select n.id, n.attributes
        from unnest(ids, turn_attributes.attributes) with ordinality
            as n (id, attributes, place)
        order by n.place
    loop
        update dbos.workflow_status as s
        set attributes = coalesce(s.attributes, '{}') || added.attributes
        where s.workflow_uuid = added.id;
    end loop;
end
$$;
comment on function durable.turn_attributes(text[], jsonb[]) is
    'Adds to the attributes of the workflows of a turn; a later value of a key '
    'replaces the one before.';

-- In SQL, because only a bitmap scan reads the index on attributes, and
-- plans.sql forbids that to functions in plpgsql.
create or replace function durable.find_workflows(wanted jsonb, most int)
returns json
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
begin atomic
    with found as materialized (
        select s.workflow_uuid as id, s.created_at
        from dbos.workflow_status as s
        where s.attributes @> wanted
    )
    select coalesce(json_agg(n.id order by n.created_at, n.id), '[]')
    from (
        select f.id, f.created_at
        from found as f
        order by f.created_at, f.id
        limit most) as n;
end;
comment on function durable.find_workflows(jsonb, int) is
    'The ids of the workflows that have all the wanted attributes, the oldest '
    'first, of all applications. Called for wf_find.';

create or replace function durable.turn_known(ids text[])
returns setof boolean
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select exists (
        select from dbos.workflow_status as s where s.workflow_uuid = n.id)
    from unnest(ids) with ordinality as n (id, place)
    order by n.place;
end
$$;
comment on function durable.turn_known(text[]) is
    'Whether there is a workflow of each id.';


grant execute on function
    durable.turn_start(text[], text[], text[], text[], text[], bigint[],
        text, text),
    durable.turn_start_with(text[], text[], text[], text[], text[], bigint[],
        jsonb[], text, text),
    durable.turn_control(text[], text[]),
    durable.turn_attributes(text[], jsonb[]),
    durable.find_workflows(jsonb, int),
    durable.turn_known(text[])
to widget_store_daemon;
