-- SPDX-License-Identifier: MIT
--
-- The store's operations.

select plan(57);

-- Stock.

select is(inventory || ' ' || price, '100 99.99',
    'the store opens with 100 widgets at 99.99')
from store.stock
join store.products using (product_id);
select is(array_agg(r), '{t}', 'a widget can be reserved')
from store.reserve_inventory('{1}') as r;
select is(inventory, 99,
    'a reserved widget leaves the stock') from store.stock;
select lives_ok($$select store.undo_reserve_inventory('{1}')$$,
    'a reserved widget can be returned');
select is(inventory, 100,
    'a returned widget is in the stock again') from store.stock;
update store.stock set inventory = 1;
select is(array_agg(r), '{t}', 'the last widget can be reserved')
from store.reserve_inventory('{1}') as r;
select is(array_agg(r), '{f}', 'no widget can be reserved after the last')
from store.reserve_inventory('{1}') as r;
select is(inventory, 0,
    'a refused reservation leaves the stock at 0') from store.stock;
select store.restock();
select is(inventory, 100, 'restocking fills an empty stock')
from store.stock;
update store.stock set inventory = 2;
select is(array_agg(r), '{t,f,t,f}',
    'a batch reserves the last two widgets and no unknown product')
from store.reserve_inventory('{1,7,1,1}') as r;
select is(inventory, 0,
    'a batch that reserves the last two widgets leaves none')
from store.stock;
select store.undo_reserve_inventory('{1,7,1}');
select is(inventory, 2,
    'two widgets can be returned in a batch') from store.stock;
select store.restock(), store.undo_reserve_inventory('{1}'), store.restock();
select is(inventory, 100, 'restocking sets the stock to 100 whatever it was')
from store.stock;
select throws_ok('update store.stock set inventory = -1', '23514', null,
    'the stock cannot be negative');
select throws_ok('update store.products set price = -0.01', '23514', null,
    'a price cannot be negative');
select throws_ok($$insert into store.products (product_id, product,
    description, price) select 2, product, '', 0
    from store.products$$, '23505', null,
    'a product''s name is unique');

update store.stock set version = 7;
select store.reserve_inventory('{1}'), store.undo_reserve_inventory('{1}');
select is(version, 9::bigint, 'each change of the stock makes a version')
from store.stock;

do $$
begin
    for i in 1..5000 loop
        perform store.reserve_inventory('{1}'),
            store.undo_reserve_inventory('{1}');
    end loop;
end
$$;
analyze store.stock;
select ok(test.blocks_read($$select store.reserve_inventory('{1}')$$,
    'store.stock', 'store.stock_pkey') < 30,
    'a reservation reads few of thousands of versions of the stock');
select ok(test.blocks_read($$select store.undo_reserve_inventory('{1}')$$,
    'store.stock', 'store.stock_pkey') < 30,
    'a return reads few of thousands of versions of the stock');
select ok(test.blocks_read($$select store.product_json()$$, 'store.stock',
    'store.stock_pkey') < 10,
    'the product is read by few of thousands of versions of the stock');

-- Two customers, one widget: the second one waits for the first's turn.
update store.stock set inventory = 1;
select test.other('begin');
select test.other($$select store.reserve_inventory('{1}')::text$$);
set lock_timeout = '50ms';
select throws_ok($$select store.reserve_inventory('{1}')$$, '55P03', null,
    'the last widget waits for an uncommitted reservation of it');
reset lock_timeout;
select test.other('rollback');
select is(array_agg(r), '{t}',
    'the last widget can be had after a rolled-back reservation')
from store.reserve_inventory('{1}') as r;
select store.restock();

-- Orders.

select is(array_agg(o), '{1,2}', 'orders are numbered from one')
from store.create_order('{0,0}') as o;
select is(array[order_status, progress_remaining], array[0, 10],
    'a new order is pending with all ten steps to go')
from store.orders
where order_id = 1;
select ok(last_update_time between now() - interval '1 minute'
    and clock_timestamp(), 'a new order has the current time')
from store.orders
where order_id = 1;
update store.orders set last_update_time = '2001-01-01';
select store.update_order_status('{1}', array[status])
from generate_series(2, -1, -1) as status;
select is(array_agg(order_status order by order_id), array[-1, 0],
    'setting a status changes one order')
from store.orders;
select ok(last_update_time > now() - interval '1 minute',
    'setting a status sets the order''s time')
from store.orders
where order_id = 1;
select throws_ok($$select store.update_order_status('{1}', '{3}')$$, '23514', null,
    'an order cannot have status 3');
select throws_ok($$select store.update_order_status('{1}', '{-2}')$$, '23514', null,
    'an order cannot have status -2');
select lives_ok($$select store.update_order_status('{99}', '{1}')$$,
    'setting the status of an unknown order does nothing');
select throws_ok($$select store.update_order_status('{1}', '{null}')$$,
    '23502', null,
    'an order cannot have status null');

select store.update_order_status('{2,1,2}', '{1,0,2}');
select is(array_agg(order_status order by order_id), '{0,2}',
    'of two statuses for one order in a batch the later stands')
from store.orders;
select store.update_order_progress('{2}') from generate_series(1, 3);
select store.update_order_progress('{2,2,99,2,2,2,2}');
select is(array[order_status, progress_remaining], array[2, 1],
    'nine steps of dispatch leave a paid order with one to go')
from store.orders
where order_id = 2;
select store.update_order_progress('{2}');
select is(array[order_status, progress_remaining], array[1, 0],
    'the tenth step of dispatch makes an order dispatched')
from store.orders
where order_id = 2;
select throws_ok($$select store.update_order_progress('{2}')$$, '23514', null,
    'an eleventh step of dispatch is refused');
select is(array[order_status, progress_remaining], array[1, 0],
    'a refused step of dispatch changes nothing')
from store.orders
where order_id = 2;
select is(progress_remaining, 10,
    'the dispatch of an order leaves other orders alone')
from store.orders
where order_id = 1;

-- JSON for the web.

select is(store.product_json()::jsonb, '{"product_id": 1,
    "product": "Premium Quality Widget", "inventory": 100, "price": 99.99,
    "description": "Enhance your productivity with our top-rated widgets!"}',
    'product_json has the product');
update store.orders set last_update_time = '2001-02-03 04:05:06.789+00';
set timezone = 'UTC';
select is(store.order_json(2)::jsonb, '{"order_id": 2, "order_status": 1,
    "last_update_time": "2001-02-03T04:05:06.789+00:00",
    "progress_remaining": 0}', 'order_json has the order');
select is(store.order_json(3), null, 'order_json of an unknown order is null');
select is(store.order_json(-1), null, 'order_json of a negative order is null');
select store.create_order('{0,0,0}');

create function test.ids(orders text)
returns text
language sql
return (select coalesce(string_agg(o.item ->> 'order_id', ','
    order by o.place), '')
    from json_array_elements(orders::json) with ordinality as o (item, place));

select is(test.ids(store.orders_json(10, null)), '5,4,3,2,1',
    'orders_json lists the newest first');
select is((store.orders_json(10, null)::jsonb) -> 3,
    store.order_json(2)::jsonb,
    'orders_json shows an order as order_json does');
select is(test.ids(store.orders_json(2, null)), '5,4',
    'orders_json returns as many orders as asked for');
select is(test.ids(store.orders_json(2, 4)), '3,2',
    'orders_json continues before a given order');
select is(test.ids(store.orders_json(2, 2)), '1',
    'orders_json ends with a shorter page');
select is(store.orders_json(2, 1), '[]',
    'orders_json after the oldest order is empty');
select is(test.ids(store.orders_json(9, 9007199254740991)), '5,4,3,2,1',
    'orders_json accepts the greatest integer');
select is(store.orders_json(0, null), '[]',
    'orders_json with limit 0 is empty');

-- A paid order stays paid, and only a pending one has a widget to return.

select store.create_order('{0,2,-1}');
select is(array_agg(r), '{t,f,f,f,f}',
    'a pending order returns its widget, once, and no other does')
from store.undo_reserve_inventory('{1,1,1,1,1}', '{6,7,8,6,99}') as r;
select is(inventory, 101, 'one widget was returned') from store.stock;
select store.restock();
select store.update_order_status('{6,7,8}', '{-1,-1,-1}');
select is(array_agg(order_status order by order_id), '{-1,2,-1}',
    'a paid order cannot be cancelled')
from store.orders
where order_id > 5;
select store.update_order_progress(array_fill(7::bigint, '{10}'));
select store.update_order_status('{7}', '{2}');
select is(order_status, 1, 'a dispatched order is not paid again')
from store.orders
where order_id = 7;
select store.update_order_status('{7}', '{-1}');
select is(order_status, 1, 'a dispatched order cannot be cancelled')
from store.orders
where order_id = 7;
select is(array_agg(r), '{f}', 'a dispatched order returns no widget')
from store.undo_reserve_inventory('{1}', '{7}') as r;
delete from store.orders where order_id > 5;

-- The crash buttons.

select test.other('listen widget_store_crash');
select store.crash_executor();
select is(test.notified(), 'widget_store_crash',
    'crash_executor notifies the daemon');
select hasnt_function('store', 'crash_database',
    'crash_database is missing unless installed');

select finish();
