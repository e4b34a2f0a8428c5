-- SPDX-License-Identifier: MIT
--
-- What a worker reads in its turn: of the workflows that it has taken, and of a
-- workflow for which one of them waits.
--
-- turn_load and turn_inbox are statements behind turn_take, so their snapshots
-- are later: they see all messages that came before the workflows were locked,
-- and no more can come until the turn ends (I5).

create or replace function durable.turn_load(ids text[])
returns table (
    workflow_uuid text,
    is_enqueued boolean,
    name text,
    version text,
    input text,
    serialization text,
    timeout_ms bigint,
    deadline_ms bigint,
    step_numbers int[],
    step_names text[],
    step_outputs text[],
    step_errors text[],
    step_serializations text[],
    step_children text[],
    step_started_ms bigint[]
)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select s.workflow_uuid, s.status = 'ENQUEUED', s.name,
        nullif(s.application_version, ''), coalesce(i.inputs, s.inputs),
        s.serialization, s.workflow_timeout_ms, s.workflow_deadline_epoch_ms,
        j.numbers, j.names, j.outputs, j.errors, j.serializations, j.children,
        j.started_ms
    from unnest(ids) with ordinality as t (id, place)
    join dbos.workflow_status as s on s.workflow_uuid = t.id
    left join dbos.workflow_input as i on i.workflow_uuid = t.id
    -- In arrays, because a row a step costs three times as much.
    cross join lateral (
        select array_agg(o.function_id) as numbers,
            array_agg(o.function_name) as names,
            array_agg(o.output) as outputs,
            array_agg(o.error) as errors,
            array_agg(o.serialization) as serializations,
            array_agg(o.child_workflow_id) as children,
            array_agg(o.started_at_epoch_ms) as started_ms
        from dbos.operation_outputs as o
        where o.workflow_uuid = t.id) as j
    order by t.place;
end
$$;
comment on function durable.turn_load(text[]) is
    'Returns a row for each workflow, in the order of the ids: its input and '
    'its journal, with an array element for each step.  is_enqueued: the '
    'workflow begins in this turn.  version: null when it asks for none.  '
    'timeout_ms counts from its begin, deadline_ms since the epoch.  Called by '
    'a worker in its turn.';

create or replace function durable.turn_inbox(ids text[])
returns table (
    workflow_uuid text,
    message_uuid text,
    topic text,
    message text,
    serialization text
)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select n.destination_uuid, n.message_uuid, n.topic, n.message,
        n.serialization
    from unnest(ids) with ordinality as t (id, place)
    join dbos.notifications as n on n.destination_uuid = t.id
    where not n.consumed
    order by t.place, n.created_at_epoch_ms, n.message_uuid;
end
$$;
comment on function durable.turn_inbox(text[]) is
    'The unread messages of workflows, in the order of the ids, oldest first.  '
    'Called by a worker in its turn.';

create or replace function durable.workflow_event(id text, event_key text)
returns table (value text, serialization text)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select e.value, e.serialization
    from dbos.workflow_events as e
    where e.workflow_uuid = id
        and e.key = event_key;
end
$$;
comment on function durable.workflow_event(text, text) is
    'The value of an event; no row when it is not set.  Called for '
    'wf_get_event.';

create or replace function durable.workflow_result(id text)
returns table (status text, output text, error text, serialization text)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select s.status, coalesce(o.output, s.output), coalesce(o.error, s.error),
        s.serialization
    from dbos.workflow_status as s
    left join dbos.workflow_output as o on o.workflow_uuid = s.workflow_uuid
    where s.workflow_uuid = id;
end
$$;
comment on function durable.workflow_result(text) is
    'The status and the result of a workflow; no row when there is none of '
    'this id.  Called for wf_result and wf_send.';


grant execute on function
    durable.turn_load(text[]),
    durable.turn_inbox(text[]),
    durable.workflow_event(text, text),
    durable.workflow_result(text)
to widget_store_daemon;
