-- SPDX-License-Identifier: MIT
--
-- What the web reads.  In plpgsql, because the calls repeat and its plans last
-- as long as a session.

create or replace function store.product_json()
returns text
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select json_build_object('product_id', p.product_id,
            'product', p.product, 'description', p.description,
            'inventory', s.inventory, 'price', p.price)::text
        from store.products as p
        join store.newest_stock('{1}') as s on s.product_id = p.product_id
        where p.product_id = 1);
end
$$;
comment on function store.product_json() is
    'Returns the product as a JSON object; null when there is none. Called by '
    'the web for /product.';

create or replace function store.order_json(id bigint)
returns text
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select json_build_object('order_id', o.order_id,
            'order_status', o.order_status,
            'last_update_time', o.last_update_time,
            'progress_remaining', o.progress_remaining)::text
        from store.orders as o
        where o.order_id = order_json.id);
end
$$;
comment on function store.order_json(bigint) is
    'Returns an order as a JSON object; null when there is none of this id. '
    'Called by the web for /order.';

create or replace function store.orders_json(max_orders int, before_id bigint)
returns text
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select coalesce(json_agg(json_build_object('order_id', o.order_id,
            'order_status', o.order_status,
            'last_update_time', o.last_update_time,
            'progress_remaining', o.progress_remaining)
            order by o.order_id desc), '[]')::text
        from (
            select n.order_id, n.order_status, n.last_update_time,
                n.progress_remaining
            from store.orders as n
            where n.order_id < coalesce(before_id, 9223372036854775807)
            order by n.order_id desc
            limit max_orders) as o);
end
$$;
comment on function store.orders_json(int, bigint) is
    'Returns up to max_orders orders as a JSON array, newest first; with '
    'before_id, those of lower ids only. Called by the web for /orders.';

create or replace function store.payment_json(id text)
returns text
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select json_build_object('payment_id', s.workflow_uuid,
            'order_id', o.order_id,
            'order_status', o.order_status,
            'expires_ms', (
                -- The absolute time-out that the wait for the payment has
                -- recorded.
                select substring(t.output from '[0-9]+')::bigint
                from dbos.operation_outputs as t
                where t.workflow_uuid = s.workflow_uuid
                    and t.function_name = 'DBOS.sleep'))::text
        from dbos.workflow_status as s
        left join dbos.operation_outputs as c on c.workflow_uuid = s.workflow_uuid
            and c.function_id = 0
            and c.function_name = 'create_order'
        left join store.orders as o on
            o.order_id = substring(c.output from '[0-9]+')::bigint
        where s.workflow_uuid = id
            and s.name = 'checkout_workflow'
        union all
        select json_build_object('payment_id', p.workflow_uuid,
            'order_id', o.order_id, 'order_status', o.order_status,
            'expires_ms', null)::text
        from store.past_workflows as p
        join store.orders as o on o.order_id = p.order_id
        where p.workflow_uuid = id
            and p.payment_id is not null
        limit 1);
end
$$;
comment on function store.payment_json(text) is
    'Returns a payment as a JSON object, with its order and its time-out '
    '(expires_ms, milliseconds since the epoch), which are null as long as the '
    'checkout has none, and the time-out when it was deleted; null when there '
    'is no payment of this id. Called by the web for /payment.';

create or replace function store.view_json(
    before_id bigint,
    subject text,
    room boolean
)
returns text
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    kind text := split_part(subject, '/', 1);
    id text := split_part(subject, '/', 2);
    checkout text := case
        when not room then null
        when kind = 'payment' then id
        when kind = 'order' then (
            select w.workflow_uuid
            from store.order_workflows as w
            where w.order_id = id::bigint)
        end;
begin
    return json_build_object(
        'product', store.product_json()::json,
        -- The page shows six; the seventh says that there are more.
        'orders', store.orders_json(7, before_id)::json,
        'order', case when kind = 'order'
            then store.order_json(id::bigint)::json end,
        'payment', case when kind = 'payment'
            then store.payment_json(id)::json end,
        'room', case when room then store.processes_json()::json end,
        'workflows', case when room and subject is not null then (
            select coalesce(json_agg(
                durable.workflow_json(s.workflow_uuid)::json
                order by s.created_at, s.workflow_uuid), '[]')
            from (
                select checkout as id
                union
                select c.workflow_uuid
                from dbos.workflow_status as c
                where c.parent_workflow_id = checkout) as n
            cross join lateral (
                select w.workflow_uuid, w.created_at
                from dbos.workflow_status as w
                where w.workflow_uuid = n.id
                limit 1) as s) end)::text;
end
$$;
comment on function store.view_json(bigint, text, boolean) is
    'Returns all that a view of the page shows, as a JSON object: the product, '
    'the newest orders (with before_id, those of lower ids), the subject '
    '(order/ID, payment/KEY or null) and, if room is true, processes and the '
    'subject''s workflows. A member is null where it was not asked for or does '
    'not exist. Called by the web for /view.';

grant execute on function
    store.product_json(),
    store.order_json(bigint),
    store.orders_json(int, bigint),
    store.payment_json(text),
    store.view_json(bigint, text, boolean)
to widget_store_web;
