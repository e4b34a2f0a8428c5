-- SPDX-License-Identifier: MIT
--
-- Workflows that no daemon serves are counted, and what does not begin or fire is
-- named.

select plan(21);

-- What a daemon is told, and the number that is left for the metrics.
create function test.told(
    runnable text[] default '{job@1,job@}',
    queues text[] default '{main}',
    application text default 'app'
)
returns text
language plpgsql
as $$
declare
    told text;
begin
    select string_agg(n.kind || ': ' || n.what, '; ' order by n.kind)
    into told
    from durable.note_served(application, runnable, queues) as n;
    return coalesce(told || '; ', '') || (
        select m.value from durable.metrics() as m
        where m.name = 'unserved_workflows');
end
$$;

select is(test.told(), '0', 'an empty store has nothing to tell');
select test.workflow('ours'), test.workflow('waits', 'PENDING', null),
    test.workflow('one', version => '1'), test.waiting('w');
update durable.waits set type = 'job@1@app';
select is(test.told(), '0', 'what a daemon serves is not told');
select test.workflow('name', name => 'other');
select is(test.told(), 'unserved: other in queue main; 1',
    'a name that no daemon serves is told');
select test.clear();
select test.workflow('version', version => '2');
select is(test.told(), 'unserved: job@2 in queue main; 1',
    'a version that no daemon serves is told');
select test.clear();
select test.workflow('queue ' || n, queue => 'absent')
from generate_series(1, 3) as n;
select is(test.told(), 'unserved: job in queue absent; 3',
    'a queue that no daemon serves is told');
select is(test.told('{next@1}', '{absent}'),
    'unserved: job in queue absent; 3',
    'a daemon of the queue without the type serves none of it');
select is(test.told('{job@}', '{absent}'), '0',
    'another daemon that serves the queue is enough');
select pg_advisory_unlock_all();
select is(test.told(), 'unserved: job in queue absent; 3',
    'a daemon whose session has ended serves no more');
select pg_advisory_unlock_all();
select test.clear();
select test.workflow('owner', application => 'absent');
select is(test.told(), 'unserved: job in queue main; 1',
    'an application that no daemon runs is told');
insert into dbos.application_versions (version_id, version_name,
    application_name)
values ('theirs', 'theirs', 'absent');
select is(test.told(), '0',
    'what belongs to another application of the family is not told');
select test.clear();
select pg_advisory_unlock_all();
select test.waiting('w');
update durable.waits set type = 'job@1@app';
select is(test.told('{next@1}'), 'unserved: job@1@app; 1',
    'a workflow that waits and that no daemon can run is told');
select is(test.told(application => 'other'), 'unserved: job@1@app; 1',
    'a daemon of another application cannot run it');
select is(test.told(), '0', 'a daemon that can run it is enough');
select test.clear();

select test.workflow('later', 'DELAYED', name => 'other'),
    test.workflow('due', 'DELAYED', name => 'other');
update dbos.workflow_status
set delay_until_epoch_ms = case workflow_uuid when 'due' then 1
    else 9000000000000 end;
select is(test.told(), 'unserved: other in queue main; 1',
    'a delayed workflow that no daemon serves is told when it is due');
select test.clear();
select test.workflow('many ' || n, name => 'other', queue => 'q' || n % 3)
from generate_series(1, 10005) as n;
select is(test.told(), 'unserved: other in queue q0; 10000',
    'they are counted to ten thousand');
select test.clear();

-- Without a partition, and schedules that do not fire.

insert into dbos.queues (name, partition_concurrency)
values ('main', 5), ('second', null), ('theirs', 7);
select test.workflow('whole ' || queue, queue => queue)
from unnest('{main,second,theirs}'::text[]) as queue;
select is(test.told(queues => '{main,second}'), 'partitions: main; unserved: '
    'job in queue theirs; 1',
    'what waits without a partition in a queue of ours that has some is told');
select test.clear();
select is(test.told(), '0', 'the queue alone is not');
insert into dbos.workflow_schedules (schedule_id, schedule_name, workflow_name,
    schedule, context, status, application_name)
values ('1', 'nightly', 'job', '0 0 * * *', 'null', 'ACTIVE', 'app'),
    ('2', 'paused', 'other', '0 0 * * *', 'null', 'PAUSED', 'app'),
    ('3', 'theirs', 'other', '0 0 * * *', 'null', 'ACTIVE', 'other'),
    ('4', 'free', 'other', '0 0 * * *', 'null', 'ACTIVE', null);
select is(test.told(), '0',
    'a schedule that fires is not told, nor one that another application may '
    'fire');
insert into dbos.workflow_schedules (schedule_id, schedule_name, workflow_name,
    schedule, context, status, application_name)
values ('5', 'absent', 'other', '0 0 * * *', 'null', 'ACTIVE', 'app');
select is(test.told(),
    'schedules: "absent" (no daemon runs other); 0',
    'a schedule of a workflow that no daemon runs is told');

-- With thousands that are served in front.

select test.workflow('front ' || n, queue => 'main')
from generate_series(1, 3000) as n;
analyze;
select is(test.told(),
    'partitions: main; schedules: "absent" (no daemon runs other); 0',
    'a long queue that is served is not told');
insert into dbos.workflow_status (workflow_uuid, status, queue_name, name,
    application_name)
select 'more ' || n, 'ENQUEUED', 'main', 'job', 'app'
from generate_series(1, 10000) as n;
select test.workflow('hidden', name => 'other');
select is(test.told(),
    'partitions: main; schedules: "absent" (no daemon runs other); '
        'unserved: other in queue main; 1',
    'what no daemon serves is told from behind ten thousand that are served');

select finish();
