-- SPDX-License-Identifier: MIT
--
-- The turn: what it takes, in which order, and what it writes.

select plan(175);

-- What a turn takes from queues.

select is(test.taken(), '', 'nothing is due at first');
select is((t.kind, t.workflow_uuid, t.number, t.name, t.until_ms)::text,
    '(turn,,0,,)', 'which a turn says')
from durable.turn_begin('{job@}', '{main}', 'app', 64, null) as t;
select ok(abs(t.at_ms - extract(epoch from clock_timestamp()) * 1000) < 1000,
    'by the clock of the database')
from durable.turn_begin('{job@}', '{main}', 'app', 64, null) as t;

select test.workflow(id) from unnest('{c,a,b}'::text[]) as id;
update dbos.workflow_status as s
set created_at = n.at, priority = n.priority
from unnest('{a,b,c}'::text[], '{2,1,3}'::int[], '{0,0,5}'::int[])
    as n (id, at, priority)
where s.workflow_uuid = n.id;
select is(test.taken(), 'b,a,c', 'a queue is taken in the order of time');
update dbos.workflow_status set priority = 1 where workflow_uuid = 'b';
select is(test.taken(), 'a,b,c', 'of equal priority; a lower one goes first');
select is(test.taken(2), 'a,b', 'no more than asked for');
select test.workflow('d', queue => 'second');
select is(test.taken(1), 'a,d', 'of each queue');
select is(test.taken(queues => '{second,main}'), 'd,a,b,c',
    'in the order of the queues');
select is(test.taken(queues => '{second}'), 'd', 'of no other queue');
select is(test.taken(queues => '{}'), '', 'without a queue nothing');
select is(test.taken(types => '{other@}'), '', 'no other workflow');
select test.clear();

select test.workflow('any'), test.workflow('old', version => '1'),
    test.workflow('new', version => '2');
select is(test.sorted(test.taken()), 'any,old',
    'a version that we have, and any');
select is(test.taken(types => '{job@1}'), 'old', 'a version alone');
select is(test.sorted(test.taken(types => '{job@2,job@}')), 'any,new',
    'another version');
select test.clear();

select test.workflow('ours'), test.workflow('free', application => null),
    test.workflow('theirs', application => 'other');
select is(test.sorted(test.taken()), 'free,ours',
    'what is enqueued for us or anybody, not for another application');
select is(test.sorted(test.taken(only_ids => '{ours,free}')), 'free,ours',
    'also by id');
select test.clear();

select test.workflow(status, status)
from unnest('{PENDING,DELAYED,CANCELLED,SUCCESS,ERROR,
    MAX_RECOVERY_ATTEMPTS_EXCEEDED}'::text[]) as status;
select is(test.taken(), '', 'only what is enqueued is taken from a queue');
select is(test.taken(only_ids => array_agg(workflow_uuid)), '',
    'also by id')
from dbos.workflow_status;
select test.clear();

-- What a turn takes of those that wait.

select test.waiting('soon', 1000), test.waiting('late', -10),
    test.waiting('later', -20), test.workflow('enqueued');
select is(test.sorted(test.taken()), 'enqueued,late,later',
    'what waits is taken when it is due');
select is(test.taken(1), 'later,enqueued',
    'first what is most overdue, and before the queues');
select is(test.sorted(test.taken(only_ids => '{soon,late,enqueued}')),
    'enqueued,late', 'by id only what is due');
select is(t.until_ms, w.wake_at, 'a turn knows when there is more')
from durable.turn_begin('{job@1}', '{main}', 'app', 64, null) as t
join durable.waits as w on w.workflow_uuid = 'soon'
where t.kind = 'turn';
update durable.waits set wake_at = 0 where workflow_uuid <> 'soon';
select is(t.number, 0, 'nobody is suspect')
from durable.turn_begin('{job@1}', '{main}', 'app', 64, null) as t
where t.kind = 'turn';
update dbos.workflow_status set status = 'CANCELLED'
where workflow_uuid = 'late';
update durable.waits set type = 'job@2' where workflow_uuid = 'later';
select is(test.taken(), 'enqueued',
    'one that has been cancelled is not taken, nor one of another version');
select test.clear();

select test.waiting('theirs', -10);
update dbos.workflow_status set application_name = 'other';
select is(test.taken(), '', 'what waits of another application is not taken');
select is(count(*), 1::bigint, 'but waits on') from durable.waits;
insert into durable.suspects values ('theirs', 1);
select is(count(*), 0::bigint, 'nor is it ours to suspect')
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
select is(count(*), 0::bigint, 'and not looked at again') from durable.waits;
select test.clear();

-- What others have locked may be given back without a word.

create function test.comes_back_soon()
returns boolean
language sql
return (
    select coalesce(t.until_ms < t.at_ms + 1000, false)
    from durable.turn_begin('{job@1,job@}', '{main}', 'app', 64, null) as t
    where t.kind = 'turn');
select test.workflow('free'), test.workflow('queued'),
    test.waiting('waits', -10);
select ok(not test.comes_back_soon(), 'a turn that got all need not hurry');
select test.other('begin');
select test.other($$select workflow_uuid from dbos.workflow_status
    where workflow_uuid = 'waits' for update$$);
select is(test.sorted(test.taken()), 'free,queued',
    'who is due and locked is left');
select ok(test.comes_back_soon(), 'but not for long');
select test.waiting('soon', 60);
select ok(t.until_ms < t.at_ms + 100, 'nor longer than till the next is due')
from durable.turn_begin('{job@1,job@}', '{}', 'app', 64, null) as t
where t.kind = 'turn';
delete from dbos.workflow_status where workflow_uuid = 'soon';
select test.other('rollback');
select test.other('begin');
select test.other($$select workflow_uuid from dbos.workflow_status
    where workflow_uuid = 'queued' for update$$);
select is(test.sorted(test.taken()), 'free,waits',
    'who is in a queue and locked is left');
select ok(test.comes_back_soon(), 'but not for long, either');
select test.other('rollback');
select test.clear();
select test.waiting('theirs', -10);
update dbos.workflow_status set application_name = 'other';
select ok(not test.comes_back_soon(), 'nor for what another application runs');
select test.clear();

-- What a turn is told.

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
    'a turn is told of workflows, messages and itself')
from test.told;
select is((workflow_uuid, number, name, value, serialization, other, at_ms,
    until_ms)::text, '(fresh,1,job,in,portable_json,1,5000,99)',
    'of a fresh workflow its input, version, time-out and deadline')
from test.told
where kind = 'workflow'
    and workflow_uuid = 'fresh';
select is((workflow_uuid, number, value)::text, '(older,0,legacy)',
    'of one that goes on, too, wherever a client has put the input')
from test.told
where kind = 'workflow'
    and workflow_uuid = 'older';
select is((step_numbers, step_names, step_outputs, step_errors,
    step_serializations, step_children, step_started_ms)::text,
    '("{9,10}","{ninth,tenth}","{o,NULL}","{NULL,e}","{NULL,portable_json}",'
    '"{c,NULL}","{1,3}")', 'its steps')
from test.told
where kind = 'workflow'
    and workflow_uuid = 'older';
select is(count(step_numbers), 0::bigint, 'a fresh one has none')
from test.told
where workflow_uuid = 'fresh';
select is(string_agg(workflow_uuid || ' ' || name || ' ' || value || ' '
    || other, ', ' order by place),
    'older t first m3, older t second m1, older t third m2',
    'and its messages in order, but not those that it has read')
from test.told
where kind = 'message';
select test.clear();

-- What a worker remembers.

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
    'of whom a worker remembers it is told that, and of no other')
from durable.turn_begin('{job@1,job@}', '{main}', 'app', 64, null, 10, 11)
    as t
left join durable.waits as w
    on w.workflow_uuid = coalesce(t.workflow_uuid, 'w2')
where t.kind <> 'turn';
select is(string_agg(distinct t.kind, ','), 'turn,workflow',
    'of those that it runs alone it is told all')
from durable.turn_begin('{job@1,job@}', '{main}', 'app', 64, '{w1,w2}', 0,
    100) as t;
insert into dbos.notifications (message_uuid, destination_uuid, message)
values ('m', 'w2', 'hello');
select is(string_agg(t.workflow_uuid, ','), 'w2',
    'and of messages it is told')
from durable.turn_begin('{job@1,job@}', '{main}', 'app', 64, null, 10, 11)
    as t
where t.kind = 'message';
delete from dbos.workflow_status where workflow_uuid <> 'w2';
select is(string_agg(t.workflow_uuid, ','), 'w2', 'also when that was all')
from durable.turn_begin('{job@1,job@}', '{main}', 'app', 64, null, 10, 11)
    as t
where t.kind = 'message';
select test.clear();

-- A worker's share.

select test.waiting('mine', -10), test.waiting('others', -20),
    test.waiting('mine next', 60000), test.waiting('others next', 30000),
    test.workflow('new');
update durable.waits as w
set type = 'task@1'
where w.workflow_uuid like 'others%';
select is(string_agg(t.workflow_uuid, ', ' order by t.workflow_uuid),
    'mine, new', 'of what is due only its types are taken')
from durable.turn_begin('{job@1,job@,task@1,task@}', '{main}', 'app', 64,
    null, due_types => '{job@1}') as t
where t.kind = 'workflow';
select ok(t.until_ms - t.at_ms > 30000, 'and only they are waited for')
from durable.turn_begin('{job@1,job@,task@1,task@}', '{}', 'app', 64,
    null, due_types => '{job@1}') as t
where t.kind = 'turn';
select test.clear();

-- Two workers.

select test.waiting('waits', -10), test.workflow('enqueued');
select test.other('begin');
select is(test.other($$select test.taken()$$), 'waits,enqueued',
    'another worker takes all there is');
select is(test.taken(), '', 'nothing is left, and nobody waits');
select is(test.taken(only_ids => '{waits,enqueued}'), '', 'also by id');
select ok(t.until_ms - t.at_ms between 1 and 100,
    'but looks again soon: the other may die')
from durable.turn_begin('{job@,job@1}', '{main}', 'app', 64, null) as t
where t.kind = 'turn';
select test.other('rollback');
select is(test.taken(), 'waits,enqueued',
    'and when the other dies, the work is there again');
select test.clear();

-- More than a turn may take.

select test.waiting('one', -10), test.waiting('two', -10);
select is(t.until_ms, t.at_ms, 'with more due there is a next turn at once')
from durable.turn_begin('{job@,job@1}', '{main}', 'app', 1, null) as t
where t.kind = 'turn';
select test.clear();
select test.workflow('one'), test.workflow('two');
select is(t.until_ms, t.at_ms, 'and with more in a queue')
from durable.turn_begin('{job@,job@1}', '{main}', 'app', 1, null) as t
where t.kind = 'turn';
select is(t.until_ms, null, 'but not when that was all')
from durable.turn_begin('{job@,job@1}', '{main}', 'app', 3, null) as t
where t.kind = 'turn';
select test.waiting('due', -10), test.waiting('later', 60000);
select is(string_agg((t.until_ms - t.at_ms)::text, ','), '0',
    'who looks again at once is told whether there may be more')
from durable.turn_begin('{job@,job@1}', '{main}', 'app', 2, null,
    again => true) as t
where t.kind = 'turn';
select is(string_agg((t.until_ms - t.at_ms)::text, ','), '1',
    'and not when something is due')
from durable.turn_begin('{job@,job@1}', '{main}', 'app', 3, null,
    again => true) as t
where t.kind = 'turn';
delete from durable.waits where workflow_uuid = 'due';
select ok(t.until_ms - t.at_ms > 30000, 'but when he has taken none')
from durable.turn_begin('{job@1}', '{}', 'app', 3, null, again => true) as t
where t.kind = 'turn';
select test.clear();

-- Suspects.

select test.waiting('w', -10), test.workflow('e'), test.waiting('no', 9999);
select is(string_agg(id, ',' order by id), 'e,w',
    'what a worker runs after a crash is suspect')
from durable.turn_suspect('{job@,job@1}', '{main}', 'app', 64, null) as id;
select is(test.taken(), '', 'nobody takes a suspect');
begin;
select is(test.sorted(test.taken(only_ids => '{w,e}')), 'e,w',
    'but by its id');
select is(count(*), 0::bigint, 'and is none when that turn ends')
from durable.suspects;
rollback;
select is(t.number, 1, 'a turn is told that there are suspects')
from durable.turn_begin('{job@}', '{main}', 'app', 64, null) as t
where t.kind = 'turn';
select is(count(*), 0::bigint, 'nobody becomes suspect twice')
from durable.turn_suspect('{job@,job@1}', '{main}', 'app', 64, null);
select is((a.workflow_uuid, a.attempts)::text, '(e,1)',
    'a suspect is run by itself')
from durable.turn_attempt('{job@,job@1}', 'app', 3) as a;
select is((a.workflow_uuid, a.attempts)::text, '(w,1)',
    'the next time the one with fewer attempts')
from durable.turn_attempt('{job@,job@1}', 'app', 3) as a;
select is(string_agg(attempts::text, ','), '2,2', 'and each is counted')
from durable.suspects;
select test.other('begin');
select is(test.other($$select test.taken(only_ids => '{e}')$$), 'e',
    'while another worker runs one');
set lock_timeout = '100ms';
select is(count(*), 0::bigint, 'which nobody waits for to suspect it again')
from durable.turn_suspect('{job@,job@1}', '{main}', 'app', 64, '{e}');
reset lock_timeout;
select is((a.workflow_uuid, a.attempts)::text, '(w,2)', 'we take another one')
from durable.turn_attempt('{job@,job@1}', 'app', 3) as a;
select is(count(*), 0::bigint, 'and then there is none')
from durable.turn_attempt('{other@}', 'app', 3);
select test.other('rollback');
select is(test.other($$select count(*)::text
    from durable.turn_attempt('{job@,job@1}', 'app', 3)$$), '0',
    'nobody counts an attempt while another one is to be made');
select test.other($$set lock_timeout = '100ms'$$);
begin;
select durable.turn_attempted('w', true), durable.turn_attempted('e', true);
select is(test.other($$select count(*)::text
    from durable.turn_attempt('{job@,job@1}', 'app', 3)$$), '0',
    'nor before it has been taken back');
commit;
select test.other('reset lock_timeout');
select is(string_agg(attempts::text, ','), '2,1',
    'an attempt that did not kill its process does not count')
from durable.suspects;
select durable.turn_attempted('e', true);
select is(string_agg(attempts::text, ','), '2,1',
    'but for the one that made it suspect')
from durable.suspects;
update durable.suspects set attempts = 3 where workflow_uuid = 'w';
update durable.suspects set attempts = 4 where workflow_uuid = 'e';
select is((a.workflow_uuid, a.attempts)::text, '(w,3)',
    'after so many attempts a suspect is given up')
from durable.turn_attempt('{job@,job@1}', 'app', 3) as a;
select is((s.status, s.recovery_attempts, s.queue_name,
    s.completed_at is not null)::text,
    '(MAX_RECOVERY_ATTEMPTS_EXCEEDED,3,,t)', 'as the family says that')
from dbos.workflow_status as s
where s.workflow_uuid = 'w';
select is(test.taken(only_ids => '{w}'), '', 'and never run again');
select is(count(*), 0::bigint, 'nothing of it waits')
from durable.waits
where workflow_uuid = 'w';
update dbos.workflow_status set status = 'SUCCESS' where workflow_uuid = 'e';
select is(count(*), 0::bigint, 'who has ended meanwhile is not run')
from durable.turn_attempt('{job@,job@1}', 'app', 3);
select is(count(*), 0::bigint, 'nor suspect') from durable.suspects;
insert into durable.suspects values ('no', 1);
select is(count(*), 0::bigint, 'who is not due is not run')
from durable.turn_attempt('{job@,job@1}', 'app', 3);
select is(count(*), 0::bigint, 'nor suspect: it has had its turn')
from durable.suspects;
select test.clear();

-- Children.

select is(array_agg(t), '{created,exists,conflict}', 'a child is started once')
from durable.turn_start('{child,child,child}', '{job,job,other}', '{1,1,1}',
    '{in,twice,other}', '{mum,mum,mum}', '{99,98,97}', 'app', 'host') as t;
select is((s.status, s.name, s.application_version, s.application_name,
    s.executor_id, s.parent_workflow_id, s.workflow_deadline_epoch_ms,
    s.recovery_attempts, s.serialization, s.queue_name, s.application_id)
    ::text, '(PENDING,job,1,app,host,mum,99,1,portable_json,,"")',
    'and runs')
from dbos.workflow_status as s;
select ok(s.owner_xid = s.creator_xid and s.started_at_epoch_ms is not null
    and s.completed_at is null and s.class_name is null
    and s.config_name is null and s.authenticated_roles is null,
    'in the hands of its creator')
from dbos.workflow_status as s;
select is(inputs, 'in', 'with its input') from dbos.workflow_input;
select is(array_agg(t), '{created,exists,conflict}',
    'not again, nor as another workflow, whoever else is')
from durable.turn_start('{brother,child,child}', '{job,job,other}', '{1,1,1}',
    '{in,other,other}', '{dad,dad,mum}', '{null,null,null}', 'app', 'host')
    as t;
delete from dbos.workflow_status where workflow_uuid = 'brother';
select is(inputs, 'in', 'it stays as it was') from dbos.workflow_input;
select test.clear();

-- Waits.

select test.workflow(id, 'PENDING', null)
from unnest('{w,x,y}'::text[]) as id;
select durable.turn_waits('{w}', '{5}', '{job@1}', '{message}', '{null}',
    '{t}');
select is((w.*)::text, '(w,5,job@1,message,,t,,)', 'a wait is written')
from durable.waits as w;
select durable.turn_waits('{w}', '{6}', '{job@2}', '{timer}', '{null}',
    '{null}');
select is((w.*)::text, '(w,6,job@2,timer,,,,)', 'the next one replaces it')
from durable.waits as w;
select durable.turn_waits('{w}', '{6}', '{job@2}', '{timer}', '{null}',
    '{null}', '{7}');
select is(cache_tag, 7::bigint, 'with a tag, if its worker remembers it')
from durable.waits;
select durable.turn_waits('{w}', '{6}', '{job@2}', '{timer}', '{null}',
    '{null}');
select is(cache_tag, null, 'and none, if the next one does not')
from durable.waits;
update durable.waits set type = 'job@1';
create table test.told_tid as
select t.workflow_uuid as id, t.tid
from durable.turn_begin('{job@1}', '{main}', 'app', 64, null) as t
where t.kind = 'workflow';
select is((t.*)::text, (w.workflow_uuid, w.ctid)::text,
    'a turn is told where the wait is')
from test.told_tid as t
join durable.waits as w on w.workflow_uuid = t.id;
select durable.turn_waits('{x}', '{7}', '{job@1}', '{timer}', '{null}',
    '{null}', '{null}', array[t.tid])
from test.told_tid as t;
select is(string_agg(workflow_uuid || wake_at, ','), 'w6',
    'nobody writes in another''s place')
from durable.waits;
select durable.turn_waits('{x,w,y}', '{8,7,9}', '{job@1,job@1,job@1}',
    '{timer,timer,timer}', '{null,null,null}', '{null,null,null}',
    '{null,5,null}', array[null, t.tid, null])
from test.told_tid as t;
select is(string_agg((w.*)::text, ' ' order by w.wake_at),
    '(w,7,job@1,timer,,,5,) (x,8,job@1,timer,,,,) (y,9,job@1,timer,,,,)',
    'who has a wait writes there, and others anew')
from durable.waits as w;
insert into dbos.notifications (message_uuid, destination_uuid, topic, message)
values ('m', 'w', 't', '1');
select durable.turn_waits('{w,x}', '{9000000000000,9000000000000}',
    '{job@1,job@1}', '{message,message}', '{null,null}', '{other,t}');
select ok(not test.is_due('w') and not test.is_due('x'),
    'a message of another topic, or to another, is of no interest');
select test.other('listen durable_due'), test.notified();
select durable.turn_waits('{w}', '{9000000000000}', '{job@1}', '{message}',
    '{null}', '{t}');
select ok(test.is_due('w'), 'one that a step of the turn has sent is noticed');
select is(test.notified(), 'durable_due',
    'and told: it may have come before the turn, which did not look for it');
update dbos.notifications set consumed = true;
select durable.turn_waits('{w}', '{9000000000000}', '{job@1}', '{message}',
    '{null}', '{t}');
select ok(not test.is_due('w'), 'and one that the turn received is not');
delete from dbos.notifications;
delete from durable.waits where workflow_uuid in ('x', 'y');
select durable.turn_waits('{w,x}', '{9000000000000,9000000000000}',
    '{job@1,job@1}', '{event,result}', '{y,y}', '{k,null}');
select is(string_agg(wake_at::text, ','), '9000000000000,9000000000000',
    'one may wait for another workflow')
from durable.waits;
insert into dbos.workflow_events (workflow_uuid, key, value)
values ('y', 'other', '1');
select durable.turn_waits('{w}', '{9000000000000}', '{job@1}', '{event}',
    '{y}', '{k}');
select ok(not test.is_due('w'), 'another event is of no interest');
insert into dbos.workflow_events (workflow_uuid, key, value)
values ('y', 'k', '1');
select test.other('listen durable_due'), test.notified();
select durable.turn_waits('{w}', '{9000000000000}', '{job@1}', '{event}',
    '{y}', '{k}');
select ok(test.is_due('w'), 'an event that has come meanwhile is noticed');
select is(test.notified(), 'durable_due', 'and the workers are told');
select ok(not test.is_due('x'), 'by who waits for that');
update dbos.workflow_status set status = 'SUCCESS' where workflow_uuid = 'y';
select durable.turn_waits('{x}', '{9000000000000}', '{job@1}', '{result}',
    '{y}', '{null}');
select ok(test.is_due('x'), 'and so is a result');
select test.notified();
select durable.turn_waits('{x}', '{9000000000000}', '{job@1}', '{result}',
    '{nobody}', '{null}');
select ok(wake_at - durable.now_ms() between 1 and 1000,
    'a workflow that is not there is looked for again')
from durable.waits
where workflow_uuid = 'x';
select test.other('begin');
select test.other($$select status from dbos.workflow_status
    where workflow_uuid = 'y' for update$$);
select durable.turn_waits('{x}', '{9000000000000}', '{job@1}', '{result}',
    '{y}', '{null}');
select ok(wake_at - durable.now_ms() <= 10,
    'and so is one that another worker has in hands')
from durable.waits
where workflow_uuid = 'x';
select test.other('rollback');
select is(test.notified(), 'durable_due, durable_due',
    'of both the workers are told, who know of another time');
select durable.turn_over('{w}');
select is(string_agg(w.workflow_uuid, ','), 'x', 'who has ended waits no more')
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
-- They go to sleep, until this.
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
    'e 6 - \2, f 5 7 -, g 7 7 -$', 'who sleeps until the same time as others '
    'of his type shares a timer group with them');
select is(string_agg((a.wake_at, a.type, a.size, a.cache_tag)::text, ' '
    order by a.wake_at), '(5,job@1,2,7) (6,job@1,2,)',
        'which knows when and whom')
from durable.timer_groups as a;
select test.clear();
select test.workflow(id, 'PENDING', null, version => '1')
from unnest('{a,b,c,d}'::text[]) as id;
select test.sleeping('{a,b,c,d}', 5);

select is(test.told(), 'cached {a,b,c,d} 0 of 4',
    'a turn takes all whom a timer group wakes');
select is(test.told(tags_to => 7), 'workflow a 0 of 4, workflow b 0 of 4, '
    'workflow c 0 of 4, workflow d 0 of 4', 'remembered or not');
insert into dbos.notifications (message_uuid, destination_uuid, message)
values ('m', 'b', 'hello');
select is(test.told(), 'cached {a,b,c,d} 0 of 4',
    'who is remembered has not come for a message');
select is(count(*), 1::bigint, 'who is not is told of it')
from durable.turn_begin('{job@1}', '{}', 'app', 64, null) as t
where t.kind = 'message';
select is(test.told(2), 'cached {a,b} 0 of 4', 'no more than asked for');
select test.waiting('own', -10);
select is(test.told(2), 'cached {a,b} 0 of 4, workflow own -',
    'and as many others');
select is(t.until_ms, t.at_ms, 'and then there is a next turn at once')
from durable.turn_begin('{job@1}', '{}', 'app', 2, null) as t
where t.kind = 'turn';
select ok(coalesce(t.until_ms > t.at_ms, true), 'but not when that was all')
from durable.turn_begin('{job@1}', '{}', 'app', 4, null) as t
where t.kind = 'turn';
delete from dbos.workflow_status where workflow_uuid = 'own';
select is(test.taken(only_ids => '{a,b}'), 'a,b', 'who is due is so by his id');
insert into durable.suspects values ('c', 1);
select is(test.told(), 'cached {a,b,d} 0 of 4',
    'a suspect is left');
delete from durable.suspects;
update dbos.workflow_status set application_name = 'other';
select is((t.workflow_uuid, t.until_ms)::text, '(,)',
    'and what another application runs, for good')
from durable.turn_begin('{job@1}', '{}', 'app', 64, null) as t;
update dbos.workflow_status set application_name = 'app';

select test.other('begin');
select test.other($$select workflow_uuid from dbos.workflow_status
    where workflow_uuid = 'c' for update$$);
select is(test.told(), 'cached {a,b,d} 0 of 4', 'who is locked is left');
select ok(test.comes_back_soon(), 'but not for long');
insert into durable.timer_groups (wake_at, type, size)
values (durable.now_ms() + 60, 'job@1', 1);
select ok(t.until_ms < t.at_ms + 100, 'nor longer than till the next is due')
from durable.turn_begin('{job@1}', '{}', 'app', 64, null) as t
where t.kind = 'turn';
delete from durable.timer_groups where size = 1;
select test.other('rollback');
select test.other('begin');
select is(test.other($$select test.told()$$), 'cached {a,b,c,d} 0 of 4',
    'another worker takes them');
select is(test.told(), null, 'then there is nothing, and nobody waits');
select ok(test.comes_back_soon(), 'but looks again soon: the other may die');
select test.other('rollback');
select ok(not test.comes_back_soon(), 'who got all need not hurry');

select durable.turn_timer_groups(array[timer_group], '{900}', '{4}', '{9}')
from durable.timer_groups;
select is(test.waits(), 'a 900 9 0, b 900 9 0, c 900 9 0, d 900 9 0',
    'when all sleep again their timer group is moved');
update durable.timer_groups set wake_at = durable.now_ms() + 60000;
select is(test.told(), null, 'and nobody is due');
select ok(t.until_ms - t.at_ms between 50000 and 60000,
    'until it is time')
from durable.turn_begin('{job@1}', '{}', 'app', 64, null) as t
where t.kind = 'turn';
update durable.timer_groups set wake_at = 5, cache_tag = 7;
select durable.turn_over('{d}');
select durable.turn_timer_groups(array[timer_group], '{null}', '{0}', '{null}')
from durable.timer_groups;
select is(test.waits(), 'a 5 7 0, b 5 7 0, c 5 7 0',
    'it is not forgotten while it wakes somebody');

create table test.places as
select string_to_array(trim(both '{}' from t.value), ',') as ids,
    t.other::tid[] as tids, t.timer_group
from durable.turn_begin('{job@1}', '{}', 'app', 2, null, 0, 8) as t
where t.kind = 'cached';
select test.sleeping(p.ids, 800, 10, p.tids) from test.places as p;
select matches(test.waits(), '^a 800 10 ([1-9]), b 800 10 \1, c 5 7 0$',
    'who goes to sleep without one of them gets another one');
select durable.turn_timer_groups(array[timer_group], '{null}', '{0}', '{null}')
from test.places;
select test.sleeping('{c}', 700, 10);
select matches(test.waits(), '^a 800 10 ., b 800 10 ., c 700 10 -$',
    'and who is alone has none');
select durable.turn_timer_groups(array[timer_group], '{null}', '{0}', '{null}')
from test.places;
select is(count(*), 1::bigint, 'what wakes nobody is forgotten')
from durable.timer_groups;
select test.sleeping('{a,b,c}', 5);
select is(count(distinct w.timer_group), 1::bigint, 'they may meet again')
from durable.waits as w;

update dbos.workflow_status set status = 'CANCELLED' where workflow_uuid = 'a';
select is(test.told(), 'cached {b,c} 1 of 3',
    'who is cancelled sleeps no more');
alter table dbos.workflow_status disable trigger user;
update dbos.workflow_status set status = 'SUCCESS' where workflow_uuid = 'b';
alter table dbos.workflow_status enable trigger user;
select durable.sweep('{job@1}', 'app');
select is(string_agg(workflow_uuid, ','), 'c', 'nor who cannot run')
from durable.waits;
delete from durable.waits;
select durable.sweep('{job@1}', 'app');
select is(count(*), 0::bigint, 'and then nothing is left')
from durable.timer_groups;
select test.clear();

-- The journal.

select lives_ok($$select durable.turn_journal('{w,w}', '{0,1}', '{a,b}',
    '{1,null}', '{null,e}', '{null,c}', '{portable_json,js_superjson}',
    '{1,2}', '{3,4}', 'app')$$, 'steps are recorded');
select is(string_agg((o.workflow_uuid, o.function_id, o.function_name,
    o.output, o.error, o.child_workflow_id, o.serialization,
    o.started_at_epoch_ms, o.completed_at_epoch_ms, o.application_name)::text,
    '' order by o.function_id),
    '(w,0,a,1,,,portable_json,1,3,app)(w,1,b,,e,c,js_superjson,2,4,app)',
    'all there is to say of them')
from dbos.operation_outputs as o;
select throws_ok($$select durable.turn_journal('{w}', '{1}', '{b}', '{null}',
    '{null}', '{null}', '{null}', '{1}', '{1}', 'app')$$, '23505', null,
    'no step is recorded twice');

-- Messages.

select test.workflow('x'), test.workflow('y');
select durable.turn_messages('{x,y,x,x}', '{t,t,t,t}', '{1,2,3,4}');
select is(string_agg(n.message, ',' order by n.created_at_epoch_ms,
    n.message_uuid), '1,3,4', 'messages of one turn keep their order')
from dbos.notifications as n
where n.destination_uuid = 'x';
select is(string_agg(distinct n.topic || n.serialization || n.consumed, ''),
    'tportable_jsonfalse', 'they are as a client''s')
from dbos.notifications as n;
select ok(abs(n.created_at_epoch_ms - durable.now_ms()) < 1000,
    'and of now')
from dbos.notifications as n
where n.destination_uuid = 'y';
select durable.turn_messages(array_fill('y'::text, '{3000}'),
    array_fill('u'::text, '{3000}'), array_agg(n::text order by n))
from generate_series(1, 3000) as n;
select is(array_agg(message::int order by created_at_epoch_ms, message_uuid),
    array(select generate_series(1, 3000)), 'however many there are')
from dbos.notifications
where topic = 'u';
select throws_ok($$select durable.turn_messages('{z}', '{t}', '{1}')$$,
    '23503', null, 'nobody sends to who is not there');
select test.other('begin');
select test.other($$select status from dbos.workflow_status
    where workflow_uuid = 'x' for update$$);
select throws_ok($$select durable.turn_messages('{x}', '{t}', '{1}')$$,
    '55P03', null, 'nor waits long for who is in a turn');
select test.other('rollback');
select is(count(distinct id), 5000::bigint, 'message ids are unique')
from generate_series(1, 5000) as n
cross join lateral durable.message_id(1700000000000000 + n) as id;
select is(bool_and(id > before), true, 'sort as their times do')
from (
    select id, lag(id) over (order by n) as before
    from generate_series(1, 5000) as n
    cross join lateral durable.message_id(1700000000000000 + n * 7) as id
) as ids;
select matches(durable.message_id(1700000000123456), '^018bcfe5-687b-7720-'
    '[89ab][0-9a-f]{3}-[0-9a-f]{12}$', 'and are UUIDs of version 7');
select durable.turn_consumed(array_agg(message_uuid), '{7}')
from dbos.notifications
where message = '1'
    and destination_uuid = 'x';
select is(string_agg(message || consumed || coalesce(
    consumed_by_function_id, 0), ',' order by message),
    '1true7,3false0,4false0', 'a message is received by a step')
from dbos.notifications
where destination_uuid = 'x';

-- Events.

select durable.turn_events('{x,x,y}', '{3,1,0}', '{k,k,k}', '{"b","a","c"}',
    '{portable_json,portable_json,js_superjson}');
select is(string_agg((e.*)::text, '' order by e.workflow_uuid),
    '(x,k,b,portable_json)(y,k,c,js_superjson)',
    'of an event that is set twice in a turn the later value stands')
from dbos.workflow_events as e;
select is(string_agg(e.workflow_uuid || e.function_id || e.value, ','
    order by e.workflow_uuid, e.function_id), 'x1a,x3b,y0c',
    'its history knows both')
from dbos.workflow_events_history as e;
select durable.turn_events('{x}', '{5}', '{k}', '{d}', '{portable_json}');
select is((e.value, e.serialization)::text, '(d,portable_json)',
    'the value of another turn replaces it')
from durable.workflow_event('x', 'k') as e;
select is(count(*), 0::bigint, 'an event that is not set has none')
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
    '(PENDING,main,host,1,app,1,99,d,)', 'one from a queue begins')
from dbos.workflow_status as s;
select ok(s.owner_xid is not null
    and abs(s.started_at_epoch_ms - durable.now_ms()) < 1000
    and abs(s.updated_at - durable.now_ms()) < 1000, 'now')
from dbos.workflow_status as s;
update dbos.workflow_status set started_at_epoch_ms = 1;
select durable.turn_statuses('{w}', '{SUCCESS}', '{0}', '{1}', '{99}',
    '{out}', '{null}', 'app', 'host');
select is((s.status, s.queue_name, s.recovery_attempts, s.owner_xid,
    s.deduplication_id, s.started_at_epoch_ms)::text, '(SUCCESS,main,1,,,1)',
    'it ends')
from dbos.workflow_status as s;
select ok(abs(s.completed_at - durable.now_ms()) < 1000, 'now')
from dbos.workflow_status as s;
select is((r.*)::text, '(SUCCESS,out,,portable_json)', 'with an output')
from durable.workflow_result('w') as r;
select durable.turn_statuses('{w}', '{ERROR}', '{1}', '{1}', '{null}',
    '{null}', '{err}', 'app', 'host');
select is((r.*)::text, '(ERROR,,err,portable_json)',
    'or, run once more, with an error')
from durable.workflow_result('w') as r;
select test.clear(), test.workflow('w', application => 'theirs');
select durable.turn_statuses('{w}', '{CANCELLED}', '{1}', '{1}', '{1}',
    '{null}', '{null}', 'app', 'host');
select is((s.status, s.queue_name, s.application_name, s.owner_xid)::text,
    '(CANCELLED,,theirs,)', 'or past its deadline')
from dbos.workflow_status as s;
select is((r.*)::text, '(CANCELLED,,,portable_json)', 'without any')
from durable.workflow_result('w') as r;
select is(count(*), 0::bigint, 'one that is not there has no result')
from durable.workflow_result('x');
update dbos.workflow_status set output = 'o', error = 'e';
select is((r.*)::text, '(CANCELLED,o,e,portable_json)',
    'results are found where older libraries put them, too')
from durable.workflow_result('w') as r;
select test.clear();

-- With thousands that wait for long.

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
    -- Once for the plan, which reads the ends of indexes.
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
    'a sweep reads none of them');
select ok(test.reads_little($$
    select durable.turn_begin('{job@1}', '{main}', 'app', 64, null)$$),
    'nor does a turn');
select ok(test.reads_little($$
    select durable.turn_suspect('{job@1}', '{main}', 'app', 64, null)$$),
    'nor one at the start');
insert into durable.timer_groups (wake_at, type, size)
values (9000000000000, 'job@1', 3000);
update durable.waits
set wake_at = null,
    timer_group = (select timer_group from durable.timer_groups);
analyze;
select ok(test.reads_little($$select durable.sweep('{job@1}', 'app')$$),
    'nor when they share a timer group');
select ok(test.reads_little($$
    select durable.turn_begin('{job@1}', '{main}', 'app', 64, null)$$),
    'does either');
select test.clear();

reset plan_cache_mode;

select finish();
