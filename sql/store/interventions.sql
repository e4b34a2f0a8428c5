-- SPDX-License-Identifier: MIT
--
-- What a tool, or a deadline, does to a checkout.  A checkout that is cancelled
-- before its payment is settled gives its widget back, and its order is
-- cancelled; one that is resumed, rewound or forked behind that takes a widget
-- again, and its order is pending.  So an order that is pending has its widget.
--
-- These triggers lock the product and then the order, as the steps do.  They
-- cost a turn of the daemon nothing but their conditions.

create table if not exists store.interventions (
    workflow_uuid text not null,
    order_id bigint not null,
    widgets int not null,
    constraint interventions_pkey primary key (workflow_uuid, order_id)
);
comment on table store.interventions is
    'One row per checkout whose widget went another way than its journal says, '
    'so that the audit can account for the stock.';
comment on column store.interventions.workflow_uuid is
    'The checkout whose step took the widget, or, without that, made the '
    'order; of a fork that took another widget, the fork.';
comment on column store.interventions.order_id is 'Its order.';
comment on column store.interventions.widgets is
    'How many came back into the stock that the journals do not have; negative '
    'when they left it.';

create index if not exists interventions_order
on store.interventions (order_id);

create or replace function store.open_order(id text)
returns table (order_id bigint, reserved boolean)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select j.order_id, j.reserved
    from (
        select max(substring(o.output from '([0-9]{1,16})')::bigint)
                filter (where o.function_name = 'create_order') as order_id,
            coalesce(bool_or(o.output = 'true')
                filter (where o.function_name = 'reserve_inventory'), false)
                and not bool_or(o.function_name = 'undo_reserve_inventory')
                as reserved,
            bool_or(o.function_name = 'update_order_status'
                or o.function_name = 'DBOS.recv'
                and coalesce(o.output, '') ~ '^(\{.*"json":)?"paid"')
                as settled
        from dbos.operation_outputs as o
        where o.workflow_uuid = id) as j
    where j.order_id is not null
        and not j.settled;
end
$$;
comment on function store.open_order(text) is
    'The order that a checkout has made and neither settled nor received a '
    'payment for, and whether it has reserved a widget, by its journal; no '
    'row: it has none.';

create or replace function store.taker(id text, step text)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    taker text := id;
    origin text;
begin
    loop
        select s.forked_from
        into origin
        from dbos.workflow_status as s
        join dbos.operation_outputs as o
            on o.workflow_uuid = s.workflow_uuid
            and o.function_name = step
        join dbos.operation_outputs as f
            on f.workflow_uuid = s.forked_from
            and f.function_id = o.function_id
            and f.completed_at_epoch_ms = o.completed_at_epoch_ms
        where s.workflow_uuid = taker;
        if not found then
            return taker;
        end if;
        taker := origin;
    end loop;
end
$$;
comment on function store.taker(text, text) is
    'The checkout that took this step of a checkout: a fork begins with copies '
    'of its origin''s steps.';

create or replace function store.goes_on(id text, of_order bigint)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return exists (
        with recursive origins (id, origin) as (
            select s.workflow_uuid, s.forked_from
            from dbos.workflow_status as s
            where s.workflow_uuid = goes_on.id
            union
            select s.workflow_uuid, s.forked_from
            from origins as c
            join dbos.workflow_status as s on s.workflow_uuid = c.origin
        ), family (id) as (
            select c.id
            from origins as c
            union
            select s.workflow_uuid
            from family as c
            join dbos.workflow_status as s on s.forked_from = c.id
        )
        select
        from family as c
        join dbos.workflow_status as s on s.workflow_uuid = c.id
        cross join lateral store.open_order(c.id) as o
        where s.status in ('PENDING', 'ENQUEUED', 'DELAYED')
            and o.order_id = of_order);
end
$$;
comment on function store.goes_on(text, bigint) is
    'Whether a checkout, one of its origins or one of their forks is under way '
    'with this order.';

create or replace function store.cancel_checkout()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    job record;
begin
    select o.order_id, o.reserved
    into job
    from store.open_order(new.workflow_uuid) as o;
    if not found then
        return null;
    end if;
    perform from store.products as p where p.product_id = 1 for update;
    perform
    from store.orders as o
    where o.order_id = job.order_id
        and o.order_status = 0
    for update;
    -- A payment that has come keeps the widget, for when it is resumed.
    if not found or store.goes_on(new.workflow_uuid, job.order_id)
        or exists (
            select from dbos.notifications as m
            where m.destination_uuid = new.workflow_uuid
                and m.topic = 'payment_status'
                and not m.consumed
                and m.message ~ '^\s*(\{.*"json"\s*:\s*)?"paid"')
    then
        return null;
    end if;
    insert into store.interventions as i (workflow_uuid, order_id, widgets)
    values (store.taker(new.workflow_uuid, case when job.reserved
            then 'reserve_inventory' else 'create_order' end),
        job.order_id, job.reserved::int)
    on conflict on constraint interventions_pkey do update
    set widgets = i.widgets + excluded.widgets;
    if job.reserved then
        perform store.undo_reserve_inventory('{1}', array[job.order_id]);
    end if;
    perform store.update_order_status(array[job.order_id], '{-1}');
    return null;
end
$$;
comment on function store.cancel_checkout() is
    'Trigger on dbos.workflow_status: a checkout that is cancelled with its '
    'order open gives the widget back, and the order is cancelled, unless a '
    'payment waits to be received or another checkout is under way with it.';

create or replace function store.reopen_checkout()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    job record;
begin
    select o.order_id, o.reserved
    into job
    from store.open_order(new.workflow_uuid) as o;
    if not found then
        -- Rewound to its beginning: the step that took the widget is gone.
        update store.interventions as i
        set widgets = 0
        where i.workflow_uuid = new.workflow_uuid
            and not exists (
                select from dbos.operation_outputs as o
                where o.workflow_uuid = new.workflow_uuid);
        return null;
    end if;
    perform from store.products as p where p.product_id = 1 for update;
    perform
    from store.orders as o
    where o.order_id = job.order_id
        and o.order_status = -1
    for update;
    -- A fork may have been cancelled in the transaction that made it.
    if not found or not store.goes_on(new.workflow_uuid, job.order_id) then
        return null;
    end if;
    if job.reserved and not (
        select r.taken from store.reserve_inventory('{1}') as r (taken))
    then
        raise exception 'checkout % cannot go on: its order % was cancelled, '
            'and the widget is sold out', new.workflow_uuid, job.order_id
            using hint = 'Restock the store first.';
    end if;
    delete from store.interventions as i
    where i.order_id = job.order_id
        and i.workflow_uuid = case when job.reserved
            then store.taker(new.workflow_uuid, 'reserve_inventory')
            else new.workflow_uuid end
        and i.widgets >= 0;
    if not found and job.reserved and tg_op = 'INSERT' then
        -- Its origin has returned the widget by a step, which stays.
        insert into store.interventions as i (workflow_uuid, order_id, widgets)
        values (new.workflow_uuid, job.order_id, -1)
        on conflict on constraint interventions_pkey do update
        set widgets = i.widgets + excluded.widgets;
    end if;
    perform store.update_order_status(array[job.order_id], '{0}');
    return null;
end
$$;
comment on function store.reopen_checkout() is
    'Trigger on dbos.workflow_status: a checkout that is resumed, rewound or '
    'forked before its payment was settled, and whose order is cancelled, takes '
    'a widget, and the order is pending again; an error when it is sold out.';

create or replace trigger store_checkout_cancelled
after update of status on dbos.workflow_status
for each row
when (new.name = 'checkout_workflow'
    and new.status = 'CANCELLED'
    and old.status is distinct from 'CANCELLED')
execute function store.cancel_checkout();

create or replace trigger store_checkout_reopened
after update of status on dbos.workflow_status
for each row
when (new.name = 'checkout_workflow'
    and new.status in ('PENDING', 'ENQUEUED', 'DELAYED')
    and old.status not in ('PENDING', 'ENQUEUED', 'DELAYED'))
execute function store.reopen_checkout();

-- At the commit, because a tool copies the steps of a fork behind its row.
select not exists (
    select from pg_trigger as t
    where t.tgrelid = 'dbos.workflow_status'::regclass
        and t.tgname = 'store_checkout_forked') as missing \gset
\if :missing
create constraint trigger store_checkout_forked
after insert on dbos.workflow_status
deferrable initially deferred
for each row
when (new.name = 'checkout_workflow' and new.forked_from is not null)
execute function store.reopen_checkout();
\endif
