-- SPDX-License-Identifier: MIT
--
-- Queues with limits: what durable.admit lets begin.

select plan(63);

-- Registers queue "main" with these columns, or changes it.
create function test.limit(
    columns jsonb default '{}',
    queue text default 'main'
)
returns void
language plpgsql
as $$
begin
    delete from dbos.queues as q where q.name = queue;
    insert into dbos.queues (name, concurrency, worker_concurrency,
        rate_limit_max, rate_limit_period_sec, priority_enabled,
        partition_queue, partition_concurrency, partition_worker_concurrency,
        partition_rate_limit_max, partition_rate_limit_period_sec)
    select queue, n.concurrency, n.worker_concurrency, n.rate_limit_max,
        n.rate_limit_period_sec, coalesce(n.priority_enabled, false),
        coalesce(n.partition_queue, false), n.partition_concurrency,
        n.partition_worker_concurrency, n.partition_rate_limit_max,
        n.partition_rate_limit_period_sec
    from jsonb_populate_record(null::dbos.queues, columns) as n;
end
$$;

-- Enqueues workflows of these ids, in this order, in a partition.
create function test.enqueue(ids text, partition text default null,
    queue text default 'main', name text default 'job',
    version text default null, application text default 'app')
returns void
language sql
volatile
begin atomic
    select test.workflow(n.id, queue => queue, name => name,
        version => version, application => application)
    from unnest(string_to_array(ids, ',')) as n (id);
    update dbos.workflow_status as s
    set created_at = n.place, queue_partition_key = partition
    from unnest(string_to_array(ids, ',')) with ordinality as n (id, place)
    where s.workflow_uuid = n.id;
end;

-- What runs.
create function test.pending()
returns text
language sql
return (
    select coalesce(string_agg(s.workflow_uuid, ',' order by s.workflow_uuid),
        '')
    from dbos.workflow_status as s
    where s.status = 'PENDING');

-- Admits, and returns what runs then.
create function test.admitted(max_workflows int default 64,
    executor text default 'me', queues text[] default '{main,second}',
    runnable text[] default '{job@1,job@}')
returns text
language plpgsql
as $$
begin
    perform durable.admit(queues, runnable, 'app', executor, max_workflows);
    return test.pending();
end
$$;

-- In how many milliseconds the next admission is due; null: when notified.
create function test.again_in(queues text[] default '{main}')
returns bigint
language sql
return durable.admit(queues, '{job@1,job@}', 'app', 'me', 64)
    - durable.now_ms();

-- Ends workflows; without ids, all that run.
create function test.finish_all(ids text default null)
returns void
language sql
volatile
begin atomic
    update dbos.workflow_status as s
    set status = 'SUCCESS', completed_at = 1
    where s.status = 'PENDING'
        and s.workflow_uuid = any (coalesce(string_to_array(ids, ','),
            array[s.workflow_uuid]));
end;

-- Queues without limits.

select test.limit(), test.enqueue('a');
select is(test.admitted(), '', 'a queue without limits admits nothing');
select is(test.taken(), 'a', 'and is taken by turns');
select is(t.has_limits, false, 'a turn is told of no limits')
from durable.turn_begin('{main,second}') as t;
select test.limit('{"partition_queue":true,"priority_enabled":true,
    "rate_limit_max":1}');
select is(test.taken(), 'a',
    'a rate without a period is no limit, nor are flags');
select test.limit('{"concurrency":1}', '_dbos_internal_queue'),
    test.enqueue('i', queue => '_dbos_internal_queue');
select is(test.taken(queues => '{_dbos_internal_queue}'), 'i',
    'the internal queue has no limits');
delete from dbos.queues;
select test.clear();

-- Concurrency.

select test.limit('{"concurrency":2}'), test.enqueue('a,b,c');
select is(test.taken(), '', 'a queue with limits is not taken by turns');
select is(test.taken(only_ids => '{a,b,c}'), '',
    'nor are its workflows by their ids');
select is(test.next_due_in(), null, 'nor does a turn look for them again');
select is(t.has_limits, true, 'a turn is told of limits')
from durable.turn_begin('{second,main}') as t;
select is(t.has_limits, false, 'a turn is not told of limits of other queues')
from durable.turn_begin('{second}') as t;
select is(test.admitted(), 'a,b', 'as many as may run are admitted, in order');
select is(test.admitted(), 'a,b', 'and no more');
select is(test.again_in(), null, 'until one ends');
select is(test.sorted(test.taken(types => '{job@1@app}')), 'a,b',
    'what is admitted is due');
select is((s.application_version, s.executor_id, s.recovery_attempts,
    s.rate_limited, s.application_name, s.owner_xid is not null,
    abs(s.started_at_epoch_ms - durable.now_ms()) < 5000)::text,
    '(1,me,1,f,app,t,t)', 'it has the columns of an SDK''s dequeue')
from dbos.workflow_status as s
where s.workflow_uuid = 'a';
select test.finish_all('a');
select is(test.admitted(), 'b,c', 'an end makes room');
update dbos.workflow_status
set status = 'CANCELLED', queue_name = null
where workflow_uuid = 'b';
select test.enqueue('d');
select is(test.admitted(), 'c,d', 'a cancelled workflow makes room');
select is(count(*), 3::bigint, 'its wait has gone') from durable.waits;
select test.enqueue('e,f');
select test.limit('{"concurrency":3}');
select is(test.admitted(), 'c,d,e', 'a limit that is raised holds at once');
select test.limit('{"concurrency":0}'), test.finish_all();
select is(test.admitted(), '', 'with a limit of 0 nothing begins');
select test.limit('{"concurrency":-1}');
select is(test.admitted(), '', 'nor with one below');
delete from dbos.queues;
select is(test.taken(), 'f', 'without its row a queue has no limits');
select test.clear();

select test.limit('{"concurrency":3}'), test.enqueue('a,b,c,d');
select is(test.admitted(2), 'a,b', 'one call admits no more than asked for');
select ok(test.again_in() <= 0 or test.pending() = 'a,b,c',
    'and then asks to be called again');
select test.clear();
select test.enqueue('a,b');
update dbos.workflow_status set priority = 1 where workflow_uuid = 'a';
select test.limit('{"concurrency":1}');
select is(test.admitted(), 'b', 'a lower priority number is admitted first');
select test.clear();

-- Whose workflows.

select test.limit('{"concurrency":2}'), test.enqueue('n', name => 'other'),
    test.enqueue('v', version => '2'), test.enqueue('a,b,c');
update dbos.workflow_status set created_at = created_at + 10
where name = 'job' and application_version is null;
select is(test.admitted(), 'a,b',
    'what is not served in front of the queue is in no way');
select test.clear();
select test.enqueue('p,q', application => 'other'),
    test.enqueue('a,b,c', application => null);
update dbos.workflow_status set status = 'PENDING'
where application_name = 'other';
select is(test.admitted(), 'a,b,p,q',
    'another application has its own budget, as with the SDKs');
select is(s.application_name, 'app', 'what has no application gets ours')
from dbos.workflow_status as s where s.workflow_uuid = 'a';
select test.clear();
select test.enqueue('a', version => '1'), test.enqueue('b');
select durable.admit('{main}', '{job@1,job@2,job@}', 'app', 'me', 64);
select is(string_agg(s.application_version || ' ' || w.type, ', '
    order by s.workflow_uuid), '1 job@1@app, 2 job@2@app',
    'a workflow without a version gets the last one')
from dbos.workflow_status as s
join durable.waits as w on w.workflow_uuid = s.workflow_uuid;
select test.clear();
select test.enqueue('a'), test.limit('{"concurrency":1}');
update dbos.workflow_status set workflow_timeout_ms = 60000;
select test.admitted();
select ok(s.workflow_deadline_epoch_ms - s.started_at_epoch_ms = 60000,
    'a time-out counts from the admission')
from dbos.workflow_status as s;
select test.clear();
select test.enqueue('a');
update dbos.workflow_input set inputs = '"' || repeat('x', 10000) || '"';
select test.admitted();
select is(bytes, 10002::bigint, 'a large workflow''s wait has its size')
from durable.waits;
select test.clear();

-- Executors.

select test.limit('{"worker_concurrency":2}'), test.enqueue('a,b,c,d,e');
select is(test.admitted(), 'a,b', 'an executor begins no more than it may');
select is(test.admitted(executor => 'other'), 'a,b,c,d',
    'another one has as many');
select test.finish_all('a');
select is(test.admitted(executor => 'other'), 'b,c,d',
    'whose room is not the first one''s');
select test.clear();

-- Rates.

select test.limit('{"rate_limit_max":2,"rate_limit_period_sec":60}'),
    test.enqueue('a,b,c,d');
select is(test.admitted(), 'a,b', 'so many begin in the period');
select is(bool_and(rate_limited), true, 'and say so')
from dbos.workflow_status where status = 'PENDING';
select test.finish_all();
select is(test.admitted(), '', 'whether or not they have ended');
update dbos.workflow_status set started_at_epoch_ms = durable.now_ms() - 59000
where workflow_uuid = 'a';
select ok(test.again_in() between 1 and 1000,
    'the next admission is due when the oldest of them leaves the period');
update dbos.workflow_status set started_at_epoch_ms = durable.now_ms() - 60000
where workflow_uuid = 'a';
select is(test.admitted(), 'c', 'then one begins');
update dbos.workflow_status
set started_at_epoch_ms = durable.now_ms() + 3600000
where rate_limited;
select is(test.admitted(), 'c,d',
    'starts from before the clock was put back by more do not count');
select test.clear();
select test.limit('{"rate_limit_max":0,"rate_limit_period_sec":60}'),
    test.enqueue('a');
select is(test.admitted(), '', 'with a rate of 0 nothing begins');
select is(test.again_in(), null, 'and nothing is due');
select test.limit('{"rate_limit_max":1,"rate_limit_period_sec":1e300}');
select is(test.admitted(), 'a', 'a period may be very long');
select test.clear();

-- Partitions.

select test.limit('{"partition_concurrency":1}'), test.enqueue('a1,a2,a3', 'a'),
    test.enqueue('b1,b2', 'b'), test.enqueue('n');
select is(test.admitted(), 'a1,b1', 'each partition has its own concurrency');
select is(test.told, 'partitions: main',
    'workflows of no partition, which wait, are told')
from (
    select string_agg(n.kind || ': ' || n.what, ', ') as told
    from durable.note_served('app', '{job@1,job@}', '{main}') as n) as test;
select test.finish_all('a1');
select is(test.admitted(), 'a2,b1', 'room in one is not another''s');
select test.clear();
select test.limit('{"partition_worker_concurrency":1}'),
    test.enqueue('a1,a2,a3', 'a'), test.enqueue('b1', 'b');
select is(test.admitted(), 'a1,b1', 'each partition has its own executors');
select is(test.admitted(executor => 'other'), 'a1,a2,b1',
    'another executor has room there');
select test.clear();
select test.limit('{"partition_rate_limit_max":1,
    "partition_rate_limit_period_sec":60}'), test.enqueue('a1,a2', 'a'),
    test.enqueue('b1,b2', 'b');
select is(test.admitted(), 'a1,b1', 'each partition has its own rate');
select test.finish_all();
update dbos.workflow_status set started_at_epoch_ms = durable.now_ms() - 59000
where workflow_uuid = 'b1';
select ok(test.again_in() between 1 and 1000,
    'the next admission is due when one of them has room');
update dbos.workflow_status set started_at_epoch_ms = durable.now_ms() - 60000
where workflow_uuid = 'b1';
select is(test.admitted(), 'b2', 'then that one begins another');
select test.clear();

select test.limit('{"partition_concurrency":9,"concurrency":2}'),
    test.enqueue('a1,a2,a3,a4', 'a'), test.enqueue('b1,b2', 'b'),
    test.enqueue('c1', 'c'), test.enqueue('d1', '');
select is(test.admitted(), 'a1,d1', 'partitions share what a queue has');
select test.finish_all();
select is(test.admitted(), 'b1,c1', 'round by round');
select test.finish_all();
select is(test.admitted(), 'a2,b2', 'from the last to the first');
select test.finish_all();
select is(test.admitted(), 'a3,a4', 'until one is left');
select test.clear();
select test.limit('{"partition_concurrency":9}'),
    test.enqueue('a1,a2,a3,a4,a5,a6', 'a'), test.enqueue('b1,b2', 'b');
select is(test.admitted(5), 'a1,a2,a3,b1,b2', 'or as fairly as they may');
select test.clear();

-- Several sessions.

select test.limit('{"concurrency":2}'), test.enqueue('a,b,c'),
    test.enqueue('o', name => 'other');
select test.other('begin');
select test.other($$select durable.admit('{main}', '{other@1,other@}', 'app',
    'other', 64)::text$$);
select is(test.admitted(), '',
    'a session that finds another one admit, which serves others, admits none');
select ok(test.again_in() between 1 and 20, 'but looks again soon');
select test.other('commit');
select is(test.admitted(), 'a,o', 'and counts what that one has admitted');
select test.finish_all('a,o');
select test.clear();
select test.enqueue('c');
select test.other('begin');
select test.other($$select workflow_uuid from dbos.workflow_status
    where workflow_uuid = 'c' for update$$);
select is(test.admitted(), '', 'what another session has locked does not begin');
select ok(test.again_in() between 1 and 20, 'nor is it forgotten');
select test.other('rollback');
select test.clear();

-- An SDK of another version of the same application, which takes version 2.
insert into dbos.application_versions (version_id, version_name,
    application_name)
values ('sdk', '2', 'app');
insert into durable.types values ('app', 'job', '1', 0);
select test.enqueue('a,b', version => '1'), test.enqueue('s', version => '2');
select test.limit('{"concurrency":2}');
select test.other('begin isolation level repeatable read');
select test.other($$select count(*)::text from dbos.workflow_status
    where status = 'PENDING'$$);
select is(test.admitted(), 'a,b', 'we admit while an SDK has counted before');
select throws_ok($$select test.other('select workflow_uuid
    from dbos.workflow_status where workflow_uuid = ''s'' for update nowait')$$,
    '40001', null, 'and it cannot take what it counted room for');
select test.other('rollback');

select finish();
