-- SPDX-License-Identifier: MIT
--
-- The machine room: processes, deaths, runs of workflows, and losses.

select plan(36);

-- All that the machine room shows.
create function test.monitor()
returns jsonb
language sql
return store.processes_json()::jsonb;

-- Registers a worker: slot, pid, its master's pid, deaths in its slot, the pid
-- of the last worker that died there.
create function test.enter(
    slot int,
    pid int,
    master int,
    deaths int default 0,
    dead_pid int default 0
)
returns int
language sql
return durable.monitor_enter('daemon', 'here', slot, pid, pid * 1000::bigint,
    master, master * 1000::bigint, deaths, dead_pid, 1, 0);

-- The number of deaths by role and slot.
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

select is(test.monitor() -> 'processes', '[]', 'a new store shows no process');
select is(test.monitor() -> 'since_ms', 'null',
    'a new store has no time of its first count');

-- Living and dying.

select test.other('select test.enter(0, 11, 10)::text');
select is(jsonb_path_query_array(test.monitor(), '$.processes[*].pid'),
    '[10, 11, null]',
    'a worker that enters shows itself, its master and the server');
select test.other('select test.enter(0, 11, 10)::text');
select is(jsonb_path_query_array(test.monitor(), '$.processes[*].pid'),
    '[10, 11, null]', 'a worker that connects again is the same process');
    select is(test.deaths(), 'none',
    'a worker that connects again has not died');

select test.enter(1, 12, 10, 2, 9);
select is(test.deaths(), 'worker 1: 2',
    'a master''s count includes workers that never connected');
select is(array_agg(pid order by death_id), '{null,9}',
    'of several deaths in a slot only the last has a pid')
from durable.deaths;
select is(jsonb_path_query_array(test.monitor(),
    '$.processes[*] ? (@.role == "worker").deaths'), '[0, 2]',
    'each slot shows its own deaths');
select test.enter(1, 12, 10, 2, 9);
select is(test.deaths(), 'worker 1: 2',
    'a master''s count that is repeated is counted once');
select test.enter(1, 13, 10, 2, 9);
select is(test.deaths(), 'worker 1: 2',
    'a worker that follows a planned stop adds no death');
select durable.monitor_leave(false);
select is(array_agg(pid order by pid), '{10,13}',
    'a planned stop of a worker is one of its master, too')
from durable.processes
where state = 'left';

-- A new master on the same host.
select pg_advisory_unlock_all();
select test.enter(0, 21, 20);
select is(test.deaths(), 'worker 1: 2',
    'a worker that is still connected outlives a new master''s start');
select test.other('select pg_advisory_unlock_all()::text');
update durable.processes set state = 'running' where pid = 10;
select test.enter(1, 22, 20);
select is(test.deaths(), 'master 0: 1, worker 0: 1, worker 1: 2',
    'a worker and master that vanished together are counted dead');
select durable.monitor_leave(true);
select is(test.deaths(), 'master 0: 2, worker 0: 1, worker 1: 2',
    'an orphan says that its master died');
select durable.monitor_leave(true);
select is(test.deaths(), 'master 0: 2, worker 0: 1, worker 1: 2',
    'a master''s death that an orphan repeats is counted once');
select is(test.monitor() #>> '{totals,crashes}', '5',
    'the total of crashes counts every death');

-- The server: crash recovery empties the unlogged table.
select is(relpersistence, 'u',
    'durable.server_life is unlogged, so a crash empties it')
from pg_class
where oid = 'durable.server_life'::regclass;
delete from durable.server_life;
select test.enter(1, 23, 20);
select is(test.deaths(), 'master 0: 2, server 0: 1, worker 0: 1, worker 1: 2',
    'a crash of the server is counted');
select test.enter(1, 23, 20);
select is(test.deaths(), 'master 0: 2, server 0: 1, worker 0: 1, worker 1: 2',
    'a crash of the server is counted once, by the first worker');

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
select durable.monitor_note_runs('{shop}');
commit;
begin;
insert into dbos.operation_outputs (workflow_uuid, function_id, function_name,
    output)
values ('shop', 2, 'DBOS.recv', '"paid"');
select durable.monitor_note_runs('{shop,shop}');
commit;
select is(array_agg(format('%s %s %s', steps, next_function_id, finished)
    order by run_id), array['{0,1,3} 4 f', '{2} 4 f'],
    'a run has the steps that it executed, each once')
from durable.runs;
select is(jsonb_path_query_array(durable.workflow_json('shop')::jsonb,
    '$.steps[*].run'), '[0, 0, 1, 0]', 'workflow_json gives each step its run');
select is(durable.workflow_json('shop')::jsonb -> 'waits_for',
    '{"what": "message", "until_ms": 5}',
    'workflow_json tells what the workflow waits for');
select is(durable.workflow_json('shop')::jsonb -> 'runs' -> 1 ->> 'pid', '23',
    'workflow_json tells which process made a run');
    select is(durable.workflow_json('unknown'), null,
        'workflow_json of an unknown workflow is null');
select is(store.watched_order_json(1)::jsonb ->> 'workflow_id', 'shop',
    'watched_order_json names the order''s checkout');
begin;
insert into dbos.operation_outputs (workflow_uuid, function_id, function_name)
values ('shop', 4, 'DBOS.setEvent');
select durable.monitor_note_runs('{shop}');
rollback;
select is(count(*), 2::bigint, 'a turn that is rolled back leaves no run')
from durable.runs;
select set_config('durable.process_id', '', false);
select durable.monitor_note_runs('{shop}');
select is(count(*), 2::bigint, 'a worker that has not registered writes no run')
from durable.runs;
select test.enter(1, 23, 20);
insert into durable.runs (run_id, workflow_uuid, host, pid, began_ms,
    ended_ms, steps, next_function_id, finished)
values (-200000, 'old', 'here', 1, 1, 1, '{}', 0, true);
-- Every thousandth run deletes old runs.
alter table durable.runs alter run_id restart 1000;
select durable.monitor_note_runs('{shop}');
select is(count(*), 0::bigint, 'old runs are deleted')
from durable.runs
where workflow_uuid = 'old';

-- The books.

select is(test.monitor() #>> '{totals,lost}', '0',
    'the audit of a good store finds no loss');
select is(test.monitor() #>> '{totals,orders}', '1',
    'the machine room counts the orders');

-- The reasons of the losses that the audit finds after a change.
create function test.lost_by(change text)
returns text
language plpgsql
as $$
declare
    answer text;
begin
    execute change;
    -- An audit looks at most twice a second.
    update store.audits set at_ms = 0;
    perform store.audit();
    select string_agg(l.reason, ', ') into answer from store.lost as l;
    return answer;
end
$$;
select is(test.lost_by($$delete from durable.waits$$),
    'nothing will wake it', 'a workflow that nothing will wake is a loss');
select is(test.lost_by($$update dbos.workflow_status
    set status = 'SUCCESS'$$), 'paid, and the order does not say so',
    'a paid order that is not marked paid is a loss');
select is(test.lost_by($$update store.orders set order_status = 2$$),
    'paid, and there is no dispatch',
    'a paid order without a dispatch is a loss');
select is(test.lost_by($$delete from store.orders$$),
    'accepted, and there is no order',
    'an accepted checkout without an order is a loss');
select is(test.lost_by($$update dbos.workflow_status set status = 'ERROR'$$),
    'failed', 'a failed checkout is a loss');
select is(test.lost_by($$update dbos.workflow_status
    set status = 'CANCELLED'$$), null,
    'a cancelled checkout is no loss, and found losses are cleared');

select finish();
