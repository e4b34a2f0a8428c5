-- SPDX-License-Identifier: MIT
--
-- How a worker finds its work: turn_begin, turn_take and next_due.

select plan(94);

-- The begin.

select ok(abs(t.present_ms - extract(epoch from clock_timestamp()) * 1000)
    < 1000, 'a turn has the time of the database')
from durable.turn_begin('{main}') as t;
select is(t.has_suspects, false,
    'a turn finds no suspects in a healthy database')
from durable.turn_begin('{main}') as t;
insert into durable.suspects values ('s', 1);
select is(t.has_suspects, true, 'a turn returns whether there are suspects')
from durable.turn_begin('{main}') as t;
select test.clear();

-- Taking from queues.

select is(test.taken(), '', 'nothing is due in a new database');
select is(test.next_due_in(), null,
    'a turn without work sleeps until it is notified');

select test.workflow(id) from unnest('{c,a,b}'::text[]) as id;
update dbos.workflow_status as s
set created_at = n.at, priority = n.priority
from unnest('{a,b,c}'::text[], '{2,1,3}'::int[], '{0,0,5}'::int[])
    as n (id, at, priority)
where s.workflow_uuid = n.id;
select is(test.taken(), 'b,a,c', 'a queue is taken in the order of creation');
update dbos.workflow_status set priority = 1 where workflow_uuid = 'b';
select is(test.taken(), 'a,b,c', 'a lower priority number is taken first');
select is(test.taken(2), 'a,b',
    'a turn takes no more of a queue than asked for');
select test.workflow('d', queue => 'second');
select is(test.taken(1), 'a,d', 'a turn takes as many of each queue');
select is(test.taken(queues => '{second,main}'), 'd,a,b,c',
    'the queues are taken in their given order');
select is(test.taken(queues => '{second}'), 'd',
    'a queue that is not named is not taken');
select is(test.taken(queues => '{}'), '', 'without queues nothing is taken');
select is(test.taken(runnable => '{other@}'), '',
    'a type that is not served is not taken');
select is(string_agg((t.source, t.timer_group, t.timer_group_size,
    t.held_since)::text, ' '), '(main,,,) (main,,,) (main,,,) (second,,,)',
    'an enqueued workflow has its queue, and nothing of a wait')
from durable.turn_take('{job@1}', '{main,second}', '{job@}', 'app', 64, null)
    as t;
select test.clear();

select test.workflow('any'), test.workflow('old', version => '1'),
    test.workflow('new', version => '2');
select is(test.sorted(test.taken()), 'any,old',
    'our versions and workflows without a version are taken');
select is(test.taken(runnable => '{job@1}'), 'old',
    'a type of one version takes that version alone');
select is(test.sorted(test.taken(runnable => '{job@2,job@}')), 'any,new',
    'a type of another version takes that version');
select test.clear();

select test.workflow('ours'), test.workflow('free', application => null),
    test.workflow('theirs', application => 'other');
select is(test.sorted(test.taken()), 'free,ours',
    'workflows of ours and of no application are taken');
select is(test.sorted(test.taken(only_ids => '{ours,free,theirs}')),
    'free,ours', 'workflows of ours and of no application are taken by id');
select test.clear();

select test.workflow(status, status)
from unnest('{PENDING,DELAYED,CANCELLED,SUCCESS,ERROR,
    MAX_RECOVERY_ATTEMPTS_EXCEEDED}'::text[]) as status;
select is(test.taken(), '', 'only enqueued workflows are taken from a queue');
select is(test.taken(only_ids => array_agg(workflow_uuid)), '',
    'only enqueued workflows are taken from a queue by id')
from dbos.workflow_status;
select test.clear();

-- Taking from waits.

select test.waiting('soon', 1000), test.waiting('late', -10),
    test.waiting('later', -20), test.workflow('enqueued');
select is(test.sorted(test.taken()), 'enqueued,late,later',
    'a waiting workflow is taken when it is due');
select is(test.taken(1), 'later,enqueued',
    'the most overdue wait is taken first, and waits before queues');
select is(test.sorted(test.taken(only_ids => '{soon,late,enqueued}')),
    'enqueued,late', 'a waiting workflow is taken by id only when it is due');
select ok(test.next_due_in() between 500 and 1000,
    'a turn returns the time of the next due wait');
update durable.waits set wake_at = 0 where workflow_uuid <> 'soon';
update dbos.workflow_status set status = 'CANCELLED'
where workflow_uuid = 'late';
update durable.waits set type = 'job@2' where workflow_uuid = 'later';
select is(test.taken(), 'enqueued',
    'cancelled workflows and other versions are not taken');
select test.clear();

select test.waiting('theirs', -10);
update dbos.workflow_status set application_name = 'other';
select is(test.taken(), '',
    'a waiting workflow of another application is not taken');
select is(count(*), 1::bigint,
    'a wait of another application is kept') from durable.waits;
select ok(not test.comes_back_soon(),
    'a turn does not poll soon for another application');
select test.clear();

select test.waiting('ended', -10), test.waiting('gone', -10);
alter table dbos.workflow_status disable trigger user;
update dbos.workflow_status set status = 'SUCCESS'
where workflow_uuid = 'ended';
delete from dbos.workflow_status where workflow_uuid = 'gone';
alter table dbos.workflow_status enable trigger user;
select is(test.taken(), '',
    'a wait of no workflow, or of one that has ended, is not taken');
select test.clear();

-- What the row of a wait says.

select test.waiting('w1', -10), test.waiting('w2', -10);
update durable.waits set kind = 'held', held_since = 5
where workflow_uuid = 'w2';
select is(string_agg((t.*)::text, ' ' order by t.workflow_uuid),
    '(w1,job@1,,,,f) (w2,job@1,,,5,f)',
    'a waiting workflow has its type and the time since it is held')
from durable.turn_take('{job@1}', '{}', '{job@1}', 'app', 64, null) as t;
select is(string_agg((t.*)::text, ' ' order by t.workflow_uuid),
    '(w1,"",,,,f) (w2,"",,,5,f)',
    'a workflow taken by id has the time since it is held')
from durable.turn_take('{job@1}', '{}', '{job@1}', 'app', 64, '{w1,w2}') as t;
select test.clear();

-- A worker's partition.

select test.waiting('mine', -10), test.waiting('others', -20),
    test.waiting('mine next', 60000), test.waiting('others next', 30000),
    test.workflow('new');
update durable.waits as w
set type = 'task@1'
where w.workflow_uuid like 'others%';
select is(test.taken(runnable => '{job@1,job@,task@1,task@}'), 'mine,new',
    'of due waits only types of the partition are taken');
select is(test.taken(types => '{task@1}', queues => '{}'), 'others',
    'the types of another partition are taken by its worker');
select ok(test.next_due_in() > 30000,
    'a worker sleeps until the next wait of its partition');
select test.clear();

-- Rows that another session has locked may be released without a notification.

-- Whether a turn looks again when something is due that the first statement
-- makes due at $1, and that the second one deletes; as often as that time comes
-- before the turn has ended.
create function test.looks_when_due(make text, unmake text)
returns boolean
language plpgsql
as $$
declare
    due_ms bigint;
    looks_in_ms bigint;
    is_early boolean := false;
begin
    for attempt in 1..100 loop
        exit when is_early;
        due_ms := durable.now_ms() + 60;
        execute make using due_ms;
        looks_in_ms := test.next_due_in(queues => '{}');
        is_early := durable.now_ms() < due_ms;
        execute unmake;
    end loop;
    return is_early and looks_in_ms <= 60;
end
$$;

select test.workflow('free'), test.workflow('queued'),
    test.waiting('waits', -10);
select ok(not test.comes_back_soon(),
    'a turn that took every due workflow may sleep long');
select test.other('begin');
select test.other($$select workflow_uuid from dbos.workflow_status
    where workflow_uuid = 'waits' for update$$);
select is(test.sorted(test.taken()), 'free,queued',
    'a turn skips a due workflow that is locked');
select ok(test.comes_back_soon(),
    'a turn that skipped a due workflow polls again soon');
select ok(test.looks_when_due(
        $$select test.waiting('soon', $1 - durable.now_ms())$$,
        $$delete from dbos.workflow_status where workflow_uuid = 'soon'$$),
    'a turn that skipped a workflow sleeps until the next is due');
select test.other('rollback');
select test.other('begin');
select test.other($$select workflow_uuid from durable.waits
    where workflow_uuid = 'waits' for update$$);
select is(test.sorted(test.taken()), 'free,queued',
    'a turn skips a due workflow whose wait is locked');
select test.other('rollback');
select test.other('begin');
select test.other($$select workflow_uuid from dbos.workflow_status
    where workflow_uuid = 'queued' for update$$);
select is(test.sorted(test.taken()), 'free,waits',
    'a turn skips an enqueued workflow that is locked');
select ok(test.comes_back_soon(),
    'a turn that skipped an enqueued workflow polls again soon');
select ok(not test.comes_back_soon(queues => '{second}'),
    'a turn does not poll soon for a queue that it does not serve');
select test.other('rollback');
select test.clear();

select test.workflow('new', version => '2');
select ok(not test.comes_back_soon(),
    'a turn does not poll soon for an enqueued workflow of another version');
select test.clear();

-- What another session locks at the begin is ignored for 100 ms, and for no
-- longer; what becomes due during a turn is not ignored.

create function test.due_after_begin(begun_ms bigint)
returns bigint
language sql
volatile
return durable.next_due('{job@1}', '{}', '{job@1}', 'app', begun_ms);
select test.waiting('w', -500);
select ok(test.due_after_begin(wake_at) - durable.now_ms() between 50 and 100,
    'a wait that was due at the begin is ignored for 100 ms')
from durable.waits;
select is(test.due_after_begin(wake_at - 1), wake_at,
    'a wait that became due during the turn has its own time')
from durable.waits;
select test.waiting('later', -400);
select is(test.due_after_begin(wake_at - 1), wake_at,
    'of two waits that became due during the turn the first counts')
from durable.waits
where workflow_uuid = 'w';
select test.clear();
insert into durable.timer_groups (wake_at, type, size)
values (durable.now_ms() - 500, 'job@1', 1);
select test.workflow('w', 'PENDING', null, version => '1');
insert into durable.waits (workflow_uuid, type, kind, timer_group)
select 'w', 'job@1', 'timer', g.timer_group
from durable.timer_groups as g;
select ok(test.due_after_begin(wake_at) - durable.now_ms() between 50 and 100,
    'a timer group that was due at the begin is ignored for 100 ms')
from durable.timer_groups;
select is(test.due_after_begin(wake_at - 1), wake_at,
    'a timer group that became due during the turn has its own time')
from durable.timer_groups;
select test.clear();

-- Two workers.

select test.waiting('waits', -10), test.workflow('enqueued');
select test.other('begin');
select is(test.other($$select test.taken()$$), 'waits,enqueued',
    'another worker takes all work');
select is(test.taken(), '', 'a turn without free work does not wait for locks');
select is(test.taken(only_ids => '{waits,enqueued}'), '',
    'locked workflows are not taken by id');
select ok(test.comes_back_soon(),
    'a turn that found all locked polls again within 100 ms');
select test.other('rollback');
select is(test.taken(), 'waits,enqueued',
    'the work of a dead worker is taken again');
select test.clear();

-- More than a turn may take.

select test.workflow('one'), test.workflow('two');
select is(test.taken(1), 'one', 'a turn leaves what is more than asked for');
select is(test.next_due_in(max_workflows => 3), null,
    'a turn that emptied its queue need not repeat');
select ok(test.next_due_in(max_workflows => 1) between 1 and 100,
    'a turn that left enqueued workflows looks again soon');
select test.clear();
select test.waiting('one', -10), test.waiting('two', -10);
select ok(test.next_due_in(max_workflows => 1) between 1 and 100,
    'a turn that left due waits looks again soon');
select test.clear();

-- Suspects.

select test.waiting('w', -10), test.workflow('e');
insert into durable.suspects values ('w', 1), ('e', 1);
select is(test.taken(), '', 'an ordinary turn takes no suspect');
begin;
select is(test.sorted(test.taken(only_ids => '{w,e}')), 'e,w',
    'a suspect is taken by its id');
select is(count(*), 2::bigint, 'a suspect that is taken stays one for now')
from durable.suspects;
select durable.turn_cleared();
select is(count(*), 0::bigint, 'the end of its turn clears it')
from durable.suspects;
rollback;
begin;
select is(test.taken(only_ids => '{w}'), 'w',
    'one of two suspects is taken by its id');
select durable.turn_cleared();
select is(string_agg(workflow_uuid, ','), 'e',
    'which leaves the others')
from durable.suspects;
rollback;
select test.clear();

-- Timer groups.

-- The workflows that a turn takes, each with its group, counted from the first.
create function test.taken_groups(max_workflows int default 64)
returns text
language sql
volatile
return (
    select string_agg(t.workflow_uuid || ' ' || coalesce((t.timer_group
        - a.first) || ' of ' || t.timer_group_size, '-'), ', '
        order by t.workflow_uuid)
    from durable.turn_take('{job@1}', '{}', '{job@1}', 'app', max_workflows,
        null) as t
    cross join (select min(timer_group) as first from durable.timer_groups)
        as a);

select test.workflow(id, 'PENDING', null, version => '1')
from unnest('{a,b,c,d}'::text[]) as id;
select test.sleeping('{a,b,c,d}', 5);
select is(test.taken_groups(), 'a 0 of 4, b 0 of 4, c 0 of 4, d 0 of 4',
    'a turn takes all workflows of a due timer group');
select is(string_agg(distinct (t.source, t.held_since)::text, ' '), '(job@1,)',
    'a workflow of a timer group has its type, and is not held')
from durable.turn_take('{job@1}', '{}', '{job@1}', 'app', 64, null) as t;
insert into dbos.notifications (message_uuid, destination_uuid, message)
values ('m', 'b', 'hello');
select is(test.taken_groups(), 'a 0 of 4, b 0 of 4, c 0 of 4, d 0 of 4',
    'a timer group is taken in spite of a message');
select is(test.taken_groups(2), 'a 0 of 4, b 0 of 4',
    'a turn takes no more of a timer group than asked for');
select test.waiting('own', -10);
select is(test.taken_groups(2), 'a 0 of 4, b 0 of 4, own -',
    'a turn takes waits beside a timer group');
select ok(test.next_due_in(max_workflows => 2) between 1 and 100,
    'a turn that left part of a timer group looks again soon');
select is(test.next_due_in(max_workflows => 5), null,
    'a turn that took a whole timer group need not repeat');
delete from dbos.workflow_status where workflow_uuid = 'own';
select test.sleeping('{x,y}', 4);
select test.workflow(id, 'PENDING', null, version => '1')
from unnest('{x,y}'::text[]) as id;
select matches(test.taken(), '^(x,y|y,x),[a-d],[a-d],[a-d],[a-d]$',
    'the workflows of a timer group stand together');
delete from dbos.workflow_status where workflow_uuid in ('x', 'y');
delete from durable.timer_groups where size = 2;
select is(test.taken(only_ids => '{a,b}'), 'a,b',
    'a workflow of a due timer group is taken by its id');
insert into durable.suspects values ('c', 1);
select is(test.taken_groups(), 'a 0 of 4, b 0 of 4, d 0 of 4',
    'a suspect in a timer group is not taken');
delete from durable.suspects;
update dbos.workflow_status set application_name = 'other';
select is(test.taken_groups(), null,
    'a timer group of another application is not taken');
select is(test.next_due_in(), null,
    'a turn does not poll soon for a timer group of another application');
update dbos.workflow_status set application_name = 'app';

select test.other('begin');
select test.other($$select workflow_uuid from dbos.workflow_status
    where workflow_uuid = 'c' for update$$);
select is(test.taken_groups(), 'a 0 of 4, b 0 of 4, d 0 of 4',
    'a locked workflow of a timer group is skipped');
select ok(test.comes_back_soon(),
    'a turn that skipped a timer group''s workflow polls soon');
select ok(test.looks_when_due(
        $$insert into durable.timer_groups (wake_at, type, size)
            values ($1, 'job@1', 1)$$,
        $$delete from durable.timer_groups where size = 1$$),
    'a turn that skipped sleeps until the next timer group');
select test.other('rollback');
select test.other('begin');
select is(test.other($$select test.taken_groups()$$),
    'a 0 of 4, b 0 of 4, c 0 of 4, d 0 of 4',
    'another worker takes a whole timer group');
select is(test.taken_groups(), null,
    'a turn does not wait for a locked timer group');
select ok(test.comes_back_soon(),
    'a turn that found a locked timer group polls again soon');
select test.other('rollback');
select test.other('begin');
select test.other($$select timer_group::text from durable.timer_groups
    for update$$);
select is(test.taken_groups(), null,
    'a turn that cannot lock a timer group takes none of it');
select test.other('rollback');
select ok(not test.comes_back_soon(),
    'a turn that took a whole timer group may sleep long');
update durable.timer_groups set wake_at = durable.now_ms() + 60000;
select is(test.taken_groups(), null, 'a moved timer group is not due');
select ok(test.next_due_in() between 50000 and 60000,
    'a worker sleeps until a moved timer group is due');
update durable.timer_groups set wake_at = 5;
update dbos.workflow_status set status = 'CANCELLED' where workflow_uuid = 'a';
select is(test.taken_groups(), 'b 0 of 4, c 0 of 4, d 0 of 4',
    'a cancelled workflow leaves its timer group');
select test.clear();

-- With thousands of workflows that wait for long.

select test.many_waits();
select ok(test.reads_little($$select durable.turn_take('{job@1}', '{main}',
    '{job@1}', 'app', 64, null)$$), 'a turn reads few of thousands of waits');
select ok(test.reads_little($$select durable.next_due('{job@1}', '{main}',
    '{job@1}', 'app', durable.now_ms())$$),
    'next_due reads few of thousands of waits');
select test.clear();
select test.many_waits(in_group => true);
select ok(test.reads_little($$select durable.turn_take('{job@1}', '{main}',
    '{job@1}', 'app', 64, null)$$),
    'a turn reads few waits of a large timer group');
select ok(test.reads_little($$select durable.next_due('{job@1}', '{main}',
    '{job@1}', 'app', durable.now_ms())$$),
    'next_due reads few waits of a large timer group');

-- What follows turn_take in its round trip.

select test.waiting('handed', -10);
begin;
select test.taken();
select is(durable.taken(), array['handed'],
    'the ids that a turn has taken follow it in its transaction')
where test.sorted(array_to_string(durable.taken(), ',')) = 'handed';
select is((select count(*) from durable.turn_load(durable.taken()))::int,
    cardinality(durable.taken()), 'so turn_load reads what was taken');
commit;
select is(durable.taken(), '{}'::text[],
    'the ids end with the transaction of the turn');

select finish();
