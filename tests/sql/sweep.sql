-- SPDX-License-Identifier: MIT
--
-- Beside the turns: what a sweep cancels and enqueues, and what a daemon tells
-- at its start.

select plan(8);

-- Once a second.

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
    'what is past its deadline is cancelled, of ours and of nobody')
from dbos.workflow_status as s
where s.status = 'CANCELLED';
select is(string_agg(distinct (s.queue_name, s.deduplication_id, s.owner_xid,
    s.started_at_epoch_ms)::text, ''), '(,,,)', 'and leaves its queue')
from dbos.workflow_status as s
where s.status = 'CANCELLED';
select is(count(*), 0::bigint, 'and waits no more') from durable.waits;
select test.clear();

select test.workflow(id, 'DELAYED', application => application)
from unnest('{due,debounced,future,theirs}'::text[], '{app,null,app,other}'
    ::text[]) as w (id, application);
update dbos.workflow_status
set deduplication_id = workflow_uuid,
    is_debounced = workflow_uuid = 'debounced',
    delay_until_epoch_ms = durable.now_ms() +
        case when workflow_uuid = 'future' then 60000 else 0 end;
select durable.sweep('{job@1}', 'app');
select is(string_agg(s.workflow_uuid || ' ' || s.status || ' '
    || coalesce(s.deduplication_id, '-'), ', ' order by s.workflow_uuid),
    'debounced ENQUEUED -, due ENQUEUED due, future DELAYED future, '
    'theirs DELAYED theirs', 'what was delayed is enqueued when it is time')
from dbos.workflow_status as s;
select test.clear();

-- At a daemon's start.

select durable.register('app', '1', '{main,_dbos_internal_queue}');
select is(string_agg(version_name || ' ' || application_name, ', '), '1 app',
    'the tools see which version is served')
from dbos.application_versions;
select is(string_agg(name || ' ' || application_name, ', '), 'main app',
    'and which queues')
from dbos.queues;
select durable.register('app', '1', '{main,second}');
select is(string_agg(name, ', ' order by name), 'main, second',
    'the next start adds what is new')
from dbos.queues;
select is(count(*), 1::bigint, 'and repeats nothing')
from dbos.application_versions;

select finish();
