-- SPDX-License-Identifier: MIT
--
-- What the store keeps of checkouts and dispatches that are deleted, by the
-- engine's retention or by any tool: which order they were of, and what their
-- customers were told.  Their ids start no workflow again, so a key buys one
-- widget for ever.

create table if not exists store.past_workflows (
    workflow_uuid text not null constraint past_workflows_pkey primary key,
    order_id bigint,
    payment_id text,
    answer text
);
comment on table store.past_workflows is
    'One row per checkout or dispatch that was deleted. The audit checks the '
    'orders of these rows by the orders alone.';
comment on column store.past_workflows.workflow_uuid is
    'The workflow; of a checkout also the key of the customer.';
comment on column store.past_workflows.order_id is
    'Its order; null: it had none.';
comment on column store.past_workflows.payment_id is
    'Of a checkout: its event payment_id, JSON; null: it was not set.';
comment on column store.past_workflows.answer is
    'Of a checkout: its event order_id, JSON; null: it was not set.';

create or replace function store.order_of(id text, origin text)
returns bigint
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    found_id bigint;
begin
    while id is not null loop
        found_id := coalesce((
            select o.order_id
            from store.orders as o
            where o.checkout = id
            order by o.order_id desc
            limit 1), (
            select p.order_id
            from store.past_workflows as p
            where p.workflow_uuid = id),
            substring(id from '^order:([0-9]{1,16})$')::bigint);
        exit when found_id is not null;
        -- A fork has the order of its origin.
        id := origin;
        origin := (
            select s.forked_from
            from dbos.workflow_status as s
            where s.workflow_uuid = origin);
    end loop;
    return found_id;
end
$$;
comment on function store.order_of(text, text) is
    'The order of a checkout or a dispatch, by its id and that of its origin; '
    'null: it has none. Reads no journal, which a tool deletes first.';

create or replace function store.note_past()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    insert into store.past_workflows (workflow_uuid, order_id, payment_id,
        answer)
    values (old.workflow_uuid,
        store.order_of(old.workflow_uuid, old.forked_from), (
            select e.value
            from dbos.workflow_events as e
            where e.workflow_uuid = old.workflow_uuid
                and e.key = 'payment_id'), (
            select e.value
            from dbos.workflow_events as e
            where e.workflow_uuid = old.workflow_uuid
                and e.key = 'order_id'))
    on conflict do nothing;
    insert into durable.retired_ids as r (workflow_uuid)
    values (old.workflow_uuid)
    on conflict (workflow_uuid) do update
    set until_ms = null;
    return old;
end
$$;
comment on function store.note_past() is
    'Trigger before delete on dbos.workflow_status, while the events are there: '
    'notes a checkout or a dispatch in store.past_workflows, and retires its id '
    'for ever.';

create or replace trigger store_note_past
before delete on dbos.workflow_status
for each row
when (old.name in ('checkout_workflow', 'dispatch_order_workflow'))
execute function store.note_past();

create or replace function store.past_answer(id text, event text)
returns text
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select nullif(case event when 'payment_id' then p.payment_id
            else p.answer end, 'null')
        from store.past_workflows as p
        where p.workflow_uuid = id);
end
$$;
comment on function store.past_answer(text, text) is
    'The event payment_id or order_id of a checkout that was deleted, JSON; null: '
    'there is none. Called by the web, so that a key gets the same answer for ever.';

grant execute on function store.past_answer(text, text) to widget_store_web;
