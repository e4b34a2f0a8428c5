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
    types text[] default '{job@1}',
    queues text[] default '{main,second}',
    runnable text[] default '{job@1,job@}'
)
returns text
language sql
volatile
return (
    select coalesce(string_agg(t.workflow_uuid, ',' order by t.place), '')
    from durable.turn_take(types, queues, runnable, 'app', max_workflows,
        only_ids) with ordinality as t (workflow_uuid, source, timer_group,
        timer_group_size, held_since, place));

-- In how many milliseconds a turn that ends all that it takes looks again;
-- null: when it is notified.  What the turn has done is undone.
create function test.next_due_in(
    types text[] default '{job@1}',
    queues text[] default '{main}',
    max_workflows int default 64
)
returns bigint
language plpgsql
as $$
declare
    begun_ms bigint;
    taken text[];
    due_in_ms bigint;
begin
    select t.present_ms
    into begun_ms
    from durable.turn_begin('{main}') as t;
    taken := string_to_array(test.taken(max_workflows, null, types, queues),
        ',');
    delete from durable.waits where workflow_uuid = any (taken);
    update dbos.workflow_status
    set status = 'SUCCESS'
    where workflow_uuid = any (taken);
    due_in_ms := durable.next_due(types, queues, '{job@1,job@}', 'app',
        begun_ms) - durable.now_ms();
    raise exception using errcode = 'TURN0';
exception
    when sqlstate 'TURN0' then
        return due_in_ms;
end
$$;

-- Whether such a turn looks again for what another session has locked.
create function test.comes_back_soon(queues text[] default '{main}')
returns boolean
language sql
volatile
return coalesce(test.next_due_in(queues => queues) between 1 and 100, false);

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

-- Writes waits of workflows that sleep until one time.
create function test.sleeping(ids text[], at bigint)
returns void
language sql
volatile
return durable.turn_waits(ids, array_fill(at, array[cardinality(ids)]),
    array_fill('job@1'::text, array[cardinality(ids)]),
    array_fill('timer'::text, array[cardinality(ids)]),
    array_fill(null::text, array[cardinality(ids)]),
    array_fill(null::text, array[cardinality(ids)]));

-- Makes thousands of workflows that wait for long, with or without a group.
create function test.many_waits(in_group boolean default false)
returns void
language plpgsql
as $$
begin
    perform test.workflow('long ' || n, 'PENDING')
    from generate_series(1, 3000) as n;
    insert into durable.timer_groups (wake_at, type, size)
    select 9000000000000, 'job@1', 3000
    where in_group;
    insert into durable.waits (workflow_uuid, wake_at, type, kind, timer_group)
    select s.workflow_uuid, case when not in_group then 9000000000000 end,
        'job@1', 'timer', (select g.timer_group from durable.timer_groups as g)
    from dbos.workflow_status as s;
    analyze;
end
$$;

-- The rows that this transaction has read of our tables.
create function test.rows_read()
returns bigint
language sql
return (
    select sum(pg_stat_get_xact_tuples_returned(c.oid))
    from pg_class as c
    where c.relnamespace in ('dbos'::regnamespace, 'durable'::regnamespace));

-- Whether a statement reads few rows, with the plan that a session keeps.
create function test.reads_little(statement text)
returns boolean
language plpgsql
set plan_cache_mode = force_generic_plan
as $$
declare
    before bigint;
begin
    -- Once before, because planning reads the ends of indexes.
    execute statement;
    before := test.rows_read();
    execute statement;
    return test.rows_read() - before < 30;
end
$$;

-- How many blocks of tables and indexes a statement reads.
create function test.blocks_read(
    statement text,
    variadic relations regclass[]
)
returns numeric
language plpgsql
set plan_cache_mode = force_generic_plan
as $$
declare
    total constant text := 'select sum(pg_stat_get_xact_blocks_fetched(r))
        from unnest($1) as r';
    before numeric;
    after numeric;
begin
    -- Once before, because planning reads the ends of indexes.
    execute statement;
    execute total using relations into before;
    execute statement;
    execute total using relations into after;
    return after - before;
end
$$;

-- Empties the tables between two tests.
create function test.clear()
returns void
language sql
volatile
begin atomic
    delete from durable.waits;
    delete from durable.timer_groups;
    delete from durable.queue_rounds;
    delete from durable.suspects;
    delete from dbos.workflow_status;
    delete from dbos.workflow_input;
    delete from dbos.operation_outputs;
    delete from durable.retired_ids;
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
