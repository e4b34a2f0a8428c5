-- SPDX-License-Identifier: MIT
--
-- What any program enqueues by SQL wakes an idle worker, once a transaction; it
-- notifies neither busy workers, nor behind our client, which does so itself.

select plan(16);

-- A session that listens, as a worker does.
select test.other('listen durable_due');
select dblink_connect('idle', 'dbname=' || current_database());

select dbos.enqueue_workflow('job', 'main', workflow_id => 'busy');
select is(test.notified(), null,
    'what is enqueued sends no notification while all workers are busy');
select is(count(*), 0::bigint, 'and leaves no lock behind')
from pg_locks
where locktype = 'advisory';

select dblink_exec('idle',
    'do $do$ begin perform pg_advisory_lock_shared(1146442305, 2); end $do$');
select dbos.enqueue_workflow('job', 'main', workflow_id => 'a');
select is(test.notified(), 'durable_due more',
    'dbos.enqueue_workflow wakes an idle worker');
select dbos.enqueue_workflow('job', 'main', workflow_id => 'delayed',
    delay_until_epoch_ms => 9000000000000);
select is(test.notified(), 'durable_due more',
    'a delayed workflow does, so that the worker knows when');
insert into dbos.workflow_status (workflow_uuid, status, name, queue_name,
    executor_id, application_id, assumed_role, recovery_attempts, creator_xid)
values ('b', 'ENQUEUED', 'job', 'main', '', '', '', 0, 'x');
select is(test.notified(), 'durable_due more',
    'the insert of an official client does');
insert into dbos.workflow_status (workflow_uuid, status, name, executor_id)
values ('p', 'PENDING', 'job', 'another');
select is(test.notified(), null,
    'a workflow that another program runs does not');
begin;
insert into dbos.workflow_status (workflow_uuid, status, name, queue_name)
select 'many ' || n, 'ENQUEUED', 'job', 'main'
from generate_series(1, 1000) as n;
select dbos.enqueue_workflow('job', 'main', workflow_id => 'c');
commit;
select is(test.notified(), 'durable_due more',
    'a transaction with many sends one notification');
begin;
select dbos.enqueue_workflow('job', 'main', workflow_id => 'd');
rollback;
select is(test.notified(), null,
    'what is rolled back sends no notification');
begin isolation level serializable;
select dbos.enqueue_workflow('job', 'main', workflow_id => 'e');
commit;
select is(test.notified(), 'durable_due more',
    'a serializable transaction notifies');

-- Another commit is under way that notifies.
begin;
select dblink_exec('idle', 'begin');
select dblink_exec('idle', 'do $do$ begin
    perform pg_advisory_xact_lock(1146442305, 3); end $do$');
select dbos.enqueue_workflow('job', 'main', workflow_id => 'second');
commit;
select is(test.notified(), null, 'of two commits at a time one notifies');
select dblink_exec('idle', 'commit');

-- The check is made at the commit.
select dblink_exec('idle',
    'do $do$ begin perform pg_advisory_unlock_shared(1146442305, 2); end $do$');
begin;
select dbos.enqueue_workflow('job', 'main', workflow_id => 'f');
select dblink_exec('idle',
    'do $do$ begin perform pg_advisory_lock_shared(1146442305, 2); end $do$');
commit;
select is(test.notified(), 'durable_due more',
    'a worker that becomes idle during the transaction is notified');

select durable.client_submit('{g}', '{job}', '{main}', '{null}', 'app', '{}',
    '{}', '{}', '{}', '{}');
select is(test.notified(), null,
    'a start of our client does not notify in its transaction');
select test.workflow('parent', 'PENDING', null);
select durable.turn_start('{h}', '{job}', '{1}', '{null}', '{parent}', '{null}',
    'app', 'executor');
select is(test.notified(), null, 'a child that its turn runs does not');

-- Enqueued again.
update dbos.workflow_status
set status = 'CANCELLED'
where workflow_uuid = 'a';
select is(test.notified(), null, 'a workflow that is cancelled does not');
update dbos.workflow_status
set status = 'ENQUEUED',
    queue_name = '_dbos_internal_queue'
where workflow_uuid = 'a';
select is(test.notified(), 'durable_due',
    'a workflow that is enqueued again wakes an idle worker');

create role guest;
grant usage on schema dbos to guest;
grant insert on dbos.workflow_status to guest;
set role guest;
insert into dbos.workflow_status (workflow_uuid, status, name, queue_name)
values ('i', 'ENQUEUED', 'job', 'main');
reset role;
select is(test.notified(), 'durable_due more',
    'a role that may only insert wakes an idle worker');

select finish();
