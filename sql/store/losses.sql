-- SPDX-License-Identifier: MIT
--
-- What the machine room shows of the orders: which workflow made each, and
-- whether one was lost.  Run after monitor.sql, because durable.runs gets a
-- trigger here.

-- Orders.

create table if not exists store.order_workflows (
    order_id bigint not null constraint order_workflows_pkey primary key,
    workflow_uuid text not null
);
comment on table store.order_workflows is
    'Which checkout made an order. Only daemons that run with --machine-room '
    'write it; the last 20000 orders are kept, longer than their runs.';
comment on column store.order_workflows.order_id is 'The order.';
comment on column store.order_workflows.workflow_uuid is
    'The checkout; its id is also the id of the payment.';

create or replace function store.note_orders()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    insert into store.order_workflows (order_id, workflow_uuid)
    select o.output::bigint, r.workflow_uuid
    from ran as r
    -- By its key, whatever the planner knows of the tables.
    cross join lateral (
        select j.output
        from dbos.operation_outputs as j
        where j.workflow_uuid = r.workflow_uuid
            and j.function_id = 0
            and j.function_name = 'create_order'
        limit 1) as o
    where r.steps[1] = 0
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
    'Trigger after insert on durable.runs: writes which checkout made which '
    'order, in the transaction of the turn, and deletes old rows.';

create or replace trigger store_note_orders
after insert on durable.runs
referencing new table as ran
for each statement
execute function store.note_orders();

create or replace function store.watched_order_json(id bigint)
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
comment on function store.watched_order_json(bigint) is
    'Returns an order and its checkout (workflow_id, null: not known) as a '
    'JSON object; null when there is none of this id. Called by the web for '
    '/order with --machine-room.';

-- Lost orders. store.losses is the rule, for given workflows. store.audit
-- applies it to the newest workflows and to the next ones of a round through
-- all, and counts orders by bites, so that a call costs a few milliseconds
-- however many there are.
-- audit.sql has more rules, and takes longer.

create table if not exists store.audits (
    audit_id int not null default 1
        constraint audits_pkey primary key
        constraint audits_audit_id check (audit_id = 1),
    at_ms bigint not null default 0,
    place_ms bigint not null default 0,
    round_ms bigint not null default 0,
    complete_ms bigint,
    orders bigint not null default 0,
    orders_to bigint not null default 0,
    next_to bigint not null default 0,
    next_ms bigint not null default 0
);
comment on table store.audits is 'One row: how far the audit has come.';
comment on column store.audits.audit_id is 'Always 1.';
comment on column store.audits.at_ms is
    'When it looked last, in milliseconds since the epoch.';
comment on column store.audits.place_ms is
    'Workflows created up to this time have been looked at in this round.';
comment on column store.audits.round_ms is
    'When the round began, in milliseconds since the epoch.';
comment on column store.audits.complete_ms is
    'When the last complete round began, in milliseconds since the epoch; '
    'null: none is complete.';
comment on column store.audits.orders is 'Number of orders up to orders_to.';
comment on column store.audits.orders_to is
    'An order id up to which no transaction is under way any more.';
comment on column store.audits.next_to is
    'What orders_to becomes when all turns of next_ms are over.';
comment on column store.audits.next_ms is
    'When next_to was read, in milliseconds since the epoch.';

create table if not exists store.lost (
    workflow_uuid text not null constraint lost_pkey primary key,
    reason text not null,
    found_ms bigint not null
);
comment on table store.lost is
    'Workflows that the audit found wrong and has not found right since.';
comment on column store.lost.workflow_uuid is
    'The checkout or the dispatch of the order.';
comment on column store.lost.reason is 'What is wrong.';
comment on column store.lost.found_ms is
    'When it was found, in milliseconds since the epoch.';

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
            when s.status = 'PENDING' and (
                select w.wake_at
                from durable.waiting as w
                where w.workflow_uuid = s.workflow_uuid) is null
                then 'nothing will wake it'
            -- Its journal is deleted, or its dispatch.
            when (
                select p.workflow_uuid
                from store.past_workflows as p
                where p.workflow_uuid in (s.parent_workflow_id, j.dispatch)
                limit 1) is not null
                then null
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
            when j.paid and (
                select d.workflow_uuid
                from dbos.workflow_status as d
                where d.workflow_uuid = j.dispatch) is null
                then 'paid, and there is no dispatch'
            when not j.paid and o.order_status <> -1
                then 'not paid, and the order is open'
            end as reason
        from unnest(ids) as n (id)
        -- Each row by its key, whatever the planner knows of the tables; and no
        -- exists, which it may answer by a hash of the whole table.
        cross join lateral (
            select w.*
            from dbos.workflow_status as w
            where w.workflow_uuid = n.id
            limit 1) as s
        cross join lateral (
            -- Other SDKs write a number as {"json":1}.
            select max(substring(p.output from '([0-9]{1,16})')::bigint)
                    filter (where p.function_name = 'create_order')
                    as order_id,
                -- A checkout that has not begun has promised nothing.
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
        left join lateral (
            select b.order_id, b.order_status
            from store.orders as b
            where b.order_id = j.order_id
            limit 1) as o on true
        where s.name in ('checkout_workflow', 'dispatch_order_workflow')
            and (s.name = 'checkout_workflow'
                or s.parent_workflow_id is not null)
            -- A fork differs from its origin on purpose.
            and s.forked_from is null
            and not s.was_forked_from
            and s.status <> 'CANCELLED') as a
    where a.reason is not null;
end
$$;
comment on function store.losses(text[]) is
    'Returns each of the workflows with a lost order, and why: the '
    'journal contradicts the order, or no workflow goes on with it. Forks, and '
    'what an operator cancelled, are left out. Called by store.audit.';

create or replace function store.count_orders(after bigint, up_to bigint)
returns table (number bigint, reached bigint)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    bite constant bigint := 20000;
begin
    select count(*), max(o.order_id)
    into number, reached
    from (
        select n.order_id
        from store.orders as n
        where n.order_id > after
            and n.order_id <= up_to
        order by n.order_id
        limit bite) as o;
    if number < bite then
        reached := up_to;
    end if;
    return next;
end
$$;
comment on function store.count_orders(bigint, bigint) is
    'Returns the number of orders of higher ids than the first and up to the '
    'second, but of a bite of 20000 at most, and the id up to which it has '
    'counted. Called by store.audit_orders.';

create or replace function store.audit_orders(present_ms bigint)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    latest constant bigint := coalesce((
        select max(o.order_id) from store.orders as o), 0);
begin
    -- A minute is longer than any turn: each one that had taken an id has
    -- ended.
    update store.audits as a
    set orders = a.orders + n.number,
        orders_to = n.reached,
        next_to = case when n.reached = a.next_to then latest
            else a.next_to end,
        next_ms = case when n.reached = a.next_to then present_ms
            else a.next_ms end
    from store.audits as b
    cross join lateral store.count_orders(b.orders_to, b.next_to) as n
    where a.audit_id = b.audit_id
        -- Not when another session has counted them meanwhile.
        and a.orders_to = b.orders_to
        and present_ms > a.next_ms + 60000;
    return (
        select a.orders + n.number
        from store.audits as a
        cross join lateral store.count_orders(a.orders_to, latest) as n);
end
$$;
comment on function store.audit_orders(bigint) is
    'Returns the number of orders; counts again only the youngest, and 20000 of '
    'them at most. Called by store.audit, with the present time in milliseconds '
    'since the epoch.';

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
    -- Losing these rows costs nothing: the audit finds the same again.
    perform set_config('synchronous_commit', 'off', true);
    insert into store.audits (round_ms)
    select present_ms
    where not exists (select from store.audits)
    on conflict do nothing;
    -- One session at a time, and twice a second at most.
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
            or (
                select s.workflow_uuid
                from dbos.workflow_status as s
                where s.workflow_uuid = l.workflow_uuid) is null;
        insert into store.lost (workflow_uuid, reason, found_ms)
        select distinct on (n.workflow_uuid) n.workflow_uuid, n.reason,
            present_ms
        from store.losses(ids) as n
        on conflict do nothing;
        -- The round is complete when it has reached the last workflow.
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
        -- To the minute, so that repeated requests get the same answer.
        'audited_ms', (
            select a.complete_ms / 60000 * 60000
            from store.audits as a));
end
$$;
comment on function store.audit() is
    'Looks for losses among the newest 20 workflows and the next 50 of a round '
    'through all of them. Returns the totals of the machine room as a JSON '
    'object: orders, crashes, lost orders, and since when every workflow has '
    'been looked at (audited_ms, milliseconds since the epoch; null: no round '
    'is complete). Called by store.processes_json.';

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
    'Returns what the machine room shows of the whole store, as a JSON object. '
    'Called by the web for /processes, and by store.view_json.';


-- Grants.

grant execute on function
    store.processes_json(),
    store.watched_order_json(bigint)
to widget_store_web;
