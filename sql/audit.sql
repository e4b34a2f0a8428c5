-- SPDX-License-Identifier: MIT
--
-- The audit of the store: one row for each contradiction between the orders,
-- the stock and the journals of the workflows.  They must agree at any moment,
-- whichever processes have died.
--
--	psql -XAt -v stock=100 -v settled=1 -f audit.sql
--
-- stock, when given, is the inventory before the first checkout and restock.
-- settled, when given, means that every workflow must have ended.  The audit
-- reads schemas dbos, durable and store, and writes nothing; widget-store-audit
-- runs it in one snapshot.  Columns: the finding, the id of the order or
-- workflow, and details.  Two queries, because durable.is_json keeps its query
-- from running in parallel.

\if :{?stock}
\else
\set stock null
\endif
\if :{?settled}
\set settled true
\else
\set settled false
\endif

with scripts (script, name, branch, steps) as (
    -- The steps of each workflow, for each way through it.
    values
        (1, 'checkout_workflow', 'sold out', array['create_order',
            'reserve_inventory', 'update_order_status', 'DBOS.setEvent']),
        (2, 'checkout_workflow', 'paid', array['create_order',
            'reserve_inventory', 'DBOS.setEvent', 'DBOS.recv', 'DBOS.sleep',
            'update_order_status', 'dispatch_order_workflow',
            'DBOS.setEvent']),
        (4, 'checkout_workflow', 'not paid', array['create_order',
            'reserve_inventory', 'DBOS.setEvent', 'DBOS.recv', 'DBOS.sleep',
            'undo_reserve_inventory', 'update_order_status',
            'DBOS.setEvent']),
        (8, 'dispatch_order_workflow', 'paid', array_cat(array_cat(
            array['DBOS.sleep', 'update_order_progress', 'DBOS.sleep',
            'update_order_progress', 'DBOS.sleep', 'update_order_progress'],
            array['DBOS.sleep', 'update_order_progress', 'DBOS.sleep',
            'update_order_progress', 'DBOS.sleep', 'update_order_progress']),
            array['DBOS.sleep', 'update_order_progress', 'DBOS.sleep',
            'update_order_progress', 'DBOS.sleep', 'update_order_progress',
            'DBOS.sleep', 'update_order_progress']))
),
places as (
    -- Which scripts, as bits, have a step with this number and name.  One JSON
    -- value, because a join would read the steps out of their index order.
    select jsonb_object_agg(p.step, p.scripts) as scripts
    from (
        select s.number || ' ' || s.name as step, bit_or(s.script) as scripts
        from (
            select c.script, unnest(c.steps) as name,
                generate_subscripts(c.steps, 1) - 1 as number
            from scripts as c) as s
        group by step) as p
),
workflows as (
    select s.workflow_uuid as id, s.name, s.status, s.forked_from,
        s.parent_workflow_id as parent,
        -- By patterns here and below, because a value that is not JSON would
        -- end the audit if it was parsed.
        case when s.name = 'dispatch_order_workflow' then substring(
            coalesce(i.inputs, s.inputs)
            from '"(?:positionalArgs|json)"\s*:\s*\[\s*"?([0-9]+)"?\s*\]') end
            as order_id
    from dbos.workflow_status as s
    left join dbos.workflow_input as i on i.workflow_uuid = s.workflow_uuid
    where s.name in ('checkout_workflow', 'dispatch_order_workflow')
),
steps as (
    -- A fork begins with copies of its origin's steps: they have no effect.
    select o.workflow_uuid as id, o.function_id as number,
        o.function_name as name, o.output, o.serialization,
        o.child_workflow_id as child, o.completed_at_epoch_ms as at_ms,
        coalesce(((select p.scripts from places as p)
            -> (o.function_id || ' ' || o.function_name))::int, 0) as scripts,
        o.error is null and (f.id is null or not exists (
            select from dbos.operation_outputs as origin
            where origin.workflow_uuid = f.forked_from
                and origin.function_id = o.function_id
                and origin.completed_at_epoch_ms = o.completed_at_epoch_ms))
            as effective
    from dbos.operation_outputs as o
    left join (
        select w.id, w.forked_from
        from workflows as w
        where w.forked_from is not null) as f on f.id = o.workflow_uuid
    -- The last step of each workflow, when the daemon has a --notify-url.
    where o.function_name <> 'notify_workflow'
),
sums as (
    -- The steps of each workflow in one row.  An order has thirty steps, so
    -- read them once and do not materialize them.
    select s.id, count(*) as length, max(s.number) as last,
        sum(s.number) as numbers, bit_and(s.scripts) as scripts,
        max(s.number) filter (where s.name = 'DBOS.sleep') as last_sleep,
        count(*) filter (where s.name = 'create_order'
            and s.effective) as created,
        count(*) filter (where s.name = 'reserve_inventory'
            and s.output = 'true' and s.effective) as taken,
        -- False: a fork had paid for the order or cancelled it before.
        count(*) filter (where s.name = 'undo_reserve_inventory'
            and s.output is distinct from 'false' and s.effective) as returned,
        array_agg(s.child) filter (where s.child is not null) as children,
        array_agg(s.child) filter (where s.name = 'dispatch_order_workflow'
            and s.effective) as dispatches,
        max(s.output) filter (where s.name = 'create_order') as order_id,
        bool_or(s.output = 'true')
            filter (where s.name = 'reserve_inventory') as reserved,
        count(*) filter (where s.name = 'DBOS.recv') as waited,
        max(s.output) filter (where s.name = 'DBOS.recv') as message,
        max(s.serialization)
            filter (where s.name = 'DBOS.recv') as serialization,
        max(s.at_ms) filter (where s.name = 'update_order_status'
            and s.effective) as updated_ms,
        bool_or(s.name = 'update_order_status') as settled,
        count(*) filter (where s.name = 'update_order_progress'
            and s.effective) as progress,
        count(*) filter (where s.name = 'DBOS.setEvent') as events,
        count(*) filter (where s.name = 'DBOS.recv'
            and s.output is not null and s.effective) as messages
    from steps as s
    group by s.id
),
tallies as materialized (
    select s.*
    from sums as s
    where s.id in (select w.id from workflows as w)
),
checkouts as (
    select w.id, w.status, w.forked_from, t.order_id, t.reserved,
        case when t.waited > 0 then coalesce(
            t.message ~ '^\s*"paid"\s*$'
                or t.serialization = 'js_superjson'
                and t.message ~ '^\s*\{.*"json"\s*:\s*"paid"', false) end
            as paid, t.settled, t.updated_ms, coalesce(t.events, 0) as events,
        coalesce(t.messages, 0) as messages
    from workflows as w
    left join tallies as t on t.id = w.id
    where w.name = 'checkout_workflow'
),
branches as (
    select c.id, case when not c.reserved then 'sold out'
        when c.paid then 'paid' when not c.paid then 'not paid' end as branch
    from checkouts as c
),
journals as (
    select w.id, w.name, w.status, b.branch, coalesce(t.length, 0) as length,
        t.last, t.last_sleep, t.numbers, coalesce(t.scripts, -1) as scripts
    from workflows as w
    left join branches as b on b.id = w.id
    left join tallies as t on t.id = w.id
),
past as (
    -- Orders of which a workflow is deleted: the journals that are left may
    -- tell a part of the story, so these orders count as they are.
    select o.order_id::text as order_id, o.order_status
    from store.orders as o
    where o.order_id in (
        select p.order_id
        from store.past_workflows as p)
),
claims as (
    -- For each order the checkout that updated its status last; where there are
    -- forks, one that was paid, because a paid order stays paid.
    select distinct on (c.order_id) c.order_id, c.reserved, c.paid
    from (
        select a.*, bool_or(a.forked_from is not null)
            over (partition by a.order_id) as forked
        from checkouts as a
        where a.order_id is not null) as c
    where c.updated_ms is not null
    order by c.order_id, (c.forked and c.reserved and c.paid) is true desc,
        c.updated_ms desc, c.id
),
expected as (
    select o.order_id, o.order_status, o.progress_remaining,
        case when c.reserved and c.paid
                then case when o.progress_remaining = 0 then 1 else 2 end
            when g.order_id is not null then 0
            when c.order_id is not null or i.order_id is not null then -1
            else 0 end as status,
        10 - coalesce(d.progress, 0) as progress
    from store.orders as o
    left join claims as c on c.order_id = o.order_id::text
    left join (
        select distinct a.order_id
        from checkouts as a
        where not a.settled
            and a.status in ('PENDING', 'ENQUEUED', 'DELAYED')) as g
        on g.order_id = o.order_id::text
    left join (
        select distinct n.order_id
        from store.interventions as n) as i on i.order_id = o.order_id
    left join (
        select w.order_id, sum(t.progress) as progress
        from workflows as w
        join tallies as t on t.id = w.id
        group by w.order_id) as d on d.order_id = o.order_id::text
    where o.order_id::text not in (select p.order_id from past as p)
),
events as (
    select c.id, c.order_id, c.status, c.reserved, c.paid, c.forked_from,
        payment.value as payment_id, the_order.value as event_order_id
    from checkouts as c
    left join dbos.workflow_events as payment
        on payment.workflow_uuid = c.id
        and payment.key = 'payment_id'
    left join dbos.workflow_events as the_order
        on the_order.workflow_uuid = c.id
        and the_order.key = 'order_id'
),
broken as (
    select w.id, w.name, w.status, coalesce(c.paid, false) as paid,
        coalesce(c.order_id, w.order_id) as order_id, t.dispatches
    from workflows as w
    left join checkouts as c on c.id = w.id
    left join tallies as t on t.id = w.id
    where w.status not in ('PENDING', 'ENQUEUED', 'DELAYED', 'SUCCESS')
        and not exists (
            select from workflows as f where f.forked_from = w.id)
),
unfinished as (
    -- Workflows of any name, except those of another registered application,
    -- which that application's daemons run.
    select s.workflow_uuid as id, s.name, s.status, s.delay_until_epoch_ms,
        greatest(s.created_at, s.updated_at) as changed_ms,
        coalesce(' of version ' || nullif(s.application_version, ''), '')
        || coalesce(' of ' || s.application_name, '') as owner
    from dbos.workflow_status as s
    where s.status in ('PENDING', 'ENQUEUED', 'DELAYED')
        and not exists (
            select from dbos.application_versions as v
            where v.application_name = s.application_name
                and v.application_name <> 'widget-store')
),
arrived as (
    -- The messages, events, results and values of streams that have come.
    select 'message' as kind, n.destination_uuid as target, n.topic as key
    from dbos.notifications as n
    where not n.consumed
    union all
    select 'event', e.workflow_uuid, e.key
    from dbos.workflow_events as e
    union all
    select 'result', s.workflow_uuid, ''
    from dbos.workflow_status as s
    where s.status not in ('PENDING', 'ENQUEUED', 'DELAYED')
    union all
    select 'stream', m.workflow_uuid, m."offset" || ':' || m.key
    from dbos.streams as m
    union all
    select w.kind, w.target, w.key
    from durable.waits as w
    join dbos.workflow_status as s on s.workflow_uuid = w.target
    where w.kind = 'stream'
        and s.status not in ('PENDING', 'ENQUEUED', 'DELAYED')
)

-- Orders and their workflows.
select 'order without workflow' as violation, o.order_id::text as id,
    'status ' || o.order_status as detail
from store.orders as o
where not exists (
    select from checkouts as c where c.order_id = o.order_id::text)
    and not exists (
        select from past as p where p.order_id = o.order_id::text)
union all
select 'workflow without order', c.id, 'order ' || coalesce(c.order_id, 'none')
from checkouts as c
where (c.status in ('PENDING', 'SUCCESS') or c.order_id is not null)
    and not exists (
        select from store.orders as o
        where o.order_id::text = c.order_id)
union all
select 'order of two workflows', t.order_id, string_agg(t.id, ', ')
from tallies as t
where t.created > 0
    and not exists (
        select from past as p where p.order_id = t.order_id)
group by t.order_id
having count(*) > 1
union all
select 'wrong order status', e.order_id::text,
    'is ' || e.order_status || ', should be ' || e.status
from expected as e
where e.order_status <> e.status
union all
select 'wrong progress', e.order_id::text,
    'is ' || e.progress_remaining || ', should be ' || e.progress
from expected as e
where e.progress_remaining <> e.progress

-- Workflows that failed, were cancelled or given up, and have no fork: a fork
-- goes on with the order.
union all
select 'ended and its order is open', b.id,
    b.status || ', order ' || o.order_id || ' has status ' || o.order_status
from broken as b
join store.orders as o on o.order_id::text = b.order_id
where o.order_status = 0
    or o.order_status = 2 and b.dispatches is null
union all
select 'open and its workflow is gone', p.order_id,
    'status ' || p.order_status
from past as p
where p.order_status in (0, 2)
    and not exists (
        select from workflows as w
        left join checkouts as c on c.id = w.id
        where coalesce(c.order_id, w.order_id) = p.order_id
            and w.status in ('PENDING', 'ENQUEUED', 'DELAYED'))
union all
select 'payment without outcome', b.id,
    b.status || ', order ' || coalesce(b.order_id, 'none')
from broken as b
where b.name = 'checkout_workflow'
    and b.dispatches is null
    and (b.paid or exists (
        select from dbos.notifications as m
        where m.destination_uuid = b.id
            and m.topic = 'payment_status'
            and not m.consumed
            and m.message ~ '^\s*(\{.*"json"\s*:\s*)?"paid"'))
    and not exists (
        select from store.refunds as r where r.payment_id = b.id)

-- Late payments.  The web records a refund behind the message.
union all
select 'late payment without a refund', c.id, 'order ' || c.order_id
from checkouts as c
join dbos.notifications as m
    on m.destination_uuid = c.id
    and m.topic = 'payment_status'
    and not m.consumed
    and m.message ~ '^\s*(\{.*"json"\s*:\s*)?"paid"'
where c.paid is false
    and m.created_at_epoch_ms < (extract(epoch from now()) - 60) * 1000
    and not exists (
        select from store.refunds as r where r.payment_id = c.id)
union all
select 'refund of a payment that was taken', r.payment_id,
    'order ' || r.order_id
from store.refunds as r
join checkouts as c on c.id = r.payment_id
where c.paid

-- The stock.
union all
select 'wrong stock', p.product_id::text,
    'is ' || p.inventory || ', should be ' || r.should
from store.stock as p
join (
    select :stock::int - coalesce(sum(t.taken - t.returned), 0) - (
            -- An order has its widget unless it is cancelled.
            select count(*)
            from past as p
            where p.order_status <> -1) + (
            select coalesce(sum(r.added), 0)
            from store.restocks as r
            where r.product_id = 1) + (
            select coalesce(sum(i.widgets), 0)
            from store.interventions as i
            where not exists (
                select from past as p
                where p.order_id = i.order_id::text)) as should
    from tallies as t
    where not exists (
        select from past as p where p.order_id = t.order_id)) as r on r.should <> p.inventory
where p.product_id = 1

-- Dispatches.
union all
select 'paid and not dispatched', s.id, 'no dispatch ' || s.child
from (
    select t.id, t.order_id, unnest(t.dispatches) as child
    from tallies as t
    where not exists (
        select from past as p where p.order_id = t.order_id)) as s
where not exists (
    select from workflows as d
    where d.id = s.child
        and d.name = 'dispatch_order_workflow'
        and d.order_id = s.order_id)
union all
select 'dispatch without a checkout', d.id, 'of checkout ' || d.parent
from workflows as d
where d.name = 'dispatch_order_workflow'
    and d.parent is not null
    and not exists (
        select from past as p where p.order_id = d.order_id)
    and not exists (
        select from tallies as t
        where t.id = d.parent
            and d.id = any (t.children))
union all
select 'order dispatched twice', d.order_id, string_agg(d.id, ', ')
from workflows as d
where d.name = 'dispatch_order_workflow'
    and d.forked_from is null
group by d.order_id
having count(*) > 1

-- Journals.  A workflow that waits for a message has recorded the time-out, but
-- not yet the step before it, which receives the message.
union all
select 'journal with a gap', j.id, j.length || ' steps, the last is ' || j.last
from journals as j
where j.length <> j.last + 1
    and not (j.status <> 'SUCCESS' and j.length = j.last
        and j.last_sleep = j.last
        and j.numbers = j.last * (j.last + 1) / 2 - (j.last - 1))
union all
select 'journal off the script', j.id, coalesce((
        select string_agg(o.function_id || ' ' || o.function_name, ', '
            order by o.function_id)
        from dbos.operation_outputs as o
        where o.workflow_uuid = j.id), 'empty')
from journals as j
where not exists (
    select from scripts as c
    where c.name = j.name
        and c.branch = coalesce(j.branch, c.branch)
        and j.scripts & c.script <> 0
        and (j.status <> 'SUCCESS' or j.length = cardinality(c.steps)))
union all
select 'ended without outcome', w.id, w.status
from workflows as w
where w.status in ('SUCCESS', 'ERROR')
    and not exists (
        select from dbos.workflow_output as o where o.workflow_uuid = w.id)

-- Events and messages.
union all
select 'wrong event payment_id', e.id, coalesce(e.payment_id, 'not set')
from events as e
where (e.status in ('PENDING', 'SUCCESS') or e.payment_id is not null)
    and case when e.reserved then coalesce(e.payment_id not in (
            to_json(e.id)::text,
            coalesce(to_json(e.forked_from)::text, '')), true)
        else e.payment_id is distinct from 'null' end
union all
select 'wrong event order_id', e.id, coalesce(e.event_order_id, 'not set')
from events as e
where e.event_order_id is distinct from
    case when e.status <> 'SUCCESS' or not e.reserved then null
        when e.paid then to_json(e.order_id)::text
        else e.order_id end
union all
select 'wrong history of events', c.id, h.number || ' values'
from checkouts as c
cross join lateral (
    select count(*) as number
    from dbos.workflow_events_history as e
    where e.workflow_uuid = c.id) as h
where h.number <> c.events
union all
select 'wrong number of messages', c.id,
    n.number || ' consumed'
from checkouts as c
cross join lateral (
    select count(*) as number
    from dbos.notifications as m
    where m.destination_uuid = c.id
        and m.consumed) as n
where n.number <> c.messages

-- The order of texts, by which the indexes of ids are sorted: once it has
-- changed, they may miss rows.
union all
select 'collation has changed', c.name, 'was version ' || c.recorded || ', is '
    || coalesce(c.actual, 'none')
    || ': REINDEX first'
from (
    select 'database ' || d.datname as name, d.datcollversion as recorded,
        pg_database_collation_actual_version(d.oid) as actual
    from pg_database as d
    where d.datname = current_database()
    union all
    select 'collation ' || l.collname, l.collversion,
        pg_collation_actual_version(l.oid)
    from pg_collation as l
    where l.oid in (
            select a.attcollation
            from pg_attribute as a
            join pg_class as r on r.oid = a.attrelid
            where r.relnamespace in ('dbos'::regnamespace,
                    'durable'::regnamespace, 'store'::regnamespace))) as c
where c.recorded is distinct from c.actual
    and c.recorded is not null

-- Waiting.
union all
select 'nothing will wake it', u.id, u.name
from unfinished as u
where u.status = 'PENDING'
    and not exists (
        select from durable.waiting as x
        where x.workflow_uuid = u.id
            and x.wake_at is not null)
union all
select 'nothing it waits for can come', x.workflow_uuid,
    x.kind || ' of ' || x.target
from durable.waits as x
where x.kind in ('event', 'result', 'stream')
    and not exists (
        select from dbos.workflow_status as s where s.workflow_uuid = x.target)
union all
-- Except waits that the sweep still wakes, because durable.arrivals has a note
-- of their target, and waits that end within a minute anyway.
select 'what it waits for has come', x.workflow_uuid,
    x.kind || coalesce(' of ' || x.target, '')
from durable.waits as x
where x.wake_at > (extract(epoch from now()) + 60) * 1000
    and exists (
        select from arrived as a
        where a.kind = x.kind
            and a.target = coalesce(x.target, x.workflow_uuid)
            and a.key = coalesce(x.key, ''))
    and not exists (
        select from durable.arrivals as a
        where a.workflow_uuid = coalesce(x.target, x.workflow_uuid))
union all
-- External steps.
select 'step of a workflow that does not wait', e.workflow_uuid,
    'step ' || e.function_id || ' ' || e.type
from durable.external_steps as e
where not exists (
    select from durable.waits as w where w.workflow_uuid = e.workflow_uuid)
union all
select 'step has ended and is not over', e.workflow_uuid,
    'step ' || e.function_id || ' ' || e.type
from durable.external_steps as e
join dbos.operation_outputs as o
    on o.workflow_uuid = e.workflow_uuid
    and o.function_id = e.function_id
union all
select case when o.function_id is null then 'nothing it waits for can come'
    else 'what it waits for has come' end, x.workflow_uuid,
    'step ' || x.function_id
from (
    select w.workflow_uuid, w.wake_at, w.key::int as function_id
    from durable.waits as w
    where w.kind = 'step'
    union all
    select w.workflow_uuid, w.wake_at, i.key::int
    from durable.waits as w
    join durable.wait_items as i on i.workflow_uuid = w.workflow_uuid
    where w.kind = 'any'
        and i.kind = 'step') as x
left join dbos.operation_outputs as o
    on o.workflow_uuid = x.workflow_uuid
    and o.function_id = x.function_id
where case when o.function_id is null then not exists (
        select from durable.external_steps as e
        where e.workflow_uuid = x.workflow_uuid
            and e.function_id = x.function_id)
    else x.wake_at > (extract(epoch from now()) + 60) * 1000 end
union all
select 'due and not run for a minute', x.workflow_uuid, x.type
from durable.waiting as x
where x.wake_at < (extract(epoch from now()) - 60) * 1000
union all
select 'enqueued and not run for a minute', u.id, u.name || u.owner
from unfinished as u
where u.status = 'ENQUEUED'
    and u.changed_ms < (extract(epoch from now()) - 60) * 1000
    -- Unless its queue has limits, for which it may have to wait.
    and not exists (
        select from dbos.workflow_status as s
        join durable.limited_queues as l on l.name = s.queue_name
        where s.workflow_uuid = u.id)
union all
select 'delayed a minute too long', u.id, u.name || u.owner
from unfinished as u
where u.status = 'DELAYED'
    and coalesce(u.delay_until_epoch_ms, 0)
    < (extract(epoch from now()) - 60) * 1000
union all
select 'waits and is not pending', x.workflow_uuid,
    coalesce(s.status, 'does not exist')
from durable.waits as x
left join dbos.workflow_status as s on s.workflow_uuid = x.workflow_uuid
where s.status is distinct from 'PENDING'
    and not (s.status is not distinct from 'CANCELLED' and exists (
        select from durable.cleanups as c
        where c.workflow_uuid = x.workflow_uuid))
union all
select 'not settled', s.workflow_uuid, s.status
from dbos.workflow_status as s
where :settled
    and s.status in ('PENDING', 'ENQUEUED', 'DELAYED')
union all
select 'still suspect', x.workflow_uuid, x.attempts || ' attempts'
from durable.suspects as x
where :settled
order by 1, 2, 3;

-- The stored values of the store's workflows.
select 'value is not JSON' as violation, v.id, v.place as detail
from (
    select s.workflow_uuid as id, 'input' as place,
        coalesce(i.inputs, s.inputs) as value
    from dbos.workflow_status as s
    left join dbos.workflow_input as i on i.workflow_uuid = s.workflow_uuid
    union all
    select o.workflow_uuid, 'outcome', n.value
    from dbos.workflow_output as o
    cross join lateral (
        values (o.output), (o.error)) as n (value)
    union all
    select o.workflow_uuid, 'step ' || o.function_id || ' ' || o.function_name,
        n.value
    from dbos.operation_outputs as o
    cross join lateral (
        values (o.output), (o.error)) as n (value)
    union all
    select m.destination_uuid, 'message of topic ' || coalesce(m.topic, 'null'),
        m.message
    from dbos.notifications as m
    union all
    select e.workflow_uuid, 'event ' || e.key, e.value
    from dbos.workflow_events as e
    union all
    select e.workflow_uuid, 'history of event ' || e.key, e.value
    from dbos.workflow_events_history as e) as v
join dbos.workflow_status as w on w.workflow_uuid = v.id
where w.name in ('checkout_workflow', 'dispatch_order_workflow')
    -- Most values need no parser.
    and v.value !~ ('^(null|true|false|0|[1-9][0-9]*|"[A-Za-z0-9._~-]*"'
        '|\{"positionalArgs":\[(0|[1-9][0-9]*)?\]\})$')
    and not durable.is_json(v.value)
order by 1, 2, 3;
