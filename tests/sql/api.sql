-- SPDX-License-Identifier: MIT
--
-- The functions for clients in any language: what they write is what the clients
-- of the DBOS SDKs write, and a member of durable_client may call them all.

select plan(65);

create role member in role durable_client;

-- Starting.

select is(test.as_role('member', $$select durable.start_workflow('job', 'main',
    array['1'::json], '{"n": 2}', workflow_id => 'a', priority => 3,
    application_name => 'app', app_version => '1', timeout_ms => 5000,
    attributes => '{"customer": 7}')$$), 'a', 'a member starts a workflow');
select is((s.status, s.name, s.queue_name, s.priority, s.application_name,
        s.application_version, s.workflow_timeout_ms, s.attributes,
        s.serialization)::text,
    '(ENQUEUED,job,main,3,app,1,5000,"{""customer"": 7}",portable_json)',
    'with its options')
from dbos.workflow_status as s;
select is(durable.start_workflow('job', 'main', array['5'::json],
    workflow_id => 'a'), 'a', 'a known id starts nothing');
select is(i.inputs::json ->> 'positionalArgs', '[1]',
    'and keeps its first input')
from dbos.workflow_input as i;
select throws_ok($$select durable.start_workflow('other', 'main',
    workflow_id => 'a')$$, '23505', null,
    'an id belongs to one kind of workflow');
select durable.start_workflow('job', 'main', workflow_id => 'b',
    deduplication_id => 'd', delay_ms => 60000);
select is((s.status, s.delay_until_epoch_ms > durable.now_ms() + 50000)::text,
    '(DELAYED,t)', 'a delay delays')
from dbos.workflow_status as s
where s.workflow_uuid = 'b';
select throws_ok($$select durable.start_workflow('job', 'main',
    deduplication_id => 'd')$$, '23505', 'DBOS queue duplicated',
    'a deduplication id starts one workflow');
select is(durable.start_workflow('job', 'main', deduplication_id => 'd',
    join_duplicate => true), 'b', 'or joins the one that is there');
select matches(durable.start_workflow('job', 'main'), '^[0-9a-f-]{36}$',
    'an id is made where there is none');
select throws_ok($$select durable.start_workflow('', 'main')$$, 'P0001', null,
    'a name is wanted');
delete from dbos.workflow_status
where workflow_uuid not in ('a', 'b');

-- Reading.

select is(test.as_role('member', $$select (w.workflow_id, w.status, w.name,
    w.input, w.output, w.error, w.attributes, w.created_at <= now())::text
    from durable.get_workflow('a') as w$$),
    '(a,ENQUEUED,job,"{""positionalArgs"" : [1], ""namedArgs"" : '
    '{""n"": 2}}",,,"{""customer"": 7}",t)',
    'get_workflow has status and input');
select is(count(*), 0::bigint, 'and no row for an unknown id')
from durable.get_workflow('absent');
insert into dbos.workflow_output (workflow_uuid, output, error)
values ('a', '{"x":1}', null), ('b', null, '{"message":"m"}');
select is((w.output ->> 'x', w.error)::text, '(1,)', 'and the output')
from durable.get_workflow('a') as w;
select is(w.error ->> 'message', 'm', 'and the error')
from durable.get_workflow('b') as w;
select is(durable.as_json('{"json":[1],"__dbos_serializer":"superjson"}',
    'js_superjson')::text, '[1]', 'a value of the SDK for TypeScript is read');
select is(durable.as_json('gASVBgAA', 'py_pickle')::text, '"gASVBgAA"',
    'a value that is no JSON is a string');
select is(durable.as_json(null, 'portable_json')::text, null,
    'no value is null');
update dbos.workflow_status
set inputs = '{"positionalArgs":["old"]}'
where workflow_uuid = 'b';
delete from dbos.workflow_input
where workflow_uuid = 'b';
select is(w.input::text, '{"positionalArgs":["old"]}',
    'an input of an older SDK is found')
from durable.get_workflow('b') as w;

insert into dbos.operation_outputs (workflow_uuid, function_id, function_name,
    output, error, child_workflow_id, serialization, started_at_epoch_ms)
values ('a', 1, 'two', null, '{"message":"e"}', null, 'portable_json', null),
    ('a', 0, 'one', '1', null, 'child', 'portable_json', 1000);
select is(string_agg((l.step, l.name, l.output, l.error, l.child_workflow_id,
    l.started_at at time zone 'UTC')::text, ' '),
    '(0,one,1,,child,"1970-01-01 00:00:01") '
    '(1,two,,"{""message"":""e""}",,)', 'list_steps has the journal in order')
from durable.list_steps('a') as l;

select is(durable.get_event('a', 'k')::text, null, 'an event is null at first');
insert into dbos.workflow_events (workflow_uuid, key, value, serialization)
values ('a', 'k', '"v"', 'portable_json');
select is(test.as_role('member', $$select durable.get_event('a', 'k')$$), '"v"',
    'an event is read');
insert into dbos.streams (workflow_uuid, key, value, "offset", serialization)
values ('a', 's', '1', 0, 'portable_json'), ('a', 's', '2', 1, 'portable_json'),
    ('a', 's', '"__DBOS_STREAM_CLOSED__"', 2, 'portable_json');
select is(string_agg(r::text, ' '), '(0,1) (1,2)', 'a stream is read to its end')
from durable.read_stream('a', 's') as r;
select is(string_agg(r::text, ' '), '(1,2)', 'or from an offset')
from durable.read_stream('a', 's', 1) as r;

-- Listing.

create function test.listed(filters text)
returns text
language plpgsql
as $$
declare
    result text;
begin
    execute 'select string_agg(l.workflow_id, '','') from durable.list_workflows('
        || filters || ') as l' into result;
    return result;
end
$$;
select test.clear();
insert into dbos.workflow_status (workflow_uuid, status, name, queue_name,
    application_name, created_at)
values ('p-1', 'SUCCESS', 'job', 'main', 'app', 1000),
    ('p-2', 'ERROR', 'job', 'second', 'app', 2000),
    ('q_3', 'PENDING', 'other', 'main', null, 3000),
    ('q4', 'ENQUEUED', 'job', 'main', 'app', 4000),
    ('q5', 'DELAYED', 'job', 'main', 'app', 4000);
select is(test.as_role('member', $$select test.listed('')$$),
    'q5,q4,q_3,p-2,p-1', 'workflows are listed, the newest first');
select is(test.listed($$status => '{ERROR}'$$), 'p-2', 'of a status');
select is(test.listed($$status => '{ERROR,ENQUEUED}'$$), 'q4,p-2',
    'of several');
select is(test.listed($$name => 'other'$$), 'q_3', 'of a name');
select is(test.listed($$queue_name => 'second'$$), 'p-2', 'of a queue');
select is(test.listed($$application_name => 'app', status => '{SUCCESS}'$$),
    'p-1', 'of an application and a status');
select is(test.listed($$created_from => 'epoch'::timestamptz + '2s',
    created_until => 'epoch'::timestamptz + '4s'$$), 'q_3,p-2',
    'of a time, of which the end is exclusive');
select is(test.listed($$id_prefix => 'p-'$$), 'p-2,p-1', 'of a prefix');
select is(test.listed($$id_prefix => 'q_'$$), 'q_3',
    'which is taken as it is written');
select is(test.listed('max_rows => 2, skip_rows => 1'), 'q4,q_3', 'in pages');
insert into dbos.workflow_input
values ('q4', '{"positionalArgs":[1]}');
select is(l.input::text, null, 'without their values')
from durable.list_workflows(status => '{ENQUEUED}') as l;
select is(l.input ->> 'positionalArgs', '[1]', 'or with them')
from durable.list_workflows(status => '{ENQUEUED}', with_values => true) as l;

-- Messages.

select is(test.as_role('member', $$select durable.send_message('q4', '"m"', 't',
    'key')$$), '', 'a member sends a message');
select durable.send_message('q4', '"again"', 't', 'key');
select is(string_agg((n.message_uuid, n.topic, n.message,
    n.serialization)::text, ' '), '(key::q4,t,"""m""",portable_json)',
    'a key sends one message, as with the SDKs')
from dbos.notifications as n;
select durable.send_message('q4', '1'), durable.send_message('q4', '1');
select is(count(*), 2::bigint, 'without a key each is a message')
from dbos.notifications
where topic = '__null__topic__';
select throws_ok($$select durable.send_message('absent', '1')$$, '23503', null,
    'a message to an unknown workflow fails');

-- Control.

update dbos.workflow_status
set parent_workflow_id = 'q4'
where workflow_uuid = 'q_3';
select is(test.as_role('member', $$select durable.cancel_workflow('q4')$$),
    'CANCELLED', 'a member cancels a workflow');
select is(durable.status_of('q_3'), 'PENDING', 'alone');
select is(durable.cancel_workflow('q4', children => true), 'CANCELLED',
    'a cancelled workflow stays so');
select is(durable.status_of('q_3'), 'CANCELLED', 'or with its children');
select is(durable.cancel_workflow('p-1'), 'SUCCESS',
    'an ended workflow is not cancelled');
select is(durable.cancel_workflow('absent'), null,
    'an unknown workflow is told');
select is(test.as_role('member', $$select durable.resume_workflow('q4')$$),
    'ENQUEUED', 'a member resumes a workflow');
select is(s.queue_name, '_dbos_internal_queue', 'in the internal queue')
from dbos.workflow_status as s
where s.workflow_uuid = 'q4';
select is(durable.resume_workflow('absent'), null,
    'an unknown workflow is not resumed');

insert into dbos.operation_outputs (workflow_uuid, function_id, function_name,
    output)
select 'q4', n, 'step', n::text
from generate_series(0, 3) as n;
insert into dbos.workflow_events_history (workflow_uuid, function_id, key, value)
values ('q4', 1, 'k', '1'), ('q4', 2, 'k', '2'), ('q4', 3, 'k', '3');
insert into dbos.streams (workflow_uuid, key, value, "offset", function_id)
values ('q4', 's', '0', 0, 0), ('q4', 's', '1', 1, 3);
select is(test.as_role('member', $$select durable.fork_workflow('q4', 3,
    'fork')$$), 'fork', 'a member forks a workflow');
select is((s.status, s.name, s.queue_name, s.application_name, s.forked_from,
    (select count(*) from durable.list_steps('fork')),
    durable.get_event('fork', 'k'),
    (select count(*) from durable.read_stream('fork', 's')),
    (select i.inputs from dbos.workflow_input as i
        where i.workflow_uuid = 'fork'))::text,
    '(ENQUEUED,job,_dbos_internal_queue,app,q4,3,2,1,'
    '"{""positionalArgs"":[1]}")',
    'with its input, its first steps and what they published')
from dbos.workflow_status as s
where s.workflow_uuid = 'fork';
select ok(s.was_forked_from, 'the first one is marked')
from dbos.workflow_status as s
where s.workflow_uuid = 'q4';
select is(durable.fork_workflow('q4', 0, 'fork'), 'fork',
    'a fork is repeated safely');
select throws_ok($$select durable.fork_workflow('q4', 0, 'q_3')$$, '23505', null,
    'a fork does not take the id of another workflow');
select is(durable.fork_workflow('absent'), null,
    'an unknown workflow is not forked');
select is(test.as_role('member', $$select durable.delete_workflow('q4')$$),
    'true', 'a member deletes a workflow');
select is(count(*), 0::bigint, 'with its journal')
from durable.list_steps('q4');
select is(durable.delete_workflow('q4'), false,
    'a second time there is none');
select test.workflow('up', 'SUCCESS'), test.workflow('down', parent => 'up'),
    test.workflow('deeper', parent => 'down');
select durable.delete_workflow('up', children => true);
select is(durable.status_of('deeper'), null, 'its descendants are deleted, too');

-- Queues.

select test.clear(), test.workflow('w', queue => 'loose'),
    test.workflow('v', 'PENDING', 'loose');
select is(test.as_role('member', $$select durable.register_queue('slow',
    concurrency => 4, rate_limit_max => 50, rate_limit_period_sec => 1)$$), '',
    'a member registers a queue');
select is(string_agg((q.name, q.registered, q.enqueued, q.running,
    q.concurrency, q.rate_limit_max)::text, ' '),
    '(loose,f,1,1,,) (slow,t,0,0,4,50)',
    'registered queues and used ones are listed')
from durable.list_queues() as q;
select durable.register_queue('slow', application_name => 'app');
select is((q.concurrency, q.application_name)::text, '(,app)',
    'registering again replaces the limits')
from durable.list_queues() as q
where q.name = 'slow';
select throws_ok($$select durable.register_queue('slow',
    application_name => 'another')$$, '23505', null,
    'a queue belongs to one application');

-- Privileges.

select is(test.as_role('member', statement), '42501',
    'a member is refused: ' || statement)
from unnest(array['select * from dbos.workflow_status',
    'select durable.control(''{a}'', ''{cancel}'')']) as statement;
reset role;
drop role member;
select ok(count(*) >= 9, 'figures are told')
from durable.client_metrics();
select finish();
