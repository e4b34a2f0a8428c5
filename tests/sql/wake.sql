-- SPDX-License-Identifier: MIT
--
-- A waiting workflow is woken by what it waits for, from any session, and by
-- nothing else; a deleted workflow leaves no rows.

select plan(80);

-- Messages.

select test.waiting('w', 60000, 'message', key => 't'),
    test.waiting('other', 60000, 'message', key => 't'),
    test.waiting('timer', 60000, 'timer', key => 't');
select dbos.send_message('w', '1', 'elsewhere');
select ok(not test.is_due('w'), 'a message on another topic wakes no workflow');
select dbos.send_message('w', '1', 't');
select ok(test.is_due('w'), 'a message wakes the workflow that waits for it');
select ok(not test.is_due('other'),
    'a message does not wake another workflow on its topic');
select dbos.send_message('timer', '1', 't');
select ok(not test.is_due('timer'),
    'a message does not wake a sleeping workflow');
update durable.waits set wake_at = 5 where workflow_uuid = 'w';
create table test.place as
select w.workflow_uuid, w.ctid as tid
from durable.waits as w;
select dbos.send_message('w', '1', 't');
select is((w.wake_at, w.ctid), (5::bigint, p.tid),
    'a message leaves the wait of a due workflow unwritten')
from durable.waits as w
join test.place as p on p.workflow_uuid = w.workflow_uuid
where w.workflow_uuid = 'w';
drop table test.place;
select test.clear();

select test.waiting(id, 60000, 'message', key => 't')
from unnest('{a,b,c}'::text[]) as id;
select durable.client_submit('{}', '{}', '{}', '{}', 'app', '{a}', '{job}',
    '{t}', '{1}', '{k}');
select ok(test.is_due('a'), 'a message of our client wakes its workflow');
select durable.turn_messages('{b}', '{t}', '{1}');
select ok(test.is_due('b'), 'a message of a workflow wakes its destination');
select durable.client_submit('{}', '{}', '{}', '{}', 'app', '{c}', '{other}',
    '{t}', '{1}', '{k}');
select ok(not test.is_due('c'),
    'a refused message does not wake its destination');
update durable.waits set wake_at = 9000000000000;
insert into dbos.notifications (destination_uuid, topic, message)
select id, 't', n::text
from unnest('{a,b,c}'::text[]) as id, generate_series(1, 3) as n;
select is(count(*), 3::bigint,
    'one statement with many messages wakes all destinations')
from durable.waits
where wake_at <= durable.now_ms();
select test.clear();

-- I5: a message that is sent during a turn waits for the turn's commit, and
-- then finds the wait.
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
select ok(test.is_due('w'),
    'a message wakes a wait that began in the turn it waited for');
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
select is(count(*), 0::bigint, 'an event with another key wakes no workflow')
from durable.waits
where wake_at <= durable.now_ms();
select is(test.notified(), null,
    'an event that wakes no workflow sends no notification');
select durable.turn_events('{source}', '{2}', '{k}', '{1}', '{portable_json}');
select is(string_agg(workflow_uuid, ','), 'w',
    'an event wakes the workflow that waits for it')
from durable.waits
where wake_at <= durable.now_ms();
select is(test.notified(), 'durable_due',
    'an event that wakes a workflow notifies the workers');
update durable.waits set wake_at = 9000000000000;
select durable.turn_events('{source}', '{3}', '{k}', '{2}', '{portable_json}');
select ok(test.is_due('w'), 'a second value of an event wakes, too');
insert into dbos.workflow_events (workflow_uuid, key, value)
values ('source', 'l', '1');
select ok(test.is_due('v'), 'an event inserted by another program wakes');
select ok(not test.is_due('u'),
    'an event does not wake a wait for another workflow''s');
select test.notified();
select dbos.send_message('source', '1', 't');
select is(test.notified(), 'dbos_notifications_channel source::t',
    'a message notifies on the channel of the DBOS SDKs');
select test.clear();

-- A workflow in a turn was due already, so a wake-up ignores its lock.
select test.workflow('source', 'PENDING', null),
    test.waiting('w', -10, 'event', 'source', 'k'),
    test.waiting('v', -10, 'result', 'source');
select test.other('begin');
select is(test.other($$select test.taken()$$), 'w,v',
    'a turn takes both due workflows');
select throws_ok($$select from durable.waits where workflow_uuid = 'w'
    for update nowait$$, '55P03', null, 'a turn locks the waits that it takes');
set lock_timeout = '50ms';
select lives_ok($$select durable.turn_events('{source}', '{1}', '{k}', '{1}',
    '{portable_json}')$$, 'an event does not wait for a turn with its reader');
select lives_ok($$update dbos.workflow_status set status = 'SUCCESS'
    where workflow_uuid = 'source'$$,
    'a result does not wait for a turn with its reader');
reset lock_timeout;
select test.other('rollback');
select is(test.notified(), 'durable_due, durable_due',
    'a wake-up that passes over a due workflow notifies the workers');
select test.clear();

-- The wait of a workflow that is not due may be locked: a wake-up then waits
-- for the lock, but not for long.
select test.workflow('source', 'PENDING', null),
    test.waiting('w', 60000, 'event', 'source', 'k'),
    test.waiting('v', 60000, 'result', 'source');
select test.other('begin');
select test.other($$select count(*)::text
    from (select from durable.waits as w for update) as l$$);
set statement_timeout = '1s';
select throws_ok($$select durable.turn_events('{source}', '{1}', '{k}', '{1}',
    '{portable_json}')$$, '55P03', null,
    'an event gives up on the locked wait of its reader within 1 s');
select throws_ok($$select durable.turn_statuses('{source}', '{SUCCESS}', '{0}',
    '{1}', '{null}', '{null}', '{null}', 'app', 'host')$$, '55P03', null,
    'a result gives up on the locked wait of its reader within 1 s');
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
        raise 'a result has woken a wait for an event';
    end if;
    return test.is_due('w');
end
$$;
select ok(test.result_of('SUCCESS', 'w'),
    'a success wakes the parent that waits for the result');
select ok(test.result_of('ERROR', 'w'),
    'an error wakes the parent that waits for the result');
select ok(test.result_of('CANCELLED', 'w'),
    'a cancellation wakes the parent that waits for the result');
select ok(test.result_of('MAX_RECOVERY_ATTEMPTS_EXCEEDED', 'w'),
    'a give-up wakes the parent that waits for the result');
select ok(not test.result_of('PENDING', 'w'),
    'becoming PENDING does not wake the parent');
select ok(test.result_of('SUCCESS', null),
    'a success without a parent wakes a wait for the result');
select ok(test.result_of('ERROR', null),
    'an error without a parent wakes a wait for the result');
select ok(test.result_of('SUCCESS', 'mum'),
    'a success of another parent''s child wakes a wait for it');
select test.notified();
select is(test.result_of('SUCCESS', 'w'), true,
    'a success wakes the parent while a session listens');
select is(test.notified(), 'durable_due',
    'a result that wakes a workflow notifies the workers');
select test.clear();

-- Tools change the status of a waiting workflow.

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
    'cancelling removes the wait and wakes a wait for the result');
select is(test.after('ENQUEUED'), 'watcher false',
    'enqueuing again removes the wait and wakes no workflow');
select is(test.after('DELAYED'), 'watcher false',
    'delaying removes the wait and wakes no workflow');
select is(test.after('PENDING'), 'w false, watcher false',
    'an unchanged status leaves the wait');
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
    'a statement that changes several statuses acts on each')
from durable.waits as w;
select test.clear();

select test.waiting('w', -10), test.workflow('keeps');
update dbos.workflow_status set status = 'CANCELLED'
where workflow_uuid = 'w';
update dbos.workflow_status
set status = 'ENQUEUED', queue_name = 'main'
where workflow_uuid = 'w';
select is(test.sorted(test.taken()), 'keeps,w',
    'a cancelled and resumed workflow is taken from its queue');
select test.clear();

-- Deleting nothing but the status, after a turn has written rows of all kinds.

select test.waiting('w', 60000), test.waiting('keeps', 60000);
insert into durable.suspects values ('w', 1), ('keeps', 1);
select dbos.send_message('w', '1', 't'),
    durable.turn_events('{w}', '{1}', '{k}', '{1}', '{portable_json}');
select durable.turn_journal(array[id], '{0}', '{a}', '{1}', '{null}',
    '{null}', '{null}', '{1}', '{1}', 'app')
from unnest('{w,keeps}'::text[]) as id;
insert into dbos.workflow_output (workflow_uuid, output)
values ('w', '1'), ('keeps', '1');
insert into dbos.streams (workflow_uuid, key, value, "offset")
values ('w', 'k', '1', 0);
delete from dbos.workflow_status where workflow_uuid = 'w';
select is(string_agg(workflow_uuid, ','), 'keeps',
    'a deleted workflow leaves no wait')
from durable.waits;
select is(string_agg(workflow_uuid, ','), 'keeps',
    'a deleted workflow leaves no suspect')
from durable.suspects;
select is(string_agg(workflow_uuid, ','), 'keeps',
    'a deleted workflow leaves no step')
from dbos.operation_outputs;
select is(string_agg(workflow_uuid, ','), 'keeps',
    'a deleted workflow leaves no outcome')
from dbos.workflow_output;
select is(string_agg(workflow_uuid, ','), 'keeps',
    'a deleted workflow leaves no input')
from dbos.workflow_input;
select is(count(*), 0::bigint, 'a deleted workflow leaves no message')
from dbos.notifications;
select is(count(*), 0::bigint, 'a deleted workflow leaves no event')
from dbos.workflow_events;
select is(count(*), 0::bigint, 'a deleted workflow leaves no event history')
from dbos.workflow_events_history;
select is(count(*), 0::bigint, 'a deleted workflow leaves no stream')
from dbos.streams;
select is(string_agg(distinct a.attrelid::regclass::text, ', '), null,
    'no other table has a column for the id of a workflow')
from pg_attribute as a
where a.attrelid in (
        select c.oid from pg_class as c
        where c.relnamespace = 'dbos'::regnamespace
            and c.relkind = 'r')
    and a.attname in ('workflow_uuid', 'destination_uuid')
    and a.attrelid::regclass::text not in ('dbos.workflow_status',
        'dbos.workflow_input', 'dbos.workflow_output',
        'dbos.operation_outputs', 'dbos.notifications', 'dbos.workflow_events',
        'dbos.workflow_events_history', 'dbos.streams');
select is(test.taken(), '', 'no turn takes a deleted workflow');
select test.workflow('w');
select is(count(*), 0::bigint,
    'a new workflow with a deleted id has no journal and no message')
from (
    select from durable.turn_load('{w}') as t
    where t.step_numbers is not null
    union all
    select from durable.turn_inbox('{w}')
) as found;
delete from dbos.workflow_status where workflow_uuid = 'w';
select dbos.enqueue_workflow('job', 'main', array['7'::json],
    workflow_id => 'w');
select is(input::json ->> 'positionalArgs', '[7]',
    'a new workflow with a deleted id has its own input')
from durable.turn_load('{w}');

-- I5: a session that writes with an older snapshot does not see newer waits.

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
select is(count(*), 0::bigint,
    'a write with an older snapshot wakes no newer wait')
from durable.waits
where wake_at <= durable.now_ms();
select durable.sweep('{job@1}', 'app');
select ok(test.is_due('m'), 'the sweep wakes a wait that missed its message');
select ok(test.is_due('e'), 'the sweep wakes a wait that missed its event');
select ok(test.is_due('r'), 'the sweep wakes a wait that missed its result');
select is(count(*), 0::bigint, 'the sweep clears the missed wake-ups')
from durable.arrivals;

-- When the clock is put back, what was due stays due.

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
select ok(not test.is_due('due'),
    'a sweep with a right clock wakes no workflow');
update durable.clock set latest_ms = durable.now_ms() + 3600000;
select durable.sweep('{job@1}', 'app');
select ok(test.is_due('due'),
    'a wait that was due before the clock went back is due');
select ok(test.is_due('sleeps'),
    'a timer group that was due before the clock went back is due');
select ok(not test.is_due('later'),
    'a wait that was not due before the clock went back is not');
select ok(abs(latest_ms - durable.now_ms()) < 1000,
    'the sweep takes the new time of a clock that went back')
from durable.clock;
update durable.clock set latest_ms = durable.now_ms() - 3600000;
select durable.sweep('{job@1}', 'app');
select ok(abs(latest_ms - durable.now_ms()) < 1000,
    'the sweep keeps the time of a clock that goes forward')
from durable.clock;

-- What makes something due notes the time first, because the clock may be put
-- back before the next sweep.

create function test.notes_clock(writes text)
returns boolean
language plpgsql
as $$
declare
    begun_ms constant bigint := durable.now_ms();
begin
    update durable.clock set latest_ms = begun_ms - 3600000;
    execute writes;
    return (select c.latest_ms >= begun_ms from durable.clock as c);
end
$$;
select test.clear();
select test.workflow('source', 'PENDING', null), test.workflow('new'),
    test.waiting('m', 60000, 'message', null, 't'),
    test.waiting('step', 60000, 'step', null, '1');
select test.waiting('e', 60000, 'event', 'source', 'k');
select ok(test.notes_clock(writes), 'a time of a fast clock is noted: ' || title)
from (values
    ('a message', $$select dbos.send_message('m', '1', 't')$$),
    ('an event', $$insert into dbos.workflow_events (workflow_uuid, key, value)
        values ('source', 'k', '1')$$),
    ('an end', $$update dbos.workflow_status set status = 'SUCCESS'
        where workflow_uuid = 'source'$$),
    ('an admission', $$select durable.admit_workflows('{new}', '{job@1}', 'app',
        'x', false)$$),
    ('a wait', $$select durable.turn_waits('{m}',
        array[durable.now_ms() + 60000], '{job@1}', '{message}', '{null}',
        '{t}')$$),
    ('a wait for several', $$select durable.turn_wait_items('{m}', '{0}',
        '{message}', '{null}', '{t}')$$),
    ('an external step', $$select durable.turn_external('{step}', '{1}',
        '{call}', '{null}', 'app')$$),
    ('a step master', $$select durable.step_register(null, '{}', '{}', '{}',
        '{}')$$),
    ('the end of a step', $$select durable.wake_by_steps('{step}', '{1}')$$),
    ('an attempt', $$select durable.step_settle(1, 'app', '{}', '{}', '{}',
        '{}', '{}', '{}', '{}')$$),
    ('a step of a dead master', $$select durable.step_release()$$))
    as w (title, writes);
update durable.clock set latest_ms = durable.now_ms() - 3600000;
select test.other('begin');
select test.other('select latest_ms::text from durable.clock for update');
select dbos.send_message('m', '1', 't');
select test.other('rollback');
select ok(latest_ms < durable.now_ms() - 1800000,
    'a message does not wait for another that notes the clock')
from durable.clock;
select pg_advisory_unlock_all();

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
    'a wait that leaves a locked timer group is made due');
select ok(test.is_due('moves'),
    'a wait that moves to another timer group is made due');

select finish();
