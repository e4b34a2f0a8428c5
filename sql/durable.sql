-- SPDX-License-Identifier: MIT
--
-- What the engine adds to the DBOS system database: where suspended
-- workflows wait, the turn's and the client's functions, and the triggers
-- that wake a waiting workflow, whoever it is that it waits for.
--
-- Run by psql as widget_store_owner inside a transaction; running it again
-- replaces the functions and leaves the tables alone.  Tables change only by
-- a numbered script in upgrades/.
--
-- Lock order: dbos.workflow_status (with skip locked, so that no turn waits
-- for another's), what the steps lock (store.products, store.orders),
-- durable.waits, and last the status rows that a new message's foreign key
-- locks, for at most 200 ms.
--
-- I5, no wake-up is lost.  A turn holds its workflows' status rows FOR
-- UPDATE from before it looks for messages until it has committed their
-- waits.  The foreign key of a new message locks the same row FOR KEY SHARE
-- before the message's trigger looks for a wait.  So either the message
-- committed first and the turn sees it, or the turn did and the trigger sees
-- the wait.  For an event or a result of another workflow the turn that wants
-- to wait takes that workflow's status row FOR UPDATE, which the foreign key
-- of a new event conflicts with, and looks once more.

-- Whoever may execute a function of ours is named at the end; nobody else may.
alter default privileges revoke execute on functions from public;

create schema if not exists durable;
comment on schema durable is
    'What the durable-execution engine adds to schema dbos.';

create table if not exists durable.version (
    version int not null constraint version_positive check (version > 0)
);
comment on table durable.version is
    'One row: the version of the schemas durable and store.';
comment on column durable.version.version is
    'Number of the last upgrade script that ran; the first install is 1.';

insert into durable.version (version)
select 1
where not exists (select from durable.version);

create table if not exists durable.waits (
    workflow_uuid text not null constraint waits_pkey primary key,
    wake_at bigint not null,
    type text not null,
    kind text not null constraint waits_kind check
        (kind in ('start', 'message', 'event', 'result', 'timer')),
    target text,
    key text
) with (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.05
);
comment on table durable.waits is
    'One row per suspended workflow of ours: what it waits for, until when. '
    'A workflow is due when wake_at has come.';
comment on column durable.waits.workflow_uuid is
    'The workflow that waits; its status is PENDING.';
comment on column durable.waits.wake_at is
    'When it is due, in milliseconds since the epoch; a message, an event or '
    'a result moves it to now.';
comment on column durable.waits.type is
    'Which code can run it: name@version.';
comment on column durable.waits.kind is
    'What it waits for; start: to run at all, timer: only for the time.';
comment on column durable.waits.target is
    'The workflow whose event or result it waits for.';
comment on column durable.waits.key is
    'Topic of the message, or key of the event.';

create index if not exists waits_due on durable.waits (type, wake_at);
create index if not exists waits_target on durable.waits (target)
where target is not null;

create table if not exists durable.suspects (
    workflow_uuid text not null constraint suspects_pkey primary key,
    attempts int not null constraint suspects_attempts check (attempts > 0)
);
comment on table durable.suspects is
    'Workflows that may have killed their process.  Written before a turn '
    'that follows a crash, emptied by its commit; what is left runs alone.';
comment on column durable.suspects.workflow_uuid is
    'The workflow, due when it was noted.';
comment on column durable.suspects.attempts is
    'Runs begun since the last one that ended in a commit.';

create or replace function durable.now_ms()
returns bigint
language sql
volatile
parallel safe
return (extract(epoch from clock_timestamp()) * 1000)::bigint;
comment on function durable.now_ms() is
    'The time of the database, in milliseconds since the epoch.';

create or replace function durable.version()
returns int
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
begin atomic
    select v.version from durable.version as v;
end;
comment on function durable.version() is
    'The installed version; a program refuses to start on another.';


-- Waking.

-- These update row by row and through an index: a plan for a set that was made
-- while durable.waits was small is a disaster when it is large, and whose
-- session it is made in is not known.

create or replace function durable.wake_by_message()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
declare
    message record;
    -- An older snapshot may not show what the workflow waits for now.  Moving
    -- any wait that there is does no harm, and one that has changed since
    -- raises a serialization failure, for the sender to repeat.
    blind boolean := current_setting('transaction_isolation')
        <> 'read committed';
begin
    for message in
        select distinct m.destination_uuid, m.topic
        from arrived as m
        order by m.destination_uuid, m.topic
    loop
        update durable.waits as w
        set wake_at = least(w.wake_at, durable.now_ms())
        where w.workflow_uuid = message.destination_uuid
            and (w.kind = 'message' and w.key = message.topic or blind);
    end loop;
    return null;
end
$$;
comment on function durable.wake_by_message() is
    'Makes the workflows due that wait for a message that arrived.  Fires per '
    'statement, and so after the foreign key checks of all its rows.';

create or replace function durable.wake_by_event()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
declare
    event record;
    woken boolean := false;
begin
    if not exists (select from durable.waits as w where w.target is not null)
    then
        return null;
    end if;
    for event in
        select e.workflow_uuid, e.key
        from arrived as e
        order by e.workflow_uuid, e.key
    loop
        update durable.waits as w
        set wake_at = least(w.wake_at, durable.now_ms())
        where w.target = event.workflow_uuid
            and w.kind = 'event'
            and w.key = event.key;
        woken := woken or found;
    end loop;
    if woken then
        perform pg_notify('durable_due', '');
    end if;
    return null;
end
$$;
comment on function durable.wake_by_event() is
    'Makes the workflows due that wait for an event that was set, and says so '
    'on channel durable_due (as dbos.notifications'' own trigger does for a '
    'message on its channel).';

create or replace function durable.wake_by_status()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
begin
    if new.status in ('CANCELLED', 'ENQUEUED', 'DELAYED',
        'MAX_RECOVERY_ATTEMPTS_EXCEEDED') then
        delete from durable.waits as w
        where w.workflow_uuid = new.workflow_uuid;
    end if;
    if new.status not in ('ENQUEUED', 'DELAYED')
        and exists (select from durable.waits as w where w.target is not null)
    then
        update durable.waits as w
        set wake_at = least(w.wake_at, durable.now_ms())
        where w.target = new.workflow_uuid
            and w.kind = 'result';
        if found then
            perform pg_notify('durable_due', '');
        end if;
    end if;
    return null;
end
$$;
comment on function durable.wake_by_status() is
    'A workflow that a tool cancelled or enqueued again waits no more; one '
    'that ended wakes who waits for its result.';

create or replace function durable.forget_workflow()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    delete from durable.waits as w
    where w.workflow_uuid = old.workflow_uuid;
    delete from durable.suspects as s
    where s.workflow_uuid = old.workflow_uuid;
    delete from dbos.operation_outputs as o
    where o.workflow_uuid = old.workflow_uuid;
    delete from dbos.workflow_output as o
    where o.workflow_uuid = old.workflow_uuid;
    return null;
end
$$;
comment on function durable.forget_workflow() is
    'Removes what we keep of a workflow that was deleted.  A client deletes the '
    'journal first and then waits for a turn that is under way; what that turn '
    'wrote must not be replayed by a later workflow of the same id.';

create or replace trigger durable_wake_by_message
after insert on dbos.notifications
referencing new table as arrived
for each statement
execute function durable.wake_by_message();

create or replace trigger durable_wake_by_event_insert
after insert on dbos.workflow_events
referencing new table as arrived
for each statement
execute function durable.wake_by_event();

create or replace trigger durable_wake_by_event_update
after update on dbos.workflow_events
referencing new table as arrived
for each statement
execute function durable.wake_by_event();

create or replace trigger durable_wake_by_status
after update of status on dbos.workflow_status
for each row
when (old.status is distinct from new.status and new.status <> 'PENDING')
execute function durable.wake_by_status();

create or replace trigger durable_forget_workflow
after delete on dbos.workflow_status
for each row
execute function durable.forget_workflow();


-- The turn.  A worker calls these in one transaction, in this order:
-- turn_begin; the steps and turn_start; then, for what it has to write,
-- turn_over, turn_waits, turn_journal, turn_consumed, turn_messages,
-- turn_events, turn_statuses: waits first, so that what the turn itself
-- sends, sets or ends wakes them.

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

create or replace function durable.take_due(
    types text[],
    application text,
    max_workflows int,
    present_ms bigint,
    out taken text[],
    out skipped boolean
)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    due record;
    status text;
    count int;
begin
    taken := '{}';
    skipped := false;
    for type_at in 1 .. cardinality(types) loop
        count := 0;
        for due in
            select w.workflow_uuid as id
            from durable.waits as w
            where w.type = types[type_at]
                and w.wake_at <= present_ms
                and not exists (
                    select from durable.suspects as x
                    where x.workflow_uuid = w.workflow_uuid)
            order by w.wake_at
        loop
            exit when count = max_workflows;
            select s.status
            into status
            from dbos.workflow_status as s
            where s.workflow_uuid = due.id
                and (s.application_name = application
                    or s.application_name is null)
            for update skip locked;
            -- Under the lock: it may just have had its turn.
            if status = 'PENDING' and exists (
                select from durable.waits as w
                where w.workflow_uuid = due.id
                    and w.wake_at <= present_ms)
            then
                taken := taken || due.id;
                count := count + 1;
            elsif status is null and exists (
                select from dbos.workflow_status as s
                where s.workflow_uuid = due.id)
            then
                skipped := true;
            elsif status is distinct from 'PENDING' then
                -- A wait without a workflow that could run (its table was
                -- truncated, say) would come up again for ever.
                delete from durable.waits as w
                where w.workflow_uuid = due.id;
            end if;
        end loop;
    end loop;
end
$$;
comment on function durable.take_due(text[], text, int, bigint) is
    'Locks workflows that are due, at most max_workflows of each type and no '
    'suspects; skipped: some were locked by others.';

create or replace function durable.take_enqueued(
    types text[],
    queues text[],
    application text,
    max_workflows int
)
returns text[]
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    taken text[] := '{}';
    enqueued text[];
    queue text;
begin
    foreach queue in array queues loop
        select coalesce(array_agg(t.workflow_uuid), '{}')
        into enqueued
        from (
            select s.workflow_uuid
            from dbos.workflow_status as s
            where s.queue_name = queue
                and s.status = 'ENQUEUED'
                and durable.can_run(s.name, s.application_version,
                    s.application_name, types, application)
                and not exists (
                    select from durable.suspects as x
                    where x.workflow_uuid = s.workflow_uuid)
            order by s.priority, s.created_at
            limit max_workflows
            for update of s skip locked
        ) as t;
        taken := taken || enqueued;
    end loop;
    return taken;
end
$$;
comment on function durable.take_enqueued(text[], text[], text, int) is
    'Locks enqueued workflows, at most max_workflows of each queue in its '
    'order, and no suspects.';

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
            and (s.status = 'ENQUEUED' or s.status = 'PENDING' and exists (
                select from durable.waits as w
                where w.workflow_uuid = s.workflow_uuid
                    and w.wake_at <= present_ms))
        for update of s skip locked
    ) as t;
    return taken;
end
$$;
comment on function durable.take_only(text[], text, text[], bigint) is
    'Locks those of only_ids that are due or enqueued.';

create or replace function durable.turn_begin(
    types text[],
    queues text[],
    application text,
    max_workflows int,
    only_ids text[]
)
returns table (
    kind text,
    workflow_uuid text,
    number int,
    name text,
    value text,
    error text,
    serialization text,
    other text,
    at_ms bigint,
    until_ms bigint
)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    present_ms bigint := durable.now_ms();
    taken text[];
    skipped boolean := false;
    soonest_ms bigint;
    next_ms bigint;
begin
    if only_ids is not null then
        taken := durable.take_only(types, application, only_ids, present_ms);
    else
        select t.taken, t.skipped
        into taken, skipped
        from durable.take_due(types, application, max_workflows, present_ms)
            as t;
        taken := taken || durable.take_enqueued(types, queues, application,
            max_workflows);
    end if;

    -- A new snapshot from here on: what these workflows got before they were
    -- locked is seen, and nothing more can come.
    return query
    select 'workflow'::text, s.workflow_uuid, (s.status = 'ENQUEUED')::int,
        s.name, coalesce(i.inputs, s.inputs), null::text, s.serialization,
        nullif(s.application_version, ''), s.workflow_timeout_ms,
        s.workflow_deadline_epoch_ms
    from unnest(taken) with ordinality as t (id, place)
    join dbos.workflow_status as s on s.workflow_uuid = t.id
    left join dbos.workflow_input as i on i.workflow_uuid = t.id
    order by t.place;

    return query
    select 'step'::text, o.workflow_uuid, o.function_id, o.function_name,
        o.output, o.error, o.serialization, o.child_workflow_id,
        o.started_at_epoch_ms, o.completed_at_epoch_ms
    from unnest(taken) with ordinality as t (id, place)
    join dbos.operation_outputs as o on o.workflow_uuid = t.id
    order by t.place, o.function_id;

    return query
    select 'message'::text, n.destination_uuid, null::int, n.topic, n.message,
        null::text, n.serialization, n.message_uuid, n.created_at_epoch_ms,
        null::bigint
    from unnest(taken) with ordinality as t (id, place)
    join dbos.notifications as n on n.destination_uuid = t.id
    where not n.consumed
    order by t.place, n.created_at_epoch_ms, n.message_uuid;

    -- Whoever holds a due workflow that we could not lock may give it back
    -- without a word (by dying): come back soon.  Else sleep to the next time.
    for type_at in 1 .. cardinality(types) loop
        select w.wake_at
        into soonest_ms
        from durable.waits as w
        where w.type = types[type_at]
            and w.wake_at > present_ms
        order by w.wake_at
        limit 1;
        next_ms := least(next_ms, soonest_ms);
    end loop;
    if skipped then
        next_ms := least(next_ms, present_ms + 100);
    end if;
    return query
    select 'turn'::text, null::text,
        (exists (select from durable.suspects))::int,
        null::text, null::text, null::text, null::text, null::text,
        present_ms, next_ms;
end
$$;
comment on function durable.turn_begin(text[], text[], text, int, text[]) is
    'Takes workflows that are due and enqueued, or of only_ids, and returns '
    'what there is to know about them.  Rows: '
    'workflow (number: from a queue; value: input; other: version; at_ms: '
    'time-out; until_ms: deadline), step (number: function id; value: output; '
    'other: child), message (name: topic; other: message id), turn (number: '
    'there are suspects; at_ms: now; until_ms: when to come back at latest).';

create or replace function durable.turn_suspect(
    types text[],
    queues text[],
    application text,
    max_workflows int
)
returns setof text
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    taken text[];
begin
    select t.taken || durable.take_enqueued(types, queues, application,
        max_workflows)
    into taken
    from durable.take_due(types, application, max_workflows, durable.now_ms())
        as t;
    return query
    insert into durable.suspects as s (workflow_uuid, attempts)
    select id, 1
    from unnest(taken) as id
    on conflict on constraint suspects_pkey do nothing
    returning s.workflow_uuid;
end
$$;
comment on function durable.turn_suspect(text[], text[], text, int) is
    'Notes, in a transaction of its own before the turn that runs them, which '
    'due workflows a worker is going to run after a crash.  Returns their ids.';

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
    suspect record;
    workflow record;
begin
    for suspect in
        select x.workflow_uuid, x.attempts
        from durable.suspects as x
        order by x.attempts, x.workflow_uuid
        for update skip locked
    loop
        select s.status, durable.can_run(s.name, s.application_version,
            s.application_name, types, application) as ours
        into workflow
        from dbos.workflow_status as s
        where s.workflow_uuid = suspect.workflow_uuid
        for update skip locked;
        exit when workflow.ours and (workflow.status = 'ENQUEUED'
            or workflow.status = 'PENDING' and exists (
                select from durable.waits as w
                where w.workflow_uuid = suspect.workflow_uuid
                    and w.wake_at <= durable.now_ms()));
        -- One that a tool has ended meanwhile is no suspect any more.
        if workflow.status not in ('PENDING', 'ENQUEUED') then
            delete from durable.suspects as x
            where x.workflow_uuid = suspect.workflow_uuid;
        end if;
        workflow := null;
    end loop;
    if workflow is null then
        return;
    end if;
    if suspect.attempts < max_attempts then
        update durable.suspects as x
        set attempts = x.attempts + 1
        where x.workflow_uuid = suspect.workflow_uuid;
    else
        update dbos.workflow_status as s
        set status = 'MAX_RECOVERY_ATTEMPTS_EXCEEDED',
            recovery_attempts = suspect.attempts,
            queue_name = null,
            owner_xid = null,
            deduplication_id = null,
            completed_at = durable.now_ms(),
            updated_at = durable.now_ms()
        where s.workflow_uuid = suspect.workflow_uuid;
        delete from durable.suspects as x
        where x.workflow_uuid = suspect.workflow_uuid;
    end if;
    return query
    select suspect.workflow_uuid, suspect.attempts;
end
$$;
comment on function durable.turn_attempt(text[], text, int) is
    'Counts one more attempt at one due suspect, or gives it up as '
    'MAX_RECOVERY_ATTEMPTS_EXCEEDED after max_attempts.  Returns it with the '
    'attempts before this one; no row when no suspect is due and free.';

create or replace function durable.turn_survived(id text)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    update durable.suspects as x
    set attempts = x.attempts - 1
    where x.workflow_uuid = id
        and x.attempts > 1;
end
$$;
comment on function durable.turn_survived(text) is
    'Takes back an attempt whose process lived on: it met a circumstance.';

create or replace function durable.turn_start(
    id text,
    name text,
    version text,
    application text,
    executor text,
    input text,
    parent text,
    deadline_ms bigint
)
returns text
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    known text;
    token text := gen_random_uuid()::text;
begin
    insert into dbos.workflow_status (workflow_uuid, status, name,
        serialization, executor_id, application_version, application_id,
        application_name, recovery_attempts, workflow_deadline_epoch_ms,
        parent_workflow_id, owner_xid, creator_xid, authenticated_user,
        assumed_role, started_at_epoch_ms)
    values (id, 'PENDING', name, 'portable_json', executor, version, '',
        application, 1, deadline_ms, parent, token, token, '', '',
        durable.now_ms())
    on conflict (workflow_uuid) do nothing;
    if found then
        insert into dbos.workflow_input (workflow_uuid, inputs)
        values (id, input)
        on conflict (workflow_uuid) do update
        set inputs = excluded.inputs;
        return 'created';
    end if;
    select s.name
    into known
    from dbos.workflow_status as s
    where s.workflow_uuid = id;
    return case when known = name then 'exists' else 'conflict' end;
end
$$;
comment on function durable.turn_start(text, text, text, text, text, text,
    text, bigint) is
    'Inserts a child that the calling turn runs or lets wait: created, '
    'exists (with this name) or conflict (with another).';

create or replace function durable.turn_over(ids text[])
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    delete from durable.waits as w
    where w.workflow_uuid = any (ids);
    delete from durable.suspects as x
    where x.workflow_uuid = any (ids);
end
$$;
comment on function durable.turn_over(text[]) is
    'Forgets the waits of the workflows of a turn that have ended.';

create or replace function durable.turn_waits(
    ids text[],
    wake_at bigint[],
    types text[],
    kinds text[],
    targets text[],
    keys text[]
)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    watched record;
begin
    delete from durable.suspects as x
    where x.workflow_uuid = any (ids);
    insert into durable.waits as w (workflow_uuid, wake_at, type, kind, target,
        key)
    select n.id, n.at, n.type, n.kind, n.target, n.key
    from unnest(ids, wake_at, types, kinds, targets, keys)
        as n (id, at, type, kind, target, key)
    on conflict on constraint waits_pkey do update
    set wake_at = excluded.wake_at,
        type = excluded.type,
        kind = excluded.kind,
        target = excluded.target,
        key = excluded.key;

    -- The second look of I5, with the watched workflow locked against its
    -- writers.  One that cannot be locked or does not exist yet is looked at
    -- again soon.
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
        end if;
    end loop;
end
$$;
comment on function durable.turn_waits(text[], bigint[], text[], text[],
    text[], text[]) is
    'Writes what the workflows of a turn wait for.';

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
begin
    insert into dbos.operation_outputs (workflow_uuid, function_id,
        function_name, output, error, child_workflow_id, serialization,
        started_at_epoch_ms, completed_at_epoch_ms, application_name)
    select n.id, n.number, n.name, n.output, n.error, n.child,
        n.serialization, n.started, n.completed, application
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
as $$
declare
    present_us bigint := extract(epoch from clock_timestamp()) * 1000000;
begin
    -- Two turns that send to each other's workflows would wait for ever; the
    -- one that gives up first is repeated.
    perform set_config('lock_timeout', '200ms', true);
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


-- Once a second, and at a daemon's start.

create or replace function durable.sweep(application text)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    update dbos.workflow_status as s
    set status = 'CANCELLED',
        completed_at = durable.now_ms(),
        updated_at = durable.now_ms(),
        owner_xid = null,
        queue_name = null,
        deduplication_id = null,
        started_at_epoch_ms = null
    where s.workflow_uuid in (
        select late.workflow_uuid
        from dbos.workflow_status as late
        where late.status in ('ENQUEUED', 'PENDING', 'DELAYED')
            and late.workflow_deadline_epoch_ms is not null
            and late.workflow_deadline_epoch_ms <= durable.now_ms()
            and (late.application_name = application
                or late.application_name is null)
        limit 1000
        for update skip locked);
    update dbos.workflow_status as s
    set status = 'ENQUEUED',
        updated_at = durable.now_ms(),
        deduplication_id = case when not s.is_debounced
            then s.deduplication_id end
    where s.workflow_uuid in (
        select delayed.workflow_uuid
        from dbos.workflow_status as delayed
        where delayed.status = 'DELAYED'
            and delayed.delay_until_epoch_ms <= durable.now_ms()
            and (delayed.application_name = application
                or delayed.application_name is null)
        limit 1000
        for update skip locked);
end
$$;
comment on function durable.sweep(text) is
    'Cancels what is past its deadline and enqueues what was delayed.';

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
    'Tells the tools of the DBOS family which version and queues are served.';

create or replace function durable.daemon_workers()
returns bigint
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
begin atomic
    select count(*)
    from pg_locks as l
    where l.locktype = 'advisory'
        and l.database = (
            select d.oid from pg_database as d
            where d.datname = current_database())
        and l.classid = 1146442305
        and l.objid = 1
        and l.granted;
end;
comment on function durable.daemon_workers() is
    'Workers that are connected: each shares an advisory lock that ends with '
    'its session.';

create or replace function durable.daemon_alive()
returns boolean
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
return durable.daemon_workers() > 0;
comment on function durable.daemon_alive() is
    'Whether a worker is connected.';

create or replace function durable.metrics()
returns table (name text, value double precision)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select 'daemon_workers', durable.daemon_workers()::double precision;
    return query
    with recursive types as (
        select min(w.type) as type
        from durable.waits as w
        union all
        select (
            select min(w.type)
            from durable.waits as w
            where w.type > t.type)
        from types as t
        where t.type is not null
    )
    select 'due_lag_seconds', greatest(0, durable.now_ms() - min((
        select w.wake_at
        from durable.waits as w
        where w.type = t.type
        order by w.wake_at
        limit 1))) / 1000::double precision
    from types as t;
    return query
    select 'waiting_workflows', greatest(c.reltuples, 0)::double precision
    from pg_class as c
    where c.oid = 'durable.waits'::regclass;
    return query
    select 'enqueued_workflows', count(*)::double precision
    from (
        select from dbos.workflow_status as s
        where s.status = 'ENQUEUED'
        limit 10000) as enqueued;
end
$$;
comment on function durable.metrics() is
    'Gauges; waiting_workflows is the planner''s estimate, enqueued_workflows '
    'counts to 10000.';


-- The client half.

create or replace function durable.client_submit(
    start_ids text[],
    start_names text[],
    start_queues text[],
    start_inputs text[],
    application text,
    send_ids text[],
    send_names text[],
    send_topics text[],
    send_messages text[],
    send_keys text[]
)
returns table (kind text, "position" int, outcome text)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    created text[];
    free text[];
    sent text[];
begin
    -- In the order of the ids, as every other batch does: no deadlock.
    with inserted as (
        insert into dbos.workflow_status (workflow_uuid, status, name,
            serialization, queue_name, executor_id, application_id,
            application_name, recovery_attempts, creator_xid,
            authenticated_user, assumed_role)
        select distinct on (n.id) n.id, 'ENQUEUED', n.name, 'portable_json',
            n.queue, '', '', application, 0, gen_random_uuid()::text, '', ''
        from unnest(start_ids, start_names, start_queues)
            as n (id, name, queue)
        order by n.id
        on conflict (workflow_uuid) do nothing
        returning workflow_uuid
    )
    select coalesce(array_agg(i.workflow_uuid), '{}')
    into created
    from inserted as i;
    insert into dbos.workflow_input (workflow_uuid, inputs)
    select distinct on (n.id) n.id,
        case when n.input is null then '{"positionalArgs":[]}'
            else '{"positionalArgs":[' || n.input || ']}' end
    from unnest(start_ids, start_inputs) as n (id, input)
    where n.id = any (created)
    on conflict (workflow_uuid) do update
    set inputs = excluded.inputs;
    return query
    select 'start'::text, n.place::int,
        case when s.name <> n.name then 'conflict'
            when n.id = any (created) then 'created'
            else 'exists' end
    from unnest(start_ids, start_names)
        with ordinality as n (id, name, place)
    join dbos.workflow_status as s on s.workflow_uuid = n.id;

    -- A batch never waits for a turn: who is in one now gets it next time.
    select coalesce(array_agg(f.workflow_uuid), '{}')
    into free
    from (
        select s.workflow_uuid
        from dbos.workflow_status as s
        where s.workflow_uuid = any (send_ids)
        for key share skip locked
    ) as f;
    with inserted as (
        insert into dbos.notifications (message_uuid, destination_uuid, topic,
            message, serialization)
        select distinct on (n.id, n.key) n.key || '::' || n.id, n.id, n.topic,
            n.message, 'portable_json'
        from unnest(send_ids, send_names, send_topics, send_messages,
            send_keys) as n (id, name, topic, message, key)
        join dbos.workflow_status as s on s.workflow_uuid = n.id
        where s.name = n.name
            and n.id = any (free)
        order by n.id, n.key
        on conflict (message_uuid) do nothing
        returning message_uuid
    )
    select coalesce(array_agg(i.message_uuid), '{}')
    into sent
    from inserted as i;
    return query
    select 'send'::text, n.place::int,
        case when s.workflow_uuid is null then 'unknown'
            when n.key || '::' || n.id = any (sent) then 'sent'
            when exists (
                select from dbos.notifications as m
                where m.message_uuid = n.key || '::' || n.id) then 'exists'
            else 'busy' end
    from unnest(send_ids, send_names, send_keys)
        with ordinality as n (id, name, key, place)
    left join dbos.workflow_status as s
        on s.workflow_uuid = n.id
        and s.name = n.name;
end
$$;
comment on function durable.client_submit(text[], text[], text[], text[],
    text, text[], text[], text[], text[], text[]) is
    'Enqueues workflows (created, exists, conflict: it is another kind of '
    'workflow) and sends messages (sent, exists, unknown: no such workflow, '
    'busy: not now), each once per id or key.';

create or replace function durable.client_events(ids text[], keys text[])
returns table (
    "position" int,
    present boolean,
    value text,
    serialization text,
    ended boolean
)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    return query
    select n.place::int, e.workflow_uuid is not null, e.value,
        e.serialization, e.workflow_uuid is null
    from unnest(ids, keys) with ordinality as n (id, key, place)
    left join dbos.workflow_events as e
        on e.workflow_uuid = n.id
        and e.key = n.key
    left join dbos.workflow_status as s on s.workflow_uuid = n.id
    where e.workflow_uuid is not null
        or s.workflow_uuid is null
        or s.status not in ('PENDING', 'ENQUEUED', 'DELAYED');
end
$$;
comment on function durable.client_events(text[], text[]) is
    'Those of the events that are decided: set, or never to be set because '
    'the workflow has ended.';


-- Who may do what.

grant usage on schema durable to widget_store_web, widget_store_daemon;
grant execute on function
    durable.version(),
    durable.client_submit(text[], text[], text[], text[], text, text[],
        text[], text[], text[], text[]),
    durable.client_events(text[], text[]),
    durable.daemon_alive(),
    durable.metrics()
to widget_store_web;
grant execute on function
    durable.version(),
    durable.now_ms(),
    durable.turn_begin(text[], text[], text, int, text[]),
    durable.turn_suspect(text[], text[], text, int),
    durable.turn_attempt(text[], text, int),
    durable.turn_survived(text),
    durable.turn_start(text, text, text, text, text, text, text, bigint),
    durable.turn_over(text[]),
    durable.turn_waits(text[], bigint[], text[], text[], text[], text[]),
    durable.turn_journal(text[], int[], text[], text[], text[], text[],
        text[], bigint[], bigint[], text),
    durable.turn_consumed(text[], int[]),
    durable.turn_messages(text[], text[], text[]),
    durable.turn_events(text[], int[], text[], text[], text[]),
    durable.turn_statuses(text[], text[], int[], text[], bigint[], text[],
        text[], text, text),
    durable.workflow_event(text, text),
    durable.workflow_result(text),
    durable.sweep(text),
    durable.register(text, text, text[])
to widget_store_daemon;
