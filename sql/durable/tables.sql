-- SPDX-License-Identifier: MIT
--
-- The tables that the engine adds to the DBOS system database.  The functions
-- of the engine are in the other files of this folder, in the order of
-- widget-store-install.
--
-- Run by psql as widget_store_owner inside a transaction; running it again
-- replaces the functions and leaves the tables alone.  Tables change only by a
-- numbered script in upgrades/.
--
-- Lock order: durable.timer_groups, dbos.workflow_status and durable.waits of
-- the turn's workflows (with skip locked, so that no turn waits for another);
-- durable.suspects; what the steps lock (store.products, store.orders); the
-- status rows that a new message's foreign key locks; the waits of the
-- workflows that the turn wakes.  Those waits are not due, and so belong to no
-- turn, unless another turn took them a moment ago and keeps them locked.  Two
-- turns may wait for each other at the last two, so a turn waits there for 200
-- ms at most and is then repeated.
--
-- I5, no wake-up is lost.  A turn holds its workflows' status rows FOR UPDATE
-- from before it looks for messages until it has committed their waits.  The
-- foreign key of a new message locks the same row FOR KEY SHARE before the
-- message's trigger looks for a wait.  So either the message committed first
-- and the turn sees it, or the turn did and the trigger sees the wait.  When a
-- workflow begins to wait for an event or a result, its turn takes the target's
-- status row FOR UPDATE, which conflicts with the foreign key of a new event,
-- and looks once more.  A turn also looks once more for messages that one of
-- its own steps sent to a workflow that begins to wait in the same turn.

-- The end of each file grants its functions to the roles that call them.
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
    wake_at bigint,
    type text not null,
    kind text not null constraint waits_kind check
        (kind in ('start', 'message', 'event', 'result', 'stream', 'timer',
        'held', 'step', 'any')),
    target text,
    key text,
    timer_group bigint constraint waits_timer_group check
        (num_nonnulls(timer_group, wake_at) = 1),
    held_since bigint,
    bytes bigint
) with (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.05
);
comment on table durable.waits is
    'One row per suspended workflow of this engine: what the workflow waits '
    'for, and until when. A workflow is due when wake_at has come.';
comment on column durable.waits.workflow_uuid is
    'The suspended workflow; its status is PENDING.';
comment on column durable.waits.wake_at is
    'When the workflow is due, in milliseconds since the epoch; a message, an '
    'event or a result moves it to now. Null: the timer group has the time.';
comment on column durable.waits.type is
    'Which daemon can run the workflow: name@version@application.';
comment on column durable.waits.kind is
    'What the workflow waits for: its first run (start), a message, an event, '
    'a result, a value of a stream, only the time (timer), to try a step again '
    'that met a circumstance (held), an external step (step), or the first of '
    'its durable.wait_items (any).';
comment on column durable.waits.target is
    'The workflow of the awaited event, result or stream; of kind any one of '
    'its items'', so that what ends looks for these; else null.';
comment on column durable.waits.key is
    'Topic of the message, key of the event, offset:key of the stream''s '
    'value, or number of the external step; null for other kinds.';
comment on column durable.waits.timer_group is
    'The timer group that wakes the workflow; null: wake_at does.';
comment on column durable.waits.held_since is
    'When the step first met the circumstance, in milliseconds since the '
    'epoch; null: the workflow is not held.';
comment on column durable.waits.bytes is
    'How much a turn loads of the workflow: its input and its journal, in '
    'bytes. Null: little, so that a turn need not count it.';

create index if not exists waits_due on durable.waits (type, wake_at);
create index if not exists waits_target on durable.waits (target)
where target is not null;
create index if not exists waits_of_timer_group on durable.waits (timer_group)
where timer_group is not null;

create table if not exists durable.wait_items (
    workflow_uuid text not null,
    number int not null,
    kind text not null constraint wait_items_kind check
        (kind in ('message', 'result', 'step')),
    target text,
    key text,
    constraint wait_items_pkey primary key (workflow_uuid, number)
);
comment on table durable.wait_items is
    'What a workflow waits for the first of, beside the time, while its wait is '
    'of kind any.';
comment on column durable.wait_items.workflow_uuid is
    'The suspended workflow.';
comment on column durable.wait_items.number is
    'The place of the item in the call.';
comment on column durable.wait_items.kind is
    'A message, the result of a workflow, or an external step.';
comment on column durable.wait_items.target is
    'The workflow of a result; else null.';
comment on column durable.wait_items.key is
    'Topic of the message or number of the external step; else null.';

create index if not exists wait_items_target on durable.wait_items (target)
where target is not null;

create sequence if not exists durable.step_masters as int cycle;
comment on sequence durable.step_masters is
    'Numbers the sessions of step masters.';

create table if not exists durable.external_steps (
    workflow_uuid text not null,
    function_id int not null,
    type text not null,
    application text not null,
    argument text,
    attempt int not null default 0
        constraint external_steps_attempt check (attempt >= 0),
    failures int not null default 0
        constraint external_steps_failures check (failures >= 0),
    next_at bigint,
    owner int constraint external_steps_owner check
        (num_nonnulls(next_at, owner) = 1),
    started_ms bigint,
    error text,
    progress text,
    constraint external_steps_pkey primary key (workflow_uuid, function_id)
) with (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.05
);
comment on table durable.external_steps is
    'One row per external step that a workflow has begun and that has not '
    'ended: it waits for a step process, or one runs it. Its end deletes the '
    'row and writes the step into the journal, in one transaction.';
comment on column durable.external_steps.workflow_uuid is
    'The workflow; its status is PENDING.';
comment on column durable.external_steps.function_id is
    'The number of the step in its workflow.';
comment on column durable.external_steps.type is
    'The name of the step''s type.';
comment on column durable.external_steps.application is
    'Whose daemons can run it.';
comment on column durable.external_steps.argument is
    'Its argument, JSON.';
comment on column durable.external_steps.attempt is
    'How often it was begun.';
comment on column durable.external_steps.failures is
    'How many attempts have failed. The others were lost with their daemon.';
comment on column durable.external_steps.next_at is
    'When it is to be begun, in milliseconds since the epoch; null: it runs.';
comment on column durable.external_steps.owner is
    'The step master whose process runs it. The master''s session holds an '
    'advisory lock on this number: no lock, no owner.';
comment on column durable.external_steps.started_ms is
    'When the first attempt began, in milliseconds since the epoch.';
comment on column durable.external_steps.error is
    'The error of the last attempt that failed, as in a journal.';
comment on column durable.external_steps.progress is
    'What the step has last said of its progress, JSON, for its next attempt.';

create index if not exists external_steps_due on durable.external_steps
    (application, type, next_at)
where next_at is not null;
create index if not exists external_steps_owned on durable.external_steps
    (owner)
where owner is not null;

create table if not exists durable.timer_groups (
    timer_group bigint not null generated always as identity
        constraint timer_groups_pkey primary key,
    wake_at bigint not null,
    type text not null,
    size int not null
);
comment on table durable.timer_groups is
    'One row per timer group: workflows of a type that went to sleep in one '
    'turn until the same time and wait for nothing else. When all of them '
    'sleep again until one time, the turn moves the group and leaves their '
    'waits as they are. No workflow joins a group later.';
comment on column durable.timer_groups.timer_group is
    'Number of the group, to which the waits of its workflows refer.';
comment on column durable.timer_groups.wake_at is
    'When its workflows are due, in milliseconds since the epoch.';
comment on column durable.timer_groups.type is
    'Which daemon can run its workflows: name@version@application.';
comment on column durable.timer_groups.size is
    'How many workflows it wakes at most.';

create index if not exists timer_groups_due on durable.timer_groups (type,
    wake_at);

create or replace view durable.waiting as
select w.workflow_uuid, coalesce(w.wake_at, g.wake_at) as wake_at, w.type,
    w.kind, w.target, w.key
from durable.waits as w
left join durable.timer_groups as g on g.timer_group = w.timer_group;
comment on view durable.waiting is
    'The waits, each with the time of its timer group where it has one.';
comment on column durable.waiting.workflow_uuid is 'As in durable.waits.';
comment on column durable.waiting.wake_at is
    'When the workflow is due, in milliseconds since the epoch.';
comment on column durable.waiting.type is 'As in durable.waits.';
comment on column durable.waiting.kind is 'As in durable.waits.';
comment on column durable.waiting.target is 'As in durable.waits.';
comment on column durable.waiting.key is 'As in durable.waits.';

-- Each index of dbos for what a worker looks for begins with other columns, and
-- so leads through the rows that no worker here serves.  These begin with what
-- makes a row a worker's own.  The sums, which the statements repeat, keep the
-- planner from the index of dbos that begins with the time.  Where the official
-- tool has made the tables, the installing role makes the indexes, because only
-- an owner of a table may.
select pg_has_role(c.relowner, 'usage') as owned
from pg_class as c
where c.oid = 'dbos.workflow_status'::regclass \gset
\if :owned
\else
reset role;
\endif
create index if not exists durable_enqueued on dbos.workflow_status
    -- The key of durable.queue_key.
    ((array[queue_name, left(name || '@' || coalesce(application_version, ''),
    200), coalesce('@' || application_name, '')]), priority, created_at)
where status = 'ENQUEUED';
create index if not exists durable_delayed on dbos.workflow_status
    ((array[queue_name, left(name || '@' || coalesce(application_version, ''),
    200), coalesce('@' || application_name, '')]), (delay_until_epoch_ms + 0))
where status = 'DELAYED';
create index if not exists durable_deadline on dbos.workflow_status
    ((coalesce('@' || application_name, '')), (workflow_deadline_epoch_ms + 0))
where status in ('ENQUEUED', 'PENDING', 'DELAYED')
    and workflow_deadline_epoch_ms is not null;
-- For limits.sql and queue.sql: what the partitions of a queue have, and what
-- began under a rate limit.
create index if not exists durable_partitioned on dbos.workflow_status
    ((array[queue_name, left(name || '@' || coalesce(application_version, ''),
    200), coalesce('@' || application_name, '')]), queue_partition_key,
    priority, created_at)
where status = 'ENQUEUED' and queue_partition_key is not null;
create index if not exists durable_starts on dbos.workflow_status
    ((array[queue_name]), (started_at_epoch_ms + 0))
where rate_limited;
create index if not exists durable_partition_starts on dbos.workflow_status
    ((array[queue_name, queue_partition_key]), (started_at_epoch_ms + 0))
where rate_limited and queue_partition_key is not null;
-- For collect.sql: finished workflows by their age.
create index if not exists durable_finished on dbos.workflow_status
    ((coalesce('@' || application_name, '')), (coalesce(name, '')),
    (coalesce(completed_at, created_at)))
where status in ('SUCCESS', 'ERROR', 'CANCELLED');
set role widget_store_owner;

create table if not exists durable.cleanups (
    workflow_uuid text not null constraint cleanups_pkey primary key
);
comment on table durable.cleanups is
    'Workflows that have registered a clean-up: when one is cancelled, its wait '
    'stays and is due, and its next runs clean up.';
comment on column durable.cleanups.workflow_uuid is 'The workflow.';

create table if not exists durable.continuations (
    workflow_uuid text not null constraint continuations_pkey primary key,
    function_id int not null
) with (fillfactor = 50);
comment on table durable.continuations is
    'Where the journals of workflows begin that have called wf_continue, so that '
    'a turn need not look for steps that have been deleted.';
comment on column durable.continuations.workflow_uuid is 'The workflow.';
comment on column durable.continuations.function_id is
    'The number of its last wf_continue.';

create table if not exists durable.suspects (
    workflow_uuid text not null constraint suspects_pkey primary key,
    attempts int not null constraint suspects_attempts check (attempts >= 0),
    last_death bigint,
    begun int not null default 0
        constraint suspects_begun check (begun >= 0),
    next_at bigint not null default 0,
    cohort int not null default 1
        constraint suspects_cohort check (cohort >= 1)
);
comment on table durable.suspects is
    'Workflows that may have killed their process or session. A worker that '
    'follows a crash notes them before it runs them; the commit of that turn '
    'deletes them. What is left runs in ever smaller cohorts, then alone.';
comment on column durable.suspects.workflow_uuid is
    'The workflow, which was due when it was noted.';
comment on column durable.suspects.attempts is
    'How many processes ended themselves while they ran this workflow and no '
    'other.';
comment on column durable.suspects.last_death is
    'When the last of them did, in milliseconds since the epoch, so that it is '
    'counted once; null: none has.';
comment on column durable.suspects.begun is
    'How often the workflow was begun alone since then, and its session ended '
    'or the machine did.';
comment on column durable.suspects.next_at is
    'When it may be tried next, in milliseconds since the epoch.';
comment on column durable.suspects.cohort is
    'How many suspects the turn of the next attempt may have. Each attempt '
    'halves it; after a process that ended itself it is 1.';

create table if not exists durable.arrivals (
    workflow_uuid text not null
);
comment on table durable.arrivals is
    'Workflows that got a message, set an event or ended in a transaction with '
    'a snapshot that may miss the waits for that. durable.sweep empties it.';
comment on column durable.arrivals.workflow_uuid is
    'The workflow; the sweep wakes it and the workflows that wait for it.';

create table if not exists durable.clock (
    latest_ms bigint not null
);
comment on table durable.clock is
    'One row, by which the sweep finds that the clock was put back.';
comment on column durable.clock.latest_ms is
    'The time of the database, in milliseconds since the epoch: noted by '
    'durable.due_now_ms and durable.sweep, so that no row is due at a present '
    'time that is more than ten seconds later.';

create table if not exists durable.notification_queue (
    tenths int not null constraint notification_queue_tenths check
        (tenths between 0 and 10)
);
comment on table durable.notification_queue is
    'One row: how full PostgreSQL''s notification queue is. From six tenths on '
    'durable.hint notifies no more.';
comment on column durable.notification_queue.tenths is
    'The tenths of the queue that were in use at the last sweep.';

insert into durable.notification_queue (tenths)
select 0
where not exists (select from durable.notification_queue);

create or replace function durable.now_ms()
returns bigint
language sql
volatile
parallel safe
return (extract(epoch from clock_timestamp()) * 1000)::bigint;
comment on function durable.now_ms() is
    'Returns the time of the database, in milliseconds since the epoch. Goes '
    'on within a transaction. Called by the functions of these schemas.';

insert into durable.clock (latest_ms)
select durable.now_ms()
where not exists (select from durable.clock);

create or replace function durable.due_now_ms()
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    present_ms constant bigint := durable.now_ms();
begin
    if present_ms > (select c.latest_ms + 10000 from durable.clock as c)
        -- Otherwise the update might fail, because of another one.
        and current_setting('transaction_isolation') = 'read committed'
    then
        update durable.clock as c
        set latest_ms = present_ms
        where c.ctid = any (array(
                select l.ctid
                from durable.clock as l
                where present_ms > l.latest_ms
                -- The transaction that has it locked notes the same.
                for update skip locked));
    end if;
    return present_ms;
end
$$;
comment on function durable.due_now_ms() is
    'Returns the time at which something is due that is due now. First notes it '
    'in durable.clock, if that is ten seconds old, because the clock may be put '
    'back before a sweep has seen this time. Called by each function that writes '
    'such a time.';

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
    'Returns the installed version. Daemon and web call it when they have '
    'connected, and refuse to start on another version than their own.';

create or replace function durable.signatures()
returns int
language sql
immutable
set search_path = pg_catalog, pg_temp
return 1;
comment on function durable.signatures() is
    'Returns the number of the signatures of the functions that the programs '
    'call; each change of one raises it, here and in durable/db/session.h. '
    'Daemon and web call it when they have connected, and refuse to start with '
    'another number than their own.';

grant usage on schema durable
to widget_store_web, widget_store_daemon, durable_client;
grant execute on function
    durable.version(),
    durable.signatures()
to widget_store_web, widget_store_daemon;
