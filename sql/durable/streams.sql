-- SPDX-License-Identifier: MIT
--
-- Streams: sequences of values that workflows publish.  A turn appends to those
-- of its own workflows, whose status rows it has locked, so no two turns take
-- the same offset.

create or replace function durable.turn_streams(
    ids text[],
    numbers int[],
    keys text[],
    payloads text[]
)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
-- As turn_events.
set lock_timeout = '200ms'
as $$
begin
    insert into dbos.streams (workflow_uuid, key, value, "offset", function_id,
        serialization)
    select n.id, n.key, n.value, coalesce((
            select max(s."offset")
            from dbos.streams as s
            where s.workflow_uuid = n.id
                and s.key = n.key), -1)
            + row_number() over (partition by n.id, n.key order by n.number),
        n.number, 'portable_json'
    from unnest(ids, numbers, keys, payloads) as n (id, number, key, value);
end
$$;
comment on function durable.turn_streams(text[], int[], text[], text[]) is
    'Appends what the workflows of a turn wrote to their streams.';

create or replace function durable.wake_by_stream()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform durable.wake_readers('stream', array_agg(s.workflow_uuid),
        array_agg(s."offset" || ':' || s.key))
    from arrived as s;
    return null;
end
$$;
comment on function durable.wake_by_stream() is
    'Trigger after insert on dbos.streams: wakes the workflows that wait for the '
    'values.';

create or replace trigger durable_wake_by_stream
after insert on dbos.streams
referencing new table as arrived
for each statement
execute function durable.wake_by_stream();

create or replace function durable.stream_value(
    id text,
    stream text,
    place int
)
returns table (is_active boolean, value text, serialization text)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select w.status in ('PENDING', 'ENQUEUED', 'DELAYED'),
        -- An earlier release of the SDKs wrote the mark of the end as it is.
        case s.value when '__DBOS_STREAM_CLOSED__'
            then '"__DBOS_STREAM_CLOSED__"' else s.value end,
        case s.value when '__DBOS_STREAM_CLOSED__'
            then 'portable_json' else s.serialization end
    from dbos.workflow_status as w
    left join dbos.streams as s
        on s.workflow_uuid = w.workflow_uuid
        and s.key = stream
        and s."offset" = place
    where w.workflow_uuid = id;
end
$$;
comment on function durable.stream_value(text, text, int) is
    'Whether a workflow goes on, and the value at a place of its stream, from 0, '
    'or null; no row when there is no such workflow.  Called for wf_read_stream.';

create or replace function durable.client_stream(id text, place text)
returns text
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    found record;
begin
    select v.is_active, case v.serialization
        when 'js_superjson' then (v.value::json -> 'json')::text
        else v.value end as value
    into found
    from durable.stream_value(id, substr(place, strpos(place, ':') + 1),
        split_part(place, ':', 1)::int) as v;
    return case when found.is_active is null then 'u'
        when found.value = '"__DBOS_STREAM_CLOSED__"' then 'e'
        when found.value is not null then 'v' || found.value
        when found.is_active then 'l'
        else 'e' end;
end
$$;
comment on function durable.client_stream(text, text) is
    'The value at a place, offset:key, of a stream of a workflow, behind a letter: '
    'v, a value; e, none will come; l, none has come yet; u, there is no such '
    'workflow. Called by a client.';


grant execute on function durable.client_stream(text, text)
to widget_store_web;
grant execute on function
    durable.turn_streams(text[], int[], text[], text[]),
    durable.stream_value(text, text, int)
to widget_store_daemon;
