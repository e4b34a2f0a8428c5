-- SPDX-License-Identifier: MIT
--
-- Who waits is woken by what it waits for, whoever makes that happen, and by
-- nothing else; and of who is gone nothing is left.

select plan(65);

-- Messages.

select test.waiting('w', 60000, 'message', key => 't'),
    test.waiting('other', 60000, 'message', key => 't'),
    test.waiting('timer', 60000, 'timer', key => 't');
select dbos.send_message('w', '1', 'elsewhere');
select ok(not test.is_due('w'), 'a message on another topic wakes nobody');
select dbos.send_message('w', '1', 't');
select ok(test.is_due('w'), 'a message wakes who waits for it');
select ok(not test.is_due('other'), 'and nobody else');
select dbos.send_message('timer', '1', 't');
select ok(not test.is_due('timer'), 'nor who waits for the time only');
update durable.waits set wake_at = 5 where workflow_uuid = 'w';
create table test.place as
select w.workflow_uuid, w.ctid as tid
from durable.waits as w;
select dbos.send_message('w', '1', 't');
select is((w.wake_at, w.ctid), (5::bigint, p.tid),
    'who is due already does not lose its place, nor is written again')
from durable.waits as w
join test.place as p on p.workflow_uuid = w.workflow_uuid
where w.workflow_uuid = 'w';
drop table test.place;
select test.clear();

select test.waiting(id, 60000, 'message', key => 't')
from unnest('{a,b,c}'::text[]) as id;
select durable.client_submit('{}', '{}', '{}', '{}', 'app', '{a}', '{job}',
    '{t}', '{1}', '{k}');
select ok(test.is_due('a'), 'a client of ours wakes');
select durable.turn_messages('{b}', '{t}', '{1}');
select ok(test.is_due('b'), 'and so does another workflow');
select durable.client_submit('{}', '{}', '{}', '{}', 'app', '{c}', '{other}',
    '{t}', '{1}', '{k}');
select ok(not test.is_due('c'), 'a message that is not sent does not');
update durable.waits set wake_at = 9000000000000;
insert into dbos.notifications (destination_uuid, topic, message)
select id, 't', n::text
from unnest('{a,b,c}'::text[]) as id, generate_series(1, 3) as n;
select is(count(*), 3::bigint, 'many messages wake all they are for')
from durable.waits
where wake_at <= durable.now_ms();
select test.clear();

-- I5: a message that comes during a turn waits for it, and then finds the
-- wait.
select test.workflow('w', 'PENDING', null, version => '1');
select test.other('begin');
select test.other($$select workflow_uuid from dbos.workflow_status
    where workflow_uuid = 'w' for update$$);
set lock_timeout = '50ms';
select throws_ok($$select dbos.send_message('w', '1', 't')$$, '55P03', null,
    'a message waits for the turn of its destination');
reset lock_timeout;
select dblink_connect('sender', 'dbname=' || current_database());
select dblink_send_query('sender',
    $$select dbos.send_message('w', '1', 't')::text$$);
select test.other($$select durable.turn_waits('{w}', '{9000000000000}',
    '{job@1}', '{message}', '{null}', '{t}')::text$$);
select test.other('commit');
select t.value
from dblink_get_result('sender') as t (value text);
select ok(test.is_due('w'), 'and then wakes who began to wait in it');
select dblink_disconnect('sender');
select test.clear();

-- Events.

select test.workflow('source', 'PENDING', null),
    test.waiting('w', 60000, 'event', 'source', 'k'),
    test.waiting('v', 60000, 'event', 'source', 'l'),
    test.waiting('u', 60000, 'event', 'v', 'k');
select test.other('listen durable_due'),
    test.other('listen dbos_notifications_channel');
select durable.turn_events('{source}', '{1}', '{m}', '{1}', '{portable_json}');
select is(count(*), 0::bigint, 'another event wakes nobody')
from durable.waits
where wake_at <= durable.now_ms();
select is(test.notified(), null, 'and nobody is told');
select durable.turn_events('{source}', '{2}', '{k}', '{1}', '{portable_json}');
select is(string_agg(workflow_uuid, ','), 'w',
    'an event wakes who waits for it')
from durable.waits
where wake_at <= durable.now_ms();
select is(test.notified(), 'durable_due', 'and the workers are told');
update durable.waits set wake_at = 9000000000000;
select durable.turn_events('{source}', '{3}', '{k}', '{2}', '{portable_json}');
select ok(test.is_due('w'), 'so does its next value');
insert into dbos.workflow_events (workflow_uuid, key, value)
values ('source', 'l', '1');
select ok(test.is_due('v'), 'whoever sets it');
select ok(not test.is_due('u'), 'but not another workflow''s');
select test.notified();
select dbos.send_message('source', '1', 't');
select is(test.notified(), 'dbos_notifications_channel source::t',
    'of a message the workers are told as the family does');
select test.clear();

-- Who is in a turn is due already: nobody waits to wake it.
select test.workflow('source', 'PENDING', null),
    test.waiting('w', -10, 'event', 'source', 'k'),
    test.waiting('v', -10, 'result', 'source');
select test.other('begin');
select is(test.other($$select string_agg(t.workflow_uuid, ',')
    from durable.turn_begin('{job@1}', '{}', 'app', 64, null) as t$$), 'w,v',
    'a turn has them in hand');
select throws_ok($$select from durable.waits where workflow_uuid = 'w'
    for update nowait$$, '55P03', null, 'and their waits');
set lock_timeout = '50ms';
select lives_ok($$select durable.turn_events('{source}', '{1}', '{k}', '{1}',
    '{portable_json}')$$, 'an event does not wait for it');
select lives_ok($$update dbos.workflow_status set status = 'SUCCESS'
    where workflow_uuid = 'source'$$, 'nor does a result');
reset lock_timeout;
select test.other('rollback');
select is(test.notified(), 'durable_due, durable_due',
    'but the workers are told, who may not know it');
select test.clear();

-- Who is not due may be in a turn that was late: nobody waits for it for long.
select test.workflow('source', 'PENDING', null),
    test.waiting('w', 60000, 'event', 'source', 'k'),
    test.waiting('v', 60000, 'result', 'source');
select test.other('begin');
select test.other($$select count(*)::text
    from (select from durable.waits as w for update) as l$$);
set statement_timeout = '1s';
select throws_ok($$select durable.turn_events('{source}', '{1}', '{k}', '{1}',
    '{portable_json}')$$, '55P03', null, 'an event waits a little');
select throws_ok($$select durable.turn_statuses('{source}', '{SUCCESS}', '{0}',
    '{1}', '{null}', '{null}', '{null}', 'app', 'host')$$, '55P03', null,
    'and so does a result');
reset statement_timeout;
select test.other('rollback');
select test.clear();

-- Results.

create function test.result_of(status text, parent text)
returns boolean
language plpgsql
as $$
begin
    perform test.clear();
    perform test.workflow('child', 'PENDING', null, parent => parent);
    perform test.waiting('w', 60000, 'result', 'child');
    perform test.waiting('v', 60000, 'event', 'child', 'k');
    perform durable.turn_statuses('{child}', array[status], '{0}', '{1}',
        '{null}', '{null}', '{null}', 'app', 'host');
    if test.is_due('v') then
        raise 'one that waits for an event is woken by a result';
    end if;
    return test.is_due('w');
end
$$;
select ok(test.result_of('SUCCESS', 'w'), 'a success wakes who waits for it');
select ok(test.result_of('ERROR', 'w'), 'and so does an error');
select ok(test.result_of('CANCELLED', 'w'), 'and a cancellation');
select ok(test.result_of('MAX_RECOVERY_ATTEMPTS_EXCEEDED', 'w'),
    'and a giving up');
select ok(not test.result_of('PENDING', 'w'), 'but not a beginning');
select ok(test.result_of('SUCCESS', null),
    'the success of one that somebody else started wakes, too');
select ok(test.result_of('ERROR', null), 'and its error');
select ok(test.result_of('SUCCESS', 'mum'), 'and another one''s child''s');
select test.notified();
select is(test.result_of('SUCCESS', 'w'), true, 'when that happens');
select is(test.notified(), 'durable_due', 'the workers are told');
select test.clear();

-- What tools do to who waits.

create function test.after(new_status text)
returns text
language plpgsql
as $$
begin
    perform test.clear();
    perform test.waiting('w', 60000);
    perform test.waiting('watcher', 60000, 'result', 'w');
    update dbos.workflow_status as s
    set status = new_status
    where s.workflow_uuid = 'w';
    return (select string_agg(w.workflow_uuid || ' '
        || (w.wake_at <= durable.now_ms()), ', ' order by w.workflow_uuid)
        from durable.waits as w);
end
$$;
select is(test.after('CANCELLED'), 'watcher true',
    'who is cancelled waits no more, and wakes who waits for that');
select is(test.after('ENQUEUED'), 'watcher false',
    'who is enqueued again waits no more, and wakes nobody');
select is(test.after('DELAYED'), 'watcher false', 'who is delayed, too');
select is(test.after('PENDING'), 'w false, watcher false',
    'who is left alone waits on');
select test.clear();

select test.waiting('stopped', 60000), test.waiting('resumed', 60000),
    test.workflow('done', 'PENDING', null);
select test.waiting('watches-' || id, 60000, 'result', id)
from unnest('{stopped,resumed,done}'::text[]) as id;
update dbos.workflow_status as s
set status = case s.workflow_uuid when 'stopped' then 'CANCELLED'
    when 'resumed' then 'ENQUEUED' else 'SUCCESS' end
where s.workflow_uuid in ('stopped', 'resumed', 'done');
select is(string_agg(w.workflow_uuid || ' ' || test.is_due(w.workflow_uuid),
        ', ' order by w.workflow_uuid),
    'watches-done true, watches-resumed false, watches-stopped true',
    'what a statement does to several is seen of each')
from durable.waits as w;
select test.clear();

select test.waiting('w', -10), test.workflow('keeps');
update dbos.workflow_status set status = 'CANCELLED'
where workflow_uuid = 'w';
update dbos.workflow_status
set status = 'ENQUEUED', queue_name = 'main'
where workflow_uuid = 'w';
select is(test.sorted(test.taken()), 'keeps,w',
    'who was cancelled and resumed is taken from the queue');
select test.clear();

-- Deleting, as a client does it, and what a turn writes in between.

select test.waiting('w', 60000), test.waiting('keeps', 60000);
insert into durable.suspects values ('w', 1), ('keeps', 1);
select dbos.send_message('w', '1', 't'),
    durable.turn_events('{w}', '{1}', '{k}', '{1}', '{portable_json}');
select durable.turn_journal(array[id], '{0}', '{a}', '{1}', '{null}',
    '{null}', '{null}', '{1}', '{1}', 'app')
from unnest('{w,keeps}'::text[]) as id;
insert into dbos.workflow_output (workflow_uuid, output)
values ('w', '1'), ('keeps', '1');
delete from dbos.workflow_input where workflow_uuid = 'w';
delete from dbos.workflow_status where workflow_uuid = 'w';
select is(string_agg(workflow_uuid, ','), 'keeps', 'no wait is left')
from durable.waits;
select is(string_agg(workflow_uuid, ','), 'keeps', 'no suspect')
from durable.suspects;
select is(string_agg(workflow_uuid, ','), 'keeps', 'no step')
from dbos.operation_outputs;
select is(string_agg(workflow_uuid, ','), 'keeps', 'no outcome')
from dbos.workflow_output;
select is(string_agg(workflow_uuid, ','), 'keeps', 'no input')
from dbos.workflow_input;
select is(count(*), 0::bigint, 'no message') from dbos.notifications;
select is(count(*), 0::bigint, 'no event') from dbos.workflow_events;
select is(count(*), 0::bigint, 'no history of it')
from dbos.workflow_events_history;
select is(test.taken(), '', 'nobody runs it');
select test.workflow('w');
select is(count(*), 0::bigint, 'and a later one of the id begins anew')
from durable.turn_begin('{job@}', '{main}', 'app', 64, null) as t
where t.kind <> 'workflow'
    and t.workflow_uuid = 'w';

-- I5: who writes with an older snapshot does not see who waits now.

select test.clear();
select test.waiting('m', 60000, 'timer', key => 't'),
    test.workflow('source', 'PENDING', null, version => '1');
select test.other('begin isolation level repeatable read');
select test.other('select count(*)::text from durable.waits');
select test.waiting('e', 60000, 'event', 'source', 'k'),
    test.waiting('r', 60000, 'result', 'source');
update durable.waits set kind = 'message' where workflow_uuid = 'm';
select test.other($$select dbos.send_message('m', '1', 't')::text$$);
select test.other($$insert into dbos.workflow_events (workflow_uuid, key, value)
    values ('source', 'k', '1')$$);
select test.other($$update dbos.workflow_status set status = 'SUCCESS'
    where workflow_uuid = 'source'$$);
select test.other('commit');
select is(count(*), 0::bigint, 'an older snapshot shows nobody who waits')
from durable.waits
where wake_at <= durable.now_ms();
select durable.sweep('{job@1}', 'app');
select ok(test.is_due('m'), 'the sweep wakes who waits for the message');
select ok(test.is_due('e'), 'who waits for the event');
select ok(test.is_due('r'), 'and who waits for the result');
select is(count(*), 0::bigint, 'once') from durable.arrivals;

-- The clock is put back: what was due by it stays due.

select test.clear();
select test.waiting('due', 3600000, 'timer'),
    test.waiting('later', 7200000, 'timer'), test.waiting('sleeps');
create function test.set_timer_group(id text, due_in_ms bigint)
returns void
language sql
volatile
begin atomic
    insert into durable.timer_groups (wake_at, type, size)
    values (durable.now_ms() + due_in_ms, 'job@1', 1);
    update durable.waits as w
    set wake_at = null,
        timer_group = (select max(a.timer_group) from durable.timer_groups as a)
    where w.workflow_uuid = id;
end;
select test.set_timer_group('sleeps', 3600000);
select durable.sweep('{job@1}', 'app');
select ok(not test.is_due('due'), 'a clock that goes right wakes nobody');
update durable.clock set latest_ms = durable.now_ms() + 3600000;
select durable.sweep('{job@1}', 'app');
select ok(test.is_due('due'), 'what was due by a clock that was put back is');
select ok(test.is_due('sleeps'), 'also by a timer group');
select ok(not test.is_due('later'), 'and nothing else');
select ok(abs(latest_ms - durable.now_ms()) < 1000, 'it is heeded once')
from durable.clock;
update durable.clock set latest_ms = durable.now_ms() - 3600000;
select durable.sweep('{job@1}', 'app');
select ok(abs(latest_ms - durable.now_ms()) < 1000, 'a clock goes forward')
from durable.clock;

select test.clear();
select test.waiting('leaves'), test.waiting('moves');
select test.set_timer_group('leaves', 3600000);
update durable.waits
set wake_at = null,
    timer_group = (select timer_group from durable.timer_groups)
where workflow_uuid = 'moves';
update durable.clock set latest_ms = durable.now_ms() + 3600000;
select test.other('begin');
select test.other('select timer_group::text from durable.timer_groups for update');
select dblink_connect('third', 'dbname=' || current_database());
select dblink_send_query('third', $$select durable.sweep('{job@1}', 'app')$$);
do $$
begin
    while not exists (select from pg_locks where not granted) loop
        perform pg_sleep(0.01);
    end loop;
end
$$;
select test.other($$update durable.waits set timer_group = null,
    wake_at = durable.now_ms() + 3600000 where workflow_uuid = 'leaves'$$);
select test.other($$select test.set_timer_group('moves', 3600000)::text$$);
select test.other('commit');
select t.swept from dblink_get_result('third') as t (swept text);
select ok(test.is_due('leaves'),
    'who leaves a timer group while a turn has it is not forgotten');
select ok(test.is_due('moves'), 'nor who gets another one');

select finish();
