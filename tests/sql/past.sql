-- SPDX-License-Identifier: MIT
--
-- What the store keeps of checkouts and dispatches that are deleted.

select plan(15);

-- Makes an ended checkout as a daemon does, with the order that it made.
create function test.bought(id text, paid boolean, sold_out boolean default false)
returns bigint
language plpgsql
as $$
declare
    new_order bigint;
begin
    perform test.workflow(id, 'SUCCESS', null, 'checkout_workflow');
    select o into new_order from store.create_order('{0}', array[id]) as o;
    insert into dbos.operation_outputs (workflow_uuid, function_id,
        function_name, output)
    values (id, 0, 'create_order', new_order);
    insert into dbos.workflow_events (workflow_uuid, key, value)
    values (id, 'payment_id', case when sold_out then 'null'
        else to_json(id)::text end);
    insert into dbos.workflow_events (workflow_uuid, key, value)
    select id, 'order_id', to_json(new_order::text)
    where not sold_out;
    perform store.update_order_status(array[new_order],
        case when paid then '{2}'::int[] else '{-1}' end);
    if paid then
        perform test.workflow('order:' || new_order, 'SUCCESS', null,
            'dispatch_order_workflow', parent => id);
    end if;
    return new_order;
end
$$;

-- As the clients of the SDKs delete.
create function test.deleted(ids text[])
returns void
language sql
begin atomic
    delete from dbos.workflow_input where workflow_uuid = any (ids);
    delete from dbos.workflow_output where workflow_uuid = any (ids);
    delete from dbos.operation_outputs where workflow_uuid = any (ids);
    delete from dbos.workflow_status where workflow_uuid = any (ids);
end;

create function test.started(id text)
returns text
language sql
return (
    select t.outcome
    from durable.client_submit(array[id], '{checkout_workflow}', '{checkout}',
        '{null}', 'widget-store', '{}', '{}', '{}', '{}', '{}') as t);

select test.bought('paid', true), test.bought('refused', false),
    test.bought('late', false, true), test.workflow('empty', 'CANCELLED', null,
    'checkout_workflow');
select is(store.payment_json('paid')::jsonb - 'expires_ms',
    jsonb_build_object('payment_id', 'paid', 'order_id', o.order_id,
    'order_status', 2), 'a payment has its order')
from store.orders as o where o.checkout = 'paid';
select test.deleted(array['paid', 'refused', 'late', 'empty'] || array(
    select s.workflow_uuid from dbos.workflow_status as s
    where s.name = 'dispatch_order_workflow'));
select is(count(*), 0::bigint, 'all are deleted') from dbos.workflow_status;
select is(store.payment_json('paid')::jsonb,
    jsonb_build_object('payment_id', 'paid', 'order_id', o.order_id,
    'order_status', 2, 'expires_ms', null),
    'the payment of a deleted checkout has its order still')
from store.orders as o where o.checkout = 'paid';
select is(test.started(id), 'retired', 'the key starts nothing: ' || id)
from unnest('{paid,refused,late,empty}'::text[]) as id;
select is(string_agg(coalesce(store.past_answer(id, 'payment_id'), 'none'), ' '
    order by place), '"paid" "refused" none none',
    'each key has the payment that its customer was told')
from unnest('{paid,refused,late,empty}'::text[]) with ordinality as k (id, place);
select is(store.past_answer(o.checkout, 'order_id'), to_json(o.order_id::text)
    ::text, 'a repeated payment has the same answer: ' || o.checkout)
from store.orders as o where o.checkout in ('paid', 'refused')
order by o.order_id;
select is(store.past_answer('unknown', 'order_id'), null,
    'an unknown key has none');
select is(bool_and(r.until_ms is null)::text || count(*), 'true5',
    'the ids are retired for ever') from durable.retired_ids as r;
select is(count(*) || ' ' || count(p.order_id) || ' '
    || count(distinct p.order_id), '5 4 3',
    'checkouts and dispatches have their orders')
from store.past_workflows as p;

select test.clear();
select test.bought('kept', false);
update dbos.workflow_status set completed_at = 1;
select durable.collect(null, 0);
select is((r.workflow_uuid, r.until_ms)::text, '(kept,)',
    'retention retires a key for ever, too') from durable.retired_ids as r;

-- Forks.

select test.clear();
delete from store.past_workflows;
select test.bought('a', true);
update dbos.workflow_status set was_forked_from = true where workflow_uuid = 'a';
insert into dbos.workflow_status (workflow_uuid, status, name, forked_from)
values ('f', 'SUCCESS', 'checkout_workflow', 'a'),
    ('g', 'SUCCESS', 'checkout_workflow', 'f');
select test.deleted('{a}'), test.deleted('{g}'), test.deleted('{f}');
select is(count(distinct p.order_id) || ' ' || count(p.order_id), '1 3',
    'a fork has the order of its origin') from store.past_workflows as p;

select finish();
