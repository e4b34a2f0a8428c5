-- SPDX-License-Identifier: MIT
--
-- What a turn writes, by kind.

select plan(64);

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
select is((w.*)::text, '(w,5,job@1,message,,t,,,)', 'turn_waits writes a wait')
from durable.waits as w;
select durable.turn_waits('{w}', '{6}', '{job@2}', '{timer}', '{null}',
    '{null}');
select is((w.*)::text, '(w,6,job@2,timer,,,,,)',
    'a second wait replaces the first')
from durable.waits as w;
select durable.turn_waits('{x,w,y}', '{8,7,9}', '{job@1,job@1,job@1}',
    '{timer,timer,timer}', '{null,null,null}', '{null,null,null}');
select is(string_agg((w.*)::text, ' ' order by w.wake_at),
    '(w,7,job@1,timer,,,,,) (x,8,job@1,timer,,,,,) (y,9,job@1,timer,,,,,)',
    'a turn replaces waits, and adds others')
from durable.waits as w;
begin;
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
commit;
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
insert into dbos.streams (workflow_uuid, key, value, "offset")
values ('y', 'a:b', '1', 1);
select durable.turn_waits('{w}', '{9000000000000}', '{job@1}', '{stream}',
    '{y}', '{2:a:b}');
select ok(not test.is_due('w'),
    'a value at another place of a stream does not make due');
select durable.turn_waits('{w}', '{9000000000000}', '{job@1}', '{stream}',
    '{y}', '{1:a:b}');
select ok(test.is_due('w'),
    'a value of a stream that came meanwhile makes the wait due');
select is(test.notified(), 'durable_due',
    'a wait that is due at once for a value of a stream notifies');
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
select durable.turn_end_waits('{w}');
select is(string_agg(w.workflow_uuid, ','), 'x',
    'turn_end_waits deletes the wait of an ended workflow')
from durable.waits as w;
select test.clear();

select test.workflow(id, 'PENDING', null)
from unnest('{w,x}'::text[]) as id;
create function test.held()
returns text
language sql
return (
    select string_agg(w.workflow_uuid || ' ' || w.kind || ' '
        || coalesce(w.held_since::text, '-'), ', ' order by w.workflow_uuid)
    from durable.waits as w);
select durable.turn_waits('{w,x}', '{6,6}', '{job@1,job@1}', '{held,held}',
    '{null,null}', '{null,null}', '{4,3}');
select is(test.held(), 'w held 4, x held 3',
    'turn_waits writes since when a step is held');
select is(count(*), 0::bigint, 'workflows that are held share no timer group')
from durable.timer_groups;
select durable.turn_waits('{w}', '{6}', '{job@1}', '{held}', '{null}',
    '{null}', '{2}');
select is(test.held(), 'w held 2, x held 3',
    'a later wait of a held step has the time that it is given');
select durable.turn_waits('{w}', '{6}', '{job@1}', '{timer}', '{null}',
    '{null}');
select is(test.held(), 'w timer -, x held 3',
    'a wait that is not held clears the time');
select test.clear();

-- Timer groups.

create function test.waits()
returns text
language sql
return (
    select string_agg(w.workflow_uuid || ' ' || w.wake_at || ' '
        || coalesce((w.timer_group - a.first)::text, '-'), ', '
        order by w.workflow_uuid)
    from (
        select x.*, v.timer_group
        from durable.waiting as x
        join durable.waits as v using (workflow_uuid)) as w
    cross join (select min(timer_group) as first from durable.timer_groups)
        as a);

select test.workflow(id, 'PENDING', null, version => '1')
from unnest('{a,b,c,d,e,f,g}'::text[]) as id;
select durable.turn_waits('{a,b,c,d,e,f,g}', '{5,5,6,5,6,5,7}',
    '{job@1,job@1,job@1,job@2,job@1,job@1,job@1}',
    '{timer,timer,timer,timer,timer,message,timer}', array_fill(null::text,
    '{7}'), '{null,null,null,null,null,t,null}');
select matches(test.waits(),
    '^a 5 (0|1), b 5 \1, c 6 (0|1), d 5 -, e 6 \2, f 5 -, g 7 -$',
    'sleeps of one type until one time share a timer group');
select is(string_agg((a.wake_at, a.type, a.size)::text, ' '
    order by a.wake_at), '(5,job@1,2) (6,job@1,2)',
    'a timer group has its time, type and size')
from durable.timer_groups as a;
select test.clear();
select test.workflow(id, 'PENDING', null, version => '1')
from unnest('{a,b,c,d}'::text[]) as id;
select test.sleeping('{a,b,c,d}', 5);

select durable.turn_timer_groups(array[timer_group], '{900}', '{3}')
from durable.timer_groups;
select is(test.waits(), 'a 900 0, b 900 0, c 900 0, d 900 0',
    'turn_timer_groups moves a timer group that sleeps again');
select is(string_agg((g.wake_at, g.size)::text, ' '), '(900,3)',
    'turn_timer_groups writes how many sleep on')
from durable.timer_groups as g;
update durable.timer_groups set wake_at = 5;
select durable.turn_end_waits('{d}');
select durable.turn_timer_groups(array[timer_group], '{null}', '{0}')
from durable.timer_groups;
select is(test.waits(), 'a 5 0, b 5 0, c 5 0',
    'a timer group is kept while a wait refers to it');

create table test.two as
select array_agg(t.workflow_uuid) as ids, min(t.timer_group) as timer_group
from durable.turn_take('{job@1}', '{}', '{job@1}', 'app', 2, null) as t;
select test.sleeping(p.ids, 800) from test.two as p;
select matches(test.waits(), '^a 800 ([1-9]), b 800 \1, c 5 0$',
    'workflows that sleep again without the rest get a new group');
select durable.turn_timer_groups(array[timer_group], '{null}', '{0}')
from test.two;
select test.sleeping('{c}', 700);
select matches(test.waits(), '^a 800 ., b 800 ., c 700 -$',
    'a workflow that sleeps alone has no timer group');
select durable.turn_timer_groups(array[timer_group], '{null}', '{0}')
from test.two;
select is(count(*), 1::bigint, 'a timer group without waits is deleted')
from durable.timer_groups;
select test.sleeping('{a,b,c}', 5);
select is(count(distinct w.timer_group), 1::bigint,
    'workflows of different timer groups may share one again')
from durable.waits as w;

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

-- Families.

select test.clear(), test.workflow('a'), test.workflow('b'), test.workflow('c');
update dbos.workflow_status
set parent_workflow_id = translate(workflow_uuid, 'abc', 'cab');
set statement_timeout = '10s';
select durable.turn_control('{a}', '{cancel family}');
reset statement_timeout;
select is(count(*), 3::bigint,
    'a family is cancelled whose parents form a circle')
from dbos.workflow_status
where status = 'CANCELLED';
select finish();
