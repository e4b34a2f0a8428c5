-- SPDX-License-Identifier: MIT
--
-- The limit: writes the rows that purchases leave in the system database and
-- the store, by set-based statements with prepared plans, and does nothing
-- else: no engine, no HTTP, no waiting.  For the benchmark only;
-- bench/report.mjs checks that a purchase of the store leaves the same number
-- of rows in every table.

-- Removes the engine's triggers.
drop schema durable cascade;

create schema bench;
create sequence bench.purchase cache 1000;

create function bench.now_ms()
returns bigint
language sql
volatile
return (extract(epoch from clock_timestamp()) * 1000)::bigint;

create function bench.checkouts(ids text[])
returns int[]
language plpgsql
as $$
declare
    present_ms bigint := bench.now_ms();
    orders int[];
begin
    insert into dbos.workflow_status (workflow_uuid, status, name,
        serialization, queue_name, executor_id, application_version,
        application_id, application_name, recovery_attempts, owner_xid,
        creator_xid, authenticated_user, assumed_role, started_at_epoch_ms)
    select id, 'PENDING', 'checkout_workflow', 'portable_json', 'checkout',
        'bench', '1', '', 'widget-store', 1, gen_random_uuid()::text,
        gen_random_uuid()::text, '', '', present_ms
    from unnest(ids) as id;
    insert into dbos.workflow_input (workflow_uuid, inputs)
    select id, '{"positionalArgs":[]}'
    from unnest(ids) as id;
    with created as (
        insert into store.orders (order_status)
        select 0
        from unnest(ids)
        returning order_id
    )
    select array_agg(c.order_id) into orders from created as c;
    insert into dbos.operation_outputs (workflow_uuid, function_id,
        function_name, output, serialization, started_at_epoch_ms,
        completed_at_epoch_ms, application_name)
    select n.id, s.number, s.name,
        case s.number when 0 then n.order_id::text else s.output end,
        'portable_json', present_ms, present_ms, 'widget-store'
    from unnest(ids, orders) as n (id, order_id)
    cross join (values
        (0, 'create_order', null),
        (1, 'reserve_inventory', 'true'),
        (2, 'DBOS.setEvent', null),
        (4, 'DBOS.sleep', (present_ms + 60000)::text))
        as s (number, name, output);
    insert into dbos.workflow_events_history (workflow_uuid, function_id, key,
        value, serialization)
    select id, 2, 'payment_id', to_json(id)::text, 'portable_json'
    from unnest(ids) as id;
    insert into dbos.workflow_events (workflow_uuid, key, value,
        serialization)
    select id, 'payment_id', to_json(id)::text, 'portable_json'
    from unnest(ids) as id;
    update store.stock as s
    set inventory = s.inventory - cardinality(ids)
    where s.product_id = 1;
    return orders;
end
$$;

create function bench.payments(ids text[], orders int[])
returns void
language plpgsql
as $$
declare
    present_ms bigint := bench.now_ms();
begin
    insert into dbos.notifications (message_uuid, destination_uuid, topic,
        message, serialization, consumed, consumed_by_function_id)
    select 'payment_status::' || id, id, 'payment_status', '"paid"',
        'portable_json', true, 3
    from unnest(ids) as id;
    update store.orders as o
    set order_status = 2,
        last_update_time = clock_timestamp()
    where o.order_id = any (orders);
    insert into dbos.workflow_status (workflow_uuid, status, name,
        serialization, executor_id, application_version, application_id,
        application_name, recovery_attempts, parent_workflow_id, owner_xid,
        creator_xid, authenticated_user, assumed_role, started_at_epoch_ms)
    select n.id || ':' || n.order_id, 'PENDING', 'dispatch_order_workflow',
        'portable_json', 'bench', '1', '', 'widget-store', 1, n.id,
        gen_random_uuid()::text, gen_random_uuid()::text, '', '', present_ms
    from unnest(ids, orders) as n (id, order_id);
    insert into dbos.workflow_input (workflow_uuid, inputs)
    select n.id || ':' || n.order_id,
        '{"positionalArgs":[' || n.order_id || ']}'
    from unnest(ids, orders) as n (id, order_id);
    insert into dbos.operation_outputs (workflow_uuid, function_id,
        function_name, output, child_workflow_id, serialization,
        started_at_epoch_ms, completed_at_epoch_ms, application_name)
    select n.id, s.number, s.name, s.output,
        case s.number when 6 then n.id || ':' || n.order_id end,
        'portable_json', present_ms, present_ms, 'widget-store'
    from unnest(ids, orders) as n (id, order_id)
    cross join (values
        (3, 'DBOS.recv', '"paid"'),
        (5, 'update_order_status', null),
        (6, 'dispatch_order_workflow', null),
        (7, 'DBOS.setEvent', null))
        as s (number, name, output);
    insert into dbos.workflow_events_history (workflow_uuid, function_id, key,
        value, serialization)
    select n.id, 7, 'order_id', to_json(n.order_id::text)::text,
        'portable_json'
    from unnest(ids, orders) as n (id, order_id);
    insert into dbos.workflow_events (workflow_uuid, key, value,
        serialization)
    select n.id, 'order_id', to_json(n.order_id::text)::text, 'portable_json'
    from unnest(ids, orders) as n (id, order_id);
    perform bench.ended(ids);
end
$$;

-- One second of every dispatch: a sleep, a step, and the order's progress.
create function bench.tick(ids text[], orders int[], second int)
returns void
language plpgsql
as $$
declare
    present_ms bigint := bench.now_ms();
begin
    insert into dbos.operation_outputs (workflow_uuid, function_id,
        function_name, output, serialization, started_at_epoch_ms,
        completed_at_epoch_ms, application_name)
    select n.id || ':' || n.order_id, 2 * second + s.number, s.name, s.output,
        'portable_json', present_ms, present_ms, 'widget-store'
    from unnest(ids, orders) as n (id, order_id)
    cross join (values
        (0, 'DBOS.sleep', (present_ms + 1000)::text),
        (1, 'update_order_progress', null))
        as s (number, name, output);
    update store.orders as o
    set progress_remaining = o.progress_remaining - 1,
        order_status = case when o.progress_remaining = 1 then 1
            else o.order_status end,
        last_update_time = clock_timestamp()
    where o.order_id = any (orders);
end
$$;

create function bench.ended(ids text[])
returns void
language plpgsql
as $$
declare
    present_ms bigint := bench.now_ms();
begin
    update dbos.workflow_status as s
    set status = 'SUCCESS',
        updated_at = present_ms,
        completed_at = present_ms,
        owner_xid = null
    where s.workflow_uuid = any (ids);
    insert into dbos.workflow_output (workflow_uuid, output)
    select id, 'null'
    from unnest(ids) as id;
end
$$;

create function bench.purchases(how_many int)
returns void
language plpgsql
as $$
declare
    ids text[];
    orders int[];
begin
    select array_agg(
        'limit-0000000000000000-' || nextval('bench.purchase'))
    into ids
    from generate_series(1, how_many);
    orders := bench.checkouts(ids);
    perform bench.payments(ids, orders);
    for i in 0..9 loop
        perform bench.tick(ids, orders, i);
    end loop;
    select array_agg(n.id || ':' || n.order_id)
    into ids
    from unnest(ids, orders) as n (id, order_id);
    perform bench.ended(ids);
end
$$;
