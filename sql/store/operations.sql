-- SPDX-License-Identifier: MIT
--
-- The store's operations, each a function of the step's name.

-- The steps of the workflows.  A call is for all workflows that come to the
-- step in one turn, with an element for each; equal ones may occur.

create or replace function store.create_order(statuses int[])
returns setof int
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    insert into store.orders as o (order_status)
    select n.status
    from unnest(statuses) as n (status)
    returning o.order_id;
end
$$;
comment on function store.create_order(int[]) is
    'Creates an order of each status; returns their ids.';

create or replace function store.reserve_inventory(products int[])
returns setof boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    -- First, so that nobody takes what is counted below.
    perform
    from store.products as p
    where p.product_id = any (products)
    order by p.product_id
    for update;
    return query
    select coalesce(n.nth <= p.inventory, false)
    from (
        select u.id, u.place,
            row_number() over (partition by u.id order by u.place) as nth
        from unnest(products) with ordinality as u (id, place)) as n
    left join store.products as p on p.product_id = n.id
    order by n.place;
    update store.products as p
    set inventory = p.inventory - least(p.inventory, n.widgets)
    from (
        select u.id, count(*) as widgets
        from unnest(products) as u (id)
        group by u.id) as n
    where p.product_id = n.id
        and p.inventory > 0;
end
$$;
comment on function store.reserve_inventory(int[]) is
    'Takes one of each product from the stock; false where it is sold out.';

create or replace function store.undo_reserve_inventory(products int[])
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    update store.products as p
    set inventory = p.inventory + n.widgets
    from (
        select u.id, count(*) as widgets
        from unnest(products) as u (id)
        group by u.id) as n
    where p.product_id = n.id;
end
$$;
comment on function store.undo_reserve_inventory(int[]) is
    'Puts one of each product back into the stock.';

create or replace function store.update_order_status(
    ids int[],
    statuses int[]
)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    update store.orders as o
    set order_status = n.status,
        last_update_time = clock_timestamp()
    from (
        select distinct on (u.id) u.id, u.status
        from unnest(ids, statuses) with ordinality as u (id, status, place)
        order by u.id, u.place desc) as n
    where o.order_id = n.id;
end
$$;
comment on function store.update_order_status(int[], int[]) is
    'Sets the status of orders.';

create or replace function store.update_order_progress(ids int[])
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    update store.orders as o
    set progress_remaining = o.progress_remaining - n.steps,
        order_status = case when o.progress_remaining = n.steps then 1
            else o.order_status end,
        last_update_time = clock_timestamp()
    from (
        select u.id, count(*) as steps
        from unnest(ids) as u (id)
        group by u.id) as n
    where o.order_id = n.id;
end
$$;
comment on function store.update_order_progress(int[]) is
    'One step of each order towards its dispatch; the last one dispatches it.';

create or replace function store.restock()
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    product record;
begin
    for product in
        select p.product_id, p.inventory
        from store.products as p
        where p.inventory <> 100
        order by p.product_id
        for update
    loop
        update store.products as p
        set inventory = 100
        where p.product_id = product.product_id;
        insert into store.restocks (product_id, added)
        values (product.product_id, 100 - product.inventory);
    end loop;
end
$$;
comment on function store.restock() is 'Fills the stock up to 100.';

create or replace function store.crash_executor()
returns void
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
begin atomic
    select pg_notify('widget_store_crash', '');
end;
comment on function store.crash_executor() is
    'Asks the daemon''s workers to die; those that allow it do.';

grant execute on function
    store.restock(),
    store.crash_executor()
to widget_store_web;
grant execute on function
    store.create_order(int[]),
    store.reserve_inventory(int[]),
    store.undo_reserve_inventory(int[]),
    store.update_order_status(int[], int[]),
    store.update_order_progress(int[])
to widget_store_daemon;
