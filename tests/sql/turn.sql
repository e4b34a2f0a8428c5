-- SPDX-License-Identifier: MIT
--
-- The turn: the workflows that it takes, their order, and its writes.

select plan(175);

-- Taking from queues.

select is(test.taken(), '', 'nothing is due in a new database');
select is((t.kind, t.workflow_uuid, t.number, t.name, t.until_ms)::text,
    '(turn,,0,,)', 'a turn without work returns its own row alone')
from durable.turn_begin('{job@}', '{main}', 'app', 64, null) as t;
select ok(abs(t.at_ms - extract(epoch from clock_timestamp()) * 1000) < 1000,
    'a turn has the time of the database')
from durable.turn_begin('{job@}', '{main}', 'app', 64, null) as t;

select test.workflow(id) from unnest('{c,a,b}'::text[]) as id;
update dbos.workflow_status as s
set created_at = n.at, priority = n.priority
from unnest('{a,b,c}'::text[], '{2,1,3}'::int[], '{0,0,5}'::int[])
    as n (id, at, priority)
where s.workflow_uuid = n.id;
select is(test.taken(), 'b,a,c', 'a queue is taken in the order of creation');
update dbos.workflow_status set priority = 1 where workflow_uuid = 'b';
select is(test.taken(), 'a,b,c', 'a lower priority number is taken first');
select is(test.taken(2), 'a,b',
    'a turn takes no more of a queue than asked for');
select test.workflow('d', queue => 'second');
select is(test.taken(1), 'a,d', 'a turn takes as many of each queue');
select is(test.taken(queues => '{second,main}'), 'd,a,b,c',
    'the queues are taken in their given order');
select is(test.taken(queues => '{second}'), 'd',
    'a queue that is not named is not taken');
select is(test.taken(queues => '{}'), '', 'without queues nothing is taken');
select is(test.taken(types => '{other@}'), '',
    'a type that is not served is not taken');
select test.clear();

select test.workflow('any'), test.workflow('old', version => '1'),
    test.workflow('new', version => '2');
select is(test.sorted(test.taken()), 'any,old',
    'our versions and workflows without a version are taken');
select is(test.taken(types => '{job@1}'), 'old',
    'a type of one version takes that version alone');
select is(test.sorted(test.taken(types => '{job@2,job@}')), 'any,new',
    'a type of another version takes that version');
select test.clear();

select test.workflow('ours'), test.workflow('free', application => null),
    test.workflow('theirs', application => 'other');
select is(test.sorted(test.taken()), 'free,ours',
    'workflows of ours and of no application are taken');
select is(test.sorted(test.taken(only_ids => '{ours,free}')), 'free,ours',
    'workflows of ours and of no application are taken by id');
select test.clear();

select test.workflow(status, status)
from unnest('{PENDING,DELAYED,CANCELLED,SUCCESS,ERROR,
    MAX_RECOVERY_ATTEMPTS_EXCEEDED}'::text[]) as status;
select is(test.taken(), '', 'only enqueued workflows are taken from a queue');
select is(test.taken(only_ids => array_agg(workflow_uuid)), '',
    'only enqueued workflows are taken from a queue by id')
from dbos.workflow_status;
select test.clear();

-- Taking from waits.

select test.waiting('soon', 1000), test.waiting('late', -10),
    test.waiting('later', -20), test.workflow('enqueued');
select is(test.sorted(test.taken()), 'enqueued,late,later',
    'a waiting workflow is taken when it is due');
select is(test.taken(1), 'later,enqueued',
    'the most overdue wait is taken first, and waits before queues');
select is(test.sorted(test.taken(only_ids => '{soon,late,enqueued}')),
    'enqueued,late', 'a waiting workflow is taken by id only when it is due');
select is(t.until_ms, w.wake_at, 'a turn returns the time of the next due wait')
from durable.turn_begin('{job@1}', '{main}', 'app', 64, null) as t
join durable.waits as w on w.workflow_uuid = 'soon'
where t.kind = 'turn';
update durable.waits set wake_at = 0 where workflow_uuid <> 'soon';
select is(t.number, 0, 'a turn counts no suspects in a healthy database')
from durable.turn_begin('{job@1}', '{main}', 'app', 64, null) as t
where t.kind = 'turn';
update dbos.workflow_status set status = 'CANCELLED'
where workflow_uuid = 'late';
update durable.waits set type = 'job@2' where workflow_uuid = 'later';
select is(test.taken(), 'enqueued',
    'cancelled workflows and other versions are not taken');
select test.clear();

select test.waiting('theirs', -10);
update dbos.workflow_status set application_name = 'other';
select is(test.taken(), '',
    'a waiting workflow of another application is not taken');
select is(count(*), 1::bigint,
    'a wait of another application is kept') from durable.waits;
insert into durable.suspects values ('theirs', 1);
select is(count(*), 0::bigint,
    'a suspect of another application gets no attempt')
from durable.turn_attempt('{job@1}', 'app', 3);
select test.clear();

select test.waiting('ended', -10), test.waiting('gone', -10);
update dbos.workflow_status set status = 'SUCCESS'
where workflow_uuid = 'ended';
alter table dbos.workflow_status disable trigger user;
delete from dbos.workflow_status where workflow_uuid = 'gone';
alter table dbos.workflow_status enable trigger user;
select is(test.taken(), '', 'a wait without a workflow is not taken');
update durable.waits set wake_at = wake_at - 1000;
select test.waiting('alive', -5000);
select durable.sweep('{job@1}', 'app');
delete from durable.waits where workflow_uuid = 'alive';
select is(count(*), 0::bigint,
    'the sweep deletes waits without a workflow that can run')
from durable.waits;
select test.clear();

-- Locked rows may be released without a notification.

create function test.comes_back_soon()
returns boolean
language sql
return (
    select coalesce(t.until_ms < t.at_ms + 1000, false)
    from durable.turn_begin('{job@1,job@}', '{main}', 'app', 64, null) as t
    where t.kind = 'turn');
select test.workflow('free'), test.workflow('queued'),
    test.waiting('waits', -10);
select ok(not test.comes_back_soon(),
    'a turn that took every due workflow may sleep long');
select test.other('begin');
select test.other($$select workflow_uuid from dbos.workflow_status
    where workflow_uuid = 'waits' for update$$);
select is(test.sorted(test.taken()), 'free,queued',
    'a turn skips a due workflow that is locked');
select ok(test.comes_back_soon(),
    'a turn that skipped a due workflow polls again soon');
select test.waiting('soon', 60);
select ok(t.until_ms < t.at_ms + 100,
    'a turn that skipped a workflow sleeps until the next is due')
from durable.turn_begin('{job@1,job@}', '{}', 'app', 64, null) as t
where t.kind = 'turn';
delete from dbos.workflow_status where workflow_uuid = 'soon';
select test.other('rollback');
select test.other('begin');
select test.other($$select workflow_uuid from dbos.workflow_status
    where workflow_uuid = 'queued' for update$$);
select is(test.sorted(test.taken()), 'free,waits',
    'a turn skips an enqueued workflow that is locked');
select ok(test.comes_back_soon(),
    'a turn that skipped an enqueued workflow polls again soon');
select test.other('rollback');
select test.clear();
select test.waiting('theirs', -10);
update dbos.workflow_status set application_name = 'other';
select ok(not test.comes_back_soon(),
    'a turn does not poll soon for another application');
select test.clear();

-- The rows of a turn.

select test.workflow('fresh', version => '1'), test.waiting('older', -10);
update dbos.workflow_status
set workflow_timeout_ms = 5000, workflow_deadline_epoch_ms = 99
where workflow_uuid = 'fresh';
update dbos.workflow_input set inputs = 'in' where workflow_uuid = 'fresh';
delete from dbos.workflow_input where workflow_uuid = 'older';
update dbos.workflow_status set inputs = 'legacy'
where workflow_uuid = 'older';
insert into dbos.operation_outputs (workflow_uuid, function_id, function_name,
    output, error, child_workflow_id, serialization, started_at_epoch_ms,
    completed_at_epoch_ms)
values ('older', 10, 'tenth', null, 'e', null, 'portable_json', 3, 4),
    ('older', 9, 'ninth', 'o', null, 'c', null, 1, 2),
    ('stranger', 1, 'first', 'o', null, null, null, 1, 2);
insert into dbos.notifications (message_uuid, destination_uuid, topic, message,
    created_at_epoch_ms, consumed)
values ('m2', 'older', 't', 'second', 7, false),
    ('m1', 'older', 't', 'third', 7, false),
    ('m3', 'older', 't', 'first', 6, false),
    ('m4', 'older', 't', 'read', 1, true);
update dbos.notifications set message = 'second' where message_uuid = 'm1';
update dbos.notifications set message = 'third' where message_uuid = 'm2';
create table test.told as
select t.*
from durable.turn_begin('{job@1}', '{main}', 'app', 64, null) with ordinality
    as t (kind, workflow_uuid, number, name, value, serialization, other,
    at_ms, until_ms, tid, timer_group, timer_group_size, step_numbers,
        step_names,
    step_outputs, step_errors, step_serializations, step_children,
    step_started_ms, place);
select is(string_agg(kind, ',' order by place),
    'workflow,workflow,message,message,message,turn',
    'a turn returns workflows, messages and its own row')
from test.told;
select is((workflow_uuid, number, name, value, serialization, other, at_ms,
    until_ms)::text, '(fresh,1,job,in,portable_json,1,5000,99)',
    'a new workflow has its input, version, time-out and deadline')
from test.told
where kind = 'workflow'
    and workflow_uuid = 'fresh';
select is((workflow_uuid, number, value)::text, '(older,0,legacy)',
    'a workflow has the input of workflow_status if no other')
from test.told
where kind = 'workflow'
    and workflow_uuid = 'older';
select is((step_numbers, step_names, step_outputs, step_errors,
    step_serializations, step_children, step_started_ms)::text,
    '("{9,10}","{ninth,tenth}","{o,NULL}","{NULL,e}","{NULL,portable_json}",'
    '"{c,NULL}","{1,3}")', 'a workflow has its steps in order')
from test.told
where kind = 'workflow'
    and workflow_uuid = 'older';
select is(count(step_numbers), 0::bigint, 'a new workflow has no steps')
from test.told
where workflow_uuid = 'fresh';
select is(string_agg(workflow_uuid || ' ' || name || ' ' || value || ' '
    || other, ', ' order by place),
    'older t first m3, older t second m1, older t third m2',
    'a workflow has its unread messages in order')
from test.told
where kind = 'message';
select test.clear();

-- The journal cache.

select test.waiting('w' || n, -10) from generate_series(1, 4) as n;
update durable.waits as w
set cache_tag = t.cache_tag
from (values ('w1', 9), ('w2', 10), ('w3', 11)) as t (id, cache_tag)
where t.id = w.workflow_uuid;
select test.workflow('new');
select is(string_agg(t.kind || ' ' || coalesce(t.workflow_uuid, t.value) || ' '
        || coalesce(t.at_ms::text, '') || case
            when t.tid = w.ctid or t.other = array[w.ctid]::text
            then ' placed' else '' end,
        ', ' order by t.kind, t.workflow_uuid),
    'cached {w2} 10 placed, workflow new , workflow w1  placed, '
        'workflow w3  placed, workflow w4  placed',
    'only waits with a cache tag of the worker are not loaded')
from durable.turn_begin('{job@1,job@}', '{main}', 'app', 64, null, 10, 11)
    as t
left join durable.waits as w
    on w.workflow_uuid = coalesce(t.workflow_uuid, 'w2')
where t.kind <> 'turn';
select is(string_agg(distinct t.kind, ','), 'turn,workflow',
    'workflows taken by id are loaded whatever their cache tag')
from durable.turn_begin('{job@1,job@}', '{main}', 'app', 64, '{w1,w2}', 0,
    100) as t;
insert into dbos.notifications (message_uuid, destination_uuid, message)
values ('m', 'w2', 'hello');
select is(string_agg(t.workflow_uuid, ','), 'w2',
    'messages of cached workflows are loaded')
from durable.turn_begin('{job@1,job@}', '{main}', 'app', 64, null, 10, 11)
    as t
where t.kind = 'message';
delete from dbos.workflow_status where workflow_uuid <> 'w2';
select is(string_agg(t.workflow_uuid, ','), 'w2',
    'messages are loaded when all workflows are cached')
from durable.turn_begin('{job@1,job@}', '{main}', 'app', 64, null, 10, 11)
    as t
where t.kind = 'message';
select test.clear();

-- A worker's partition.

select test.waiting('mine', -10), test.waiting('others', -20),
    test.waiting('mine next', 60000), test.waiting('others next', 30000),
    test.workflow('new');
update durable.waits as w
set type = 'task@1'
where w.workflow_uuid like 'others%';
select is(string_agg(t.workflow_uuid, ', ' order by t.workflow_uuid),
    'mine, new', 'of due waits only types of the partition are taken')
from durable.turn_begin('{job@1,job@,task@1,task@}', '{main}', 'app', 64,
    null, due_types => '{job@1}') as t
where t.kind = 'workflow';
select ok(t.until_ms - t.at_ms > 30000,
    'a worker sleeps until the next wait of its partition')
from durable.turn_begin('{job@1,job@,task@1,task@}', '{}', 'app', 64,
    null, due_types => '{job@1}') as t
where t.kind = 'turn';
select test.clear();

-- Two workers.

select test.waiting('waits', -10), test.workflow('enqueued');
select test.other('begin');
select is(test.other($$select test.taken()$$), 'waits,enqueued',
    'another worker takes all work');
select is(test.taken(), '', 'a turn without free work does not wait for locks');
select is(test.taken(only_ids => '{waits,enqueued}'), '',
    'locked workflows are not taken by id');
select ok(t.until_ms - t.at_ms between 1 and 100,
    'a turn that found all locked polls again within 100 ms')
    from durable.turn_begin('{job@,job@1}', '{main}', 'app', 64, null) as t
where t.kind = 'turn';
select test.other('rollback');
select is(test.taken(), 'waits,enqueued',
    'the work of a dead worker is taken again');
select test.clear();

-- More than a turn may take.

select test.waiting('one', -10), test.waiting('two', -10);
select is(t.until_ms, t.at_ms, 'a turn that left due waits repeats at once')
from durable.turn_begin('{job@,job@1}', '{main}', 'app', 1, null) as t
where t.kind = 'turn';
select test.clear();
select test.workflow('one'), test.workflow('two');
select is(t.until_ms, t.at_ms,
    'a turn that left enqueued workflows repeats at once')
from durable.turn_begin('{job@,job@1}', '{main}', 'app', 1, null) as t
where t.kind = 'turn';
select is(t.until_ms, null, 'a turn that emptied its queue need not repeat')
from durable.turn_begin('{job@,job@1}', '{main}', 'app', 3, null) as t
where t.kind = 'turn';
select test.waiting('due', -10), test.waiting('later', 60000);
select is(string_agg((t.until_ms - t.at_ms)::text, ','), '0',
    'a repeated turn that is full repeats at once')
from durable.turn_begin('{job@,job@1}', '{main}', 'app', 2, null,
    again => true) as t
where t.kind = 'turn';
select is(string_agg((t.until_ms - t.at_ms)::text, ','), '1',
    'a repeated turn that is not full repeats after 1 ms')
from durable.turn_begin('{job@,job@1}', '{main}', 'app', 3, null,
    again => true) as t
where t.kind = 'turn';
delete from durable.waits where workflow_uuid = 'due';
select ok(t.until_ms - t.at_ms > 30000,
    'a repeated turn that took nothing returns the next due time')
from durable.turn_begin('{job@1}', '{}', 'app', 3, null, again => true) as t
where t.kind = 'turn';
select test.clear();

-- Suspects.

select test.waiting('w', -10), test.workflow('e'), test.waiting('no', 9999);
select is(string_agg(id, ',' order by id), 'e,w',
    'turn_suspect notes the due workflows as suspects')
from durable.turn_suspect('{job@,job@1}', '{main}', 'app', 64, null) as id;
select is(test.taken(), '', 'an ordinary turn takes no suspect');
begin;
select is(test.sorted(test.taken(only_ids => '{w,e}')), 'e,w',
    'a suspect is taken by its id');
select is(count(*), 0::bigint, 'taking a suspect by its id clears it')
from durable.suspects;
rollback;
select is(t.number, 1, 'a turn returns whether there are suspects')
from durable.turn_begin('{job@}', '{main}', 'app', 64, null) as t
where t.kind = 'turn';
select is(count(*), 0::bigint, 'a suspect is not noted twice')
from durable.turn_suspect('{job@,job@1}', '{main}', 'app', 64, null);
select is((a.workflow_uuid, a.attempts)::text, '(e,1)',
    'turn_attempt returns one suspect')
from durable.turn_attempt('{job@,job@1}', 'app', 3) as a;
select is((a.workflow_uuid, a.attempts)::text, '(w,1)',
    'turn_attempt returns the suspect with the fewest attempts')
from durable.turn_attempt('{job@,job@1}', 'app', 3) as a;
select is(string_agg(attempts::text, ','), '2,2', 'every attempt is counted')
from durable.suspects;
select test.other('begin');
select is(test.other($$select test.taken(only_ids => '{e}')$$), 'e',
    'another worker takes a suspect by its id');
set lock_timeout = '100ms';
select is(count(*), 0::bigint,
    'turn_suspect does not wait for a suspect that runs')
from durable.turn_suspect('{job@,job@1}', '{main}', 'app', 64, '{e}');
reset lock_timeout;
select is((a.workflow_uuid, a.attempts)::text, '(w,2)',
    'turn_attempt passes over a suspect that runs')
from durable.turn_attempt('{job@,job@1}', 'app', 3) as a;
select is(count(*), 0::bigint,
    'turn_attempt returns no suspect of another type')
from durable.turn_attempt('{other@}', 'app', 3);
select test.other('rollback');
select is(test.other($$select count(*)::text
    from durable.turn_attempt('{job@,job@1}', 'app', 3)$$), '0',
    'no attempt is counted before the last one was made');
select test.other($$set lock_timeout = '100ms'$$);
begin;
select durable.turn_attempted('w', true), durable.turn_attempted('e', true);
select is(test.other($$select count(*)::text
    from durable.turn_attempt('{job@,job@1}', 'app', 3)$$), '0',
    'no attempt is counted before the last one is taken back');
commit;
select test.other('reset lock_timeout');
select is(string_agg(attempts::text, ','), '2,1',
    'an attempt that did not kill its process is taken back')
from durable.suspects;
select durable.turn_attempted('e', true);
select is(string_agg(attempts::text, ','), '2,1',
    'the attempt that made a workflow suspect still counts')
from durable.suspects;
update durable.suspects set attempts = 3 where workflow_uuid = 'w';
update durable.suspects set attempts = 4 where workflow_uuid = 'e';
select is((a.workflow_uuid, a.attempts)::text, '(w,3)',
    'a suspect is given up after the allowed attempts')
from durable.turn_attempt('{job@,job@1}', 'app', 3) as a;
select is((s.status, s.recovery_attempts, s.queue_name,
    s.completed_at is not null)::text,
    '(MAX_RECOVERY_ATTEMPTS_EXCEEDED,3,,t)',
    'a given-up workflow has the status of the DBOS SDKs')
from dbos.workflow_status as s
where s.workflow_uuid = 'w';
select is(test.taken(only_ids => '{w}'), '',
    'a given-up workflow is not taken');
select is(count(*), 0::bigint, 'a given-up workflow has no wait')
from durable.waits
where workflow_uuid = 'w';
update dbos.workflow_status set status = 'SUCCESS' where workflow_uuid = 'e';
select is(count(*), 0::bigint, 'a suspect that has ended gets no attempt')
from durable.turn_attempt('{job@,job@1}', 'app', 3);
select is(count(*), 0::bigint, 'a suspect that has ended is cleared')
from durable.suspects;
insert into durable.suspects values ('no', 1);
select is(count(*), 0::bigint, 'a suspect that is not due gets no attempt')
from durable.turn_attempt('{job@,job@1}', 'app', 3);
select is(count(*), 0::bigint,
    'a suspect that is not due is cleared, because it has run')
from durable.suspects;
select test.clear();

-- Children.

select is(array_agg(t), '{created,exists,conflict}',
    'of several starts of a child the first creates it')
from durable.turn_start('{child,child,child}', '{job,job,other}', '{1,1,1}',
    '{in,twice,other}', '{mum,mum,mum}', '{99,98,97}', 'app', 'host') as t;
select is((s.status, s.name, s.application_version, s.application_name,
    s.executor_id, s.parent_workflow_id, s.workflow_deadline_epoch_ms,
    s.recovery_attempts, s.serialization, s.queue_name, s.application_id)
    ::text, '(PENDING,job,1,app,host,mum,99,1,portable_json,,"")',
    'a new child is PENDING, with version, parent and deadline')
from dbos.workflow_status as s;
select ok(s.owner_xid = s.creator_xid and s.started_at_epoch_ms is not null
    and s.completed_at is null and s.class_name is null
    and s.config_name is null and s.authenticated_roles is null,
    'a new child is owned by its creator''s transaction')
from dbos.workflow_status as s;
select is(inputs, 'in', 'a new child has its input') from dbos.workflow_input;
select is(array_agg(t), '{created,exists,conflict}',
    'an existing child is not started beside a new one')
from durable.turn_start('{brother,child,child}', '{job,job,other}', '{1,1,1}',
    '{in,other,other}', '{dad,dad,mum}', '{null,null,null}', 'app', 'host')
    as t;
delete from dbos.workflow_status where workflow_uuid = 'brother';
select is(inputs, 'in',
    'an existing child keeps its input') from dbos.workflow_input;
select test.clear();

-- Waits.

select test.workflow(id, 'PENDING', null)
from unnest('{w,x,y}'::text[]) as id;
select durable.turn_waits('{w}', '{5}', '{job@1}', '{message}', '{null}',
    '{t}');
select is((w.*)::text, '(w,5,job@1,message,,t,,)', 'turn_waits writes a wait')
from durable.waits as w;
select durable.turn_waits('{w}', '{6}', '{job@2}', '{timer}', '{null}',
    '{null}');
select is((w.*)::text, '(w,6,job@2,timer,,,,)',
    'a second wait replaces the first')
from durable.waits as w;
select durable.turn_waits('{w}', '{6}', '{job@2}', '{timer}', '{null}',
    '{null}', '{7}');
select is(cache_tag, 7::bigint, 'a wait of a cached workflow has its cache tag')
from durable.waits;
select durable.turn_waits('{w}', '{6}', '{job@2}', '{timer}', '{null}',
    '{null}');
select is(cache_tag, null, 'a wait of an uncached workflow has no cache tag')
from durable.waits;
update durable.waits set type = 'job@1';
create table test.told_tid as
select t.workflow_uuid as id, t.tid
from durable.turn_begin('{job@1}', '{main}', 'app', 64, null) as t
where t.kind = 'workflow';
select is((t.*)::text, (w.workflow_uuid, w.ctid)::text,
    'a turn returns the ctid of the wait')
from test.told_tid as t
join durable.waits as w on w.workflow_uuid = t.id;
select durable.turn_waits('{x}', '{7}', '{job@1}', '{timer}', '{null}',
    '{null}', '{null}', array[t.tid])
from test.told_tid as t;
select is(string_agg(workflow_uuid || wake_at, ','), 'w6',
    'a wait is not written to another workflow''s row')
from durable.waits;
select durable.turn_waits('{x,w,y}', '{8,7,9}', '{job@1,job@1,job@1}',
    '{timer,timer,timer}', '{null,null,null}', '{null,null,null}',
    '{null,5,null}', array[null, t.tid, null])
from test.told_tid as t;
select is(string_agg((w.*)::text, ' ' order by w.wake_at),
    '(w,7,job@1,timer,,,5,) (x,8,job@1,timer,,,,) (y,9,job@1,timer,,,,)',
    'waits are updated by ctid, and inserted without one')
from durable.waits as w;
insert into dbos.notifications (message_uuid, destination_uuid, topic, message)
values ('m', 'w', 't', '1');
select durable.turn_waits('{w,x}', '{9000000000000,9000000000000}',
    '{job@1,job@1}', '{message,message}', '{null,null}', '{other,t}');
select ok(not test.is_due('w') and not test.is_due('x'),
    'messages for other topics or workflows do not make a wait due');
select test.other('listen durable_due'), test.notified();
select durable.turn_waits('{w}', '{9000000000000}', '{job@1}', '{message}',
    '{null}', '{t}');
select ok(test.is_due('w'),
    'a message sent in the same turn makes the wait due');
select is(test.notified(), 'durable_due',
    'a wait that is due at once for a message notifies');
update dbos.notifications set consumed = true;
select durable.turn_waits('{w}', '{9000000000000}', '{job@1}', '{message}',
    '{null}', '{t}');
select ok(not test.is_due('w'),
    'a message that the turn received does not make the wait due');
delete from dbos.notifications;
delete from durable.waits where workflow_uuid in ('x', 'y');
select durable.turn_waits('{w,x}', '{9000000000000,9000000000000}',
    '{job@1,job@1}', '{event,result}', '{y,y}', '{k,null}');
select is(string_agg(wake_at::text, ','), '9000000000000,9000000000000',
    'waits for an event and for a result are written')
from durable.waits;
insert into dbos.workflow_events (workflow_uuid, key, value)
values ('y', 'other', '1');
select durable.turn_waits('{w}', '{9000000000000}', '{job@1}', '{event}',
    '{y}', '{k}');
select ok(not test.is_due('w'), 'an event of another key does not make due');
insert into dbos.workflow_events (workflow_uuid, key, value)
values ('y', 'k', '1');
select test.other('listen durable_due'), test.notified();
select durable.turn_waits('{w}', '{9000000000000}', '{job@1}', '{event}',
    '{y}', '{k}');
select ok(test.is_due('w'), 'an event that came meanwhile makes the wait due');
select is(test.notified(), 'durable_due',
    'a wait that is due at once for an event notifies');
select ok(not test.is_due('x'), 'an event does not make other waits due');
update dbos.workflow_status set status = 'SUCCESS' where workflow_uuid = 'y';
select durable.turn_waits('{x}', '{9000000000000}', '{job@1}', '{result}',
    '{y}', '{null}');
select ok(test.is_due('x'), 'a result that came meanwhile makes the wait due');
select test.notified();
select durable.turn_waits('{x}', '{9000000000000}', '{job@1}', '{result}',
    '{absent}', '{null}');
select ok(wake_at - durable.now_ms() between 1 and 1000,
    'a wait for a missing workflow is due again within 1 s')
from durable.waits
where workflow_uuid = 'x';
select test.other('begin');
select test.other($$select status from dbos.workflow_status
    where workflow_uuid = 'y' for update$$);
select durable.turn_waits('{x}', '{9000000000000}', '{job@1}', '{result}',
    '{y}', '{null}');
select ok(wake_at - durable.now_ms() <= 10,
    'a wait for a locked workflow is due again within 10 ms')
from durable.waits
where workflow_uuid = 'x';
select test.other('rollback');
select is(test.notified(), 'durable_due, durable_due',
    'waits that are due sooner than asked for notify');
select durable.turn_over('{w}');
select is(string_agg(w.workflow_uuid, ','), 'x',
    'turn_over deletes the wait of an ended workflow')
from durable.waits as w;
select test.clear();

-- Timer groups.

create function test.waits()
returns text
language sql
return (
    select string_agg(w.workflow_uuid || ' ' || w.wake_at || ' '
        || coalesce(w.cache_tag::text, '-') || ' '
        || coalesce((w.timer_group - a.first)::text, '-'), ', '
        order by w.workflow_uuid)
    from (
        select x.*, v.timer_group
        from durable.waiting as x
        join durable.waits as v using (workflow_uuid)) as w
    cross join (select min(timer_group) as first from durable.timer_groups) as a);
create function test.told(
    max_workflows int default 64,
    tags_to int default 8
)
returns text
language sql
volatile
return (
    select string_agg(t.kind || ' ' || coalesce(t.workflow_uuid, t.value) || ' '
        || coalesce((t.timer_group - a.first) || ' of '
            || t.timer_group_size, '-'), ', '
        order by t.kind, coalesce(t.workflow_uuid, t.value))
    from durable.turn_begin('{job@1}', '{}', 'app', max_workflows, null, 0,
        tags_to) as t
    cross join (select min(timer_group) as first from durable.timer_groups) as a
    where t.kind <> 'turn');
-- Writes waits that sleep until this time.
create function test.sleeping(
    ids text[],
    at bigint,
    cache_tag bigint default 7,
    tids tid[] default null
)
returns void
language sql
volatile
return durable.turn_waits(ids, array_fill(at, array[cardinality(ids)]),
    array_fill('job@1'::text, array[cardinality(ids)]),
    array_fill('timer'::text, array[cardinality(ids)]),
    array_fill(null::text, array[cardinality(ids)]),
    array_fill(null::text, array[cardinality(ids)]),
    array_fill(cache_tag, array[cardinality(ids)]), tids);

select test.workflow(id, 'PENDING', null, version => '1')
from unnest('{a,b,c,d,e,f,g}'::text[]) as id;
select durable.turn_waits('{a,b,c,d,e,f,g}', '{5,5,6,5,6,5,7}',
    '{job@1,job@1,job@1,job@2,job@1,job@1,job@1}',
    '{timer,timer,timer,timer,timer,message,timer}', array_fill(null::text,
    '{7}'), '{null,null,null,null,null,t,null}', '{7,7,null,7,null,7,7}');
select matches(test.waits(), '^a 5 7 (0|1), b 5 7 \1, c 6 - (0|1), d 5 7 -, '
    'e 6 - \2, f 5 7 -, g 7 7 -$',
    'sleeps of one type until one time share a timer group');
select is(string_agg((a.wake_at, a.type, a.size, a.cache_tag)::text, ' '
    order by a.wake_at), '(5,job@1,2,7) (6,job@1,2,)',
        'a timer group has its time, type, size and cache tag')
from durable.timer_groups as a;
select test.clear();
select test.workflow(id, 'PENDING', null, version => '1')
from unnest('{a,b,c,d}'::text[]) as id;
select test.sleeping('{a,b,c,d}', 5);

select is(test.told(), 'cached {a,b,c,d} 0 of 4',
    'a turn takes all cached workflows of a due timer group');
select is(test.told(tags_to => 7), 'workflow a 0 of 4, workflow b 0 of 4, '
    'workflow c 0 of 4, workflow d 0 of 4',
        'a turn takes all uncached workflows of a due timer group');
insert into dbos.notifications (message_uuid, destination_uuid, message)
values ('m', 'b', 'hello');
select is(test.told(), 'cached {a,b,c,d} 0 of 4',
    'a cached timer group is taken in spite of a message');
select is(count(*), 1::bigint, 'messages of an uncached timer group are loaded')
from durable.turn_begin('{job@1}', '{}', 'app', 64, null) as t
where t.kind = 'message';
select is(test.told(2), 'cached {a,b} 0 of 4',
    'a turn takes no more of a timer group than asked for');
select test.waiting('own', -10);
select is(test.told(2), 'cached {a,b} 0 of 4, workflow own -',
    'a turn takes waits beside a timer group');
select is(t.until_ms, t.at_ms,
    'a turn that left part of a timer group repeats at once')
from durable.turn_begin('{job@1}', '{}', 'app', 2, null) as t
where t.kind = 'turn';
select ok(coalesce(t.until_ms > t.at_ms, true),
    'a turn that took a whole timer group need not repeat')
from durable.turn_begin('{job@1}', '{}', 'app', 4, null) as t
where t.kind = 'turn';
delete from dbos.workflow_status where workflow_uuid = 'own';
select is(test.taken(only_ids => '{a,b}'), 'a,b',
    'a workflow of a due timer group is taken by its id');
insert into durable.suspects values ('c', 1);
select is(test.told(), 'cached {a,b,d} 0 of 4',
    'a suspect in a timer group is not taken');
delete from durable.suspects;
update dbos.workflow_status set application_name = 'other';
select is((t.workflow_uuid, t.until_ms)::text, '(,)',
    'a timer group of another application is not taken')
from durable.turn_begin('{job@1}', '{}', 'app', 64, null) as t;
update dbos.workflow_status set application_name = 'app';

select test.other('begin');
select test.other($$select workflow_uuid from dbos.workflow_status
    where workflow_uuid = 'c' for update$$);
select is(test.told(), 'cached {a,b,d} 0 of 4',
    'a locked workflow of a timer group is skipped');
select ok(test.comes_back_soon(),
    'a turn that skipped a timer group''s workflow polls soon');
insert into durable.timer_groups (wake_at, type, size)
values (durable.now_ms() + 60, 'job@1', 1);
select ok(t.until_ms < t.at_ms + 100,
    'a turn that skipped sleeps until the next timer group')
from durable.turn_begin('{job@1}', '{}', 'app', 64, null) as t
where t.kind = 'turn';
delete from durable.timer_groups where size = 1;
select test.other('rollback');
select test.other('begin');
select is(test.other($$select test.told()$$), 'cached {a,b,c,d} 0 of 4',
    'another worker takes a whole timer group');
select is(test.told(), null, 'a turn does not wait for a locked timer group');
select ok(test.comes_back_soon(),
    'a turn that found a locked timer group polls again soon');
select test.other('rollback');
select ok(not test.comes_back_soon(),
    'a turn that took a whole timer group may sleep long');

select durable.turn_timer_groups(array[timer_group], '{900}', '{4}', '{9}')
from durable.timer_groups;
select is(test.waits(), 'a 900 9 0, b 900 9 0, c 900 9 0, d 900 9 0',
    'turn_timer_groups moves a timer group that sleeps again');
update durable.timer_groups set wake_at = durable.now_ms() + 60000;
select is(test.told(), null, 'a moved timer group is not due');
select ok(t.until_ms - t.at_ms between 50000 and 60000,
    'a worker sleeps until a moved timer group is due')
from durable.turn_begin('{job@1}', '{}', 'app', 64, null) as t
where t.kind = 'turn';
update durable.timer_groups set wake_at = 5, cache_tag = 7;
select durable.turn_over('{d}');
select durable.turn_timer_groups(array[timer_group], '{null}', '{0}', '{null}')
from durable.timer_groups;
select is(test.waits(), 'a 5 7 0, b 5 7 0, c 5 7 0',
    'a timer group is kept while a wait refers to it');

create table test.places as
select string_to_array(trim(both '{}' from t.value), ',') as ids,
    t.other::tid[] as tids, t.timer_group
from durable.turn_begin('{job@1}', '{}', 'app', 2, null, 0, 8) as t
where t.kind = 'cached';
select test.sleeping(p.ids, 800, 10, p.tids) from test.places as p;
select matches(test.waits(), '^a 800 10 ([1-9]), b 800 10 \1, c 5 7 0$',
    'workflows that sleep again without the rest get a new group');
select durable.turn_timer_groups(array[timer_group], '{null}', '{0}', '{null}')
from test.places;
select test.sleeping('{c}', 700, 10);
select matches(test.waits(), '^a 800 10 ., b 800 10 ., c 700 10 -$',
    'a workflow that sleeps alone has no timer group');
select durable.turn_timer_groups(array[timer_group], '{null}', '{0}', '{null}')
from test.places;
select is(count(*), 1::bigint, 'a timer group without waits is deleted')
from durable.timer_groups;
select test.sleeping('{a,b,c}', 5);
select is(count(distinct w.timer_group), 1::bigint,
    'workflows of different timer groups may share one again')
from durable.waits as w;

update dbos.workflow_status set status = 'CANCELLED' where workflow_uuid = 'a';
select is(test.told(), 'cached {b,c} 1 of 3',
    'a cancelled workflow leaves its timer group');
alter table dbos.workflow_status disable trigger user;
update dbos.workflow_status set status = 'SUCCESS' where workflow_uuid = 'b';
alter table dbos.workflow_status enable trigger user;
select durable.sweep('{job@1}', 'app');
select is(string_agg(workflow_uuid, ','), 'c',
    'the sweep takes an ended workflow out of its timer group')
from durable.waits;
delete from durable.waits;
select durable.sweep('{job@1}', 'app');
select is(count(*), 0::bigint, 'the sweep deletes a timer group without waits')
from durable.timer_groups;
select test.clear();

-- The journal.

select lives_ok($$select durable.turn_journal('{w,w}', '{0,1}', '{a,b}',
    '{1,null}', '{null,e}', '{null,c}', '{portable_json,js_superjson}',
    '{1,2}', '{3,4}', 'app')$$, 'turn_journal records steps');
select is(string_agg((o.workflow_uuid, o.function_id, o.function_name,
    o.output, o.error, o.child_workflow_id, o.serialization,
    o.started_at_epoch_ms, o.completed_at_epoch_ms, o.application_name)::text,
    '' order by o.function_id),
    '(w,0,a,1,,,portable_json,1,3,app)(w,1,b,,e,c,js_superjson,2,4,app)',
    'turn_journal records every column of a step')
from dbos.operation_outputs as o;
select throws_ok($$select durable.turn_journal('{w}', '{1}', '{b}', '{null}',
    '{null}', '{null}', '{null}', '{1}', '{1}', 'app')$$, '23505', null,
    'turn_journal refuses a step that is recorded');

-- Messages.

select test.workflow('x'), test.workflow('y');
select durable.turn_messages('{x,y,x,x}', '{t,t,t,t}', '{1,2,3,4}');
select is(string_agg(n.message, ',' order by n.created_at_epoch_ms,
    n.message_uuid), '1,3,4', 'messages of one turn keep their order')
from dbos.notifications as n
where n.destination_uuid = 'x';
select is(string_agg(distinct n.topic || n.serialization || n.consumed, ''),
    'tportable_jsonfalse', 'messages of a turn are written as a client''s')
from dbos.notifications as n;
select ok(abs(n.created_at_epoch_ms - durable.now_ms()) < 1000,
    'messages of a turn have the current time')
from dbos.notifications as n
where n.destination_uuid = 'y';
select durable.turn_messages(array_fill('y'::text, '{3000}'),
    array_fill('u'::text, '{3000}'), array_agg(n::text order by n))
from generate_series(1, 3000) as n;
select is(array_agg(message::int order by created_at_epoch_ms, message_uuid),
    array(select generate_series(1, 3000)),
    '3000 messages of one turn keep their order')
from dbos.notifications
where topic = 'u';
select throws_ok($$select durable.turn_messages('{z}', '{t}', '{1}')$$,
    '23503', null, 'a message to an unknown workflow is an error');
select test.other('begin');
select test.other($$select status from dbos.workflow_status
    where workflow_uuid = 'x' for update$$);
select throws_ok($$select durable.turn_messages('{x}', '{t}', '{1}')$$,
    '55P03', null, 'a message to a locked workflow times out');
select test.other('rollback');
select is(count(distinct id), 5000::bigint, 'message ids are unique')
from generate_series(1, 5000) as n
cross join lateral durable.message_id(1700000000000000 + n) as id;
select is(bool_and(id > before), true, 'message ids sort as their times')
from (
    select id, lag(id) over (order by n) as before
    from generate_series(1, 5000) as n
    cross join lateral durable.message_id(1700000000000000 + n * 7) as id
) as ids;
select matches(durable.message_id(1700000000123456), '^018bcfe5-687b-7720-'
    '[89ab][0-9a-f]{3}-[0-9a-f]{12}$', 'message ids are UUIDs of version 7');
select durable.turn_consumed(array_agg(message_uuid), '{7}')
from dbos.notifications
where message = '1'
    and destination_uuid = 'x';
select is(string_agg(message || consumed || coalesce(
    consumed_by_function_id, 0), ',' order by message),
    '1true7,3false0,4false0', 'turn_consumed marks a message with its step')
from dbos.notifications
where destination_uuid = 'x';

-- Events.

select durable.turn_events('{x,x,y}', '{3,1,0}', '{k,k,k}', '{"b","a","c"}',
    '{portable_json,portable_json,js_superjson}');
select is(string_agg((e.*)::text, '' order by e.workflow_uuid),
    '(x,k,b,portable_json)(y,k,c,js_superjson)',
    'an event that is set twice in a turn has the later value')
from dbos.workflow_events as e;
select is(string_agg(e.workflow_uuid || e.function_id || e.value, ','
    order by e.workflow_uuid, e.function_id), 'x1a,x3b,y0c',
    'an event that is set twice has both values in its history')
from dbos.workflow_events_history as e;
select durable.turn_events('{x}', '{5}', '{k}', '{d}', '{portable_json}');
select is((e.value, e.serialization)::text, '(d,portable_json)',
    'a later turn''s value replaces an event''s')
from durable.workflow_event('x', 'k') as e;
select is(count(*), 0::bigint, 'an event that is not set has no value')
from durable.workflow_event('x', 'other');
select test.clear();

-- Statuses.

select test.workflow('w', application => null);
update dbos.workflow_status set deduplication_id = 'd';
select durable.turn_statuses('{w}', '{PENDING}', '{1}', '{1}', '{99}',
    '{null}', '{null}', 'app', 'host');
select is((s.status, s.queue_name, s.executor_id, s.application_version,
    s.application_name, s.recovery_attempts, s.workflow_deadline_epoch_ms,
    s.deduplication_id, s.completed_at)::text,
    '(PENDING,main,host,1,app,1,99,d,)',
    'turn_statuses makes an enqueued workflow PENDING')
from dbos.workflow_status as s;
select ok(s.owner_xid is not null
    and abs(s.started_at_epoch_ms - durable.now_ms()) < 1000
        and abs(s.updated_at - durable.now_ms()) < 1000,
        'a workflow that begins has an owner and the current time')
from dbos.workflow_status as s;
update dbos.workflow_status set started_at_epoch_ms = 1;
select durable.turn_statuses('{w}', '{SUCCESS}', '{0}', '{1}', '{99}',
    '{out}', '{null}', 'app', 'host');
select is((s.status, s.queue_name, s.recovery_attempts, s.owner_xid,
    s.deduplication_id, s.started_at_epoch_ms)::text, '(SUCCESS,main,1,,,1)',
    'turn_statuses ends a workflow and frees its deduplication id')
from dbos.workflow_status as s;
select ok(abs(s.completed_at - durable.now_ms()) < 1000,
    'an ended workflow has the current time')
from dbos.workflow_status as s;
select is((r.*)::text, '(SUCCESS,out,,portable_json)',
    'workflow_result has the output')
from durable.workflow_result('w') as r;
select durable.turn_statuses('{w}', '{ERROR}', '{1}', '{1}', '{null}',
    '{null}', '{err}', 'app', 'host');
select is((r.*)::text, '(ERROR,,err,portable_json)',
    'workflow_result has the error of a workflow that ran again')
from durable.workflow_result('w') as r;
select test.clear(), test.workflow('w', application => 'theirs');
select durable.turn_statuses('{w}', '{CANCELLED}', '{1}', '{1}', '{1}',
    '{null}', '{null}', 'app', 'host');
select is((s.status, s.queue_name, s.application_name, s.owner_xid)::text,
    '(CANCELLED,,theirs,)',
    'turn_statuses cancels a workflow and takes it off its queue')
from dbos.workflow_status as s;
select is((r.*)::text, '(CANCELLED,,,portable_json)',
    'workflow_result of a cancelled workflow has no value')
from durable.workflow_result('w') as r;
select is(count(*), 0::bigint,
    'workflow_result of an unknown workflow is empty')
from durable.workflow_result('x');
update dbos.workflow_status set output = 'o', error = 'e';
select is((r.*)::text, '(CANCELLED,o,e,portable_json)',
    'workflow_result finds the output of workflow_status, too')
from durable.workflow_result('w') as r;
select test.clear();

-- With thousands of workflows that wait for long.

create function test.rows_read() returns bigint
language sql
return (
    select sum(pg_stat_get_xact_tuples_returned(c.oid))
    from pg_class as c
    where c.relnamespace in ('dbos'::regnamespace, 'durable'::regnamespace));
create function test.reads_little(statement text) returns boolean
language plpgsql
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
set plan_cache_mode = force_generic_plan;
select count(test.workflow('long ' || n, 'PENDING'))
from generate_series(1, 3000) as n;
insert into durable.waits (workflow_uuid, wake_at, type, kind)
select s.workflow_uuid, 9000000000000, 'job@1', 'timer'
from dbos.workflow_status as s;
analyze;
select ok(test.reads_little($$select durable.sweep('{job@1}', 'app')$$),
    'a sweep reads few of thousands of waits');
select ok(test.reads_little($$
    select durable.turn_begin('{job@1}', '{main}', 'app', 64, null)$$),
    'a turn reads few of thousands of waits');
select ok(test.reads_little($$
    select durable.turn_suspect('{job@1}', '{main}', 'app', 64, null)$$),
    'a first turn reads few of thousands of waits');
insert into durable.timer_groups (wake_at, type, size)
values (9000000000000, 'job@1', 3000);
update durable.waits
set wake_at = null,
    timer_group = (select timer_group from durable.timer_groups);
analyze;
select ok(test.reads_little($$select durable.sweep('{job@1}', 'app')$$),
    'a sweep reads few waits of a large timer group');
select ok(test.reads_little($$
    select durable.turn_begin('{job@1}', '{main}', 'app', 64, null)$$),
    'a turn reads few waits of a large timer group');
select test.clear();

reset plan_cache_mode;

select finish();
