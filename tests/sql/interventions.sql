-- SPDX-License-Identifier: MIT
--
-- Checkouts that a tool cancels, resumes, forks or rewinds: an order
-- that is pending has its widget, and each widget comes back once.

select plan(30);

create function test.step(id text, number int, step text, result text)
returns void
language sql
volatile
begin atomic
    insert into dbos.operation_outputs (workflow_uuid, function_id,
        function_name, output, completed_at_epoch_ms)
    values (id, number, step, result, 1000 + number);
end;

-- Makes a checkout that waits for its payment.
create function test.checkout(id text)
returns void
language sql
volatile
begin atomic
    select test.workflow(id, 'PENDING', null, 'checkout_workflow');
    select test.step(id, 0, 'create_order', o::text)
    from store.create_order('{0}') as o;
    select test.step(id, 1, 'reserve_inventory', r::text)
    from store.reserve_inventory('{1}') as r;
    select test.step(id, 2, 'DBOS.setEvent', null),
        test.step(id, 4, 'DBOS.sleep', '9000000000000');
end;

-- Ends a checkout that is not paid.
create function test.refuse(id text)
returns void
language sql
volatile
begin atomic
    select test.step(id, 3, 'DBOS.recv', '"failed"');
    select test.step(id, 5, 'undo_reserve_inventory', r::text)
    from store.undo_reserve_inventory('{1}', array[(
        select o.output::bigint from dbos.operation_outputs as o
        where o.workflow_uuid = id and o.function_id = 0)]) as r;
    select test.step(id, 6, 'update_order_status', null);
    select store.update_order_status(array[o.output::bigint], '{-1}')
    from dbos.operation_outputs as o
    where o.workflow_uuid = id and o.function_id = 0;
    update dbos.workflow_status set status = 'SUCCESS'
    where workflow_uuid = id;
end;

create function test.becomes(id text, new_status text)
returns void
language sql
volatile
begin atomic
    update dbos.workflow_status set status = new_status
    where workflow_uuid = id;
end;

-- As a tool does, in one transaction: the row first, then the steps.
create function test.fork(id text, origin text, start_step int)
returns void
language sql
volatile
begin atomic
    insert into dbos.workflow_status (workflow_uuid, status, name, forked_from,
        created_at)
    values (id, 'ENQUEUED', 'checkout_workflow', origin, 2000);
    insert into dbos.operation_outputs (workflow_uuid, function_id,
        function_name, output, completed_at_epoch_ms)
    select id, o.function_id, o.function_name, o.output,
        o.completed_at_epoch_ms
    from dbos.operation_outputs as o
    where o.workflow_uuid = origin
        and o.function_id < start_step;
end;

-- The statuses of all orders, the stock, and what the books miss of it: the
-- rule of audit.sql, where forks share the steps of their origins.
create function test.stock()
returns text
language sql
stable
return (
    select string_agg(o.order_status::text, ' ' order by o.order_id)
    from store.orders as o) || ', ' || (
    select p.inventory || case when p.inventory = 100 - (
            select count(*) filter (where o.function_name =
                    'reserve_inventory')
                - count(*) filter (where o.function_name =
                    'undo_reserve_inventory' and o.output = 'true')
            from dbos.operation_outputs as o
            join dbos.workflow_status as s
                on s.workflow_uuid = o.workflow_uuid
            where (s.forked_from is null or not exists (
                    select from dbos.operation_outputs as f
                    where f.workflow_uuid = s.forked_from
                        and f.function_id = o.function_id
                        and f.completed_at_epoch_ms =
                            o.completed_at_epoch_ms)))
        + (select coalesce(sum(i.widgets), 0) from store.interventions as i)
        then '' else ' wrong' end
    from store.stock as p);

-- Empties the store, too.
create function test.new_store()
returns void
language sql
volatile
begin atomic
    select test.clear();
    delete from dbos.notifications;
    delete from store.orders;
    delete from store.interventions;
    delete from store.past_workflows;
    update store.stock set inventory = 100;
end;

select test.checkout('a');
select is(test.stock(), '0, 99', 'a waiting checkout has a widget');
select test.becomes('a', 'CANCELLED');
select is(test.stock(), '-1, 100',
    'a cancelled checkout returns its widget and cancels its order');
select test.becomes('a', 'CANCELLED');
select is(test.stock(), '-1, 100', 'a second cancel returns nothing');
select test.becomes('a', 'ENQUEUED');
select is(test.stock(), '0, 99', 'a resumed checkout has a widget again');
select test.becomes('a', 'PENDING');
select test.becomes('a', 'CANCELLED');
select is(test.stock(), '-1, 100', 'a resumed checkout can be cancelled again');
select test.becomes('a', 'ENQUEUED');
select test.refuse('a');
select is(test.stock(), '-1, 100',
    'a resumed checkout that is not paid returns its widget once');
select is(count(*), 0::bigint, 'what the journal says needs no intervention')
from store.interventions;

-- Forks.

select test.new_store();
select test.checkout('a'), test.becomes('a', 'CANCELLED');
select test.fork('f', 'a', 3);
select is(test.stock(), '0, 99', 'a fork of a cancelled checkout has a widget');
select test.becomes('f', 'CANCELLED');
select is(test.stock(), '-1, 100', 'a cancelled fork returns the widget');
select test.becomes('a', 'ENQUEUED');
select is(test.stock(), '0, 99', 'its origin can be resumed');
select test.becomes('f', 'ENQUEUED');
select is(test.stock(), '0, 99', 'two checkouts of an order have one widget');
select test.becomes('a', 'CANCELLED');
select is(test.stock(), '0, 99',
    'a checkout that is cancelled leaves the widget to its fork');
select test.becomes('f', 'CANCELLED');
select is(test.stock(), '-1, 100', 'the last of them returns the widget');
select test.fork('g', 'a', 1);
select is(test.stock(), '0, 100',
    'a fork that has yet to reserve a widget opens the order and takes none');
select test.fork('h', 'a', 0);
select is(test.stock(), '0, 100', 'a fork from the top leaves the order alone');
select test.new_store();
select test.checkout('a'), test.refuse('a');
select test.fork('f', 'a', 3);
select is(test.stock(), '0, 99', 'a fork of a refused checkout takes a widget');
select test.step('f', 5, 'undo_reserve_inventory', r::text)
from store.undo_reserve_inventory('{1}', array[(
    select max(o.order_id) from store.orders as o)]) as r;
update dbos.operation_outputs set completed_at_epoch_ms = 3000
where workflow_uuid = 'f' and function_id = 5;
select test.becomes('f', 'SUCCESS');
select is(test.stock(), '0, 100', 'a refused fork returns its own widget');
select test.new_store();
select test.checkout(id) from unnest('{a,b,c}'::text[]) as id;
update dbos.workflow_status set status = 'CANCELLED';
select is(test.stock(), '-1 -1 -1, 100',
    'a statement that cancels several checkouts returns each widget');

-- Rewinding.

select test.new_store();
select test.checkout('a'), test.refuse('a');
begin;
delete from dbos.operation_outputs where function_id >= 3 and function_id <> 4;
select test.becomes('a', 'ENQUEUED');
commit;
select is(test.stock(), '0, 99', 'a rewound checkout has a widget again');
select test.becomes('a', 'CANCELLED');
begin;
delete from dbos.operation_outputs;
select test.becomes('a', 'ENQUEUED');
commit;
select is(test.stock(), '-1, 100',
    'a checkout that is rewound to its beginning leaves the order cancelled');
-- Payments.

select test.new_store();
select test.checkout('a');
select dbos.send_message('a', '"paid"', 'payment_status');
select test.becomes('a', 'CANCELLED');
select is(test.stock(), '0, 99',
    'a cancelled checkout with an unread payment keeps its widget');
select test.becomes('a', 'ENQUEUED');
select is(test.stock(), '0, 99', 'a resumed one with a payment has its widget');
select test.new_store();
select test.checkout('a');
select test.step('a', 3, 'DBOS.recv', '"paid"'), test.becomes('a', 'CANCELLED');
select is(test.stock(), '0, 99',
    'a cancelled checkout that received a payment keeps its widget');
select test.becomes('a', 'PENDING'),
    test.step('a', 5, 'update_order_status', null);
select store.update_order_status(array_agg(order_id), '{2}') from store.orders;
select test.becomes('a', 'CANCELLED');
select is(test.stock(), '2, 99', 'a paid checkout keeps its widget');
select test.new_store();
select test.checkout('a');
select dbos.send_message('a', '"refused"', 'payment_status');
select test.becomes('a', 'CANCELLED');
select is(test.stock(), '-1, 100',
    'a cancelled checkout with an unread refusal returns its widget');

-- Sold out.

update store.stock set inventory = 0;
select throws_like($$select test.becomes('a', 'ENQUEUED')$$,
    'checkout a cannot go on: its order % was cancelled, and the widget is '
    'sold out', 'a checkout cannot be resumed without a widget');
select throws_like($$select test.fork('f', 'a', 2);
    set constraints all immediate$$, '%sold out',
    'a checkout cannot be forked without a widget');
select is(order_status, -1, 'what was refused changes nothing')
from store.orders;

-- A turn, and a deadline.

select test.new_store();
select test.workflow('a', 'PENDING', null, 'checkout_workflow', '1');
select test.other('begin');
select test.other($$select workflow_uuid from dbos.workflow_status
    where workflow_uuid = 'a' for update$$);
select dblink_connect('tool', 'dbname=' || current_database());
select dblink_send_query('tool', $$select test.becomes('a', 'CANCELLED')$$);
select test.other($$select test.step('a', 0, 'create_order', o::text)::text
    from store.create_order('{0}') as o$$);
select test.other($$select test.step('a', 1, 'reserve_inventory', 'true')::text
    from store.reserve_inventory('{1}')$$);
select test.other('commit');
select t.value
from dblink_get_result('tool') as t (value text);
select is(test.stock(), '-1, 100',
    'a cancel that waits for a turn returns what the turn reserved');
select test.new_store();
select test.checkout('a');
update dbos.workflow_status set workflow_deadline_epoch_ms = 1;
select durable.sweep('{checkout_workflow@1}', 'app');
select is(test.stock(), '-1, 100',
    'a checkout past its deadline returns its widget');

select finish();
