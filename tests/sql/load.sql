-- SPDX-License-Identifier: MIT
--
-- What a worker reads of the workflows of its turn.

select plan(22);

-- Workflows and their journals.

select test.workflow('fresh', version => '1'), test.waiting('older', -10),
    test.workflow('any', 'PENDING', name => 'task');
update dbos.workflow_status
set workflow_timeout_ms = 5000, workflow_deadline_epoch_ms = 99
where workflow_uuid = 'fresh';
update dbos.workflow_input set inputs = 'in' where workflow_uuid = 'fresh';
delete from dbos.workflow_input where workflow_uuid = 'older';
update dbos.workflow_status set inputs = 'legacy'
where workflow_uuid = 'older';
update dbos.workflow_status set application_version = ''
where workflow_uuid = 'any';
insert into dbos.operation_outputs (workflow_uuid, function_id, function_name,
    output, error, child_workflow_id, serialization, started_at_epoch_ms,
    completed_at_epoch_ms)
values ('older', 10, 'tenth', null, 'e', null, 'portable_json', 3, 4),
    ('older', 9, 'ninth', 'o', null, 'c', null, 1, 2),
    ('stranger', 1, 'first', 'o', null, null, null, 1, 2);
create table test.loaded as
select t.*
from durable.turn_load('{older,fresh,gone,any}') as t;
select is(string_agg(t.workflow_uuid, ','), 'older,fresh,any',
    'turn_load returns the workflows in the order of the ids')
from test.loaded as t;
select is((is_enqueued, name, version, input, serialization, timeout_ms,
    deadline_ms)::text, '(t,job,1,in,portable_json,5000,99)',
    'a new workflow has its input, version, time-out and deadline')
from test.loaded
where workflow_uuid = 'fresh';
select is((is_enqueued, version, input, timeout_ms, deadline_ms)::text,
    '(f,1,legacy,,)',
    'a workflow has the input of workflow_status if no other')
from test.loaded
where workflow_uuid = 'older';
select is((name, version)::text, '(task,)',
    'a workflow that asks for no version has none')
from test.loaded
where workflow_uuid = 'any';
select is((step_numbers, step_names, step_outputs, step_errors,
    step_serializations, step_children, step_started_ms)::text,
    '("{9,10}","{ninth,tenth}","{o,NULL}","{NULL,e}","{NULL,portable_json}",'
    '"{c,NULL}","{1,3}")', 'a workflow has its steps in order')
from test.loaded
where workflow_uuid = 'older';
select is((step_numbers, step_names, step_outputs, step_errors,
    step_serializations, step_children, step_started_ms)::text, '(,,,,,,)',
    'a new workflow has no steps')
from test.loaded
where workflow_uuid = 'fresh';
select is(count(*), 0::bigint, 'no ids load no workflow')
from durable.turn_load('{}');

-- Unread messages.

insert into dbos.notifications (message_uuid, destination_uuid, topic, message,
    serialization, created_at_epoch_ms, consumed)
values ('m1', 'older', 't', 'second', 'portable_json', 7, false),
    ('m2', 'older', 't', 'third', 'portable_json', 7, false),
    ('m3', 'older', 't', 'first', 'js_superjson', 6, false),
    ('m4', 'older', 't', 'read', 'portable_json', 1, true),
    ('m5', 'fresh', null, 'early', 'portable_json', 1, false),
    ('m6', 'any', 't', 'not asked for', 'portable_json', 1, false);
create table test.inbox as
select m.*
from durable.turn_inbox('{older,fresh}') as m;
select is(string_agg(m.message, ','), 'first,second,third,early',
    'turn_inbox returns unread messages in the order of the ids and by time')
from test.inbox as m;
select is(string_agg((m.*)::text, ' '),
    '(older,m3,t,first,js_superjson,6,) (fresh,m5,,early,portable_json,1,)',
    'a message has its id, topic, format and time')
from test.inbox as m
where m.message_uuid in ('m3', 'm5');
select is(count(*), 0::bigint, 'no ids have no messages')
from durable.turn_inbox('{}');

-- I5: the messages that came before the lock are seen, because each call has a
-- snapshot of its own; none can come before the turn ends.

delete from dbos.notifications;
begin;
select test.taken(only_ids => '{older}');
select test.other($$set lock_timeout = '50ms'$$);
select throws_ok($$select test.other('insert into dbos.notifications
    (destination_uuid, topic, message) values (''older'', ''t'', ''late'')')$$,
    '55P03', null, 'no message comes to a workflow of a turn');
rollback;
begin;
select count(*) from dbos.notifications;
select test.other($$insert into dbos.notifications (destination_uuid, topic,
    message) values ('older', 't', 'before the lock')$$);
select test.taken(only_ids => '{older}');
select is(string_agg(m.message, ','), 'before the lock',
    'a turn sees a message that came after its begin and before its lock')
from durable.turn_inbox('{older}') as m;
rollback;
select test.clear();

-- The events and results of other workflows.

-- A turn reads no deleted steps, which a vacuum has yet to remove.
select test.workflow('long', 'PENDING');
insert into dbos.operation_outputs (workflow_uuid, function_id, function_name)
select 'long', n, 'step'
from generate_series(0, 9999) as n;
select durable.turn_continue('{long}', '{4999}', '{1}'),
    durable.turn_continue('{long}', '{9998}', '{2}');
select is(l.step_numbers, '{9998,9999}',
    'a journal begins with the last wf_continue')
from durable.turn_load('{long}') as l;
select cmp_ok(test.blocks_read($$select from durable.turn_load('{long}')$$,
    'dbos.operation_outputs_pkey'), '<', 10::numeric,
    'turn_load does not look for the steps before wf_continue');
delete from dbos.workflow_status where workflow_uuid = 'long';

select test.workflow('w');
select is(count(*), 0::bigint, 'an event that is not set has no value')
from durable.workflow_event('w', 'k') as e;
insert into dbos.workflow_events (workflow_uuid, key, value, serialization)
values ('w', 'k', 'v', 'js_superjson');
select is((e.*)::text, '(v,js_superjson)', 'an event has its value and format')
from durable.workflow_event('w', 'k') as e;
select is(count(*), 0::bigint, 'an event of another key has no value')
from durable.workflow_event('w', 'other');
select is(count(*), 0::bigint,
    'an event of another workflow has no value')
from durable.workflow_event('x', 'k');
select is(count(*), 0::bigint,
    'workflow_result of an unknown workflow is empty')
from durable.workflow_result('x');
select is((r.*)::text, '(ENQUEUED,,,portable_json)',
    'workflow_result of a workflow that has not ended has its status')
from durable.workflow_result('w') as r;
update dbos.workflow_status
set status = 'CANCELLED', output = 'o', error = 'e';
select is((r.*)::text, '(CANCELLED,o,e,portable_json)',
    'workflow_result finds the output of workflow_status, too')
from durable.workflow_result('w') as r;
insert into dbos.workflow_output (workflow_uuid, output, error)
values ('w', 'newer', 'later');
select is((r.*)::text, '(CANCELLED,newer,later,portable_json)',
    'workflow_result prefers the output of workflow_output')
from durable.workflow_result('w') as r;
select finish();
