-- SPDX-License-Identifier: MIT
--
-- The choice of what to wait for: what a turn writes for a workflow that waits
-- for the first of several (wf_select).

create or replace function durable.turn_wait_items(
    ids text[],
    numbers int[],
    kinds text[],
    targets text[],
    keys text[]
)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    present_ms constant bigint := durable.due_now_ms();
begin
    delete from durable.wait_items as i
    where i.workflow_uuid = any (ids);
    insert into durable.wait_items (workflow_uuid, number, kind, target, key)
    select n.id, n.number, n.kind, n.target, n.key
    from unnest(ids, numbers, kinds, targets, keys)
        as n (id, number, kind, target, key);
    -- As in turn_waits.
    if current_setting('durable.has_sent', true) = 'true' then
        update durable.waits as w
        set wake_at = present_ms
        where w.workflow_uuid = any (ids)
            and w.wake_at > durable.now_ms()
            and exists (
                select
                from durable.wait_items as i
                join dbos.notifications as m
                    on m.destination_uuid = i.workflow_uuid
                    and m.topic = i.key
                where i.workflow_uuid = w.workflow_uuid
                    and i.kind = 'message'
                    and not m.consumed);
        if found then
            perform durable.hint('durable_due', '{""}');
        end if;
    end if;
    if 'result' = any (kinds) then
        perform durable.look_again(ids, kinds, targets, keys);
    end if;
    if 'step' = any (kinds) then
        perform durable.look_at_steps(ids, kinds, keys);
    end if;
end
$$;
comment on function durable.turn_wait_items(text[], int[], text[], text[],
    text[]) is
    'Writes what workflows wait for the first of, behind their waits, and has '
    'the second look of I5 at each.';

create or replace function durable.turn_chosen(ids text[])
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    delete from durable.wait_items as i
    where i.workflow_uuid = any (ids);
end
$$;
comment on function durable.turn_chosen(text[]) is
    'Deletes what workflows have waited for the first of. Called by a turn '
    'before it writes waits.';

grant execute on function
    durable.turn_wait_items(text[], int[], text[], text[], text[]),
    durable.turn_chosen(text[])
to widget_store_daemon;
