-- SPDX-License-Identifier: MIT
--
-- How a worker reads messages when a workflow has many of them.

select plan(24);

-- Sends a workflow so many messages on a topic, from number 1 on.
create function test.send(id text, of_topic text, count int, size int default 1)
returns void
language sql
volatile
begin atomic
    insert into dbos.notifications (message_uuid, destination_uuid, topic,
        message, serialization, created_at_epoch_ms)
    select id || of_topic || to_char(n, 'FM00000'), id, of_topic,
        repeat('x', size), 'portable_json', 1000 + n / 10
    from generate_series(1, count) as n;
end;

-- The messages of a workflow's inbox, or that there are others.
create function test.inbox(ids text)
returns text
language sql
volatile
return (
    select coalesce(string_agg(coalesce(m.topic, m.unread_bytes || ' bytes'),
        ' '), '')
    from durable.turn_inbox(ids::text[]) as m);

-- A bite of a topic: how many messages, the first and the last, and whether
-- others may follow.
create function test.bite(of_topic text, after_ms bigint default null,
    after_uuid text default null)
returns text
language sql
volatile
return (
    select count(*) || coalesce(' ' || min(t.message_uuid) || ' '
        || max(t.message_uuid) || case when bool_or(t.has_more) then ' more'
            else '' end, '')
    from durable.turn_topic('w', of_topic, after_ms, after_uuid) as t);

select test.workflow('w'), test.workflow('x');

-- The inbox.

select test.send('w', 'a', 2), test.send('w', 'b', 1), test.send('x', 'c', 1);
select is(test.inbox('{w,x}'), 'a a b c',
    'a small inbox is loaded as a whole');
select test.send('w', 'd', 254);
select is(test.inbox('{w,x}'), '257 bytes c',
    'an inbox of more than 256 messages is not loaded');
update dbos.notifications set consumed = true where topic = 'd';
select is(test.inbox('{w,x}'), '3 bytes c',
    'messages that were received count, because they are read');
delete from dbos.notifications where message_uuid = 'wd00001';
select is(test.inbox('{w,x}'), 'a a b c',
    'an inbox of 256 messages is loaded');
update dbos.notifications set consumed = true;
select is(test.inbox('{w,x}'), '',
    'an inbox that was received as a whole is empty');
delete from dbos.notifications;
select test.send('w', 'a', 1, 16383), test.send('w', 'b', 1);
select is(test.inbox('{w}'), 'a b', 'an inbox of 16 KiB is loaded');
select test.send('w', 'c', 1);
select is(test.inbox('{w}'), '16385 bytes',
    'an inbox of more than 16 KiB is not loaded');
update dbos.notifications set consumed = true where topic = 'a';
select is(test.inbox('{w}'), 'b c',
    'the bytes of messages that were received do not count');
delete from dbos.notifications;

-- A topic.

select is(test.bite('a'), '0', 'a topic without messages is empty');
select test.send('w', 'a', 5), test.send('x', 'a', 1), test.send('w', 'b', 1);
select is(test.bite('a'), '5 wa00001 wa00005',
    'a bite has the messages of one topic and workflow');
select is(string_agg((t.*)::text, ' '),
    '(wb00001,x,portable_json,1000,f)',
    'a message of a bite has its id, text, format and time')
from durable.turn_topic('w', 'b', null, null) as t;
select is(test.bite('a', 1000, 'wa00003'), '2 wa00004 wa00005',
    'a bite begins behind the message that it names');
select is(test.bite('a', 1000, 'wa00005'), '0',
    'behind the last message is nothing');
update dbos.notifications set consumed = true
where message_uuid in ('wa00001', 'wa00004');
select is(test.bite('a'), '3 wa00002 wa00005',
    'a bite has no messages that were received');
update dbos.notifications set created_at_epoch_ms = 2000
where message_uuid = 'wa00002';
select is(string_agg(t.message_uuid, ' '), 'wa00003 wa00005 wa00002',
    'a bite is in the order of time')
from durable.turn_topic('w', 'a', null, null) as t;
delete from dbos.notifications;
select test.send('w', 'a', 5000);
select is(test.bite('a'), '4096 wa00001 wa04096 more',
    'a bite has at most 4096 messages');
select is(test.bite('a', 1409, 'wa04096'), '904 wa04097 wa05000',
    'the next bite has the others');
delete from dbos.notifications;
select test.send('w', 'a', 4, 100000);
select is(test.bite('a'), '3 wa00001 wa00003 more',
    'a bite has at most 256 KiB, and one message more');
select is(test.bite('a', 1000, 'wa00003'), '1 wa00004 wa00004',
    'the next bite has what the first one had no room for');
delete from dbos.notifications;
select test.send('w', 'a', 1, 1000000);
select is(test.bite('a'), '1 wa00001 wa00001 more',
    'a bite has a message of any size');
delete from dbos.notifications;

-- Costs: what is read depends on no other topic.

select test.send('w', 'other', 3000), test.send('w', 't', 1);
analyze dbos.notifications;
select ok(test.reads_little(
    $$select count(*) from durable.turn_topic('w', 't', null, null)$$),
    'a topic is read without the others');
create function test.inbox_reads()
returns bigint
language plpgsql
as $$
declare
    before bigint;
begin
    perform durable.turn_inbox('{w}');
    before := test.rows_read();
    perform durable.turn_inbox('{w}');
    return test.rows_read() - before;
end
$$;
select cmp_ok(test.inbox_reads(), '<', 600::bigint,
    'of a large inbox a part is read');
update dbos.notifications set consumed = true;
analyze dbos.notifications;
select test.waiting('r', 60000, 'message', null, 't');
update dbos.notifications set destination_uuid = 'r', topic = 't';
select ok(test.reads_little($$select durable.turn_waits('{r}',
    '{9000000000000}', '{job@1}', '{message}', '{null}', '{t}')$$),
    'a wait for a message reads none that were received');
begin;
insert into dbos.notifications (message_uuid, destination_uuid, topic, message)
values ('sent', 'r', 't', '1');
select durable.turn_waits('{r}', '{9000000000000}', '{job@1}', '{message}',
    '{null}', '{t}');
select ok(test.is_due('r'),
    'a wait for a message that its turn has sent is due');
rollback;
select finish();
