-- SPDX-License-Identifier: MIT
--
-- The measuring of tests/stories/takeover.tap, from the database alone: the
-- workflows that a daemon's turns had locked when it was struck, and when each
-- of them made its next step.  A step was made when its journal row was
-- committed (track_commit_timestamp); the machine room has the process that
-- made it.

create schema takeover;
create extension pgrowlocks schema takeover;

create view takeover.sessions as
select p.pid as worker, a.pid as backend, a.state, a.state_change,
    a.xact_start, a.wait_event_type
from durable.processes as p
join pg_locks as l
    on l.locktype = 'advisory'
    and l.classid = 1146442306
    and l.objid = p.process_id::oid
    and l.objsubid = 2
join pg_stat_activity as a on a.pid = l.pid
where p.program = 'daemon';
comment on view takeover.sessions is
    'The workers of daemons, and the server processes that serve them.';

create function takeover.wait_blocked(among_idle boolean)
returns int
language plpgsql
as $$
declare
    blocked int;
begin
    for i in 1 .. 2000 loop
        select b.worker
        into blocked
        from takeover.sessions as b
        join takeover.sessions as a on a.backend <> b.backend
        where b.wait_event_type = 'Lock'
        group by b.worker
        having not among_idle
            or count(*) filter (where a.state = 'idle'
                and a.state_change > b.xact_start) >= 2
        limit 1;
        exit when found;
        perform pg_sleep(0.005), pg_stat_clear_snapshot();
    end loop;
    return blocked;
end
$$;
comment on function takeover.wait_blocked(boolean) is
    'A worker that waits for a lock, as soon as there is one, while two others '
        'are idle if they are to be; null after some ten seconds.';

create table takeover.strikes (
    strike int generated always as identity
        constraint strikes_pkey primary key,
    what text not null,
    workers int[] not null,
    caught_at timestamptz not null default clock_timestamp(),
    at timestamptz,
    over timestamptz
);
comment on table takeover.strikes is
    'Daemons that were struck, and when they were started again.';

create table takeover.held (
    strike int not null,
    workflow_uuid text not null
);
comment on table takeover.held is 'What their turns had taken at the strike.';

create function takeover.has_product(backends int[])
returns boolean
language sql
return exists (
    select
    from takeover.pgrowlocks('store.products') as r
    where r.pids && backends);

create function takeover.catch(what text, struck int[])
returns boolean
language plpgsql
as $$
declare
    backends int[];
    taken text[];
    number int;
begin
    -- No statement of theirs is on its way: an active session waits for a lock.
    select array_agg(x.backend)
    into backends
    from takeover.sessions as x
    where x.worker = any (struck)
    having bool_and(x.state <> 'active' or x.wait_event_type = 'Lock');
    select array_agg(s.workflow_uuid)
    into taken
    from takeover.pgrowlocks('dbos.workflow_status') as r
    join dbos.workflow_status as s on s.ctid = r.locked_row
    where r.pids && backends
        and s.status in ('ENQUEUED', 'PENDING');
    if taken is null
        or what = 'frozen' and takeover.has_product(backends)
        or what = 'frozen with the product'
            and not takeover.has_product(backends) then
        return false;
    end if;
    insert into takeover.strikes (what, workers)
    values (what, struck)
    returning strike into number;
    insert into takeover.held (strike, workflow_uuid)
    select number, t.id
    from unnest(taken) as t (id);
    return true;
end
$$;
comment on function takeover.catch(text, int[]) is
    'Whether these workers, which are stopped, have workflows in a turn; '
        'notes which.';

create view takeover.steps as
select o.workflow_uuid, o.function_id, o.function_name, o.output,
    pg_xact_commit_timestamp(o.xmin) as at
from dbos.operation_outputs as o;

create view takeover.unserved as
select s.workflow_uuid
from dbos.workflow_status as s
where s.status in ('ENQUEUED', 'PENDING')
    and s.name = 'checkout_workflow'
    and not exists (
        select
        from dbos.workflow_events as e
        where e.workflow_uuid = s.workflow_uuid)
union
select n.destination_uuid
from dbos.notifications as n
where not n.consumed;
comment on view takeover.unserved is
    'Checkouts that have no payment id yet, or have not received a payment: '
        'a customer waits for their answer.';

-- How long the workflows waited.

create view takeover.held_waits as
select k.strike, k.what, (
    select 1000 * extract(epoch from min(s.at) - k.at)
    from takeover.steps as s
    where s.workflow_uuid = h.workflow_uuid
        and s.at > k.caught_at) as ms
from takeover.held as h
join takeover.strikes as k on k.strike = h.strike;
comment on view takeover.held_waits is
    'From the strike to the next step of what was held; null if there is none.';

create view takeover.ticks as
select r.pid as worker, s.due,
    1000 * extract(epoch from t.at - s.due) as late_ms
from (
    select d.workflow_uuid, d.function_id,
        to_timestamp(d.output::float8 / 1000) as due
    from takeover.steps as d
    where d.function_name = 'DBOS.sleep'
        and d.output is not null) as s
join takeover.steps as t
    on t.workflow_uuid = s.workflow_uuid
    and t.function_id = s.function_id + 1
    and t.function_name = 'update_order_progress'
join durable.runs as r
    on r.workflow_uuid = s.workflow_uuid
    and s.function_id = any (r.steps);
comment on view takeover.ticks is
    'Steps of dispatches: the worker that left the workflow asleep, when it '
        'was due and by how much it was late.';

create view takeover.messages as
select r.pid as worker, m.sent,
    1000 * extract(epoch from s.at - m.sent) as late_ms
from (
    select n.destination_uuid as workflow_uuid, n.consumed_by_function_id,
        to_timestamp(n.created_at_epoch_ms / 1000.0) as sent
    from dbos.notifications as n) as m
join takeover.steps as s
    on s.workflow_uuid = m.workflow_uuid
    and s.function_id = m.consumed_by_function_id
join durable.runs as r
    on r.workflow_uuid = m.workflow_uuid
    and 0 = any (r.steps);
comment on view takeover.messages is
    'Payments: the worker that left the workflow to wait, when the payment '
        'was sent and after how long it was received.';

-- How slow the machine was: a session that commits a row, rests for 20 ms and
-- so on waits as long as any other for the disk and a core.  Sleeping workflows
-- of other workers are no measure: there may be none at a strike.

create table takeover.beats (
    at timestamptz not null default clock_timestamp()
);
comment on table takeover.beats is 'Each row has the time when the last one was safe.';

create procedure takeover.beat()
language plpgsql
as $$
begin
    loop
        insert into takeover.beats default values;
        commit;
        perform pg_sleep(0.02);
    end loop;
end
$$;
comment on procedure takeover.beat() is 'Does not return.';

create materialized view takeover.stops as
select b.since, b.until, b.ms
from (
    select lag(b.at) over (order by b.at) as since, b.at as until,
        1000 * extract(epoch from b.at - lag(b.at) over (order by b.at)) - 20
            as ms
    from takeover.beats as b) as b
where b.ms > 5
with no data;
comment on materialized view takeover.stops is
    'When the next beat was late, and by how much.';

create view takeover.waits as
select w.what, w.ms, coalesce((
    select max(s.ms)
    from takeover.stops as s
    where s.until > w.since
        and s.since < w.since + w.ms * interval '1 ms'), 0) as slow_ms
from (
    select h.what || ': in its turn' as what, k.at as since, h.ms
    from takeover.held_waits as h
    join takeover.strikes as k on k.strike = h.strike
    union all
    select k.what || ': asleep', t.due, t.late_ms
    from takeover.strikes as k
    join takeover.ticks as t
        on t.worker = any (k.workers)
        and t.due between k.at and k.over
    union all
    select k.what || ': to be paid', m.sent, m.late_ms
    from takeover.strikes as k
    join takeover.messages as m
        on m.worker = any (k.workers)
        and m.sent between k.at and k.over
    union all
    select k.what || ': next purchase', k.at, (
        select 1000 * extract(epoch from min(s.at) - k.at)
        from takeover.steps as s
        where s.function_name = 'reserve_inventory'
            and s.at > k.caught_at)
    from takeover.strikes as k) as w;
comment on view takeover.waits is
    'How long each waited, and for how much of it the machine stood still.';
