-- SPDX-License-Identifier: MIT
--
-- What a statement reads does not depend on the planner's statistics: its plan
-- was made when the tables were new, or empty and analyzed as such, and they are
-- large now.

\if :{?rows}
\else
    \set rows 20000
\endif

select plan(99);

create table test.statements (title text, statement text);

-- Runs a statement with the settings of durable.admit, which calls it.
create function test.within(statement text)
returns void
language plpgsql
as $$
begin
    execute statement;
end
$$;
do $$
declare
    setting text;
begin
    for setting in
        select unnest(p.proconfig)
        from pg_proc as p
        where p.oid = 'durable.admit'::regproc
    loop
        execute format('alter function test.within set %I = %s',
            split_part(setting, '=', 1), split_part(setting, '=', 2));
    end loop;
end
$$;

insert into test.statements
values ('turn_take', $$select durable.turn_take('{job@1}', '{main}',
        '{job@1,job@}', 'app', 64, null)$$),
    ('turn_take of some ids', $$select durable.turn_take('{job@1}', '{main}',
        '{job@1,job@}', 'app', 64, '{w7,w8}')$$),
    ('turn_load', $$select durable.turn_load('{w7,w8}')$$),
    ('turn_inbox', $$select durable.turn_inbox('{w7,w8}')$$),
    ('turn_topic', $$select durable.turn_topic('w7', 'topic', null, null)$$),
    ('next_due', $$select durable.next_due('{job@1}', '{main}',
        '{job@1,job@}', 'app', durable.now_ms())$$),
    ('sweep', $$select durable.sweep('{job@1}', 'app')$$),
    ('heed_arrivals', 'select durable.heed_arrivals(1000)'),
    ('enqueue_delayed', $$select durable.enqueue_delayed('{main}',
        '{job@1,job@}', 'app')$$),
    ('count_pending', $$select test.within($a$select durable.count_pending(
        'main', null, 'app', 'me', 5)$a$)$$),
    ('count_pending of a partition', $$select test.within($a$
        select durable.count_pending('main', 'p', 'app', null, 5)$a$)$$),
    ('latest_starts', $$select test.within($a$select durable.latest_starts(
        'main', null, 'app', 60000, 5)$a$)$$),
    ('latest_starts of a partition', $$select test.within($a$
        select durable.latest_starts('main', 'p', 'app', 60000, 5)$a$)$$),
    ('find_enqueued', $$select test.within($a$select durable.find_enqueued(
        'main', null, '{job@1,job@}', 'app', 5)$a$)$$),
    ('find_enqueued of a partition', $$select test.within($a$
        select durable.find_enqueued('main', 'p', '{job@1,job@}', 'app', 5)
        $a$)$$),
    ('the first partition', $$select test.within($a$
        select durable.next_partition('main', '{job@1,job@}', 'app', null)
        $a$)$$),
    ('next_partition', $$select test.within($a$select durable.next_partition(
        'main', '{job@1,job@}', 'app', 'p')$a$)$$),
    ('a start', $$select durable.client_submit('{w7,w9}', '{job,job}',
        '{main,main}', '{null,null}', 'app', '{}', '{}', '{}', '{}', '{}')$$),
    ('a message', $$select durable.client_submit('{}', '{}', '{}', '{}', 'app',
        '{w7,w9}', '{job,job}', '{topic,topic}', '{1,1}', '{key,key}')$$),
    ('client_events', $$select durable.client_events('{w7,w9}', '{a,a}')$$),
    ('get_workflow', $$select durable.get_workflow('w7')$$),
    ('list_steps', $$select durable.list_steps('w7')$$),
    ('get_event', $$select durable.get_event('w7', 'a')$$),
    ('resume_workflow', $$select durable.resume_workflow('w8')$$),
    ('workflow_result', $$select durable.workflow_result('w7')$$),
    ('turn_statuses', $$select durable.turn_statuses('{w7,w9}',
        '{PENDING,PENDING}', '{0,0}', '{1,1}', '{null,null}', '{null,null}',
        '{null,null}', 'app', 'executor')$$),
    ('turn_waits', $$select durable.turn_waits('{w7,w9}',
        '{9000000000000,9000000000001}', '{job@1,job@1}', '{timer,timer}',
        '{null,null}', '{null,null}')$$),
    ('turn_end_waits', $$select durable.turn_end_waits('{w7,w9}')$$),
    ('turn_messages', $$select durable.turn_messages('{w7,w9}', '{t,t}',
        '{1,1}')$$),
    ('turn_streams', $$select durable.turn_streams('{w7,w9}', '{1,1}', '{a,a}',
        '{1,1}')$$),
    ('turn_control', $$select durable.turn_control('{w8}', '{cancel}')$$),
    ('turn_continue', $$select durable.turn_continue('{w7,w9}', '{1,1}',
        '{1,1}')$$),
    ('an end', $$update dbos.workflow_status set status = 'SUCCESS'
        where workflow_uuid = 'w8'$$);

create table test.findings as
select s.title, 0 as look, false as little
from test.statements as s
where false;
create procedure test.empty()
language sql
begin atomic
    select test.clear();
    delete from dbos.notifications;
    delete from dbos.workflow_events;
end;
-- In one session, which keeps its plans.
create function test.look(number int)
returns void
language sql
begin atomic
    insert into test.findings
    select s.title, number, test.reads_little(s.statement)
    from test.statements as s;
end;

-- Ended workflows, and ones that wait for long; all with steps, messages and
-- events.  Called in another session, because its setting discards all plans.
create procedure test.fill(rows int)
language plpgsql
set session_replication_role = replica
as $$
begin
    insert into dbos.workflow_status (workflow_uuid, status, name,
        application_version, application_name, serialization, created_at,
        started_at_epoch_ms, queue_partition_key)
    select 'w' || n, case when n % 2 = 0 then 'SUCCESS' else 'PENDING' end,
        'job', '1', 'app', 'portable_json', n, durable.now_ms(), 'p'
    from generate_series(1, rows) as n;
    insert into dbos.workflow_input (workflow_uuid, inputs)
    select 'w' || n, '{}'
    from generate_series(1, rows) as n;
    insert into dbos.workflow_output (workflow_uuid, output)
    select 'w' || n, '1'
    from generate_series(2, rows, 2) as n;
    insert into durable.waits (workflow_uuid, wake_at, type, kind)
    select 'w' || n, 9000000000000, 'job@1', 'timer'
    from generate_series(1, rows, 2) as n;
    -- For an end to look for what waits for it.
    insert into durable.waits (workflow_uuid, wake_at, type, kind, target)
    values ('w0', 9000000000000, 'job@1', 'result', 'absent');
    insert into dbos.operation_outputs (workflow_uuid, function_id,
        function_name, output)
    select 'w' || n, 0, 'step', '1'
    from generate_series(1, rows) as n;
    insert into dbos.notifications (message_uuid, destination_uuid, topic,
        message, consumed)
    select 'm' || n, 'w' || n, 'topic', '1', n % 2 = 0
    from generate_series(1, rows) as n;
    insert into dbos.workflow_events (workflow_uuid, key, value)
    select 'w' || n, 'a', '1'
    from generate_series(1, rows) as n;
end
$$;

-- Few, so that the statements run their whole length before they are planned.
select test.other('call test.fill(8)');
select test.look(0);
call test.empty();
select test.other('call test.fill(' || :rows || ')');
select test.look(1);
call test.empty();
vacuum analyze dbos.workflow_status, dbos.workflow_input, dbos.workflow_output,
    dbos.operation_outputs, dbos.notifications, dbos.workflow_events,
    durable.waits, durable.timer_groups, durable.suspects, durable.arrivals,
    durable.wait_items;
discard plans;
select test.look(2);
call test.empty();
select test.other('call test.fill(' || :rows || ')');
select test.look(3);
analyze;
select test.look(4);

select ok(f.little, f.title || ' reads little by a plan ' || w.what)
from test.findings as f
join (
    values (1, 'for new tables'), (3, 'for empty tables'),
        (4, 'that knows the tables')) as w (look, what) on w.look = f.look
order by f.look;

select finish();
