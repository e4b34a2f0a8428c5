-- SPDX-License-Identifier: MIT
--
-- How a turn counts the bytes of large workflows.

select plan(19);

-- Makes a large workflow that waits and is due.
create function test.large(id text, size bigint, due_in_ms bigint default -10)
returns void
language plpgsql
as $$
begin
    perform test.waiting(id, due_in_ms);
    update durable.waits set bytes = size where workflow_uuid = id;
end
$$;

-- Which workflows turn_take leaves out, of those that it locks.
create function test.left_out(max_workflows int default 64)
returns text
language sql
volatile
return (
    select string_agg(t.workflow_uuid, ',' order by t.workflow_uuid)
        filter (where t.left_out) || ' of ' || count(*)
    from durable.turn_take('{job@1,task@1}', '{main,second}', '{job@1,job@}',
        'app', max_workflows, null) as t);

-- Waits.

select test.large('a', 1500000, -50), test.large('b', 1500000, -40),
    test.large('c', 1500000, -30), test.large('d', 9000, -20),
    test.waiting('small', -10);
select is(test.left_out(), 'b,c,d of 5',
    'a turn leaves out what is large behind 1 MiB, and nothing that is small');
begin;
select count(*) from durable.turn_take('{job@1}', '{}', '{job@1}', 'app', 64,
    null);
select is(durable.taken()::text, '{a,small}',
    'what is left out is not taken');
rollback;
select is(test.sorted(test.taken(only_ids => '{a,b,c,d}')), 'a,b,c,d',
    'workflows that are taken by id are all taken');
select test.clear();
select test.large('huge', 3000000000), test.large('next', 9000, -5);
select is(test.left_out(), 'next of 2',
    'a workflow that is larger than a turn is taken');
update durable.waits set bytes = 1048575 where workflow_uuid = 'huge';
select is(test.left_out(), null, 'large workflows fill a turn up to 1 MiB');
select test.clear();

-- No source starves another.

select test.large('j1', 2097152, -50), test.large('j2', 2097152, -40),
    test.large('t1', 2097152, -10), test.workflow('q1'), test.workflow('q2');
update durable.waits set type = 'task@1' where workflow_uuid = 't1';
update dbos.workflow_input set inputs = repeat('x', 2097152)
where workflow_uuid like 'q%';
select is(test.left_out(), 'j2,q2 of 5',
    'large workflows of a type or queue leave room for those of others');
select test.clear();

-- What came last, of many.

select test.large('w' || n, 2097152, -100 * n)
from generate_series(1, 4) as n;
select is(test.sorted(test.taken(4)), 'w1,w2,w3,w4',
    'a full turn has the oldest and the newest workflows');
select is(string_agg(t.workflow_uuid, ',' order by t.workflow_uuid), 'w1,w4',
    'a turn has the oldest and the newest of many large workflows')
from durable.turn_take('{job@1}', '{}', '{job@1}', 'app', 4, null) as t
where not t.left_out;
select test.clear();

-- Queues.

select test.workflow(id)
from unnest('{q1,q2,q3,q4}'::text[]) as id;
update dbos.workflow_status as s
set created_at = substr(s.workflow_uuid, 2)::int;
update dbos.workflow_input as i
set inputs = repeat('x', 2097152)
where i.workflow_uuid in ('q1', 'q2');
select is(test.left_out(), 'q2 of 4',
    'an enqueued workflow is as large as its input');
delete from dbos.workflow_input where workflow_uuid = 'q2';
update dbos.workflow_status set inputs = repeat('x', 8193)
where workflow_uuid = 'q2';
select is(test.left_out(), 'q2 of 4',
    'an enqueued workflow is as large as its input in workflow_status');
update dbos.workflow_status set inputs = repeat('x', 8192)
where workflow_uuid = 'q2';
select is(test.left_out(), null, 'a workflow of 8 KiB is not large');
insert into dbos.operation_outputs (workflow_uuid, function_id, function_name,
    output)
select 'q3', n, 's', case when n = 1 then repeat('x', 5000) end
from generate_series(1, 20) as n;
select is(test.left_out(), 'q3 of 4',
    'the steps of a resumed workflow count');
select is(test.sorted(test.taken()), 'q1,q2,q3,q4',
    'an enqueued workflow that is left out stays due');

-- The suspects of a crash fit a turn.

select is(string_agg(id, ',' order by id), 'q1,q2,q4',
    'a recovering worker suspects what its turn takes')
from durable.turn_suspect('{job@1}', '{main}', '{job@1,job@}', 'app', 64, null,
    null, false) as id;
select test.clear();

-- Writing.

select test.workflow(id, 'PENDING', null, version => '1')
from unnest('{a,b,c,d}'::text[]) as id;
select durable.turn_waits('{a,b,c,d}', '{5,5,5,5}',
    '{job@1,job@1,job@1,job@1}', '{timer,timer,timer,timer}',
    '{null,null,null,null}', '{null,null,null,null}', null,
    '{null,9000,null,9000}');
select is(string_agg((w.workflow_uuid, w.bytes, w.timer_group is null)::text,
    ' ' order by w.workflow_uuid), '(a,,f) (b,9000,t) (c,,f) (d,9000,t)',
    'turn_waits writes how large a workflow is; a large one has no timer group')
from durable.waits as w;
select is(size, 2, 'a timer group counts those that are not large')
from durable.timer_groups;
select durable.turn_waits('{b}', '{5}', '{job@1}', '{timer}', '{null}',
    '{null}');
select is(bytes, null, 'a wait without a size is not large')
from durable.waits
where workflow_uuid = 'b';
select test.clear();

-- Costs.

select test.workflow('q ' || n)
from generate_series(1, 5) as n;
update dbos.workflow_input set inputs = (
    select string_agg(md5(n::text), '')
    from generate_series(1, 3000) as n);
analyze;
create function test.toast_read()
returns bigint
language sql
return (
    select pg_stat_get_xact_tuples_returned(c.reltoastrelid)
    from pg_class as c
    where c.oid = 'dbos.workflow_input'::regclass);
select is((
    select c.reltoastrelid
    from pg_class as c
    where c.oid = 'dbos.workflow_input'::regclass) <> 0, true,
    'an input may be stored apart');
begin;
select ok(count(*) filter (where t.left_out) = 0 and test.toast_read() = 0,
    'to count a large input does not read it')
from durable.turn_take('{}', '{main}', '{job@}', 'app', 64, null) as t;
rollback;
select finish();
