-- SPDX-License-Identifier: MIT
--
-- Suspects: which workflows may have killed their process, and how often each
-- was tried alone.

select plan(28);

select test.waiting('w', -10), test.workflow('e'), test.waiting('no', 9999);
select is(string_agg(id, ',' order by id), 'e,w',
    'turn_suspect notes the due workflows as suspects')
from durable.turn_suspect('{job@1}', '{main}', '{job@1,job@}', 'app', 64,
    null) as id;
select is(count(*), 0::bigint, 'a suspect is not noted twice')
from durable.turn_suspect('{job@1}', '{main}', '{job@1,job@}', 'app', 64,
    null);
select is((a.workflow_uuid, a.attempts)::text, '(e,1)',
    'turn_attempt returns one suspect')
from durable.turn_attempt('{job@,job@1}', 'app', 3) as a;
select is((a.workflow_uuid, a.attempts)::text, '(w,1)',
    'turn_attempt returns the suspect with the fewest attempts')
from durable.turn_attempt('{job@,job@1}', 'app', 3) as a;
select is(string_agg(attempts::text, ','), '2,2', 'every attempt is counted')
from durable.suspects;
select test.other('begin');
select is(test.other($$select test.taken(only_ids => '{e}')$$), 'e',
    'another worker takes a suspect by its id');
set lock_timeout = '100ms';
select is(count(*), 0::bigint,
    'turn_suspect does not wait for a suspect that runs')
from durable.turn_suspect('{job@1}', '{main}', '{job@1,job@}', 'app', 64,
    '{e}');
reset lock_timeout;
select is((a.workflow_uuid, a.attempts)::text, '(w,2)',
    'turn_attempt passes over a suspect that runs')
from durable.turn_attempt('{job@,job@1}', 'app', 3) as a;
select is(count(*), 0::bigint,
    'turn_attempt returns no suspect of another type')
from durable.turn_attempt('{other@}', 'app', 3);
select test.other('rollback');
select is(test.other($$select count(*)::text
    from durable.turn_attempt('{job@,job@1}', 'app', 3)$$), '0',
    'no attempt is counted before the last one was made');
select test.other($$set lock_timeout = '100ms'$$);
begin;
select durable.turn_attempted('w', true), durable.turn_attempted('e', true);
select is(test.other($$select count(*)::text
    from durable.turn_attempt('{job@,job@1}', 'app', 3)$$), '0',
    'no attempt is counted before the last one is taken back');
commit;
select test.other('reset lock_timeout');
select is(string_agg(attempts::text, ','), '2,1',
    'an attempt that did not kill its process is taken back')
from durable.suspects;
select durable.turn_attempted('e', true);
select is(string_agg(attempts::text, ','), '2,1',
    'the attempt that made a workflow suspect still counts')
from durable.suspects;
update durable.suspects set attempts = 3 where workflow_uuid = 'w';
update durable.suspects set attempts = 4 where workflow_uuid = 'e';
select is((a.workflow_uuid, a.attempts)::text, '(w,3)',
    'a suspect is given up after the allowed attempts')
from durable.turn_attempt('{job@,job@1}', 'app', 3) as a;
select is((s.status, s.recovery_attempts, s.queue_name,
    s.completed_at is not null)::text,
    '(MAX_RECOVERY_ATTEMPTS_EXCEEDED,3,,t)',
    'a given-up workflow has the status of the DBOS SDKs')
from dbos.workflow_status as s
where s.workflow_uuid = 'w';
select is(test.taken(only_ids => '{w}'), '',
    'a given-up workflow is not taken');
select is(count(*), 0::bigint, 'a given-up workflow has no wait')
from durable.waits
where workflow_uuid = 'w';
update dbos.workflow_status set status = 'SUCCESS' where workflow_uuid = 'e';
select is(count(*), 0::bigint, 'a suspect that has ended gets no attempt')
from durable.turn_attempt('{job@,job@1}', 'app', 3);
select is(count(*), 0::bigint, 'a suspect that has ended is cleared')
from durable.suspects;
insert into durable.suspects values ('no', 1);
select is(count(*), 0::bigint, 'a suspect that is not due gets no attempt')
from durable.turn_attempt('{job@,job@1}', 'app', 3);
select is(count(*), 0::bigint,
    'a suspect that is not due is cleared, because it has run')
from durable.suspects;
select test.clear();

-- The crash note of a dead worker.

select test.waiting('due', -10), test.workflow('queued'),
    test.waiting('later', 60000), test.workflow('done', 'SUCCESS', null),
    test.waiting('unnamed', -10);
select test.other('begin');
select test.other($$select test.taken(only_ids => '{due}')$$);
set lock_timeout = '100ms';
select is(string_agg(id, ',' order by id), 'due,queued',
    'of a crash note those are suspects that are due, though locked')
from durable.turn_suspect('{job@1}', '{main}', '{job@1,job@}', 'app', 64,
    '{due,queued,later,done,gone}') as id;
reset lock_timeout;
select test.other('rollback');
select is(count(*), 0::bigint, 'an empty crash note makes no suspect')
from durable.turn_suspect('{job@1}', '{main}', '{job@1,job@}', 'app', 64,
    '{}');
select is(string_agg(id, ','), 'unnamed',
    'without a crash note those are suspects that the worker is going to run')
from durable.turn_suspect('{job@1}', '{main}', '{job@1,job@}', 'app', 64,
    null) as id;
select test.clear();
select test.waiting('w' || n, n - 10) from generate_series(1, 3) as n;
select is(string_agg(id, ',' order by id), 'w1,w3',
    'turn_suspect notes no more of a type than asked for')
from durable.turn_suspect('{job@1}', '{main}', '{job@1,job@}', 'app', 2,
    null) as id;
select test.clear();

select test.waiting('theirs', -10);
update dbos.workflow_status set application_name = 'other';
insert into durable.suspects values ('theirs', 1);
select is(count(*), 0::bigint,
    'a suspect of another application gets no attempt')
from durable.turn_attempt('{job@1}', 'app', 3);
select is(count(*), 1::bigint, 'a suspect of another application is kept')
from durable.suspects;
select test.clear();

-- With thousands of workflows that wait for long.

select test.many_waits();
select ok(test.reads_little($$select durable.turn_suspect('{job@1}', '{main}',
    '{job@1}', 'app', 64, null)$$),
    'a first turn reads few of thousands of waits');

select finish();
