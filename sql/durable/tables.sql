-- SPDX-License-Identifier: MIT
--
-- What the engine adds to the DBOS system database: here the tables, and where
-- suspended workflows wait; in wake.sql the triggers that wake them, in
-- take.sql what the daemon calls in its turns and in sweep.sql beside them, in
-- client.sql what everybody else does.  widget-store-install has their order.
--
-- Run by psql as widget_store_owner inside a transaction; running it again
-- replaces the functions and leaves the tables alone.  Tables change only by
-- a numbered script in upgrades/.
--
-- Lock order: durable.timer_groups, dbos.workflow_status and durable.waits of
-- the turn's workflows (with skip locked, so that no turn waits for
-- another's), durable.suspects, what the steps lock (store.products,
-- store.orders), the status rows that a new message's foreign key locks, and
-- the waits of those whom the turn wakes. These are not due, and so in no
-- turn, unless one saw them a moment ago and keeps them locked.  For both a
-- turn waits for 200 ms at most, and is repeated: two may wait for each other.
--
-- I5, no wake-up is lost.  A turn holds its workflows' status rows FOR
-- UPDATE from before it looks for messages until it has committed their
-- waits.  The foreign key of a new message locks the same row FOR KEY SHARE
-- before the message's trigger looks for a wait.  So either the message
-- committed first and the turn sees it, or the turn did and the trigger sees
-- the wait.  For an event or a result of another workflow the turn that wants
-- to wait takes that workflow's status row FOR UPDATE, which the foreign key
-- of a new event conflicts with, and looks once more.  So it does for what a
-- step of the turn itself has sent to who begins to wait in it.

-- Whoever may execute a function of ours is named at the end of its file.
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
        (kind in ('start', 'message', 'event', 'result', 'timer')),
    target text,
    key text,
    cache_tag bigint,
    timer_group bigint constraint waits_timer_group check
        (num_nonnulls(timer_group, wake_at) = 1)
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
    'a result moves it to now.  Null: its timer group has that.';
comment on column durable.waits.type is
    'Which code can run it: name@version.';
comment on column durable.waits.kind is
    'What it waits for; start: to run at all, timer: only for the time.';
comment on column durable.waits.target is
    'The workflow whose event or result it waits for.';
comment on column durable.waits.key is
    'Topic of the message, or key of the event.';
comment on column durable.waits.cache_tag is
    'Under which the worker that ran it last remembers its journal; null: it '
    'does not, or its timer group has that.';
comment on column durable.waits.timer_group is
    'Which timer group wakes it, with others.';

create index if not exists waits_due on durable.waits (type, wake_at);
create index if not exists waits_target on durable.waits (target)
where target is not null;
create index if not exists waits_of_timer_group on durable.waits (timer_group)
where timer_group is not null;

create table if not exists durable.timer_groups (
    timer_group bigint not null generated always as identity
        constraint timer_groups_pkey primary key,
    wake_at bigint not null,
    type text not null,
    size int not null,
    cache_tag bigint
);
comment on table durable.timer_groups is
    'Wakes the workflows of a type that wait for one time, and for nothing '
    'else: those that went to sleep in one turn.  When all of them do so again '
    'it is moved, and their waits stay as they are.  Nobody comes to it later.';
comment on column durable.timer_groups.timer_group is
    'Its number, in the waits of those whom it wakes.';
comment on column durable.timer_groups.wake_at is
    'When they are due, in milliseconds since the epoch.';
comment on column durable.timer_groups.type is
    'Which code can run them: name@version.';
comment on column durable.timer_groups.size is
    'How many it wakes at most.';
comment on column durable.timer_groups.cache_tag is
    'Under which the worker that ran them last remembers their journals.';

create index if not exists timer_groups_due on durable.timer_groups (type,
    wake_at);

create or replace view durable.waiting as
select w.workflow_uuid, coalesce(w.wake_at, a.wake_at) as wake_at, w.type,
    w.kind, w.target, w.key, coalesce(w.cache_tag, a.cache_tag) as cache_tag
from durable.waits as w
left join durable.timer_groups as a on a.timer_group = w.timer_group;
comment on view durable.waiting is
    'The waits, with what their timer groups have for them.';
comment on column durable.waiting.workflow_uuid is 'As in durable.waits.';
comment on column durable.waiting.wake_at is 'When it is due.';
comment on column durable.waiting.type is 'As in durable.waits.';
comment on column durable.waiting.kind is 'As in durable.waits.';
comment on column durable.waiting.target is 'As in durable.waits.';
comment on column durable.waiting.key is 'As in durable.waits.';
comment on column durable.waiting.cache_tag is
    'Under which the worker that ran it last remembers its journal.';

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

create table if not exists durable.arrivals (
    workflow_uuid text not null
);
comment on table durable.arrivals is
    'Workflows that got a message, set an event or ended in a transaction '
    'that could not see who waits for that.  Emptied by durable.sweep.';
comment on column durable.arrivals.workflow_uuid is
    'The workflow; whoever waits for it or in it is woken.';

create table if not exists durable.clock (
    latest_ms bigint not null
);
comment on table durable.clock is
    'One row, by which the sweep finds that the clock was put back.';
comment on column durable.clock.latest_ms is
    'The time of the database, no more than a minute ago.';

create or replace function durable.now_ms()
returns bigint
language sql
volatile
parallel safe
return (extract(epoch from clock_timestamp()) * 1000)::bigint;
comment on function durable.now_ms() is
    'The time of the database, in milliseconds since the epoch.';

insert into durable.clock (latest_ms)
select durable.now_ms()
where not exists (select from durable.clock);

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

grant usage on schema durable to widget_store_web, widget_store_daemon;
grant execute on function durable.version()
to widget_store_web, widget_store_daemon;
