-- SPDX-License-Identifier: MIT
--
-- The store's operations.  A workflow's step is a function of the step's name.

-- Steps of the workflows.  One call serves all workflows that come to the step
-- in a turn: arrays have an element for each, and values may repeat.

create or replace function store.create_order(
    statuses int[],
    checkouts text[] default null
)
returns setof bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    insert into store.orders as o (order_status, checkout)
    select n.status, n.checkout
    from unnest(statuses, checkouts) as n (status, checkout)
    returning o.order_id;
end
$$;
comment on function store.create_order(int[], text[]) is
    'Step of a checkout, called by the daemon: creates an order of each status '
    '(see store.orders) for each checkout and returns a new id for each.';

create or replace function store.newest_stock(products int[])
returns table (product_id int, inventory int, place tid)
language sql
stable
begin atomic
    select n.product_id, s.inventory, s.place
    from (
        select distinct u.id as product_id
        from unnest(products) as u (id)) as n
    cross join lateral (
        select k.inventory, k.ctid as place
        from store.stock as k
        where k.product_id = n.product_id
        order by k.version desc
        limit 1) as s;
end;
comment on function store.newest_stock(int[]) is
    'The row of store.stock that counts, of each product, and where it is: a '
    'condition on its version may be planned as one that reads all versions. '
    'The place holds good while the product is locked.';

create or replace function store.reserve_inventory(products int[])
returns setof boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    -- Lock first, so that what is counted below stays in stock.
    perform
    from store.products as p
    where p.product_id = any (products)
    order by p.product_id
    for update;
    return query
    select coalesce(n.nth <= s.inventory, false)
    from (
        select u.id, u.place,
            row_number() over (partition by u.id order by u.place) as nth
        from unnest(products) with ordinality as u (id, place)) as n
    left join store.newest_stock(products) as s on s.product_id = n.id
    order by n.place;
    update store.stock as s
    set version = s.version + 1,
        inventory = s.inventory - least(s.inventory, w.widgets)
    from store.newest_stock(products) as n
    cross join lateral (
        select count(*) as widgets
        from unnest(products) as u (id)
        where u.id = n.product_id) as w
    where s.ctid = n.place
        and s.inventory > 0;
end
$$;
comment on function store.reserve_inventory(int[]) is
    'Step of a checkout, called by the daemon: takes one of each product from '
    'the stock. Returns a row per element, in their order: false where the '
    'product is sold out or unknown.';

create or replace function store.undo_reserve_inventory(
    products int[],
    orders bigint[] default null
)
returns setof boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    returned boolean[];
begin
    perform
    from store.products as p
    where p.product_id = any (products)
    order by p.product_id
    for update;
    perform
    from store.orders as o
    where o.order_id = any (orders)
    order by o.order_id
    for update;
    select array_agg(n.order_id is null
        or coalesce(o.order_status = 0 and n.nth = 1, false) order by n.place)
    into returned
    from (
        select u.order_id, u.place,
            row_number() over (partition by u.order_id order by u.place) as nth
        from unnest(products, orders) with ordinality
            as u (id, order_id, place)) as n
    left join store.orders as o on o.order_id = n.order_id;
    update store.stock as s
    set version = s.version + 1,
        inventory = s.inventory + w.widgets
    from store.newest_stock(products) as n
    cross join lateral (
        select count(*) as widgets
        from unnest(products, returned) as u (id, returned)
        where u.id = n.product_id
            and u.returned) as w
    where s.ctid = n.place
        and w.widgets > 0;
    return query
    select unnest(returned);
end
$$;
comment on function store.undo_reserve_inventory(int[], bigint[]) is
    'Step of a checkout that is not paid, called by the daemon: puts one of '
    'each product back into the stock, where orders are given only for an '
    'order that is pending, because one that a fork has paid for or cancelled '
    'has no widget to return. Returns a row per element: whether it did.';

create or replace function store.update_order_status(
    ids bigint[],
    statuses int[]
)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    update store.orders as o
    set order_status = case
            when n.status = -1 and o.order_status in (1, 2) then o.order_status
            when n.status = 2 and o.order_status = 1 then 1
            else n.status end,
        last_update_time = clock_timestamp()
    from (
        select distinct on (u.id) u.id, u.status
        from unnest(ids, statuses) with ordinality as u (id, status, place)
        order by u.id, u.place desc) as n
    where o.order_id = n.id;
end
$$;
comment on function store.update_order_status(bigint[], int[]) is
    'Step of a checkout, called by the daemon: sets the status of each order '
    '(see store.orders), but neither cancels a paid order nor makes a '
    'dispatched one paid again, as a fork of its checkout may ask for. For an '
    'order that occurs twice the later element counts.';

create or replace function store.update_order_progress(ids bigint[])
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
comment on function store.update_order_progress(bigint[]) is
    'Step of a dispatch, called by the daemon: takes each order one step '
    'nearer to its dispatch; the last step sets its status to 1.';

create or replace function store.restock()
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform
    from store.products as p
    order by p.product_id
    for update;
    with restocked as (
        update store.stock as s
        set version = s.version + 1,
            inventory = 100
        from store.newest_stock(array(
            select p.product_id
            from store.products as p)) as n
        where s.ctid = n.place
            and s.inventory <> 100
        returning s.product_id, 100 - n.inventory as added
    )
    insert into store.restocks (product_id, added)
    select r.product_id, r.added
    from restocked as r;
end
$$;
comment on function store.restock() is
    'Sets the stock of every product to 100, and notes the difference. Called '
    'by the web for /restock.';

create or replace function store.refund_late_payment(payment text)
returns text
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    checkout record;
begin
    select max(substring(o.output from '([0-9]{1,16})')::bigint)
            filter (where o.function_name = 'create_order') as order_id,
        bool_or(o.function_name = 'DBOS.recv') as is_decided,
        coalesce(bool_or(o.function_name = 'DBOS.recv'
            and o.output ~ '^(\{.*"json":)?"paid"'), false) as is_taken,
        bool_and(s.status not in ('PENDING', 'ENQUEUED', 'DELAYED')
            and coalesce(e.value, 'null') <> 'null') as is_over
    into checkout
    from dbos.workflow_status as s
    join dbos.operation_outputs as o on o.workflow_uuid = s.workflow_uuid
    left join dbos.workflow_events as e
        on e.workflow_uuid = s.workflow_uuid
        and e.key = 'payment_id'
    where s.workflow_uuid = payment
        and s.name = 'checkout_workflow';
    if checkout.order_id is null then
        select p.order_id, true as is_decided,
            coalesce(p.answer ~ '^"', false) as is_taken, true as is_over
        into checkout
        from store.past_workflows as p
        where p.workflow_uuid = payment
            and coalesce(p.payment_id, 'null') <> 'null';
    end if;
    if checkout.order_id is null
        or checkout.is_taken
        or not (checkout.is_decided or checkout.is_over)
    then
        return null;
    end if;
    insert into store.refunds (payment_id, order_id)
    values (payment, checkout.order_id)
    on conflict (payment_id) do nothing;
    return checkout.order_id::text;
end
$$;
comment on function store.refund_late_payment(text) is
    'Records a payment for a refund, once, and returns its order, when its '
    'checkout has decided without it: it received another status or none, or '
    'ended while it waited. Null: the checkout has taken the payment, waits '
    'for it, or never asked for one. Called by the web for /payment_webhook.';

create or replace function store.refunds_json()
returns text
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select coalesce(json_agg(json_build_object(
            'payment_id', r.payment_id, 'order_id', r.order_id,
            'recorded_at', r.recorded_at)
            order by r.recorded_at desc, r.payment_id), '[]')::text
        from (
            select n.payment_id, n.order_id, n.recorded_at
            from store.refunds as n
            order by n.recorded_at desc, n.payment_id
            limit 1000) as r);
end
$$;
comment on function store.refunds_json() is
    'Returns the latest 1000 payments that are recorded for a refund, as a '
    'JSON array, newest first. For operators: members of durable_client.';

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
    'Asks the daemon''s workers to die; those that run with --allow-crash do. '
    'Called by the web for /crash_application.';

grant execute on function
    store.restock(),
    store.refund_late_payment(text),
    store.crash_executor()
to widget_store_web;
grant usage on schema store to durable_client;
grant execute on function store.refunds_json() to durable_client;
grant execute on function
    store.create_order(int[], text[]),
    store.reserve_inventory(int[]),
    store.undo_reserve_inventory(int[], bigint[]),
    store.update_order_status(bigint[], int[]),
    store.update_order_progress(bigint[])
to widget_store_daemon;
