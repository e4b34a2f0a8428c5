-- SPDX-License-Identifier: MIT
--
-- Much that is due at the same time: a turn also takes what became due last, and
-- a sweep does a bite and says that there is more.

select plan(17);

-- A turn that cannot take all.

select test.waiting('overdue ' || n, n - 1000) from generate_series(1, 9) as n;
select test.waiting('woken', 60000, 'message', null, 'topic');
insert into dbos.notifications (message_uuid, destination_uuid, topic, message)
values ('m', 'woken', 'topic', '1');
select is(test.taken(5),
    'overdue 1,overdue 2,overdue 3,woken,overdue 9',
    'half of a turn are the most overdue, half became due last');
select is(test.taken(1), 'overdue 1', 'a turn of one takes the most overdue');
select is(test.sorted(test.taken(10)), test.sorted(test.taken(64)),
    'a turn that can take all takes each once');
select is(cardinality(string_to_array(test.taken(9), ',')), 9,
    'a turn takes as many as asked for, whatever became due when');
update durable.waits set wake_at = 5;
select is(cardinality(string_to_array(test.taken(9), ',')), 9,
    'so it does of waits of one time');
update durable.waits set wake_at = durable.now_ms() - 10;
begin;
select is(array_length(string_to_array(test.taken(7), ','), 1),
    cardinality(durable.taken()), 'all that is taken is handed over');
rollback;
insert into durable.suspects values ('woken', 1);
select is(test.taken(9) like '%woken%', false,
    'what became due last is not taken while it is suspect');
delete from durable.suspects;
update dbos.workflow_status set application_name = 'other'
where workflow_uuid = 'woken';
select is(test.taken(9) like '%woken%', false,
    'what became due last is not taken from another application');
update dbos.workflow_status set application_name = 'app', status = 'SUCCESS'
where workflow_uuid = 'woken';
select is(test.taken(9) like '%woken%', false,
    'what became due last is not taken when it has ended');
select test.clear();
select test.waiting('a' || n, n - 1000), test.waiting('b' || n, n - 1000)
from generate_series(1, 9) as n;
update durable.waits set type = 'task@1' where workflow_uuid like 'b%';
select is(test.sorted(test.taken(4, types => '{job@1,task@1}')),
    'a1,a2,a8,a9,b1,b2,b8,b9', 'of each type a turn takes both ends');
select test.other('begin');
select test.other($$select string_agg(workflow_uuid, ',') from (
    select s.workflow_uuid from dbos.workflow_status as s
    where s.workflow_uuid in ('a9', 'a1') for update) as s$$);
select is(test.sorted(test.taken(4)), 'a2,a3,a7,a8',
    'another turn takes what the first has left at both ends');
select test.other('rollback');
select test.clear();

-- A sweep that cannot do all.

select test.workflow('delayed ' || n, 'DELAYED')
from generate_series(1, 300) as n;
update dbos.workflow_status set delay_until_epoch_ms = 1;
select is(durable.enqueue_delayed('{main}', '{job@}', 'app'), true,
    'a sweep that leaves delayed workflows has more to do');
select is(count(*), 256::bigint, 'a sweep enqueues as many as a turn takes')
from dbos.workflow_status
where status = 'ENQUEUED';
select is(durable.enqueue_delayed('{main}', '{job@}', 'app'), false,
    'a sweep that enqueued the last delayed workflows has no more to do');
select test.clear();
select test.workflow('late ' || n, 'PENDING')
from generate_series(1, 300) as n;
update dbos.workflow_status set workflow_deadline_epoch_ms = 1;
select is(durable.sweep('{job@1}', 'app'), true,
    'a sweep that leaves late workflows has more to do');
select is(durable.sweep('{job@1}', 'app'), false,
    'a sweep that cancelled the last late workflows has no more to do');
select test.clear();
insert into durable.arrivals select 'a' || n from generate_series(1, 1500) as n;
select is(durable.sweep('{job@1}', 'app'), true,
    'a sweep that leaves arrivals has more to do');

select finish();
