-- SPDX-License-Identifier: MIT
--
-- The sweep, which cancels and enqueues beside the turns, and the registration
-- at a daemon's start.

select plan(13);

-- The sweep, which runs once a second.

select test.workflow(status || ' ' || deadline, status)
from unnest('{ENQUEUED,PENDING,DELAYED,SUCCESS}'::text[]) as status,
    unnest('{past,future}'::text[]) as deadline;
select test.workflow('no deadline'),
    test.workflow('theirs past', application => 'other'),
    test.workflow('free past', application => null);
update dbos.workflow_status
set workflow_deadline_epoch_ms = durable.now_ms() +
    case when workflow_uuid like '%past' then -1 else 60000 end
where workflow_uuid <> 'no deadline';
update dbos.workflow_status
set deduplication_id = workflow_uuid, owner_xid = 'o', started_at_epoch_ms = 1;
insert into durable.waits (workflow_uuid, wake_at, type, kind)
values ('PENDING past', 9000000000000, 'job@1', 'timer');
select durable.sweep('{job@1}', 'app');
select is(string_agg(s.workflow_uuid, ', ' order by s.workflow_uuid),
    'DELAYED past, ENQUEUED past, PENDING past, free past',
    'the sweep cancels late workflows of ours and of no application')
from dbos.workflow_status as s
where s.status = 'CANCELLED';
select is(string_agg(distinct (s.queue_name, s.deduplication_id, s.owner_xid,
    s.started_at_epoch_ms)::text, ''), '(,,,)',
    'a workflow past its deadline leaves its queue')
from dbos.workflow_status as s
where s.status = 'CANCELLED';
select is(count(*), 0::bigint,
    'a workflow past its deadline has no wait') from durable.waits;
select test.clear();

select test.workflow(id, 'DELAYED', application => application)
from unnest('{due,debounced,future,theirs}'::text[], '{app,null,app,other}'
    ::text[]) as w (id, application);
update dbos.workflow_status
set deduplication_id = workflow_uuid,
    is_debounced = workflow_uuid = 'debounced',
    delay_until_epoch_ms = durable.now_ms() +
        case when workflow_uuid = 'future' then 60000 else 0 end;
select durable.enqueue_delayed('{main}', '{job@1,job@}', 'app');
select is(string_agg(s.workflow_uuid || ' ' || s.status || ' '
    || coalesce(s.deduplication_id, '-'), ', ' order by s.workflow_uuid),
    'debounced ENQUEUED -, due ENQUEUED due, future DELAYED future, '
    'theirs DELAYED theirs',
    'a worker enqueues delayed workflows that it serves when they are due')
from dbos.workflow_status as s;
select test.clear();

-- Waits and timer groups that are of no use any more.

select test.waiting('ended', -1010), test.waiting('gone', -1010),
    test.waiting('alive', -5000);
alter table dbos.workflow_status disable trigger user;
update dbos.workflow_status set status = 'SUCCESS'
where workflow_uuid = 'ended';
delete from dbos.workflow_status where workflow_uuid = 'gone';
alter table dbos.workflow_status enable trigger user;
select durable.sweep('{job@1}', 'app');
select is(string_agg(workflow_uuid, ','), 'alive',
    'the sweep deletes waits without a workflow that can run')
from durable.waits;
select test.clear();
select test.workflow(id, 'PENDING', null, version => '1')
from unnest('{b,c}'::text[]) as id;
select test.sleeping('{b,c}', 5);
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

-- With thousands of workflows that wait for long.

select test.many_waits();
select ok(test.reads_little($$select durable.sweep('{job@1}', 'app')$$),
    'a sweep reads few of thousands of waits');
select test.clear();
select test.many_waits(in_group => true);
select ok(test.reads_little($$select durable.sweep('{job@1}', 'app')$$),
    'a sweep reads few waits of a large timer group');
select test.clear();

-- At a daemon's start.

select durable.register('app', '1', '{main,_dbos_internal_queue}');
select is(string_agg(version_name || ' ' || application_name, ', '), '1 app',
    'register records the version served')
from dbos.application_versions;
select is(string_agg(name || ' ' || application_name, ', '), 'main app',
    'register records the queues but the internal one')
from dbos.queues;
select durable.register('app', '1', '{main,second}');
select is(string_agg(name, ', ' order by name), 'main, second',
    'a second register adds new queues')
from dbos.queues;
select is(count(*), 1::bigint, 'a second register repeats no version')
from dbos.application_versions;

select finish();
