-- SPDX-License-Identifier: MIT
--
-- The client half: intents, messages, events, and the figures for monitoring.

select plan(57);

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
    'a start enqueues as a client of the DBOS SDKs does')
from dbos.workflow_status as s;
select ok(s.owner_xid is null and s.creator_xid is not null
    and s.class_name is null and s.config_name is null
    and s.application_version is null and s.authenticated_roles is null
    and s.completed_at is null and s.started_at_epoch_ms is null,
    'a started workflow has no owner and no start time')
from dbos.workflow_status as s;
select is(inputs, '{"positionalArgs":[]}',
    'a start without input has no argument')
from dbos.workflow_input;
select is(test.start('{b}', '{job}', array['{"n": 1}']), 'start 1 created',
    'a start with an input creates a workflow');
select is(inputs, '{"positionalArgs":[{"n": 1}]}',
    'an input becomes the argument')
from dbos.workflow_input
where workflow_uuid = 'b';
select is(test.start('{b}', '{job}', array['2']), 'start 1 exists',
    'a known id starts nothing');
select is(inputs, '{"positionalArgs":[{"n": 1}]}',
    'a known id keeps its first input')
from dbos.workflow_input
where workflow_uuid = 'b';
select is(test.start('{b}', '{other}'), 'start 1 conflict',
    'an id belongs to one kind of workflow');
select is(name, 'job', 'a conflicting start leaves the workflow''s name')
from dbos.workflow_status
where workflow_uuid = 'b';
select is(test.start('{c,a,d}', '{job,job,job}'),
    'start 1 created, start 2 exists, start 3 created',
    'each start of a batch has its own answer');
select is(test.start('{e,e}', '{job,job}'),
    'start 1 created, start 2 created',
    'two starts of one id in a batch are both created');
select is(count(*), 1::bigint,
    'two starts of one id in a batch make one workflow')
from dbos.workflow_status
where workflow_uuid = 'e';
select matches(test.start('{f,f}', '{job,other}'),
    '^start 1 (created, start 2 conflict|conflict, start 2 created)$',
    'of two kinds with one id in a batch one is created');
select is(test.start('{}', '{}'), 'nothing', 'an empty batch has no answers');
update dbos.workflow_status set status = 'SUCCESS' where workflow_uuid = 'c';
select is(test.start('{c}', '{job}'), 'start 1 exists',
    'an ended workflow is not started again');

insert into dbos.workflow_input values ('orphan', 'old');
select is(test.start('{orphan}', '{job}', array['1']), 'start 1 created',
    'an id with only a left-over input starts a workflow');
select is(inputs, '{"positionalArgs":[1]}',
    'a start replaces a left-over input')
from dbos.workflow_input
where workflow_uuid = 'orphan';

-- Two sessions, one id.
select test.other('begin');
select test.other($$select outcome from durable.client_submit('{g}', '{job}',
    '{main}', '{null}', 'app', '{}', '{}', '{}', '{}', '{}')$$);
set lock_timeout = '50ms';
select throws_ok($$select test.start('{g}', '{job}')$$, '55P03', null,
    'a start waits for an uncommitted start of the same id');
reset lock_timeout;
select test.other('commit');
select is(test.start('{g}', '{job}'), 'start 1 exists',
    'a start finds a workflow that another session committed');

-- Sending.

select is(test.send('{absent}', '{1}', '{k}'), 'send 1 unknown',
    'a message to an unknown id is refused');
select is(test.send('{a}', '{1}', '{k}', 'other'), 'send 1 unknown',
    'a message to an id of another kind is refused');
select is(count(*), 0::bigint, 'a refused message is not written')
from dbos.notifications;
select is(test.send('{a}', array['"paid"'], '{k}'), 'send 1 sent',
    'a message to a known id is sent');
select is((n.destination_uuid, n.topic, n.message, n.serialization, n.consumed,
        n.message_uuid)::text,
    '(a,topic,"""paid""",portable_json,f,k::a)',
    'a message is written as a client of the DBOS SDKs does')
from dbos.notifications as n;
select is(test.send('{a}', array['"failed"'], '{k}'), 'send 1 exists',
    'a second message with the same key is not sent');
select is(n.message, '"paid"', 'the first message with a key stands')
from dbos.notifications as n;
select is(test.send('{a,b,absent}', '{1,2,3}', '{l,k,k}'),
    'send 1 sent, send 2 sent, send 3 unknown',
    'each message of a batch has its own answer');
select is(test.send('{b,b}', '{5,6}', '{m,m}'), 'send 1 sent, send 2 sent',
    'two messages with one key in a batch are both answered');
select is(count(*), 1::bigint,
    'two messages with one key in a batch make one message')
from dbos.notifications
where message_uuid = 'm::b';
select is(test.send('{c}', '{1}', '{k}'), 'send 1 sent',
    'a message can be sent to an ended workflow');
select is((
    select string_agg(s.kind || ' ' || s."position" || ' ' || s.outcome, ', ')
    from durable.client_submit('{h}', '{job}', '{main}', '{null}', 'app',
        '{h}', '{job}', '{topic}', '{1}', '{k}') as s),
    'start 1 created, send 1 sent',
    'a message can be sent in the batch of the start');

-- Clients do not wait for a turn.
select test.other('begin');
select test.other($$select status from dbos.workflow_status
    where workflow_uuid = 'a' for update$$);
select is(test.send('{a,b,a}', '{1,1,1}', '{n,n,k}'),
    'send 1 busy, send 2 sent, send 3 exists',
    'a message to a locked workflow is busy and delays no other');
select is(test.start('{a,i}', '{job,job}'),
    'start 1 exists, start 2 created',
        'a start does not wait for a locked workflow');
select test.other('rollback');
select is(test.send('{a}', '{2}', '{n}'), 'send 1 sent',
    'a busy message can be sent after the turn');
select is(string_agg(message, ','), '2', 'a message that was busy is sent once')
from dbos.notifications
where message_uuid = 'n::a';

-- Events.

create function test.events(ids text[], keys text[])
returns text
language sql
volatile
return (
    select coalesce(string_agg(e."position" || ' ' || e.present || ' '
        || coalesce(e.value, '-'), ', '
        order by e."position"), 'nothing')
    from durable.client_events(ids, keys) as e);

select is(test.events('{a}', '{x}'), 'nothing',
    'an enqueued workflow may still set its event');
update dbos.workflow_status set status = 'PENDING' where workflow_uuid = 'a';
select is(test.events('{a}', '{x}'), 'nothing',
    'a pending workflow may still set its event');
update dbos.workflow_status set status = 'DELAYED' where workflow_uuid = 'b';
select is(test.events('{b}', '{x}'), 'nothing',
    'a delayed workflow may still set its event');
select is(test.events('{c}', '{x}'), '1 false -',
    'an ended workflow will not set a missing event');
select is(test.events('{absent}', '{x}'), '1 false -',
    'an unknown workflow will not set an event');
insert into dbos.workflow_events (workflow_uuid, key, value, serialization)
values ('a', 'x', '"v"', 'portable_json'), ('c', 'x', 'null', 'js_superjson');
select is(test.events('{a}', '{x}'), '1 true "v"',
    'an event that is set is returned');
select is(test.events('{c}', '{x}'), '1 true null',
    'an event is returned after its workflow ended');
select is((select e.serialization
    from durable.client_events('{c}', '{x}') as e), 'js_superjson',
    'an event is returned with its format');
select is(test.events('{a,b,c,a}', '{y,x,y,x}'),
    '3 false -, 4 true "v"',
    'only events that are set or impossible are returned');
select is(test.events('{}', '{}'), 'nothing',
    'no events are returned for no workflows');
update dbos.workflow_status set status = s.status
from unnest('{a,b,e}'::text[], '{CANCELLED,ERROR,
    MAX_RECOVERY_ATTEMPTS_EXCEEDED}'::text[]) as s (id, status)
where workflow_uuid = s.id;
select is(test.events('{a,b,e}', '{y,y,y}'),
    '1 false -, 2 false -, 3 false -',
    'cancelled, failed and given-up workflows set no event');

-- Monitoring.

select is(durable.daemon_alive(), false,
    'daemon_alive is false without a worker');
select test.other('select pg_advisory_lock_shared(1146442305, 1)::text');
select is(durable.daemon_alive(), true, 'daemon_alive is true with a worker');
select is(count(*), 8::bigint, 'metrics returns eight gauges without labels')
from durable.metrics()
where labels = '';
select is(string_agg(format('%s %s', labels, value), ' '),
    '{queue="main"} 6', 'and the enqueued workflows of each queue')
from durable.metrics()
where name = 'queue_enqueued_workflows';
select ok(durable.metrics_page() ~ (E'# HELP durable_suspects [A-Z][^\n]*\n'
    '# TYPE durable_suspects gauge\ndurable_suspects 0\n'),
    'metrics_page is what Prometheus reads');
select is(value, 1::double precision, 'daemon_workers counts the workers')
from durable.metrics()
where name = 'daemon_workers';
select is(value, 6::double precision,
    'enqueued_workflows counts the enqueued workflows')
from durable.metrics()
where name = 'enqueued_workflows';
select test.clear(), test.waiting('due', -5000);
select ok(value between 5 and 6,
    'due_lag_seconds is the lateness of the oldest due wait')
from durable.metrics()
where name = 'due_lag_seconds';
insert into durable.timer_groups (wake_at, type, size)
values (durable.now_ms() - 7000, 'job@1', 1);
select ok(value between 7 and 8, 'due_lag_seconds includes timer groups')
from durable.metrics()
where name = 'due_lag_seconds';
analyze durable.waits;
select is(value, 1::double precision,
    'waiting_workflows counts the waits after an analyze')
from durable.metrics()
where name = 'waiting_workflows';

select finish();
