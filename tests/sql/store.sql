-- SPDX-License-Identifier: MIT
--
-- The store's operations.

select plan(47);

-- Stock.

select is(inventory || ' ' || price, '100 99.99',
    'there are a hundred widgets at first')
from store.products;
select is(array_agg(r), '{t}', 'a widget can be reserved')
from store.reserve_inventory('{1}') as r;
select is(inventory, 99, 'and is gone from the stock') from store.products;
select lives_ok($$select store.undo_reserve_inventory('{1}')$$, 'it can be returned');
select is(inventory, 100, 'and is in the stock again') from store.products;
update store.products set inventory = 1;
select is(array_agg(r), '{t}', 'the last widget can be reserved')
from store.reserve_inventory('{1}') as r;
select is(array_agg(r), '{f}', 'there is none after the last')
from store.reserve_inventory('{1}') as r;
select is(inventory, 0, 'the stock stays at none') from store.products;
select store.restock();
select is(inventory, 100, 'restocking fills an empty stock')
from store.products;
update store.products set inventory = 2;
select is(array_agg(r), '{t,f,t,f}',
    'the first two of three get the last two, nobody what there is not')
from store.reserve_inventory('{1,7,1,1}') as r;
select is(inventory, 0, 'which are gone') from store.products;
select store.undo_reserve_inventory('{1,7,1}');
select is(inventory, 2, 'and can be returned together') from store.products;
select store.restock(), store.undo_reserve_inventory('{1}'), store.restock();
select is(inventory, 100, 'restocking makes it a hundred')
from store.products;
select throws_ok('update store.products set inventory = -1', '23514', null,
    'there are never less than none');
select throws_ok('update store.products set price = -0.01', '23514', null,
    'nobody is paid to buy');
select throws_ok($$insert into store.products (product_id, product,
    description, inventory, price) select 2, product, '', 0, 0
    from store.products$$, '23505', null,
    'two products have two names');

-- Two customers, one widget: the second one waits for the first's turn.
update store.products set inventory = 1;
select test.other('begin');
select test.other($$select store.reserve_inventory('{1}')::text$$);
set lock_timeout = '50ms';
select throws_ok($$select store.reserve_inventory('{1}')$$, '55P03', null,
    'the last widget is not to be had while somebody else may get it');
reset lock_timeout;
select test.other('rollback');
select is(array_agg(r), '{t}', 'and is when it was not taken')
from store.reserve_inventory('{1}') as r;
select store.restock();

-- Orders.

select is(array_agg(o), '{1,2}', 'orders are numbered from one')
from store.create_order('{0,0}') as o;
select is(array[order_status, progress_remaining], array[0, 10],
    'an order begins pending, with all steps to go')
from store.orders
where order_id = 1;
select ok(last_update_time between now() - interval '1 minute'
    and clock_timestamp(), 'an order knows when it was made')
from store.orders
where order_id = 1;
update store.orders set last_update_time = '2001-01-01';
select store.update_order_status('{1}', array[status])
from generate_series(2, -1, -1) as status;
select is(array_agg(order_status order by order_id), array[-1, 0],
    'the status of one order is set')
from store.orders;
select ok(last_update_time > now() - interval '1 minute',
    'and the time of it')
from store.orders
where order_id = 1;
select throws_ok($$select store.update_order_status('{1}', '{3}')$$, '23514', null,
    'there is no status 3');
select throws_ok($$select store.update_order_status('{1}', '{-2}')$$, '23514', null,
    'there is no status -2');
select lives_ok($$select store.update_order_status('{99}', '{1}')$$,
    'an order that is not there has no status');
select throws_ok($$select store.update_order_status('{1}', '{null}')$$,
    '23502', null,
    'an order has a status');

select store.update_order_status('{2,1,2}', '{1,0,2}');
select is(array_agg(order_status order by order_id), '{0,2}',
    'of two for one order the later one stands')
from store.orders;
select store.update_order_progress('{2}') from generate_series(1, 3);
select store.update_order_progress('{2,2,99,2,2,2,2}');
select is(array[order_status, progress_remaining], array[2, 1],
    'nine steps of dispatch leave a paid order with one')
from store.orders
where order_id = 2;
select store.update_order_progress('{2}');
select is(array[order_status, progress_remaining], array[1, 0],
    'the tenth dispatches it')
from store.orders
where order_id = 2;
select throws_ok($$select store.update_order_progress('{2}')$$, '23514', null,
    'there is no eleventh');
select is(array[order_status, progress_remaining], array[1, 0],
    'which changes nothing')
from store.orders
where order_id = 2;
select is(progress_remaining, 10, 'nor does any of it another order')
from store.orders
where order_id = 1;

-- What the web shows.

select is(store.product_json()::jsonb, '{"product_id": 1,
    "product": "Premium Quality Widget", "inventory": 100, "price": 99.99,
    "description": "Enhance your productivity with our top-rated widgets!"}',
    'the product as JSON');
update store.orders set last_update_time = '2001-02-03 04:05:06.789+00';
set timezone = 'UTC';
select is(store.order_json(2)::jsonb, '{"order_id": 2, "order_status": 1,
    "last_update_time": "2001-02-03T04:05:06.789+00:00",
    "progress_remaining": 0}', 'an order as JSON');
select is(store.order_json(3), null, 'an unknown order is null');
select is(store.order_json(-1), null, 'so is one that cannot be');
select store.create_order('{0,0,0}');

create function test.ids(orders text)
returns text
language sql
return (select coalesce(string_agg(o.item ->> 'order_id', ','
    order by o.place), '')
    from json_array_elements(orders::json) with ordinality as o (item, place));

select is(test.ids(store.orders_json(10, null)), '5,4,3,2,1',
    'orders come newest first');
select is((store.orders_json(10, null)::jsonb) -> 3,
    store.order_json(2)::jsonb, 'each as it is alone');
select is(test.ids(store.orders_json(2, null)), '5,4',
    'as many as are asked for');
select is(test.ids(store.orders_json(2, 4)), '3,2', 'the next page');
select is(test.ids(store.orders_json(2, 2)), '1', 'the last page');
select is(store.orders_json(2, 1), '[]', 'and then an empty one');
select is(test.ids(store.orders_json(9, 9007199254740991)), '5,4,3,2,1',
    'the greatest number is a page, too');
select is(store.orders_json(0, null), '[]', 'none are none');

-- The crash buttons.

select test.other('listen widget_store_crash');
select store.crash_executor();
select is(test.notified(), 'widget_store_crash', 'the daemon is told to crash');
select hasnt_function('store', 'crash_database',
    'the database cannot be crashed unless that was installed');

select finish();
