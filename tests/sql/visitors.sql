-- SPDX-License-Identifier: MIT
--
-- Unpaid orders of one address, and late payments.

select plan(23);

-- asks TEXT...: makes an order for each address, which may have two unpaid ones.
create function test.asks(variadic clients text[])
returns boolean[]
language plpgsql
as $$
declare
    orders bigint[] := array(
        select store.create_order(array_fill(0, array[cardinality(clients)])));
begin
    return array(
        select store.reserve_inventory_for(
            array_fill(1, array[cardinality(clients)]), orders, clients,
            array_fill(2, array[cardinality(clients)])));
end
$$;

select is(test.asks('192.0.2.1', '192.0.2.2', '192.0.2.1', '192.0.2.1',
    '192.0.2.2', '192.0.2.1'), '{t,t,t,f,t,f}',
    'each address gets as many widgets in a batch as it may have');
select is(inventory, 96, 'a refused address gets no widget') from store.stock;
select is(test.asks('192.0.2.1', '192.0.2.3'), '{f,t}',
    'unpaid orders of earlier batches count');
select is(count(*), 3::bigint, 'refused orders are noted')
from store.reservations
where client = '192.0.2.1' and is_refused;
update store.orders set order_status = 2
where order_id = (
    select min(order_id)
    from store.reservations
    where client = '192.0.2.1');
select is(test.asks('192.0.2.1', '192.0.2.1'), '{t,f}',
    'a paid order counts no more');
update store.orders set order_status = -1
where order_id in (
    select order_id
    from store.reservations
    where client = '192.0.2.2');
select is(test.asks('192.0.2.2', '192.0.2.2', '192.0.2.2'), '{t,t,f}',
    'cancelled orders count no more');
select is(test.asks('2001:db8::1', '2001:db8:0:0:ffff::2', '2001:db8::3',
    '2001:db8:0:1::1'), '{t,t,f,t}', 'of IPv6 a network of 64 bits counts');
update store.stock set inventory = 1;
select is(test.asks('192.0.2.8', '192.0.2.9', '192.0.2.9'), '{t,f,f}',
    'sold out is false, too');
select is(bool_or(is_refused), false,
    'an order of a product that is sold out is not a refused one')
from store.reservations
where client = '192.0.2.8' or client = '192.0.2.9' and order_id = (
    select min(order_id) from store.reservations where client = '192.0.2.9');
update store.reservations set reserved_at = reserved_at - interval '25 hours';
select test.asks('192.0.2.10'), test.asks('192.0.2.10');
select cmp_ok(count(*), '<', 19::bigint, 'old reservations are deleted')
from store.reservations;
select throws_ok($$select test.asks('visitor')$$, '22P02', null,
    'a name is no address');

-- checkout ID STATUS, what it received, and its event payment_id.
create function test.checkout(id text, status text, received text,
    payment text)
returns bigint
language plpgsql
as $$
declare
    new_order bigint;
begin
    insert into store.orders (order_status) values (-1)
    returning order_id into new_order;
    insert into dbos.workflow_status (workflow_uuid, status, name)
    values (id, status, 'checkout_workflow');
    insert into dbos.operation_outputs (workflow_uuid, function_id,
        function_name, output)
    select id, s.number, s.name, s.output
    from (
        values (0, 'create_order', new_order::text),
            (1, 'reserve_inventory', 'true'),
            (3, 'DBOS.recv', received)) as s (number, name, output)
    where s.output is not null;
    insert into dbos.workflow_events (workflow_uuid, key, value)
    select id, 'payment_id', payment
    where payment is not null;
    return new_order;
end
$$;

select is(store.refund_late_payment(c.id),
    case when c.is_late then o.order_id::text end,
    case when c.is_late then 'recorded' else 'not recorded' end
    || ': a payment of ' || c.what)
from (
    values ('timeout', 'SUCCESS', 'null', '"timeout"', true,
            'a checkout whose time was over'),
        ('refused', 'SUCCESS', '"failed"', '"refused"', true,
            'a checkout that was refused before'),
        ('ending', 'PENDING', 'null', '"ending"', true,
            'a checkout that is just being cancelled'),
        ('tool', 'CANCELLED', null, '"tool"', true,
            'a checkout that a tool cancelled'),
        ('waiting', 'PENDING', null, '"waiting"', false,
            'a checkout that waits for it'),
        ('paid', 'SUCCESS', '"paid"', '"paid"', false,
            'a checkout that took it'),
        ('gone', 'SUCCESS', null, 'null', false, 'a checkout that was sold out'))
    as c (id, status, received, payment, is_late, what)
cross join lateral test.checkout(c.id, c.status, c.received, c.payment)
    as o (order_id);
select is(store.refund_late_payment('nothing'), null,
    'not recorded: an unknown payment');
select is(store.refund_late_payment('tool'), order_id::text,
    'a repeated late payment has the same order')
from store.refunds
where payment_id = 'tool';
select is(string_agg(payment_id, ' ' order by payment_id),
    'ending refused timeout tool', 'each late payment is recorded once')
from store.refunds;
select is(json_array_length(store.refunds_json()::json), 4,
    'operators see them all');
select is(test.as_role('durable_client', 'select store.refunds_json()')
    like '%"payment_id" : "tool"%', true, 'members of durable_client see them');

select finish();
