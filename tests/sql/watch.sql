-- SPDX-License-Identifier: MIT
--
-- What watching costs depends on what is watched, and not on how many workflows
-- have ended: counted in the pages that a statement touches, in a session that
-- made its plans when there was nearly nothing, with and without statistics.

select plan(18);

-- Makes finished checkouts with their orders, dispatches and runs.
create function test.finish(first int, last int)
returns void
language sql
begin atomic
    insert into dbos.workflow_status (workflow_uuid, status, name,
        parent_workflow_id, serialization, created_at)
    select w.id, 'SUCCESS', w.name, w.parent, 'portable_json', n
    from generate_series(first, last) as n,
        lateral (
            values ('c' || n, 'checkout_workflow', null),
                ('d' || n, 'dispatch_order_workflow', 'c' || n))
            as w (id, name, parent);
    insert into store.orders (order_id, order_status, progress_remaining)
    overriding system value
    select n, 1, 0
    from generate_series(first, last) as n;
    insert into dbos.operation_outputs (workflow_uuid, function_id,
        function_name, output, child_workflow_id)
    select 'c' || n, s.id, s.name, case when s.id = 0 then n::text
            else s.output end, case when s.id = 7 then 'd' || n end
    from generate_series(first, last) as n, (
        values (0, 'create_order', null), (3, 'DBOS.recv', '"paid"'),
            (7, 'dispatch_order_workflow', null)) as s (id, name, output);
    insert into durable.runs (workflow_uuid, host, pid, began_ms, ended_ms,
        steps, next_function_id, finished)
    select 'c' || n, 'here', 1, 1, n, '{0,3,7}', 8, true
    from generate_series(first, last) as n;
end;

create table test.statements (
    title text,
    statement text,
    pages bigint
);
insert into test.statements
values ('a turn''s runs',
        'select durable.monitor_note_runs(''{c5,c6,c7,d5,d6,d7}'')'),
    ('a workflow', 'select durable.workflow_json(''c2'')'),
    ('an order', 'select store.watched_order_json(2)'),
    ('the view of an order', 'select store.view_json(null, ''order/2'', true)'),
    ('the view of a payment',
        'select store.view_json(null, ''payment/c2'', true)'),
    ('the list of orders', 'select store.orders_json(20, null)'),
    ('the losses', 'select count(*) from store.losses(''{c1,c2,c3,d1,d2}'')'),
    ('the whole machine room', 'select store.processes_json()');

-- The pages that a statement touches, at most, when it has planned: an audit
-- looks at more in the middle of its round.
create function test.pages(statement text)
returns bigint
language plpgsql
as $$
declare
    most bigint := 0;
    plan jsonb;
begin
    for time in 1..7 loop
        -- It looks at most twice a second.
        update store.audits set at_ms = 0;
        execute 'explain (analyze, buffers, format json) ' || statement
        into plan;
        most := greatest(most, case when time > 1 then
            (plan #>> '{0,Plan,Shared Hit Blocks}')::bigint
            + (plan #>> '{0,Plan,Shared Read Blocks}')::bigint end);
    end loop;
    return most;
end
$$;

select durable.monitor_enter('daemon', 'here', 0, 11, 1, 10, 1, 0, 0, 0, 0);
-- The first calls make the plans, on tables of which the planner believes that
-- they are empty.
vacuum analyze dbos.workflow_status, dbos.operation_outputs, store.orders,
    durable.runs, durable.waits;
select test.pages(s.statement)
from test.statements as s;
-- More than an audit looks at, and indexes as high as later.
select test.finish(1, 600);
update test.statements as s set pages = test.pages(s.statement);

select test.finish(601, 5000);
select cmp_ok(test.pages(s.statement), '<', s.pages * 3 / 2 + 40,
    s.title || ': as cheap with 10000 finished workflows')
from test.statements as s;
vacuum analyze dbos.workflow_status, dbos.operation_outputs, store.orders,
    durable.runs;
select cmp_ok(test.pages(s.statement), '<', s.pages * 3 / 2 + 40,
    s.title || ': as cheap with statistics')
from test.statements as s;

-- Orders that were made while no machine room was open, counted by and by.
insert into store.orders (order_id, order_status)
overriding system value
select n, 1
from generate_series(5001, 50000) as n;
create table test.counts as
select look, 0::bigint as orders
from generate_series(1, 5) as look;
create function test.count_at(look int)
returns void
language plpgsql
as $$
begin
    -- As a minute later.
    update store.audits set at_ms = 0, next_ms = 0;
    update test.counts as c
    set orders = (store.audit() ->> 'orders')::bigint
    where c.look = count_at.look;
end
$$;
select test.count_at(c.look)
from test.counts as c
order by c.look;
select is(max(c.orders), 50000::bigint, 'in the end all orders are counted, once')
from test.counts as c;
select cmp_ok(min(c.orders), '<', 50000::bigint,
    'and no look counts all of them')
from test.counts as c;

select finish();
