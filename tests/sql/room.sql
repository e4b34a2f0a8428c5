-- SPDX-License-Identifier: MIT
--
-- The machine room: who lives, who died, who ran what, and what is lost.

select plan(36);

-- What the machine room says.
create function test.room()
returns jsonb
language sql
return store.processes_json()::jsonb;

-- A worker enters: slot, pid, its master's, deaths in its slot, who died.
create function test.enter(
    slot int,
    pid int,
    master int,
    deaths int default 0,
    dead_pid int default 0
)
returns int
language sql
return durable.room_enter('daemon', 'here', slot, pid, pid * 1000::bigint,
    master, master * 1000::bigint, deaths, dead_pid, 1, 0);

-- How often each has died, by role and slot.
create function test.deaths()
returns text
language sql
return (
    select coalesce(string_agg(format('%s %s: %s', d.role, d.slot, d.number),
        ', ' order by d.role, d.slot), 'none')
    from (
        select role, slot, count(*) as number
        from durable.deaths
        group by role, slot) as d);

select is(test.room() -> 'processes', '[]', 'nobody lives at first');
select is(test.room() -> 'since_ms', 'null', 'and nothing is counted');

-- Living and dying.

select test.other('select test.enter(0, 11, 10)::text');
select is(jsonb_path_query_array(test.room(), '$.processes[*].pid'),
    '[10, 11, null]', 'a worker lives, its master does, and the server');
select test.other('select test.enter(0, 11, 10)::text');
select is(jsonb_path_query_array(test.room(), '$.processes[*].pid'),
    '[10, 11, null]', 'who connects again is the same');
select is(test.deaths(), 'none', 'and has not died');

select test.enter(1, 12, 10, 2, 9);
select is(test.deaths(), 'worker 1: 2',
    'a master''s count is believed, of those too who never came');
select is(array_agg(pid order by death_id), '{null,9}',
    'whose pid is not known, but for the last one')
from durable.deaths;
select is(jsonb_path_query_array(test.room(),
    '$.processes[*] ? (@.role == "worker").deaths'), '[0, 2]',
    'each in its slot');
select test.enter(1, 12, 10, 2, 9);
select is(test.deaths(), 'worker 1: 2', 'and is believed once');
select test.enter(1, 13, 10, 2, 9);
select is(test.deaths(), 'worker 1: 2', 'who was asked to stop has not died');
select durable.room_leave(false);
select is(array_agg(pid order by pid), '{10,13}',
    'a planned stop is one of the worker and its master')
from durable.processes
where state = 'left';

-- A new master on the same host.
select pg_advisory_unlock_all();
select test.enter(0, 21, 20);
select is(test.deaths(), 'worker 1: 2',
    'who is still connected has not died when somebody else comes');
select test.other('select pg_advisory_unlock_all()::text');
update durable.processes set state = 'running' where pid = 10;
select test.enter(1, 22, 20);
select is(test.deaths(), 'master 0: 1, worker 0: 1, worker 1: 2',
    'who vanished together with its master is found dead');
select durable.room_leave(true);
select is(test.deaths(), 'master 0: 2, worker 0: 1, worker 1: 2',
    'an orphan says that its master died');
select durable.room_leave(true);
select is(test.deaths(), 'master 0: 2, worker 0: 1, worker 1: 2', 'once');
select is(test.room() #>> '{totals,crashes}', '5', 'all are counted');

-- The server: crash recovery empties the unlogged table.
select is(relpersistence, 'u', 'crash recovery empties a table')
from pg_class
where oid = 'durable.server_life'::regclass;
delete from durable.server_life;
select test.enter(1, 23, 20);
select is(test.deaths(), 'master 0: 2, server 0: 1, worker 0: 1, worker 1: 2',
    'a crash of the server is counted');
select test.enter(1, 23, 20);
select is(test.deaths(), 'master 0: 2, server 0: 1, worker 0: 1, worker 1: 2',
    'by the first one that comes back');

-- Runs.

select test.workflow('shop', 'PENDING', null, 'checkout_workflow');
insert into durable.waits (workflow_uuid, wake_at, type, kind, key)
values ('shop', 5, 'checkout_workflow@1', 'message', 'payment_status')
on conflict (workflow_uuid) do update
set wake_at = excluded.wake_at,
    kind = excluded.kind;
insert into store.orders (order_status) values (0);
begin;
insert into dbos.operation_outputs (workflow_uuid, function_id, function_name,
    output)
values ('shop', 0, 'create_order', '1'), ('shop', 1, 'reserve_inventory',
    'true'), ('shop', 3, 'DBOS.sleep', '5');
select durable.turn_runs('{shop}');
commit;
begin;
insert into dbos.operation_outputs (workflow_uuid, function_id, function_name,
    output)
values ('shop', 2, 'DBOS.recv', '"paid"');
select durable.turn_runs('{shop,shop}');
commit;
select is(array_agg(format('%s %s %s', steps, next_function_id, finished)
    order by run_id), array['{0,1,3} 4 f', '{2} 4 f'],
    'a run has the steps that it executed, and once')
from durable.runs;
select is(jsonb_path_query_array(durable.workflow_json('shop')::jsonb,
    '$.steps[*].run'), '[0, 0, 1, 0]', 'each step knows its run');
select is(durable.workflow_json('shop')::jsonb -> 'waits_for',
    '{"what": "message", "until_ms": 5}', 'a workflow says what it waits for');
select is(durable.workflow_json('shop')::jsonb -> 'runs' -> 1 ->> 'pid', '23',
    'and who ran it');
select is(durable.workflow_json('nobody'), null, 'one that is unknown is null');
select is(store.watched_order_json(1)::jsonb ->> 'workflow_id', 'shop',
    'an order knows its checkout');
begin;
insert into dbos.operation_outputs (workflow_uuid, function_id, function_name)
values ('shop', 4, 'DBOS.setEvent');
select durable.turn_runs('{shop}');
rollback;
select is(count(*), 2::bigint, 'a turn that is rolled back leaves no run')
from durable.runs;
select set_config('durable.process_id', '', false);
select durable.turn_runs('{shop}');
select is(count(*), 2::bigint, 'who has not entered writes none')
from durable.runs;
select test.enter(1, 23, 20);
insert into durable.runs (run_id, workflow_uuid, host, pid, began_ms,
    ended_ms, steps, next_function_id, finished)
values (-200000, 'old', 'here', 1, 1, 1, '{}', 0, true);
-- One in a thousand looks.
alter table durable.runs alter run_id restart 1000;
select durable.turn_runs('{shop}');
select is(count(*), 0::bigint, 'what is long ago is forgotten')
from durable.runs
where workflow_uuid = 'old';

-- The books.

select is(test.room() #>> '{totals,lost}', '0', 'nothing is lost');
select is(test.room() #>> '{totals,orders}', '1', 'of one order');

-- What the audit says of the books after a change.
create function test.lost_by(change text)
returns text
language plpgsql
as $$
declare
    answer text;
begin
    execute change;
    -- It looks twice a second at most.
    update store.audits set at_ms = 0;
    perform store.audit();
    select string_agg(l.reason, ', ') into answer from store.lost as l;
    return answer;
end
$$;
select is(test.lost_by($$delete from durable.waits$$),
    'nothing will wake it', 'a workflow that nobody wakes is a loss');
select is(test.lost_by($$update dbos.workflow_status
    set status = 'SUCCESS'$$), 'paid, and the order does not say so',
    'a paid order that does not say so is');
select is(test.lost_by($$update store.orders set order_status = 2$$),
    'paid, and there is no dispatch', 'one that nobody dispatches is');
select is(test.lost_by($$delete from store.orders$$),
    'accepted, and there is no order', 'one that is not there is');
select is(test.lost_by($$update dbos.workflow_status set status = 'ERROR'$$),
    'failed', 'one whose workflow failed is');
select is(test.lost_by($$update dbos.workflow_status
    set status = 'CANCELLED'$$), null,
    'what an operator cancelled is not, and what is right again is forgotten');

select finish();
