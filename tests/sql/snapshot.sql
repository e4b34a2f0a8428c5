-- SPDX-License-Identifier: MIT
--
-- What a turn reads when dead rows cannot be removed, as while another session
-- has an old snapshot.  Here they are this transaction's own.

select plan(7);

create function test.due_since(from_ms bigint)
returns text
language sql
return (
    select string_agg(t.workflow_uuid, ' ' order by t.workflow_uuid)
    from durable.turn_take('{job@1}', '{main}', '{job@1,job@}', 'app', 64, null,
        from_ms) as t
);

select test.waiting('old', -10000), test.waiting('new', -100);
insert into dbos.workflow_status (workflow_uuid, name, queue_name, status,
    application_name, created_at)
values ('early', 'job', 'main', 'ENQUEUED', 'app', durable.now_ms() - 10000),
    ('late', 'job', 'main', 'ENQUEUED', 'app', durable.now_ms());
select is(test.due_since(0), 'early late new old',
    'a turn that looks at everything takes what has long been due');
select is(test.due_since(durable.now_ms() - 2000), 'late new',
    'a turn that looks at the last seconds takes what came due then');
select is(durable.next_due('{job@1}', '{}', '{job@1}', 'app', w.wake_at - 1,
    w.wake_at - 1000), w.wake_at,
    'next_due does not look further back than its turn')
from durable.waits as w
where w.workflow_uuid = 'new';

-- Dead rows.
insert into dbos.workflow_status (workflow_uuid, name, queue_name, status,
    application_name, created_at)
select 'gone' || n, 'job', 'main', 'ENQUEUED', 'app', durable.now_ms() - 9000
from generate_series(1, 50000) as n;
insert into durable.waits (workflow_uuid, wake_at, type, kind)
-- Different times, because an index keeps equal ones together.
select 'gone' || n, durable.now_ms() - 9000 - n % 5000, 'job@1', 'timer'
from generate_series(1, 50000) as n;
delete from durable.waits where workflow_uuid like 'gone%';
delete from dbos.workflow_status where workflow_uuid like 'gone%';
select ok(test.blocks_read($$select test.due_since(0)$$, 'durable.waits',
    'durable.waits_due') > 30,
    'a turn that looks at everything reads the dead waits');
select ok(test.blocks_read($$select test.due_since(durable.now_ms() - 2000)$$,
    'durable.waits', 'durable.waits_due') < 10,
    'a turn that looks at the last seconds reads few dead waits');
select ok(test.blocks_read($$select durable.sweep('{job@1}', 'app')$$,
    'durable.waits', 'durable.waits_due') > 30,
    'a sweep of everything reads the dead waits');
select ok(test.blocks_read($$select durable.sweep('{job@1}', 'app', false)$$,
    'durable.waits', 'durable.waits_due') < 10,
    'another sweep reads few dead waits');
