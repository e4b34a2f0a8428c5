-- SPDX-License-Identifier: MIT
--
-- What the daemon's workers call to have a turn.  Part of durable.sql.
--
-- In a turn a worker calls these in one transaction, in this order:
-- turn_begin; the steps and turn_start; then, for what it has to write,
-- turn_over, turn_consumed, turn_waits, turn_alarms, turn_journal,
-- turn_messages, turn_events, turn_statuses: waits before what the turn itself
-- sends, sets or ends, so that this wakes them.

create or replace function durable.can_run(
    name text,
    version text,
    owner text,
    types text[],
    application text
)
returns boolean
language sql
immutable
parallel safe
return name || '@' || coalesce(version, '') = any (types)
    and (owner = application or owner is null);
comment on function durable.can_run(text, text, text, text[], text) is
    'Whether a worker that has these types, as name@version and name@ for a '
    'row of no version, and is of this application may run a workflow.';

create or replace function durable.is_due(
    id text,
    status text,
    present_ms bigint
)
returns boolean
language sql
stable
return status = 'ENQUEUED' or status = 'PENDING' and exists (
    select from durable.waiting as w
    where w.workflow_uuid = id
        and w.wake_at <= present_ms);
comment on function durable.is_due(text, text, bigint) is
    'Whether a workflow can go on now.';

-- Of before: some are not called any more, some returned other rows or took
-- less.
drop function if exists
    durable.take_due(text[], text, int, text[], bigint),
    durable.take_enqueued(text[], text[], text, int, text[]),
    durable.turn_begin(text[], text[], text, int, text[]),
    durable.turn_begin(text[], text[], text, int, text[], bigint, bigint),
    durable.turn_begin(text[], text[], text, int, text[], bigint, bigint,
        text[]),
    durable.turn_begin(text[], text[], text, int, text[], bigint, bigint,
        text[], boolean),
    durable.turn_waits(text[], bigint[], text[], text[], text[], text[]),
    durable.turn_waits(text[], bigint[], text[], text[], text[], text[],
        bigint[]),
    durable.turn_patience();

create or replace function durable.take_only(
    types text[],
    application text,
    only_ids text[],
    present_ms bigint
)
returns text[]
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    taken text[];
begin
    select coalesce(array_agg(t.workflow_uuid), '{}')
    into taken
    from (
        select s.workflow_uuid
        from dbos.workflow_status as s
        where s.workflow_uuid = any (only_ids)
            and durable.can_run(s.name, s.application_version,
                s.application_name, types, application)
            and durable.is_due(s.workflow_uuid, s.status, present_ms)
        for update of s skip locked
    ) as t;
    delete from durable.suspects as x
    where x.workflow_uuid = any (taken);
    return taken;
end
$$;
comment on function durable.take_only(text[], text, text[], bigint) is
    'Locks those of only_ids that are due or enqueued.  None of them is suspect '
    'any more, when the transaction commits.';

create or replace function durable.turn_begin(
    types text[],
    queues text[],
    application text,
    max_workflows int,
    only_ids text[],
    tags_from bigint default 0,
    tags_to bigint default 0,
    due_types text[] default null,
    again boolean default false
)
returns table (
    kind text,
    workflow_uuid text,
    number int,
    name text,
    value text,
    serialization text,
    other text,
    at_ms bigint,
    until_ms bigint,
    tid tid,
    alarm bigint,
    alarm_size int,
    held_ms bigint,
    step_numbers int[],
    step_names text[],
    step_outputs text[],
    step_errors text[],
    step_serializations text[],
    step_children text[],
    step_started_ms bigint[]
)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    present_ms bigint := durable.now_ms();
    suspected text[];
    due text[];
    due_tids tid[];
    due_tags bigint[];
    due_alarms bigint[];
    alarm_sizes int[];
    all_known boolean;
    types_of_due text[];
    enqueued text[];
    queues_of_enqueued text[];
    taken text[];
    next_ms bigint;
begin
    -- Few statements: each costs as much as a workflow or two, whatever it does.
    select array(select x.workflow_uuid from durable.suspects as x)
    into suspected;
    if only_ids is not null then
        taken := durable.take_only(types, application, only_ids, present_ms);
    else
        with waits as materialized (
            select w.workflow_uuid, w.tid, w.tag, w.type
            from unnest(coalesce(due_types, types)) as t (type)
            cross join lateral (
                select w.workflow_uuid, w.ctid as tid, w.tag, w.type, s.status
                from durable.waits as w
                join dbos.workflow_status as s
                    on s.workflow_uuid = w.workflow_uuid
                where w.type = t.type
                    and w.wake_at <= present_ms
                    and w.workflow_uuid <> all (suspected)
                    and (s.application_name = application
                        or s.application_name is null)
                order by w.wake_at
                limit max_workflows
                -- The wait, too: who has just had his turn is not due any more
                -- when we have his lock, and is left out.
                for update of s, w skip locked) as w
            -- Not further in: no planner shall take the status for a reason
            -- to read another index than the keys'.
            where w.status = 'PENDING'
        ), sleeping as materialized (
            select w.workflow_uuid, w.tid, w.tag, w.type, w.alarm, w.size
            from unnest(coalesce(due_types, types)) as t (type)
            cross join lateral (
                select w.workflow_uuid, w.ctid as tid, a.tag, a.type, a.alarm,
                    a.size, s.status
                from durable.alarms as a
                join durable.waits as w on w.alarm = a.alarm
                join dbos.workflow_status as s
                    on s.workflow_uuid = w.workflow_uuid
                where a.type = t.type
                    and a.wake_at <= present_ms
                    and w.workflow_uuid <> all (suspected)
                    and (s.application_name = application
                        or s.application_name is null)
                order by a.wake_at
                limit max_workflows
                -- The alarm first: who cannot have it locks nothing more.
                for update of a, s, w skip locked) as w
            where w.status = 'PENDING'
        ), either as materialized (
            -- With a tag who is remembered, and nobody else.
            select w.workflow_uuid, w.tid, w.type, w.alarm, w.size,
                case when w.tag >= tags_from and w.tag < tags_to
                    then w.tag end as tag
            from (
                select v.workflow_uuid, v.tid, v.tag, v.type,
                    null::bigint as alarm, null::int as size
                from waits as v
                union all
                select v.workflow_uuid, v.tid, v.tag, v.type, v.alarm, v.size
                from sleeping as v) as w
        ), queued as materialized (
            select s.id, q.queue
            from unnest(queues) as q (queue)
            cross join lateral (
                select s.workflow_uuid as id
                from dbos.workflow_status as s
                where s.queue_name = q.queue
                    and s.status = 'ENQUEUED'
                    and durable.can_run(s.name, s.application_version,
                        s.application_name, types, application)
                    and s.workflow_uuid <> all (suspected)
                order by s.priority, s.created_at
                limit max_workflows
                for update of s skip locked) as s
        )
        select array(select w.workflow_uuid from either as w),
            array(select w.tid from either as w),
            array(select w.tag from either as w),
            array(select w.alarm from either as w),
            array(select w.size from either as w),
            array(select w.type from either as w),
            array(select q.id from queued as q),
            array(select q.queue from queued as q),
            not exists (select from queued) and not exists (
                select from either as w
                where w.tag is null
                    or w.alarm is null)
        into due, due_tids, due_tags, due_alarms, alarm_sizes, types_of_due,
            enqueued, queues_of_enqueued, all_known;
        taken := due || enqueued;
    end if;

    if num_nonnulls(variadic due_tags) > 0 then
        return query
        select 'remembered'::text, null::text, null::int, null::text,
            array_agg(t.id)::text, null::text, array_agg(t.tid)::text, t.tag,
            null::bigint, null::tid, t.alarm, t.size, null::bigint,
            null::int[], null::text[], null::text[], null::text[], null::text[],
            null::text[], null::bigint[]
        from unnest(taken, due_tags, due_tids, due_alarms, alarm_sizes)
            as t (id, tag, tid, alarm, size)
        where t.tag is not null
        group by t.tag, t.alarm, t.size;
    end if;
    -- A new snapshot: what these workflows got before they were locked is seen,
    -- and nothing more can come.
    -- The journal in arrays: a row a step would cost three times as much.
    if taken <> '{}' and all_known is not true then
        return query
        (select 'workflow', s.workflow_uuid, (s.status = 'ENQUEUED')::int,
            s.name, coalesce(i.inputs, s.inputs), s.serialization,
            nullif(s.application_version, ''), s.workflow_timeout_ms,
            s.workflow_deadline_epoch_ms, t.tid, t.alarm, t.size, (
                select w.held_since
                from durable.waits as w
                where w.workflow_uuid = t.id), j.numbers,
            j.names, j.outputs, j.errors, j.serializations, j.children,
            j.started_ms
        from unnest(taken, due_tags, due_tids, due_alarms, alarm_sizes)
            with ordinality as t (id, tag, tid, alarm, size, place)
        join dbos.workflow_status as s on s.workflow_uuid = t.id
        left join dbos.workflow_input as i on i.workflow_uuid = t.id
        cross join lateral (
            select array_agg(o.function_id) as numbers,
                array_agg(o.function_name) as names,
                array_agg(o.output) as outputs,
                array_agg(o.error) as errors,
                array_agg(o.serialization) as serializations,
                array_agg(o.child_workflow_id) as children,
                array_agg(o.started_at_epoch_ms) as started_ms
            from dbos.operation_outputs as o
            where o.workflow_uuid = t.id) as j
        where t.tag is null
        order by t.place)
        union all
        (select 'message', n.destination_uuid, null, n.topic, n.message,
            n.serialization, n.message_uuid, n.created_at_epoch_ms, null, null,
            null, null, null, null, null, null, null, null, null, null
        from unnest(taken, due_tags, due_alarms)
            with ordinality as t (id, tag, alarm, place)
        join dbos.notifications as n on n.destination_uuid = t.id
        where not n.consumed
            -- Who is remembered and only slept has hardly come for one: if it
            -- asks it waits for the next turn.
            and (t.tag is null or t.alarm is null)
        order by t.place, n.created_at_epoch_ms, n.message_uuid);
    end if;

    -- When to come back: the first of each type that was not taken tells, and
    -- whether there is more in a queue.  What is due and was not taken though
    -- there was room is held by others, who may give it back without a word (by
    -- dying): come back soon.  Or it is another application's, and of no
    -- concern.  Who looks again whatever it is has no need of all that.
    if only_ids is null and again and taken <> '{}' then
        next_ms := present_ms + (greatest(cardinality(due),
            cardinality(enqueued)) < max_workflows)::int;
    elsif only_ids is null then
        select min(n.at_ms)
        into next_ms
        from (
            select case
                when w.wake_at > present_ms then w.wake_at
                when c.woken = max_workflows then present_ms
                else least((
                    select present_ms + 100
                    from (
                        select
                        from durable.waits as o
                        join dbos.workflow_status as s
                            on s.workflow_uuid = o.workflow_uuid
                        where o.type = t.type
                            and o.wake_at <= present_ms
                            and (s.application_name = application
                                or s.application_name is null)
                        -- Of no matter but for the plan: only by their index.
                        order by o.wake_at
                        offset c.woken
                        limit 1) as held), (
                    select f.wake_at
                    from durable.waits as f
                    where f.type = t.type
                        and f.wake_at > present_ms
                    order by f.wake_at
                    limit 1)) end as at_ms
            from unnest(coalesce(due_types, types)) as t (type)
            cross join lateral (
                select count(*) as woken
                from unnest(types_of_due, due_alarms) as d (type, alarm)
                where d.type = t.type
                    and d.alarm is null) as c
            cross join lateral (
                select w.wake_at
                from durable.waits as w
                where w.type = t.type
                    and w.wake_at is not null
                order by w.wake_at
                offset c.woken
                limit 1) as w
            union all
            select least((
                select case when c.slept = max_workflows then present_ms
                    else present_ms + 100 end
                from durable.alarms as a
                where a.type = t.type
                    and a.wake_at <= present_ms
                    -- Of a taken one only if it wakes more.
                    and a.size > (
                        select count(*)
                        from unnest(due_alarms) as d (alarm)
                        where d.alarm = a.alarm)
                    -- Not exists, which may read all for once and for all.
                    and (
                        select true
                        from durable.waits as w
                        join dbos.workflow_status as s
                            on s.workflow_uuid = w.workflow_uuid
                        where w.alarm = a.alarm
                            and w.workflow_uuid <> all (due)
                            and (s.application_name = application
                                or s.application_name is null)
                        limit 1)
                order by a.wake_at
                limit 1), (
                select f.wake_at
                from durable.alarms as f
                where f.type = t.type
                    and f.wake_at > present_ms
                order by f.wake_at
                limit 1))
            from unnest(coalesce(due_types, types)) as t (type)
            cross join lateral (
                select count(*) as slept
                from unnest(types_of_due, due_alarms) as d (type, alarm)
                where d.type = t.type
                    and d.alarm is not null) as c
            union all
            select case when c.taken = max_workflows then present_ms
                else present_ms + 100 end
            from unnest(queues) as q (queue)
            cross join lateral (
                select count(*) as taken
                from unnest(queues_of_enqueued) as e (queue)
                where e.queue = q.queue) as c
            cross join lateral (
                select
                from dbos.workflow_status as s
                where s.queue_name = q.queue
                    and s.status = 'ENQUEUED'
                    and durable.can_run(s.name, s.application_version,
                        s.application_name, types, application)
                    and s.workflow_uuid <> all (suspected)
                offset c.taken
                limit 1) as s) as n;
    end if;
    kind := 'turn';
    number := (suspected <> '{}')::int;
    at_ms := present_ms;
    until_ms := next_ms;
    return next;
end
$$;
comment on function durable.turn_begin(text[], text[], text, int, text[],
    bigint, bigint, text[], boolean) is
    'Takes workflows that are due (of all types, or only of due_types) and '
    'enqueued, or of only_ids, and returns what there is to know about them.  '
    'again: if there are any, the caller looks again at once.  Rows: '
    'remembered (at_ms: the tag of their waits, of tags_from up to tags_to; '
    'value: their ids; other: where their waits are; the worker knows the rest), '
    'workflow (number: from a queue; value: input; other: version; at_ms: '
    'time-out; until_ms: deadline; tid: where its wait is, null: not known; and '
    'its journal, an element a step), of both alarm: that has woken them, one '
    'after the other, and alarm_size: how many it wakes at most; '
    'message (name: topic; other: message id; of those who are not remembered or '
    'have no alarm), turn (number: there are '
    'suspects; at_ms: now; until_ms: when to come back at latest, now if there '
    'may be more than was taken).';

create or replace function durable.turn_suspect(
    types text[],
    queues text[],
    application text,
    max_workflows int,
    in_hand text[]
)
returns setof text
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    taken text[];
begin
    if in_hand is not null then
        -- Whether or not another worker has them in hand by now.
        select array_agg(s.workflow_uuid)
        into taken
        from dbos.workflow_status as s
        where s.workflow_uuid = any (in_hand)
            and durable.is_due(s.workflow_uuid, s.status, durable.now_ms())
            -- Nor is one waited for that somebody runs as a suspect now.
            and not exists (
                select from durable.suspects as x
                where x.workflow_uuid = s.workflow_uuid);
    else
        select array_agg(b.workflow_uuid)
        into taken
        from durable.turn_begin(types, queues, application, max_workflows,
            null) as b
        where b.kind = 'workflow';
    end if;
    return query
    insert into durable.suspects as s (workflow_uuid, attempts)
    select id, 1
    from unnest(taken) as id
    on conflict on constraint suspects_pkey do nothing
    returning s.workflow_uuid;
end
$$;
comment on function durable.turn_suspect(text[], text[], text, int, text[]) is
    'Notes, in a transaction of its own before the turn that runs them, which '
    'due workflows a worker had in hand when it died, or, if that is not known '
    '(null), those that a worker is going to run.  Returns the ids of new '
    'suspects.';

create or replace function durable.release_attempt(id text)
returns void
language sql
volatile
set search_path = pg_catalog, pg_temp
as $$
    select pg_advisory_unlock('durable.suspects'::regclass::oid::int,
        hashtext(id));
$$;
comment on function durable.release_attempt(text) is
    'Lets others count attempts at a suspect again.';

create or replace function durable.turn_attempt(
    types text[],
    application text,
    max_attempts int
)
returns table (workflow_uuid text, attempts int)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    suspect text;
    workflow record;
begin
    for suspect in
        select x.workflow_uuid
        from durable.suspects as x
        order by x.attempts, x.workflow_uuid
    loop
        -- Until the attempt that is counted here has been made: nobody else
        -- counts one meanwhile.
        continue when not pg_try_advisory_lock(
            'durable.suspects'::regclass::oid::int, hashtext(suspect));
        select s.status, x.attempts, durable.can_run(s.name,
            s.application_version, s.application_name, types, application)
            as ours
        into workflow
        from durable.suspects as x
        join dbos.workflow_status as s on s.workflow_uuid = x.workflow_uuid
        where x.workflow_uuid = suspect
        -- The suspect, too: whose last attempt is being taken back is left.
        for update of s, x skip locked;
        exit when workflow.ours and durable.is_due(suspect, workflow.status,
            durable.now_ms());
        -- One that has had its turn meanwhile, or that a tool has ended, is no
        -- suspect any more.
        if workflow.ours or workflow.status not in ('PENDING', 'ENQUEUED') then
            delete from durable.suspects as x
            where x.workflow_uuid = suspect;
        end if;
        perform durable.release_attempt(suspect);
        workflow := null;
    end loop;
    if workflow is null then
        return;
    end if;
    if workflow.attempts < max_attempts then
        update durable.suspects as x
        set attempts = x.attempts + 1
        where x.workflow_uuid = suspect;
    else
        update dbos.workflow_status as s
        set status = 'MAX_RECOVERY_ATTEMPTS_EXCEEDED',
            recovery_attempts = workflow.attempts,
            queue_name = null,
            owner_xid = null,
            deduplication_id = null,
            completed_at = durable.now_ms(),
            updated_at = durable.now_ms()
        where s.workflow_uuid = suspect;
        delete from durable.suspects as x
        where x.workflow_uuid = suspect;
        perform durable.release_attempt(suspect);
    end if;
    return query
    select suspect, workflow.attempts;
end
$$;
comment on function durable.turn_attempt(text[], text, int) is
    'Counts one more attempt at one due suspect, which is the session''s until '
    'turn_attempted, or gives it up as MAX_RECOVERY_ATTEMPTS_EXCEEDED after '
    'max_attempts.  Returns it with the attempts before this one; no row when '
    'no suspect is due and free.';

create or replace function durable.turn_attempted(id text, survived boolean)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    update durable.suspects as x
    set attempts = x.attempts - 1
    where x.workflow_uuid = id
        and survived
        and x.attempts > 1;
    perform durable.release_attempt(id);
end
$$;
comment on function durable.turn_attempted(text, boolean) is
    'Ends the attempt that turn_attempt counted.  It is taken back when the '
    'process has survived a circumstance; the end of its session ends it, '
    'too.';

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
        when n.name = s.name then 'exists'
        else 'conflict' end
    from unnest(ids, names) with ordinality as n (id, name, place)
    left join dbos.workflow_status as s on s.workflow_uuid = n.id
    order by n.place;
end
$$;
comment on function durable.turn_start(text[], text[], text[], text[], text[],
    bigint[], text, text) is
    'Inserts children that the calling turn runs or lets wait.  Of each: '
    'created, exists (with this name) or conflict (with another).';

create or replace function durable.turn_over(ids text[])
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
comment on function durable.turn_over(text[]) is
    'Forgets the waits of the workflows of a turn that have ended.';

create or replace function durable.turn_waits(
    ids text[],
    due_at bigint[],
    types text[],
    kinds text[],
    targets text[],
    keys text[],
    tags bigint[] default null,
    tids tid[] default null,
    held bigint[] default null
)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    alarms bigint[];
    watched record;
begin
    -- Who just waits for the same time as others gets an alarm with them.
    if cardinality(ids) > 1 and 'timer' = any (kinds) then
        with made as (
            insert into durable.alarms as a (type, wake_at, size, tag)
            select n.type, n.at, count(*), min(n.tag)
            from unnest(due_at, types, kinds, tags) as n (at, type, kind, tag)
            where n.kind = 'timer'
            group by n.type, n.at
            having count(*) > 1
            returning a.alarm, a.type, a.wake_at
        )
        select array(
            select a.alarm
            from unnest(due_at, types, kinds) with ordinality
                as n (at, type, kind, place)
            left join made as a
                on a.type = n.type
                and a.wake_at = n.at
                and n.kind = 'timer'
            order by n.place)
        into alarms;
    end if;
    -- Most have a wait already, and turn_begin said where.  It stays there until
    -- the commit: it is locked, nobody wakes who is due, and no table that is in
    -- use is rewritten.
    if num_nonnulls(variadic tids) > 0 then
        update durable.waits as w
        set wake_at = case when n.alarm is null then n.at end,
            type = n.type,
            kind = n.kind,
            target = n.target,
            key = n.key,
            tag = case when n.alarm is null then n.tag end,
            alarm = n.alarm,
            held_since = n.held
        from unnest(ids, due_at, types, kinds, targets, keys, tags, tids, alarms,
            held) as n (id, at, type, kind, target, key, tag, tid, alarm, held)
        where w.ctid = n.tid
            and w.workflow_uuid = n.id;
    end if;
    if coalesce(num_nonnulls(variadic tids), 0) < cardinality(ids) then
        insert into durable.waits as w (workflow_uuid, wake_at, type, kind,
            target, key, tag, alarm, held_since)
        select n.id, case when n.alarm is null then n.at end, n.type, n.kind,
            n.target, n.key, case when n.alarm is null then n.tag end, n.alarm,
            n.held
        from unnest(ids, due_at, types, kinds, targets, keys, tags, tids, alarms,
            held) as n (id, at, type, kind, target, key, tag, tid, alarm, held)
        where n.tid is null
        on conflict on constraint waits_pkey do update
        set wake_at = excluded.wake_at,
            type = excluded.type,
            kind = excluded.kind,
            target = excluded.target,
            key = excluded.key,
            tag = excluded.tag,
            alarm = excluded.alarm,
            held_since = excluded.held_since;
    end if;
    -- A message that a step of this turn has sent, or that turn_begin has not
    -- looked for, came before the wait.
    if 'message' = any (kinds) then
        update durable.waits as w
        set wake_at = durable.now_ms()
        where w.workflow_uuid = any (ids)
            and w.kind = 'message'
            and w.wake_at > durable.now_ms()
            and exists (
                select from dbos.notifications as m
                where m.destination_uuid = w.workflow_uuid
                    and m.topic = w.key
                    and not m.consumed);
        if found then
            perform pg_notify('durable_due', '');
        end if;
    end if;
    if coalesce(num_nonnulls(variadic targets), 0) = 0 then
        return;
    end if;

    -- The second look of I5, with the watched workflow locked against its
    -- writers.  One that cannot be locked or does not exist yet is looked at
    -- again soon.  The caller knows only what it asked for: workers are told.
    for watched in
        select n.id, n.kind, n.target, n.key
        from unnest(ids, kinds, targets, keys) as n (id, kind, target, key)
        where n.target is not null
        order by n.target
    loop
        perform
        from dbos.workflow_status as s
        where s.workflow_uuid = watched.target
        for update skip locked;
        if not found then
            update durable.waits as w
            set wake_at = least(w.wake_at, durable.now_ms() +
                case when exists (
                    select from dbos.workflow_status as s
                    where s.workflow_uuid = watched.target)
                then 10 else 1000 end)
            where w.workflow_uuid = watched.id;
            perform pg_notify('durable_due', '');
        elsif watched.kind = 'event' and exists (
                select from dbos.workflow_events as e
                where e.workflow_uuid = watched.target
                    and e.key = watched.key)
            or watched.kind = 'result' and exists (
                select from dbos.workflow_status as s
                where s.workflow_uuid = watched.target
                    and s.status not in ('PENDING', 'ENQUEUED', 'DELAYED'))
        then
            update durable.waits as w
            set wake_at = least(w.wake_at, durable.now_ms())
            where w.workflow_uuid = watched.id;
            perform pg_notify('durable_due', '');
        end if;
    end loop;
end
$$;
comment on function durable.turn_waits(text[], bigint[], text[], text[],
    text[], text[], bigint[], tid[], bigint[]) is
    'Writes what the workflows of a turn wait for.';

create or replace function durable.turn_alarms(
    alarms bigint[],
    due_at bigint[],
    sizes int[],
    tags bigint[]
)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    update durable.alarms as a
    set wake_at = n.at,
        size = n.size,
        tag = n.tag
    from unnest(alarms, due_at, sizes, tags) as n (alarm, at, size, tag)
    where a.alarm = n.alarm
        and n.at is not null;
    delete from durable.alarms as a
    using unnest(alarms, due_at) as n (alarm, at)
    where a.alarm = n.alarm
        and n.at is null
        -- Whom a turn could not take is left.
        and not exists (
            select from durable.waits as w where w.alarm = a.alarm);
end
$$;
comment on function durable.turn_alarms(bigint[], bigint[], int[], bigint[]) is
    'Moves the alarms of a turn whose workflows all sleep again, or, where '
    'there is no time, forgets them unless they wake others.';

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
    -- The column's default, which would be computed for each row.
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
-- Two turns that send to each other's workflows would wait for ever; the one
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
-- Whom it wakes another turn may have locked (durable.sql, lock order).
set lock_timeout = '200ms'
as $$
begin
    insert into dbos.workflow_events_history (workflow_uuid, function_id, key,
        value, serialization)
    select n.id, n.number, n.key, n.value, n.serialization
    from unnest(ids, numbers, keys, payloads, serializations)
        as n (id, number, key, value, serialization);
    -- Of an event that was set twice in a turn the later value stands.
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

create or replace function durable.workflow_event(id text, event_key text)
returns table (value text, serialization text)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select e.value, e.serialization
    from dbos.workflow_events as e
    where e.workflow_uuid = id
        and e.key = event_key;
end
$$;
comment on function durable.workflow_event(text, text) is
    'The value of an event; no row when it is not set.';

create or replace function durable.workflow_result(id text)
returns table (status text, output text, error text, serialization text)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select s.status, coalesce(o.output, s.output), coalesce(o.error, s.error),
        s.serialization
    from dbos.workflow_status as s
    left join dbos.workflow_output as o on o.workflow_uuid = s.workflow_uuid
    where s.workflow_uuid = id;
end
$$;
comment on function durable.workflow_result(text) is
    'How a workflow stands; no row when there is none of this id.';


-- Who may do all that.

grant execute on function
    durable.now_ms(),
    durable.turn_begin(text[], text[], text, int, text[], bigint, bigint,
        text[], boolean),
    durable.turn_suspect(text[], text[], text, int, text[]),
    durable.turn_attempt(text[], text, int),
    durable.turn_attempted(text, boolean),
    durable.turn_start(text[], text[], text[], text[], text[], bigint[],
        text, text),
    durable.turn_over(text[]),
    durable.turn_waits(text[], bigint[], text[], text[], text[], text[],
        bigint[], tid[], bigint[]),
    durable.turn_alarms(bigint[], bigint[], int[], bigint[]),
    durable.turn_journal(text[], int[], text[], text[], text[], text[],
        text[], bigint[], bigint[], text),
    durable.turn_consumed(text[], int[]),
    durable.turn_messages(text[], text[], text[]),
    durable.turn_events(text[], int[], text[], text[], text[]),
    durable.turn_statuses(text[], text[], int[], text[], bigint[], text[],
        text[], text, text),
    durable.workflow_event(text, text),
    durable.workflow_result(text)
to widget_store_daemon;
