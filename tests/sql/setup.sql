-- SPDX-License-Identifier: MIT
--
-- Helpers of the pgTAP tests, in schema test.

create schema test;
grant usage on schema test to public;

-- Runs a statement as a role and returns its first value, or the error.
create function test.as_role(role_name text, statement text)
returns text
language plpgsql
as $$
declare
    result text;
begin
    perform set_config('role', role_name, true);
    execute statement into result;
    perform set_config('role', 'none', true);
    return result;
exception
    when others then
        return sqlstate;
end
$$;

-- The ids of the workflows that a turn takes, in its order.
create function test.taken(
    max_workflows int default 64,
    only_ids text[] default null,
    types text[] default '{job@1,job@}',
    queues text[] default '{main,second}'
)
returns text
language sql
volatile
return (
    select coalesce(string_agg(t.workflow_uuid, ',' order by t.place), '')
    from durable.turn_begin(types, queues, 'app', max_workflows, only_ids)
        with ordinality as t (kind, workflow_uuid, number, name, value,
        serialization, other, at_ms, until_ms, tid, timer_group,
            timer_group_size,
        step_numbers, step_names, step_outputs, step_errors,
        step_serializations, step_children, step_started_ms, place)
    where t.kind = 'workflow');

-- Sorts taken ids, for tests that promise no order.
create function test.sorted(ids text)
returns text
language sql
return (
    select coalesce(string_agg(id, ',' order by id), '')
    from unnest(string_to_array(ids, ',')) as id);

-- Makes a workflow as a client or an engine would leave it.
create function test.workflow(
    id text,
    status text default 'ENQUEUED',
    queue text default 'main',
    name text default 'job',
    version text default null,
    application text default 'app',
    parent text default null
)
returns void
language sql
volatile
begin atomic
    insert into dbos.workflow_status (workflow_uuid, status, queue_name, name,
        application_version, application_name, parent_workflow_id,
        serialization)
    values (id, status, queue, name, version, application, parent,
        'portable_json');
    insert into dbos.workflow_input (workflow_uuid, inputs)
    values (id, '{"positionalArgs":[]}');
end;

-- Makes a workflow that waits and is due in so many milliseconds.
create function test.waiting(
    id text,
    due_in_ms bigint default 60000,
    kind text default 'timer',
    target text default null,
    key text default null
)
returns void
language sql
volatile
begin atomic
    select test.workflow(id, 'PENDING', null, version => '1');
    insert into durable.waits (workflow_uuid, wake_at, type, kind, target, key)
    values (id, durable.now_ms() + due_in_ms, 'job@1', kind, target, key);
end;

create function test.is_due(id text)
returns boolean
language sql
volatile
return exists (
    select from durable.waiting as w
    where w.workflow_uuid = id
        and w.wake_at <= durable.now_ms());

-- Empties the tables between two tests.
create function test.clear()
returns void
language sql
volatile
begin atomic
    delete from durable.waits;
    delete from durable.timer_groups;
    delete from durable.suspects;
    delete from dbos.workflow_status;
    delete from dbos.workflow_input;
    delete from dbos.operation_outputs;
end;

-- Runs a statement in a second session, 'other'.
create function test.other(statement text)
returns text
language plpgsql
as $$
declare
    result text;
begin
    if 'other' <> all (coalesce(dblink_get_connections(), '{}')) then
        perform dblink_connect('other', 'dbname=' || current_database());
    end if;
    if statement ~ '^select' then
        select t.value
        into result
        from dblink('other', statement) as t (value text);
    else
        result := dblink_exec('other', statement);
    end if;
    return result;
end
$$;

-- The notifications of the other session, "channel payload" each.
create function test.notified()
returns text
language plpgsql
as $$
declare
    result text;
begin
    perform test.other('select 1::text');
    select string_agg(rtrim(n.notify_name || ' ' || n.extra), ', '
        order by n.notify_name, n.extra)
    into result
    from dblink_get_notify('other') as n;
    return result;
end
$$;
