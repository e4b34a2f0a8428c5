-- SPDX-License-Identifier: MIT
--
-- What a worker reads in its turn: of the workflows that it has taken, and of a
-- workflow for which one of them waits.
--
-- turn_load, turn_inbox and turn_topic are statements behind turn_take, so their
-- snapshots are later: they see all messages that came before the workflows were
-- locked, and no more can come until the turn ends (I5).

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
    is_cancelled boolean,
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
        s.status = 'CANCELLED', j.numbers, j.names, j.outputs, j.errors,
        j.serializations, j.children, j.started_ms
    from unnest(ids) with ordinality as t (id, place)
    join dbos.workflow_status as s on s.workflow_uuid = t.id
    -- With offset 0, because a join planned for an empty table reads all of it.
    left join lateral (
        select i.inputs
        from dbos.workflow_input as i
        where i.workflow_uuid = t.id
        offset 0) as i on true
    left join lateral (
        select c.function_id
        from durable.continuations as c
        where c.workflow_uuid = t.id
        offset 0) as c on true
    -- In arrays, because a row a step costs three times as much.
    cross join lateral (
        select array_agg(o.function_id) as numbers,
            array_agg(o.function_name) as names,
            array_agg(o.output) as outputs,
            array_agg(o.error) as errors,
            array_agg(o.serialization) as serializations,
            array_agg(o.child_workflow_id) as children,
            array_agg(o.started_at_epoch_ms) as started_ms
        from (
            select o.*
            from dbos.operation_outputs as o
            where o.workflow_uuid = t.id
                and o.function_id >= coalesce(c.function_id, 0)
            -- The step of wf_continue comes first.
            order by o.function_id) as o) as j
    order by t.place;
end
$$;
comment on function durable.turn_load(text[]) is
    'Returns a row for each workflow, in the order of the ids: its input and '
    'its journal, with an array element for each step, in their order.  '
    'is_enqueued: the workflow begins in this turn.  version: null when it '
    'asks for none.  timeout_ms counts from its begin, deadline_ms since the '
    'epoch.  is_cancelled: it may only clean up.  Called by a worker in its '
    'turn.';

create or replace function durable.turn_inbox(ids text[])
returns table (
    workflow_uuid text,
    message_uuid text,
    topic text,
    message text,
    serialization text,
    sent_ms bigint,
    unread_bytes bigint
)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    max_messages constant int := 256;
    max_bytes constant int := 16384;
begin
    return query
    select m.id, case when m.is_little then m.message_uuid end,
        case when m.is_little then m.topic end,
        case when m.is_little then m.message end,
        case when m.is_little then m.serialization end,
        case when m.is_little then m.created_at_epoch_ms end,
        case when not m.is_little then m.bytes end
    from (
        select c.*, c.messages <= max_messages and c.bytes <= max_bytes
            as is_little
        from (
            select t.id, t.place, n.*, count(*) over inbox as messages,
                row_number() over inbox as number,
                coalesce(sum(octet_length(n.message))
                    filter (where not n.consumed) over inbox, 0) as bytes
            from unnest(ids) with ordinality as t (id, place)
            cross join lateral (
                -- The length needs no reading of what is stored apart.
                select n.message_uuid, n.topic, n.message, n.serialization,
                    n.created_at_epoch_ms, n.consumed
                from dbos.notifications as n
                where n.destination_uuid = t.id
                limit max_messages + 1) as n
            -- In the order of the result, which needs no other sort.
            window inbox as (partition by t.place
                order by n.created_at_epoch_ms, n.message_uuid
                rows between unbounded preceding and unbounded following)
            ) as c) as m
    where case when m.is_little then not m.consumed else m.number = 1 end
    order by m.place, m.created_at_epoch_ms, m.message_uuid;
end
$$;
comment on function durable.turn_inbox(text[]) is
    'The unread messages of workflows, in the order of the ids, oldest first.  '
    'Of a workflow with many or large messages, read ones among them, only a '
    'row without a message, and the bytes of the unread ones that this has '
    'looked at: the run asks turn_topic for them.  Called by a worker in its '
    'turn.';

create or replace function durable.turn_topic(
    id text,
    of_topic text,
    after_ms bigint,
    after_uuid text
)
returns table (
    message_uuid text,
    message text,
    serialization text,
    sent_ms bigint,
    has_more boolean
)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    max_messages constant int := 4096;
    max_bytes constant int := 262144;
begin
    return query
    select m.message_uuid, m.message, m.serialization, m.created_at_epoch_ms,
        m.messages = max_messages or m.all_bytes > max_bytes
    from (
        select l.message_uuid, l.message, l.serialization,
            l.created_at_epoch_ms, count(*) over () as messages,
            sum(octet_length(l.message)) over () as all_bytes,
            sum(octet_length(l.message)) over (
                order by l.created_at_epoch_ms, l.message_uuid)
                - octet_length(l.message) as bytes_before
        from (
            select n.message_uuid, n.message, n.serialization,
                n.created_at_epoch_ms
            from dbos.notifications as n
            where n.destination_uuid = id
                and n.topic = of_topic
                and not n.consumed
                and (after_uuid is null
                    or (n.created_at_epoch_ms, n.message_uuid)
                        > (after_ms, after_uuid))
            order by n.created_at_epoch_ms, n.message_uuid
            limit max_messages) as l) as m
    where m.bytes_before < max_bytes
    order by m.created_at_epoch_ms, m.message_uuid;
end
$$;
comment on function durable.turn_topic(text, text, bigint, text) is
    'A bite of the unread messages of a workflow on a topic, oldest first: those '
    'behind the one of after_ms and after_uuid, if that is not null.  has_more: '
    'others may follow.  Called by a run in its turn.';

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
    durable.turn_topic(text, text, bigint, text),
    durable.workflow_event(text, text),
    durable.workflow_result(text)
to widget_store_daemon;
