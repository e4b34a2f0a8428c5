-- SPDX-License-Identifier: MIT
--
-- Bounds the orders that visitors of one address leave unpaid, so that one
-- visitor cannot sell the shop out.  The site gives the address only of
-- clients on other hosts.

create table if not exists store.reservations (
    order_id bigint not null constraint reservations_pkey primary key,
    client cidr not null,
    is_refused boolean not null,
    reserved_at timestamptz not null default clock_timestamp()
);
comment on table store.reservations is
    'One row per order of a client whose address is known, for a day.';
comment on column store.reservations.order_id is 'The order.';
comment on column store.reservations.client is
    'The address; of IPv6 its network of 64 bits, as a visitor has a whole one.';
comment on column store.reservations.is_refused is
    'Whether the client had too many unpaid orders, so that it got no widget.';
comment on column store.reservations.reserved_at is 'When it was asked for.';

create index if not exists reservations_client
on store.reservations (client, order_id);

create or replace function store.unpaid_orders(of_client cidr)
returns bigint
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select count(*)
        from (
            select r.order_id
            from store.reservations as r
            where r.client = of_client
                and not r.is_refused
            order by r.order_id desc
            limit 1000) as r
        cross join lateral (
            select o.order_status
            from store.orders as o
            where o.order_id = r.order_id
            offset 0) as o
        where o.order_status = 0);
end
$$;
comment on function store.unpaid_orders(cidr) is
    'How many of the latest thousand orders of a client that were not refused '
    'are pending.';

create or replace function store.reserve_inventory_for(
    products int[],
    orders bigint[],
    clients text[],
    most int[]
)
returns setof boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    allowed boolean[];
    taken boolean[];
begin
    -- Lock first, so that no other turn counts meanwhile.  An order of this
    -- turn is pending, and counts when it comes to this step.
    perform
    from store.products as p
    where p.product_id = any (products)
    order by p.product_id
    for update;
    with asked as (
        select u.order_id, u.most, u.place, network(set_masklen(u.client::inet,
            case family(u.client::inet) when 6 then 64 else 32 end)) as client
        from unnest(orders, clients, most) with ordinality
            as u (order_id, client, most, place)
    ), judged as (
        select a.order_id, a.client, a.place,
            row_number() over (partition by a.client order by a.place)
            + c.unpaid <= a.most as allowed
        from asked as a
        join (
            select n.client, store.unpaid_orders(n.client) as unpaid
            from (select distinct client from asked) as n) as c
            on c.client = a.client
    ), noted as (
        insert into store.reservations (order_id, client, is_refused)
        select j.order_id, j.client, not j.allowed
        from judged as j
        on conflict (order_id) do update
        set is_refused = excluded.is_refused
    )
    select array_agg(j.allowed order by j.place)
    into allowed
    from judged as j;
    select array_agg(r.taken order by r.place)
    into taken
    from store.reserve_inventory(array(
        select u.id
        from unnest(products, allowed) with ordinality as u (id, allowed, place)
        where u.allowed
        order by u.place)) with ordinality as r (taken, place);
    delete from store.reservations as r
    where r.order_id in (
            select n.order_id
            from store.reservations as n
            order by n.order_id
            limit 2 * cardinality(orders))
        and r.reserved_at < clock_timestamp() - interval '1 day';
    return query
    select u.allowed and taken[count(*) filter (where u.allowed)
        over (order by u.place)]
    from unnest(allowed) with ordinality as u (allowed, place)
    order by u.place;
end
$$;
comment on function store.reserve_inventory_for(int[], bigint[], text[],
    int[]) is
    'Step of a checkout, called by the daemon: as store.reserve_inventory, for '
    'orders of clients with these addresses. Returns false, too, for a client '
    'that has as many unpaid orders as it may have at most.';

create or replace function store.refused_checkout(key text)
returns boolean
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select true
        from dbos.operation_outputs as o
        join store.reservations as r
            on r.order_id = substring(o.output from '([0-9]{1,16})')::bigint
        where o.workflow_uuid = key
            and o.function_id = 0
            and o.function_name = 'create_order'
            and r.is_refused);
end
$$;
comment on function store.refused_checkout(text) is
    'Returns true when a checkout got no widget because its client had too '
    'many unpaid orders, and null otherwise. Called by the web for /checkout.';

grant execute on function store.refused_checkout(text) to widget_store_web;
grant execute on function
    store.reserve_inventory_for(int[], bigint[], text[], int[])
to widget_store_daemon;
