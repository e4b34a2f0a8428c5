-- SPDX-License-Identifier: MIT
--
-- Triggers on the tables of schema dbos that wake waiting workflows, whichever
-- program writes there.
--
-- The triggers update through an index, without a join.  They run in sessions
-- of other programs, and a plan made while durable.waits was small would read
-- the whole table when it is large.  Their conditions on wake_at compare with
-- durable.now_ms(), which is volatile and so bounds no index.
--
-- They do not update a wait that is due already, because a turn may have locked
-- it and the writer must not wait for a turn.  They notify all the same, because
-- no worker may know yet that the workflow is due.
--
-- A transaction with an older snapshot (repeatable read) may not see the
-- present waits.  Its trigger notes the workflow in durable.arrivals, and the
-- sweep wakes what waits for it.

-- DBOS notifies of each message in a trigger of its own.  Here its function does
-- nothing, and durable.wake_by_message notifies in its place, because a
-- transaction that notifies fails when the notification queue is full.  Where
-- the function belongs to another owner it stays as it is.

create or replace function durable.hint(channel text, payloads text[])
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if (select q.tenths < 6 from durable.notification_queue as q) then
        perform pg_notify(channel, payload)
        from unnest(payloads) as payload
        -- PostgreSQL refuses a longer one.
        where octet_length(payload) < 8000;
    end if;
end
$$;
comment on function durable.hint(text, text[]) is
    'Notifies a channel with each payload, unless the notification queue is '
    'rather full: when it is full each transaction that notifies fails at its '
    'commit. (From a half on the server''s log names the process that keeps it '
    'full.) Called by the functions that wake, by a worker behind its turn and '
    'by a client''s courier.';

create or replace function durable.worker_rests()
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    -- A worker holds this lock, shared, while it listens and runs no turns.  It
    -- is let go at once, so that no worker waits for it.
    return not pg_try_advisory_lock(1146442305, 2)
        or not pg_advisory_unlock(1146442305, 2);
end
$$;
comment on function durable.worker_rests() is
    'Whether a worker would hear of a notification: all others are busy, and look '
    'again by themselves.';

create or replace function durable.announce()
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if current_setting('durable.has_announced', true) = 'true' then
        return;
    end if;
    perform set_config('durable.has_announced', 'true', true);
    if durable.worker_rests()
        and pg_try_advisory_xact_lock(1146442305, 3)
    then
        perform durable.hint('durable_due', '{more}');
    end if;
end
$$;
comment on function durable.announce() is
    'Tells the workers at a commit that there is a workflow to run, unless all '
    'are busy, or a commit that is under way tells them. Commits that notify wait '
    'for each other, so that there is one at a time; a worker that is told more '
    'looks again soon, for those behind it. A function whose caller notifies '
    'behind its commit sets durable.has_announced itself.';

create or replace function durable.heed_notification_queue()
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    present int;
begin
    -- One session at a time, because the others would wait where no time-out
    -- ends it: PostgreSQL may have gigabytes to free.
    if not pg_try_advisory_xact_lock(1146442307, 0) then
        return;
    end if;
    -- Besides a notification only this call moves the tail of the queue.
    present := floor(pg_notification_queue_usage() * 10);
    update durable.notification_queue as q
    set tenths = present
    where q.tenths <> present;
end
$$;
comment on function durable.heed_notification_queue() is
    'Makes PostgreSQL free the notification queue of what every session has '
    'read, and notes how full it is. Called by durable.sweep, and by a client''s '
    'courier when a commit met the full queue.';

create or replace function durable.forget_steps(ids text[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    delete from durable.wait_items as i
    where i.workflow_uuid = any (ids);
    delete from durable.external_steps as e
    where e.workflow_uuid = any (ids);
    if found then
        perform durable.hint('durable_steps', '{stop}');
    end if;
end
$$;
comment on function durable.forget_steps(text[]) is
    'Deletes the external steps of workflows that go on no more, and what these '
    'have waited for the first of. Tells the step masters, which stop what runs.';

create or replace function durable.wake_by_message()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    sent record;
    present_ms bigint;
begin
    perform durable.hint('dbos_notifications_channel', array(
        select m.destination_uuid || '::' || m.topic
        from arrived as m));
    perform set_config('durable.has_sent', 'true', true);
    if current_setting('transaction_isolation') <> 'read committed' then
        insert into durable.arrivals (workflow_uuid)
        select distinct m.destination_uuid
        from arrived as m;
        return null;
    end if;
    present_ms := durable.due_now_ms();
    for sent in
        select m.topic, array_agg(m.destination_uuid) as ids
        from arrived as m
        group by m.topic
        order by m.topic
    loop
        -- Through the index, and so in the order of the ids.
        update durable.waits as w
        set wake_at = present_ms
        where w.workflow_uuid = any (sent.ids)
            and (w.kind = 'message'
                and w.key = sent.topic
                or w.kind = 'any'
                and exists (
                    select from durable.wait_items as i
                    where i.workflow_uuid = w.workflow_uuid
                        and i.kind = 'message'
                        and i.key = sent.topic))
            and w.wake_at > durable.now_ms();
    end loop;
    return null;
end
$$;
comment on function durable.wake_by_message() is
    'Trigger after insert on dbos.notifications: makes the workflows due that '
    'wait for the new messages, and notifies DBOS''s channel of each as its own '
    'trigger would. Notes for durable.turn_waits that this transaction has '
    'sent some. Fires per statement, and so after the foreign '
    'key checks of all its rows.';

create or replace function durable.wake_readers(
    awaited text,
    targets text[],
    keys text[]
)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    written record;
    woken boolean := false;
    present_ms bigint;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        insert into durable.arrivals (workflow_uuid)
        select distinct id
        from unnest(targets) as id;
        return;
    end if;
    if not exists (select from durable.waits as w where w.target is not null)
    then
        return;
    end if;
    present_ms := durable.due_now_ms();
    for written in
        select n.target, n.key
        from unnest(targets, keys) as n (target, key)
        order by n.target, n.key
    loop
        update durable.waits as w
        set wake_at = present_ms
        where w.target = written.target
            and w.kind = awaited
            and w.key = written.key
            and w.wake_at > durable.now_ms();
        woken := woken or exists (
            select from durable.waits as w
            where w.target = written.target
                and w.kind = awaited
                and w.key = written.key);
    end loop;
    if woken then
        perform durable.hint('durable_due', '{""}');
    end if;
end
$$;
comment on function durable.wake_readers(text, text[], text[]) is
    'Makes the workflows due that wait (kind awaited) for what has been written '
    'at these keys of these workflows, and notifies durable_due.';

create or replace function durable.wake_by_event()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform durable.wake_readers('event', array_agg(e.workflow_uuid),
        array_agg(e.key))
    from arrived as e;
    return null;
end
$$;
comment on function durable.wake_by_event() is
    'Trigger after insert or update on dbos.workflow_events: wakes the workflows '
    'that wait for the events.';

create or replace function durable.wake_by_status()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    moved text[];
    queues text[];
    stopped text[];
    ended text[];
    enqueued boolean;
    present_ms bigint;
begin
    select array_agg(a.workflow_uuid), array_agg(a.queue_name),
        array_agg(a.workflow_uuid) filter (where a.status in ('CANCELLED',
            'ENQUEUED', 'DELAYED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED')),
        array_agg(a.workflow_uuid) filter (where a.status not in ('ENQUEUED',
            'DELAYED')),
        bool_or(a.status = 'ENQUEUED')
    into moved, queues, stopped, ended, enqueued
    from arrived as a
    where a.status <> 'PENDING';
    if moved is null then
        return null;
    end if;
    present_ms := durable.due_now_ms();
    if enqueued and durable.worker_rests() then
        perform durable.hint('durable_due', '{""}');
    end if;
    if stopped is not null then
        -- Before its waits, as by a step master that records a step.
        perform durable.forget_steps(stopped);
        delete from durable.waits as w
        where w.workflow_uuid = any (stopped)
            and not exists (
                select from durable.cleanups as c
                where c.workflow_uuid = w.workflow_uuid);
        update durable.waits as w
        set wake_at = present_ms,
            timer_group = null
        where w.workflow_uuid = any (stopped);
        if found then
            perform durable.hint('durable_due', '{""}');
        end if;
    end if;
    if exists (
        select from durable.limited_queues as l
        -- What was stopped names its queue no more.
        where (stopped is not null or l.name = any (queues))
            and (
                select true
                from dbos.workflow_status as s
                where s.queue_name = l.name
                    and s.status = 'ENQUEUED'
                order by s.priority, s.created_at
                limit 1))
    then
        perform durable.hint('durable_due', '{""}');
    end if;
    if current_setting('transaction_isolation') <> 'read committed' then
        insert into durable.arrivals (workflow_uuid)
        select id
        from unnest(moved) as id;
    elsif ended is not null
        and exists (select from durable.waits as w where w.target is not null)
    then
        update durable.waits as w
        set wake_at = present_ms
        where w.target = any (ended)
            and w.kind in ('result', 'stream')
            and w.wake_at > durable.now_ms();
        update durable.waits as w
        set wake_at = present_ms
        where w.workflow_uuid = any (array(
                select i.workflow_uuid
                from durable.wait_items as i
                where i.target = any (ended)))
            and w.kind = 'any'
            and w.wake_at > durable.now_ms();
        if found or exists (
            select from durable.waits as w
            where w.target = any (ended)
                and w.kind in ('result', 'stream'))
        then
            perform durable.hint('durable_due', '{""}');
        end if;
    end if;
    return null;
end
$$;
comment on function durable.wake_by_status() is
    'Trigger after update on dbos.workflow_status: deletes the waits of '
    'workflows that a tool cancelled or enqueued again, or makes them due if '
    'they are to clean up, and deletes their external steps; announces what is '
    'enqueued again; makes the workflows '
    'due that wait for the result or a stream of an ended one, and notifies '
    'durable_due, also of the room that it leaves in a queue with limits.';

create or replace function durable.wake_by_enqueue()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform durable.announce();
    return null;
end
$$;
comment on function durable.wake_by_enqueue() is
    'Trigger after insert on dbos.workflow_status: announces what any program '
    'enqueues. It fires at the commit, so that a worker that becomes idle '
    'during a long transaction hears of it.';

create or replace function durable.forget_workflow()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    ids text[] := array(
        select g.workflow_uuid
        from gone as g);
begin
    -- Before the journal, in which a step master may just record a step.
    perform durable.forget_steps(ids);
    delete from durable.waits as w
    where w.workflow_uuid = any (ids);
    delete from durable.suspects as s
    where s.workflow_uuid = any (ids);
    delete from durable.cleanups as c
    where c.workflow_uuid = any (ids);
    delete from durable.continuations as c
    where c.workflow_uuid = any (ids);
    delete from dbos.operation_outputs as o
    where o.workflow_uuid = any (ids);
    delete from dbos.workflow_output as o
    where o.workflow_uuid = any (ids);
    delete from dbos.workflow_input as i
    where i.workflow_uuid = any (ids);
    return null;
end
$$;
comment on function durable.forget_workflow() is
    'Trigger after delete on dbos.workflow_status: deletes the rows of the '
    'workflows that have no foreign key. A client deletes the journal first and '
    'then waits for a turn that is under way; a later workflow of the same id '
    'must not replay what that turn wrote, nor get this one''s input.';

select pg_has_role(p.proowner, 'usage') as may_replace
from pg_proc as p
where p.oid = 'dbos.notifications_function()'::regprocedure \gset
\if :may_replace
create or replace function dbos.notifications_function()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    return null;
end
$$;
\endif

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
after update on dbos.workflow_status
referencing new table as arrived
for each statement
execute function durable.wake_by_status();

select not exists (
    select from pg_trigger as t
    where t.tgrelid = 'dbos.workflow_status'::regclass
        and t.tgname = 'durable_wake_by_enqueue') as missing \gset
\if :missing
create constraint trigger durable_wake_by_enqueue
after insert on dbos.workflow_status
deferrable initially deferred
for each row
when (new.status in ('ENQUEUED', 'DELAYED')
    and current_setting('durable.has_announced', true) is distinct from 'true')
execute function durable.wake_by_enqueue();
\endif

create or replace trigger durable_forget_workflow
after delete on dbos.workflow_status
referencing old table as gone
for each statement
execute function durable.forget_workflow();

grant execute on function durable.hint(text, text[])
to widget_store_web, widget_store_daemon;
grant execute on function durable.heed_notification_queue()
to widget_store_web;
