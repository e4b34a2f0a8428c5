-- SPDX-License-Identifier: MIT
--
-- Compares the answers that customers got with the database: one row for each
-- answer that is not true any more, with the columns of audit.sql.  Part of
-- widget-store-audit, which loads the log of answers into the table
-- acknowledged: what (checkout or payment), id (the key, or the payment),
-- outcome (of a payment: paid, failed, ...) and answer.

select 'acknowledged checkout is not there' as violation, a.id as id,
    'was told payment ' || a.answer as detail
from acknowledged as a
left join dbos.workflow_status as s
    on s.workflow_uuid = a.id
    and s.name = 'checkout_workflow'
left join dbos.workflow_events as e
    on e.workflow_uuid = a.id
    and e.key = 'payment_id'
left join store.past_workflows as p on p.workflow_uuid = a.id
where a.what = 'checkout'
    and (coalesce(s.workflow_uuid, p.workflow_uuid) is null
        or coalesce(e.value, p.payment_id)
            is distinct from to_json(a.answer)::text)
union all
select 'acknowledged order is not there', a.id, 'was told order ' || a.answer
from acknowledged as a
left join dbos.workflow_events as e
    on e.workflow_uuid = a.id
    and e.key = 'order_id'
left join store.past_workflows as p on p.workflow_uuid = a.id
left join store.orders as o on o.order_id::text = a.answer
where a.what = 'payment'
    and (o.order_id is null
        or trim('"' from coalesce(e.value, p.answer))
            is distinct from a.answer)
union all
-- Of contradictory answers to one payment the first counts, and the log does
-- not say which one that was.
select 'acknowledged payment has another outcome', a.id,
    'was told ' || a.outcome || ', order ' || a.answer || ' has status '
    || o.order_status
from acknowledged as a
join store.orders as o on o.order_id::text = a.answer
where a.what = 'payment'
    and (a.outcome = 'paid') <> (o.order_status in (1, 2))
    and not exists (
        select from acknowledged as other
        where other.what = 'payment'
            and other.id = a.id
            and other.outcome <> a.outcome)
order by 1, 2, 3;
