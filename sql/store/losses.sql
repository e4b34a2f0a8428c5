-- SPDX-License-Identifier: MIT
--
-- What the machine room shows of the orders: which workflow made each, and
-- whether one was lost.  Run after monitor.sql, whose table durable.runs has a
-- trigger here.

-- Orders.

create table if not exists store.order_workflows (
    order_id int not null constraint order_workflows_pkey primary key,
    workflow_uuid text not null
);
comment on table store.order_workflows is
    'Which checkout made an order, of those made with --machine-room; those of '
    'the last 20000 orders are kept, whose runs go earlier.';
comment on column store.order_workflows.order_id is 'The order.';
comment on column store.order_workflows.workflow_uuid is
    'The checkout, whose id is also the payment''s.';

create or replace function store.note_orders()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    insert into store.order_workflows (order_id, workflow_uuid)
    select o.output::int, o.workflow_uuid
    from ran as r
    join dbos.operation_outputs as o on o.workflow_uuid = r.workflow_uuid
    where o.function_id = 0
        and r.steps[1] = 0
        and o.function_name = 'create_order'
        and o.output is not null
    on conflict do nothing;
    if found then
        delete from store.order_workflows as w
        where w.order_id in (
            select past.order_id
            from store.order_workflows as past
            where past.order_id <= (
                select max(n.order_id)
                from store.order_workflows as n) - 20000
            for update skip locked);
    end if;
    return null;
end
$$;
comment on function store.note_orders() is
    'Notes which run made which order, with the run, in its transaction, and '
    'forgets old ones.';

create or replace trigger store_note_orders
after insert on durable.runs
referencing new table as ran
for each statement
execute function store.note_orders();

create or replace function store.watched_order_json(id int)
returns text
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
begin atomic
    select json_build_object('order_id', o.order_id,
        'order_status', o.order_status,
        'last_update_time', o.last_update_time,
        'progress_remaining', o.progress_remaining,
        'workflow_id', w.workflow_uuid)::text
    from store.orders as o
    left join store.order_workflows as w on w.order_id = o.order_id
    where o.order_id = id;
end;
comment on function store.watched_order_json(int) is
    'An order with its workflow, as JSON; null when there is none of this id.';

-- The books.  store.losses looks at given workflows, and is the rule;
-- store.audit applies it to the newest workflows and to the next ones of a
-- round through all of them, so that one look costs a few milliseconds
-- however many there are.  audit.sql knows more rules, and takes longer.

create table if not exists store.audits (
    audit_id int not null default 1
        constraint audits_pkey primary key
        constraint audits_audit_id check (audit_id = 1),
    at_ms bigint not null default 0,
    place_ms bigint not null default 0,
    round_ms bigint not null default 0,
    complete_ms bigint,
    orders bigint not null default 0,
    orders_to int not null default 0,
    next_to int not null default 0,
    next_ms bigint not null default 0
);
comment on table store.audits is 'One row: how far the audit has come.';
comment on column store.audits.audit_id is 'Always 1.';
comment on column store.audits.at_ms is
    'When it looked last, in milliseconds since the epoch.';
comment on column store.audits.place_ms is
    'The round has looked at workflows that were created until then.';
comment on column store.audits.round_ms is 'When the round began.';
comment on column store.audits.complete_ms is
    'When the last complete round began.';
comment on column store.audits.orders is 'Orders up to the next column.';
comment on column store.audits.orders_to is
    'An order id up to which no transaction is under way any more.';
comment on column store.audits.next_to is
    'What becomes the last column when every turn of then is over.';
comment on column store.audits.next_ms is 'When that was noted.';

create table if not exists store.lost (
    workflow_uuid text not null constraint lost_pkey primary key,
    reason text not null,
    found_ms bigint not null
);
comment on table store.lost is
    'What the audit found wrong and has not found right since.';
comment on column store.lost.workflow_uuid is
    'The checkout or the dispatch of the order.';
comment on column store.lost.reason is 'What is wrong.';
comment on column store.lost.found_ms is
    'Since when, in milliseconds since the epoch.';

create or replace function store.losses(ids text[])
returns table (workflow_uuid text, reason text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    return query
    select a.id, a.reason
    from (
        select s.workflow_uuid as id, case
            when s.status in ('ERROR', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED')
                then 'failed'
            when s.status = 'PENDING' and not exists (
                select
                from durable.waiting as w
                where w.workflow_uuid = s.workflow_uuid
                    and w.wake_at is not null)
                then 'nothing will wake it'
            when o.order_id is null and j.made
                then 'accepted, and there is no order'
            when s.status <> 'SUCCESS'
                then null
            when s.name = 'dispatch_order_workflow' and o.order_status <> 1
                then 'dispatched, and the order does not say so'
            when s.name = 'dispatch_order_workflow'
                then null
            when j.paid and o.order_status not in (1, 2)
                then 'paid, and the order does not say so'
            when j.paid and not exists (
                select
                from dbos.workflow_status as d
                where d.workflow_uuid = j.dispatch)
                then 'paid, and nobody dispatches it'
            when not j.paid and o.order_status <> -1
                then 'not paid, and the order is open'
            end as reason
        from unnest(ids) as n (id)
        join dbos.workflow_status as s on s.workflow_uuid = n.id
        cross join lateral (
            -- Other SDKs write a number as {"json":1}.
            select max(substring(p.output from '([0-9]{1,10})')::bigint)
                    filter (where p.function_name = 'create_order')
                    as order_id,
                -- A checkout that was not begun has promised nothing yet.
                s.name = 'dispatch_order_workflow' or s.status = 'SUCCESS'
                    or count(*) > 0 as made,
                coalesce(bool_or(p.function_name = 'DBOS.recv'
                    and p.output in ('"paid"', '{"json":"paid"}')), false)
                    as paid,
                max(p.child_workflow_id) filter (
                    where p.function_name = 'dispatch_order_workflow')
                    as dispatch
            from dbos.operation_outputs as p
            where p.workflow_uuid =
                coalesce(s.parent_workflow_id, s.workflow_uuid)) as j
        left join store.orders as o on o.order_id = j.order_id
        where s.name in ('checkout_workflow', 'dispatch_order_workflow')
            and (s.name = 'checkout_workflow'
                or s.parent_workflow_id is not null)
            -- A fork goes another way on purpose.
            and s.forked_from is null
            and not s.was_forked_from
            and s.status <> 'CANCELLED') as a
    where a.reason is not null;
end
$$;
comment on function store.losses(text[]) is
    'Those of the workflows whose order is lost, and why: their journals say '
    'something else than the orders, or nobody goes on with them.  Forks, and '
    'what an operator cancelled, are left out.';

create or replace function store.audit_orders(present_ms bigint)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    book store.audits;
    more bigint;
begin
    select a.* into book from store.audits as a;
    -- A minute is longer than any turn: whoever had taken an id has committed.
    if present_ms > book.next_ms + 60000 then
        select count(*)
        into more
        from store.orders as o
        where o.order_id > book.orders_to
            and o.order_id <= book.next_to;
        update store.audits as a
        set orders = a.orders + more,
            orders_to = a.next_to,
            next_to = coalesce((select max(o.order_id) from store.orders as o),
                0),
            next_ms = present_ms
        returning a.* into book;
    end if;
    select count(*)
    into more
    from store.orders as o
    where o.order_id > book.orders_to;
    return book.orders + more;
end
$$;
comment on function store.audit_orders(bigint) is
    'How many orders there are; counts again only the youngest.';

create or replace function store.audit()
returns json
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    present_ms bigint := durable.now_ms();
    place bigint;
    ids text[];
    newest text[];
begin
    -- What is written here can be found out again.
    perform set_config('synchronous_commit', 'off', true);
    insert into store.audits (round_ms)
    select present_ms
    where not exists (select from store.audits)
    on conflict do nothing;
    -- One at a time, and not more often than somebody can look.
    select a.place_ms
    into place
    from store.audits as a
    where a.at_ms <= present_ms - 500
    for update skip locked;
    if found then
        select coalesce(array_agg(n.workflow_uuid), '{}'),
            case when count(*) >= 50 then max(n.created_at) end
        into ids, place
        from (
            select s.workflow_uuid, s.created_at
            from dbos.workflow_status as s
            where s.created_at > place
            order by s.created_at
            fetch first 50 rows with ties) as n;
        select coalesce(array_agg(n.workflow_uuid), '{}')
        into newest
        from (
            select s.workflow_uuid
            from dbos.workflow_status as s
            order by s.created_at desc
            limit 20) as n;
        ids := ids || newest;
        delete from store.lost as l
        where l.workflow_uuid = any (ids)
            or not exists (
                select
                from dbos.workflow_status as s
                where s.workflow_uuid = l.workflow_uuid);
        insert into store.lost (workflow_uuid, reason, found_ms)
        select distinct on (n.workflow_uuid) n.workflow_uuid, n.reason,
            present_ms
        from store.losses(ids) as n
        on conflict do nothing;
        -- With the last one the round is complete.
        update store.audits as a
        set at_ms = present_ms,
            place_ms = coalesce(place, 0),
            complete_ms = case when place is null then a.round_ms
                else a.complete_ms end,
            round_ms = case when place is null then present_ms
                else a.round_ms end;
    end if;
    return json_build_object('orders', store.audit_orders(present_ms),
        'crashes', coalesce((select r.crashes from durable.monitor as r), 0),
        -- An order has a checkout and a dispatch.
        'lost', (
            select count(distinct coalesce(s.parent_workflow_id,
                l.workflow_uuid))
            from store.lost as l
            left join dbos.workflow_status as s
                on s.workflow_uuid = l.workflow_uuid),
        -- To the minute, so that who asks again gets the same answer.
        'audited_ms', (
            select a.complete_ms / 60000 * 60000
            from store.audits as a));
end
$$;
comment on function store.audit() is
    'Looks at the newest 20 workflows and at the next 50 of a round through '
    'all of them, and returns what the machine room shows: orders, crashes, '
    'lost, and since when every workflow has been looked at.';

create or replace function store.processes_json()
returns text
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select json_build_object(
            'since_ms', (select r.since_ms from durable.monitor as r),
            'processes', durable.processes_json(),
            'deaths', durable.deaths_json(),
            'totals', store.audit())::text);
end
$$;
comment on function store.processes_json() is
    'What the machine room shows of the store as a whole, as JSON.';


-- Who may do all that.

grant execute on function
    store.processes_json(),
    store.watched_order_json(int)
to widget_store_web;
