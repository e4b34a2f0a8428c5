-- SPDX-License-Identifier: MIT
--
-- What a worker reads does not depend on the rows that no worker here serves,
-- whether its plans were made before these rows came or behind them.

select plan(41);

-- Thousands of enqueued workflows in front of all others.
create function test.in_front(
    kind text,
    name text default 'job',
    version text default null,
    application text default 'app',
    queue text default 'main',
    partition text default null
)
returns void
language sql
volatile
begin atomic
    insert into dbos.workflow_status (workflow_uuid, status, queue_name, name,
        application_version, application_name, priority, created_at,
        queue_partition_key)
    select kind || ' ' || n, 'ENQUEUED', queue, name, version, application, -1,
        0, partition || n % 100
    from generate_series(1, 3000) as n;
end;

-- Whether a turn, next_due and a sweep of this session read little.
create function test.turn_reads_little(kind text)
returns setof text
language plpgsql
as $$
begin
    return next ok(test.reads_little($s$select durable.turn_take('{job@1}',
        '{main}', '{job@1,job@}', 'app', 64, null)$s$),
        kind || ': a turn reads few of them');
    return next ok(test.reads_little($s$select durable.next_due('{job@1}',
        '{main}', '{job@1,job@}', 'app', durable.now_ms())$s$),
        kind || ': next_due reads few of them');
    return next ok(test.reads_little(
        $s$select durable.sweep('{job@1}', 'app')$s$),
        kind || ': a sweep reads few of them');
    return next ok(test.reads_little($s$select durable.enqueue_delayed('{main}',
        '{job@1,job@}', 'app')$s$),
        kind || ': enqueue_delayed reads few of them');
end
$$;

-- The plans of an empty database.
select test.turn_reads_little('none');

select test.in_front('name', name => 'other');
select test.turn_reads_little('names that are not served');
select is(test.taken(), '', 'names that are not served are not taken');
select ok(not test.comes_back_soon(),
    'a worker does not poll for names that are not served');
select test.in_front('version', version => '2');
select test.turn_reads_little('versions that are not served');
select test.in_front('application', application => 'other');
select test.turn_reads_little('applications that are not served');
select test.in_front('partition', name => 'other', partition => 'p');
select test.turn_reads_little('partitions of a queue');
select test.workflow('ours'), test.workflow('version', version => '1'),
    test.workflow('free', application => null);
select is(test.sorted(test.taken()), 'free,ours,version',
    'what is served is taken from behind what is not');

-- The same with plans that know them.
analyze;
select test.turn_reads_little('all of them, and plans that know them');
select is(test.sorted(test.taken()), 'free,ours,version',
    'what is served is taken from behind what is not, by such plans, too');
select test.clear();

-- Delayed workflows and deadlines.
create function test.in_time(
    kind text,
    status text,
    at bigint,
    name text default 'job',
    application text default 'app'
)
returns void
language sql
volatile
begin atomic
    insert into dbos.workflow_status (workflow_uuid, status, queue_name, name,
        application_name, delay_until_epoch_ms, workflow_deadline_epoch_ms)
    select kind || ' ' || n, status, 'main', name, application,
        case when status = 'DELAYED' then at end,
        case when status <> 'DELAYED' then at end
    from generate_series(1, 3000) as n;
end;
select test.in_time('theirs', 'DELAYED', 1, application => 'other'),
    test.in_time('name', 'DELAYED', 1, name => 'other'),
    test.in_time('later', 'DELAYED', 9000000000000),
    test.in_time('late', 'PENDING', 1, application => 'other'),
    test.in_time('in time', 'PENDING', 9000000000000);
select test.turn_reads_little('delays and deadlines');
select test.workflow('ours', 'DELAYED');
update dbos.workflow_status set delay_until_epoch_ms = 1
where workflow_uuid = 'ours';
select is(durable.enqueue_delayed('{main}', '{job@1,job@}', 'app'), false,
    'there is no more to do behind what a worker does not serve');
select is(test.taken(), 'ours',
    'what a worker serves is enqueued from behind what it does not');
analyze;
select test.turn_reads_little('delays and deadlines that the planner knows of');
select test.clear();

-- The order of a queue, across the types of a worker.
select test.workflow('a'), test.workflow('b', version => '1'),
    test.workflow('c', application => null), test.workflow('d');
update dbos.workflow_status as s
set priority = n.priority, created_at = n.at
from (values ('a', 1, 1), ('b', 0, 2), ('c', 0, 1), ('d', 0, 3))
    as n (id, priority, at)
where s.workflow_uuid = n.id;
select is(test.taken(), 'c,b,d,a',
    'a queue of several types is taken in its order');
select is(test.taken(2), 'c,b',
    'a turn takes the first of a queue of several types');
select test.clear();
select test.workflow('long', name => repeat('x', 3000));
select is(test.taken(), '', 'a name of any length is enqueued');
select test.clear();

select finish();
