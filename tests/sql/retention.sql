-- SPDX-License-Identifier: MIT
--
-- Retention: which finished workflows a bite deletes, and what keeps them.

select plan(39);

-- Makes a workflow that ended so many days ago, with something of everything.
create function test.ended(
    id text,
    days numeric,
    status text default 'SUCCESS',
    name text default 'job',
    application text default 'app',
    parent text default null
)
returns void
language sql
volatile
begin atomic
    select test.workflow(id, status, null, name, null, application, parent);
    update dbos.workflow_status
    set completed_at = durable.now_ms() - (days * 86400000)::bigint,
        created_at = durable.now_ms() - (days * 86400000)::bigint - 1000
    where workflow_uuid = id;
    insert into dbos.workflow_output (workflow_uuid, output) values (id, '1');
    insert into dbos.operation_outputs (workflow_uuid, function_id,
        function_name, output)
    values (id, 0, 'step', '1'), (id, 1, 'step', '2');
    insert into dbos.workflow_events (workflow_uuid, key, value)
    values (id, 'a', '1');
    insert into dbos.workflow_events_history (workflow_uuid, function_id, key,
        value)
    values (id, 1, 'a', '1');
    insert into dbos.streams (workflow_uuid, key, value, "offset")
    values (id, 's', '1', 0);
    insert into dbos.notifications (destination_uuid, topic, message, consumed)
    values (id, 't', '1', true);
end;

-- Takes bites until none is due, and returns the workflows that are left.
create function test.collected(application text default 'app')
returns text
language plpgsql
as $$
declare
    bite record;
begin
    perform durable.collect_begin();
    loop
        select c.* into bite from durable.collect(application, 0) as c;
        exit when bite.name is null;
    end loop;
    return (
        select coalesce(string_agg(s.workflow_uuid, ' ' order by
            s.workflow_uuid), '')
        from dbos.workflow_status as s);
end
$$;

-- The policy.

select is(string_agg((r.name, r.keep_days, r.keep_count, r.id_days)::text, ''),
    '(*,30,0,90)', 'workflows are kept for 30 days, their ids for 90 more')
from durable.list_retention() as r;
select test.ended(status || ' ' || days, days, status)
from unnest('{SUCCESS,ERROR,CANCELLED,MAX_RECOVERY_ATTEMPTS_EXCEEDED,PENDING,
    ENQUEUED,DELAYED}'::text[]) as status, unnest('{29.9,30.1}'::numeric[])
    as days;
select is(test.collected(), 'CANCELLED 29.9 DELAYED 29.9 DELAYED 30.1 '
    'ENQUEUED 29.9 ENQUEUED 30.1 ERROR 29.9 '
    'MAX_RECOVERY_ATTEMPTS_EXCEEDED 29.9 MAX_RECOVERY_ATTEMPTS_EXCEEDED 30.1 '
    'PENDING 29.9 PENDING 30.1 SUCCESS 29.9',
    'what has finished is deleted when its time is over, and nothing else');
select is((select count(*) from dbos.operation_outputs) || ' '
    || (select count(*) from dbos.workflow_input) || ' '
    || (select count(*) from dbos.workflow_output) || ' '
    || (select count(*) from dbos.workflow_events) || ' '
    || (select count(*) from dbos.workflow_events_history) || ' '
    || (select count(*) from dbos.streams) || ' '
    || (select count(*) from dbos.notifications),
    '22 11 11 11 11 11 11', 'and all that is theirs');
select is(string_agg(r.workflow_uuid || ' ' || round((r.until_ms
    - durable.now_ms()) / 86400000.0), ', ' order by r.workflow_uuid),
    'CANCELLED 30.1 90, ERROR 30.1 90, SUCCESS 30.1 90',
    'their ids are kept for 90 days')
from durable.retired_ids as r;
select test.clear();
select durable.set_retention('short', keep_days => 1);
select test.ended('a', 2), test.ended('b', 2, name => 'short'),
    test.ended('c', 2, name => 'other'), test.ended('d', 0.5, name => 'short');
select is(test.collected(), 'a c d', 'a name has a policy of its own');
select durable.set_retention('*', keep_days => 0);
select test.clear(), test.ended('a', 9999), test.ended('b', 2, name => 'short');
select is(test.collected(), 'a', '0 days are for ever');
select durable.reset_retention('short');
select test.clear(), test.ended('b', 2, name => 'short');
select is(test.collected(), 'b', 'a policy that is reset is that of all others');
select throws_ok($$select durable.reset_retention('short')$$, 'P0002', null,
    'there is nothing to reset twice');
select throws_ok($$select durable.set_retention('*', keep_days => -1)$$,
    '22023', null, 'a negative time is refused');
select test.clear();
select durable.set_retention('job', keep_count => 3);
select test.ended('w' || n, n) from generate_series(1, 9) as n;
select test.ended('x', 9, name => 'other');
select is(test.collected(), 'w1 w2 w3 x', 'so many of the latest are kept');
select durable.set_retention('job', keep_count => 2, keep_days => 1);
select is(test.collected(), 'x', 'of age and number either limit deletes');
select durable.reset_retention('job'), durable.set_retention('*', 30);
select test.clear();

-- Applications.

select test.ended('ours', 40), test.ended('free', 40, application => null),
    test.ended('theirs', 40, application => 'other');
select is(test.collected(), 'theirs',
    'a daemon deletes workflows of its application and of none');
select is(test.collected(null), '', 'an operator those of all');
select test.clear();

-- What keeps them.

select test.workflow('live', 'PENDING'), test.ended('stopped', 1, 'CANCELLED'),
    test.ended('done', 1);
select test.ended(parent || '-0', 40, parent => parent)
from unnest('{live,stopped,done,absent}'::text[]) as parent;
select is(test.collected(), 'done live live-0 stopped stopped-0',
    'a child is kept while its parent goes on or may be resumed');
select test.clear();
select test.ended('origin', 40), test.ended('fork', 1);
update dbos.workflow_status set forked_from = 'origin'
where workflow_uuid = 'fork';
select is(test.collected(), 'fork origin',
    'a workflow is kept while there is a fork of it');
update dbos.workflow_status set completed_at = 1 where workflow_uuid = 'fork';
select test.collected();
select is(test.collected(), '', 'both go when the fork does');
select test.clear();
select test.ended('awaited', 40), test.ended('chosen', 40),
    test.waiting('waits', 60000, 'result', 'awaited'),
    test.waiting('selects', 60000, 'any', 'x');
insert into durable.wait_items (workflow_uuid, number, kind, target)
values ('selects', 0, 'result', 'chosen');
select is(test.collected(), 'awaited chosen selects waits',
    'a workflow is kept while another one waits for it');
delete from durable.wait_items;
select test.clear();
select test.ended('cleans', 40, 'CANCELLED');
insert into durable.waits (workflow_uuid, wake_at, type, kind)
values ('cleans', 9000000000000, 'job@1', 'timer');
select is(test.collected(), 'cleans', 'a workflow is kept while it cleans up');
select test.clear();
select test.ended('locked', 40), test.ended('free', 40);
select test.other('begin');
select test.other($$select workflow_uuid from dbos.workflow_status
    where workflow_uuid = 'locked' for update$$);
select is(test.collected(), 'locked', 'a locked workflow is left out');
select test.other('rollback');
select is(test.collected(), '', 'and deleted in the next round');
select test.clear();

-- Ids.

select test.ended('old', 40), test.ended('new', 1);
select test.collected();
select is(string_agg(t.outcome, ' ' order by t."position"),
    'retired exists created',
    'a client cannot start a workflow that ended and was deleted')
from durable.client_submit('{old,new,other}', '{job,job,job}',
    '{main,main,main}', '{null,null,null}', 'app', '{}', '{}', '{}', '{}', '{}')
    as t;
select is(durable.turn_start('{old}', '{job}', '{1}', '{[]}', '{new}',
    '{null}', 'app', 'x'), 'exists', 'nor does a parent: its child is there');
select is(durable.turn_start_with('{old}', '{job}', '{1}', '{[]}', '{new}',
    '{null}', array['{"queue":"main"}'::jsonb], 'app', 'x'), 'exists',
    'nor in a queue');
select throws_ok($$select durable.start_workflow('job', 'main',
    workflow_id => 'old')$$, 'P0002',
    'workflow ''old'' has ended and was deleted', 'nor does SQL');
select throws_ok($$insert into dbos.workflow_status (workflow_uuid, status)
    values ('old', 'PENDING')$$, 'P0002', null, 'nor does any program');
select is(durable.delete_workflow('new'), true, 'what a client deletes');
select is(durable.start_workflow('job', 'main', workflow_id => 'new'), 'new',
    'can be started again');
update durable.retired_ids set until_ms = 1;
update durable.collector set look_at = 0;
select test.collected();
select is(durable.start_workflow('job', 'main', workflow_id => 'old'), 'old',
    'so can an id whose time is over');
select test.clear();
-- A transaction whose snapshot is older than the deletion.
select test.ended('old', 40);
select test.other('begin isolation level repeatable read');
select test.other('select count(*)::text from dbos.workflow_status');
select test.collected();
select throws_ok($$select test.other('insert into dbos.workflow_status
    (workflow_uuid, status) values (''old'', ''PENDING'')')$$, '40001', null,
    'nor does a transaction that does not see the deletion');
select test.other('rollback');
select test.clear();

-- Bites.

delete from durable.collections;
select test.ended('w' || n, 40 + n) from generate_series(1, 120) as n;
select durable.collect_begin();
select is((c.workflows, c.wait_ms > 0)::text, '(50,f)',
    'a bite has fifty workflows, the oldest') from durable.collect('app', 0) as c;
select is(count(*), 70::bigint, 'and deletes no others')
from dbos.workflow_status where workflow_uuid <> all (array(
    select 'w' || n from generate_series(71, 120) as n));
select is((c.workflows, c.wait_ms > 0)::text, '(50,t)', 'a worker pauses behind a bite')
from durable.collect('app', 1000000) as c;
select is(c.name, null, 'so that the next worker waits')
from durable.collect('app', 9) as c;
update durable.collector set next_at = 0;
select test.other('begin');
select test.other('select pg_advisory_xact_lock(1146442305, 4)::text');
select is((c.wait_ms, c.name)::text, '(1000,)', 'one session bites at a time')
from durable.collect('app', 9) as c;
select test.other('rollback');
select test.clear();
select test.ended('large', 42), test.ended('next', 41);
insert into dbos.operation_outputs (workflow_uuid, function_id)
select 'large', n from generate_series(2, 2000) as n;
select durable.collect_begin();
select is(c.workflows, 1, 'a large workflow is a bite of its own')
from durable.collect('app', 0) as c;
select test.clear();
-- Thousands that are kept.
select test.other($$do 'begin set session_replication_role = replica;
    insert into dbos.workflow_status (workflow_uuid, status, name,
        application_name, created_at, completed_at)
    select n, ''SUCCESS'', ''job'', ''app'', n, durable.now_ms()
    from generate_series(1, 5000) as n; end'$$);
analyze dbos.workflow_status;
select ok(test.reads_little($$select durable.bite('@app', 'job')$$),
    'a look at thousands that are kept reads few');
select ok(test.reads_little('select durable.find_collections()'),
    'a look for their names reads few');
select test.clear();
-- More that are kept than a bite looks at, all of the same time.
select test.workflow('live', 'PENDING');
select test.ended('live-' || n, 40, parent => 'live')
from generate_series(1, 450) as n;
update dbos.workflow_status set completed_at = 5 where name = 'job'
    and status = 'SUCCESS';
select test.ended('behind', 35);
select is(test.collected() like '%behind%', false,
    'what is kept is in the way of nothing');
select test.clear();
select test.ended('w' || n, 29.5 + n) from generate_series(0, 3) as n;
select is((e.name, e.application, e.workflows, e.rows)::text, '(job,app,3,27)',
    'an estimate tells workflows and rows')
from durable.collect_estimate('app') as e;

select finish();
