-- SPDX-License-Identifier: MIT
--
-- The client half: intents, messages, events, and what monitoring reads.

select plan(55);

create function test.start(
    ids text[],
    names text[],
    inputs text[] default array[null]
)
returns text
language sql
volatile
return (
    select coalesce(string_agg(s.kind || ' ' || s."position" || ' '
        || s.outcome, ', ' order by s.kind, s."position"), 'nothing')
    from durable.client_submit(ids, names, array_fill('main'::text,
        array[cardinality(ids)]), array_fill(inputs[1],
        array[cardinality(ids)]), 'app', '{}', '{}', '{}', '{}', '{}') as s);

create function test.send(
    ids text[],
    messages text[],
    keys text[],
    name text default 'job',
    topic text default 'topic'
)
returns text
language sql
volatile
return (
    select coalesce(string_agg(s.kind || ' ' || s."position" || ' '
        || s.outcome, ', ' order by s.kind, s."position"), 'nothing')
    from durable.client_submit('{}', '{}', '{}', '{}', 'app', ids,
        array_fill(name, array[cardinality(ids)]), array_fill(topic,
        array[cardinality(ids)]), messages, keys) as s);

-- Starting.

select is(test.start('{a}', '{job}'), 'start 1 created',
    'an unknown id starts a workflow');
select is((s.status, s.name, s.queue_name, s.application_name, s.serialization,
        s.priority, s.recovery_attempts, s.application_id, s.executor_id)::text,
    '(ENQUEUED,job,main,app,portable_json,0,0,"","")',
    'it is enqueued as a client of the family would')
from dbos.workflow_status as s;
select ok(s.owner_xid is null and s.creator_xid is not null
    and s.class_name is null and s.config_name is null
    and s.application_version is null and s.authenticated_roles is null
    and s.completed_at is null and s.started_at_epoch_ms is null,
    'nobody runs it yet')
from dbos.workflow_status as s;
select is(inputs, '{"positionalArgs":[]}', 'without an argument')
from dbos.workflow_input;
select is(test.start('{b}', '{job}', array['{"n": 1}']), 'start 1 created',
    'another one starts with an argument');
select is(inputs, '{"positionalArgs":[{"n": 1}]}', 'which is kept')
from dbos.workflow_input
where workflow_uuid = 'b';
select is(test.start('{b}', '{job}', array['2']), 'start 1 exists',
    'a known id starts nothing');
select is(inputs, '{"positionalArgs":[{"n": 1}]}', 'nor changes anything')
from dbos.workflow_input
where workflow_uuid = 'b';
select is(test.start('{b}', '{other}'), 'start 1 conflict',
    'an id belongs to one kind of workflow');
select is(name, 'job', 'which stays what it was')
from dbos.workflow_status
where workflow_uuid = 'b';
select is(test.start('{c,a,d}', '{job,job,job}'),
    'start 1 created, start 2 exists, start 3 created',
    'each start of a batch has its answer');
select is(test.start('{e,e}', '{job,job}'),
    'start 1 created, start 2 created',
    'two clicks in one batch are answered alike');
select is(count(*), 1::bigint, 'and are one workflow')
from dbos.workflow_status
where workflow_uuid = 'e';
select matches(test.start('{f,f}', '{job,other}'),
    '^start 1 (created, start 2 conflict|conflict, start 2 created)$',
    'of two kinds in one batch one gets the id');
select is(test.start('{}', '{}'), 'nothing', 'an empty batch is none');
update dbos.workflow_status set status = 'SUCCESS' where workflow_uuid = 'c';
select is(test.start('{c}', '{job}'), 'start 1 exists',
    'a workflow that has ended is not started again');

insert into dbos.workflow_input values ('orphan', 'old');
select is(test.start('{orphan}', '{job}', array['1']), 'start 1 created',
    'an id of which something was left is as good as a new one');
select is(inputs, '{"positionalArgs":[1]}', 'with its own argument')
from dbos.workflow_input
where workflow_uuid = 'orphan';

-- Two sessions, one id.
select test.other('begin');
select test.other($$select outcome from durable.client_submit('{g}', '{job}',
    '{main}', '{null}', 'app', '{}', '{}', '{}', '{}', '{}')$$);
set lock_timeout = '50ms';
select throws_ok($$select test.start('{g}', '{job}')$$, '55P03', null,
    'who is second with an id waits for the first');
reset lock_timeout;
select test.other('commit');
select is(test.start('{g}', '{job}'), 'start 1 exists', 'and finds it');

-- Sending.

select is(test.send('{nobody}', '{1}', '{k}'), 'send 1 unknown',
    'there is nobody of that id to send to');
select is(test.send('{a}', '{1}', '{k}', 'other'), 'send 1 unknown',
    'nor of that id and kind');
select is(count(*), 0::bigint, 'and nothing was sent')
from dbos.notifications;
select is(test.send('{a}', array['"paid"'], '{k}'), 'send 1 sent',
    'a message is sent');
select is((n.destination_uuid, n.topic, n.message, n.serialization, n.consumed,
        n.message_uuid)::text,
    '(a,topic,"""paid""",portable_json,f,k::a)',
    'as a client of the family would')
from dbos.notifications as n;
select is(test.send('{a}', array['"failed"'], '{k}'), 'send 1 exists',
    'a key sends once');
select is(n.message, '"paid"', 'the first message')
from dbos.notifications as n;
select is(test.send('{a,b,nobody}', '{1,2,3}', '{l,k,k}'),
    'send 1 sent, send 2 sent, send 3 unknown',
    'each message of a batch has its answer');
select is(test.send('{b,b}', '{5,6}', '{m,m}'), 'send 1 sent, send 2 sent',
    'two in one batch with one key are answered alike');
select is(count(*), 1::bigint, 'and are one message')
from dbos.notifications
where message_uuid = 'm::b';
select is(test.send('{c}', '{1}', '{k}'), 'send 1 sent',
    'a workflow that has ended can be sent to');
select is((
    select string_agg(s.kind || ' ' || s."position" || ' ' || s.outcome, ', ')
    from durable.client_submit('{h}', '{job}', '{main}', '{null}', 'app',
        '{h}', '{job}', '{topic}', '{1}', '{k}') as s),
    'start 1 created, send 1 sent', 'one can be sent to as it is started');

-- Nobody waits for a turn.
select test.other('begin');
select test.other($$select status from dbos.workflow_status
    where workflow_uuid = 'a' for update$$);
select is(test.send('{a,b,a}', '{1,1,1}', '{n,n,k}'),
    'send 1 busy, send 2 sent, send 3 exists',
    'who is in a turn cannot be sent to; the others of the batch can');
select is(test.start('{a,i}', '{job,job}'),
    'start 1 exists, start 2 created', 'and what starts does not wait');
select test.other('rollback');
select is(test.send('{a}', '{2}', '{n}'), 'send 1 sent',
    'after the turn the message is sent');
select is(string_agg(message, ','), '2', 'once')
from dbos.notifications
where message_uuid = 'n::a';

-- Events.

create function test.events(ids text[], keys text[])
returns text
language sql
volatile
return (
    select coalesce(string_agg(e."position" || ' ' || e.present || ' '
        || coalesce(e.value, '-') || ' ' || e.ended, ', '
        order by e."position"), 'nothing')
    from durable.client_events(ids, keys) as e);

select is(test.events('{a}', '{x}'), 'nothing',
    'an event of a workflow that is enqueued is not decided');
update dbos.workflow_status set status = 'PENDING' where workflow_uuid = 'a';
select is(test.events('{a}', '{x}'), 'nothing', 'nor of one that is pending');
update dbos.workflow_status set status = 'DELAYED' where workflow_uuid = 'b';
select is(test.events('{b}', '{x}'), 'nothing', 'nor of one that is delayed');
select is(test.events('{c}', '{x}'), '1 false - true',
    'one that has ended will not set it any more');
select is(test.events('{nobody}', '{x}'), '1 false - true',
    'nor will one that is not there');
insert into dbos.workflow_events (workflow_uuid, key, value, serialization)
values ('a', 'x', '"v"', 'portable_json'), ('c', 'x', 'null', 'js_superjson');
select is(test.events('{a}', '{x}'), '1 true "v" false',
    'an event that is set is present');
select is(test.events('{c}', '{x}'), '1 true null false',
    'whatever became of its workflow');
select is((select e.serialization
    from durable.client_events('{c}', '{x}') as e), 'js_superjson',
    'with its format');
select is(test.events('{a,b,c,a}', '{y,x,y,x}'),
    '3 false - true, 4 true "v" false',
    'of many those that are decided are told');
select is(test.events('{}', '{}'), 'nothing', 'of none, none');
update dbos.workflow_status set status = s.status
from unnest('{a,b,e}'::text[], '{CANCELLED,ERROR,
    MAX_RECOVERY_ATTEMPTS_EXCEEDED}'::text[]) as s (id, status)
where workflow_uuid = s.id;
select is(test.events('{a,b,e}', '{y,y,y}'),
    '1 false - true, 2 false - true, 3 false - true',
    'however a workflow ended');

-- Monitoring.

select is(durable.daemon_alive(), false, 'no worker is connected');
select test.other('select pg_advisory_lock_shared(1146442305, 1)::text');
select is(durable.daemon_alive(), true, 'a worker is connected');
select is(count(*), 4::bigint, 'there are four gauges')
from durable.metrics();
select is(value, 1::double precision, 'one counts the workers')
from durable.metrics()
where name = 'daemon_workers';
select is(value, 6::double precision, 'one what is enqueued')
from durable.metrics()
where name = 'enqueued_workflows';
select test.clear(), test.waiting('due', -5000);
select ok(value between 5 and 6, 'one how late a worker is')
from durable.metrics()
where name = 'due_lag_seconds';
insert into durable.timer_groups (wake_at, type, size)
values (durable.now_ms() - 7000, 'job@1', 1);
select ok(value between 7 and 8, 'also by a timer group')
from durable.metrics()
where name = 'due_lag_seconds';
analyze durable.waits;
select is(value, 1::double precision, 'one what waits, after a look')
from durable.metrics()
where name = 'waiting_workflows';

select finish();
