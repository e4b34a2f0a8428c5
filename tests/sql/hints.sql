-- SPDX-License-Identifier: MIT
--
-- Notifications are hints: while the notification queue is nearly full none is
-- sent, because each would fail its transaction, and all else happens as ever.
-- The sweep frees the queue.

select plan(19);

-- Notes how full the queue is, in tenths, in the place of the sweep.
create function test.used(part int)
returns void
language sql
begin atomic
    update durable.notification_queue set tenths = part;
end;

select is(string_agg(f.name, ', ' order by f.name), 'durable.hint, '
    'store.crash_executor', 'no other function notifies')
from (
    select p.pronamespace::regnamespace || '.' || p.proname as name
    from pg_proc as p
    where p.pronamespace in ('dbos'::regnamespace, 'durable'::regnamespace,
            'store'::regnamespace)
        and coalesce(pg_get_function_sqlbody(p.oid), p.prosrc)
            like '%pg_notify%') as f;

select test.other('listen durable_due'),
    test.other('listen dbos_notifications_channel');
select test.waiting('w', 60000, 'message', key => 't'),
    test.waiting('e', 60000, 'event', 'w', 'k');

select durable.hint('durable_due', '{one,two}');
select is(test.notified(), 'durable_due one, durable_due two',
    'hint notifies with each payload');
select durable.hint('durable_due', array['short', repeat('x', 8000)]);
select is(test.notified(), 'durable_due short',
    'hint leaves out a payload that PostgreSQL would refuse');
select test.used(5);
insert into dbos.notifications (destination_uuid, topic, message)
values ('w', 't', '1'), ('w', 't', '2'), ('w', 'u', '3');
select is(test.notified(), 'dbos_notifications_channel w::t, '
    'dbos_notifications_channel w::u',
    'messages notify as with DBOS while the queue is half full');
begin isolation level repeatable read;
select dbos.send_message('w', '1', 't');
commit;
select is(test.notified(), 'dbos_notifications_channel w::t',
    'a message of a transaction with an older snapshot notifies');
select lives_ok($$select dbos.send_message('w', '1', repeat('t', 8000))$$,
    'a message with a long topic is sent');

select test.used(6);
select durable.hint('durable_due', '{one}');
select is(test.notified(), null, 'hint does not notify into a full queue');

update durable.waits set wake_at = 9000000000000;
select dbos.send_message('w', '2', 't');
select is(test.notified(), null,
    'a message does not notify into a full queue');
select ok(test.is_due('w'), 'its workflow is due all the same');

update durable.waits set wake_at = 9000000000000;
select durable.client_submit('{}', '{}', '{}', '{}', 'app', '{w}', '{job}',
    '{t}', '{1}', '{k}');
select durable.turn_messages('{w}', '{t}', '{1}');
select is(test.notified(), null,
    'messages of a client and of a workflow do not either');
select ok(test.is_due('w'), 'nor do they need it');
select durable.turn_events('{w}', '{1}', '{k}', '{1}', '{portable_json}');
select is(test.notified(), null,
    'an event does not notify into a full queue');
select ok(test.is_due('e'), 'the workflow that waits for it is due');

-- What an operator sees, and what mends it.

select is(n.what, '60 %', 'an operator is told how full the queue is')
from durable.note_served('app', '{job@1}', '{main}') as n
where n.kind = 'notifications';
select is(m.value, 0.6::double precision, 'the metrics tell it, too')
from durable.metrics() as m
where m.name = 'notification_queue_usage';

-- In the place of the server's function.
create sequence test.looks;
alter function pg_catalog.pg_notification_queue_usage()
rename to pg_true_queue_usage;
create function pg_catalog.pg_notification_queue_usage()
returns double precision
language sql
volatile
security definer
return case when nextval('test.looks') = 1 then 0.79 else 0.59 end;

select durable.sweep('{job@1}', 'app');
select is(q.tenths, 7, 'the sweep notes how full the queue is')
from durable.notification_queue as q;
select durable.sweep('{job@1}', 'app');
select is(q.tenths, 5, 'the sweep notes that the queue was freed')
from durable.notification_queue as q;
select durable.hint('durable_due', '{again}');
select is(test.notified(), 'durable_due again', 'then hint notifies again');
select test.other('begin'),
    test.other('select pg_advisory_xact_lock(1146442307, 0)::text');
select durable.sweep('{job@1}', 'app');
select is(last_value, 2::bigint,
    'no session waits for another one that frees the queue')
from test.looks;
select test.other('rollback');

select finish();
