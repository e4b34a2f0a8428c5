-- SPDX-License-Identifier: MIT
--
-- Suspects: which workflows may have killed their process or session, and how many
-- processes each of them has ended alone.

select plan(48);

select test.waiting('w', -10), test.workflow('e'), test.waiting('no', 9999);
select is(string_agg(id, ',' order by id), 'e,w',
    'turn_suspect notes the due workflows as suspects')
from durable.turn_suspect('{job@1}', '{main}', '{job@1,job@}', 'app', 64,
    null, null, false) as id;
select is(string_agg(attempts::text, ','), '0,0',
    'to be noted as suspect is no attempt')
from durable.suspects;
select is(count(*), 0::bigint, 'a suspect is not noted twice')
from durable.turn_suspect('{job@1}', '{main}', '{job@1,job@}', 'app', 64,
    null, null, false);
select is((a.workflow_uuid, a.attempts, a.pause_ms)::text, '(e,0,1000)',
    'turn_attempt returns one suspect')
from durable.turn_attempt('{job@,job@1}', 'app', 3, 64) as a;
select is((a.workflow_uuid, a.attempts)::text, '(w,0)',
    'turn_attempt returns no suspect before its pause is over')
from durable.turn_attempt('{job@,job@1}', 'app', 3, 64) as a;
select is(count(*), 0::bigint, 'no suspect is tried while all have a pause')
from durable.turn_attempt('{job@,job@1}', 'app', 3, 64);
select is(has_suspects, false,
    'a turn sees no suspects while all have a pause')
from durable.turn_begin('{main}');
select is(string_agg(attempts::text, ','), '0,0',
    'an attempt that has only begun does not count')
from durable.suspects;

-- However often session, machine or server ends the attempt.

create function test.pauses() returns int[] language plpgsql as $$
declare
    pauses int[];
    pause int;
begin
    for i in 1..20 loop
        update durable.suspects set next_at = 0;
        perform durable.release_attempt('w');
        select a.pause_ms
        into pause
        from durable.turn_attempt('{job@1}', 'app', 3, 64) as a
        where a.workflow_uuid = 'w';
        pauses := pauses || pause;
    end loop;
    return pauses;
end $$;
delete from durable.suspects where workflow_uuid = 'e';
select is((test.pauses())[:8]::text,
    '{2000,4000,8000,16000,32000,64000,64000,64000}',
    'the pause after an attempt that does not end grows up to 64 s');
select is((x.attempts, x.begun)::text, '(0,21)',
    'attempts that do not end are no reason to give up')
from durable.suspects as x;
update durable.suspects set next_at = durable.now_ms() + 3600000;
select is(has_suspects, true,
    'a suspect is tried although the clock was put back')
from durable.turn_begin('{main}');
select durable.turn_attempted('{w}');
select is((x.begun, x.next_at <= durable.now_ms())::text, '(20,t)',
    'an attempt that its session survives is taken back')
from durable.suspects as x;
delete from durable.suspects;

-- A process that ended itself.

select is(string_agg(id, ','), 'w',
    'the workflow of a process that ended itself is suspect')
from durable.turn_suspect('{job@1}', '{main}', '{job@1,job@}', 'app', 64,
    '{w}', 1000, true) as id;
select is(x.attempts, 1, 'a process that ended itself counts')
from durable.suspects as x;
select is(count(*), 0::bigint, 'a repeated call returns no suspect')
from durable.turn_suspect('{job@1}', '{main}', '{job@1,job@}', 'app', 64,
    '{w}', 1000, true);
select is(x.attempts, 1,
    'a process that ended itself counts once, when the answer was lost')
from durable.suspects as x;
select is((a.workflow_uuid, a.attempts)::text, '(w,1)',
    'turn_attempt returns the counted attempts')
from durable.turn_attempt('{job@,job@1}', 'app', 3, 64) as a;
select durable.release_attempt('w');
select from durable.turn_suspect('{job@1}', '{main}', '{job@1,job@}', 'app',
    64, '{w}', 2000, true);
select is((x.attempts, x.begun, x.next_at)::text, '(2,0,0)',
    'another process that ended itself counts, and ends the pause')
from durable.suspects as x;
select from durable.turn_suspect('{job@1}', '{main}', '{job@1,job@}', 'app',
    64, '{w}', null, false);
select is(x.attempts, 2, 'a process that was ended from outside does not count')
from durable.suspects as x;

-- One session tries a suspect at a time.

insert into durable.suspects (workflow_uuid, attempts) values ('e', 0);
select test.other('begin');
select is(test.other($$select test.taken(only_ids => '{e}')$$), 'e',
    'another worker takes a suspect by its id');
set lock_timeout = '100ms';
select is(count(*), 0::bigint,
    'turn_suspect does not wait for a suspect that runs')
from durable.turn_suspect('{job@1}', '{main}', '{job@1,job@}', 'app', 64,
    '{e}', 3000, true);
reset lock_timeout;
select is((a.workflow_uuid, a.attempts)::text, '(w,2)',
    'turn_attempt passes over a suspect that runs')
from durable.turn_attempt('{job@,job@1}', 'app', 3, 64) as a;
select is(count(*), 0::bigint,
    'turn_attempt returns no suspect of another type')
from durable.turn_attempt('{other@}', 'app', 3, 64);
select test.other('rollback');
update durable.suspects set next_at = 0 where workflow_uuid = 'w';
delete from durable.suspects where workflow_uuid = 'e';
select is(test.other($$select count(*)::text
    from durable.turn_attempt('{job@,job@1}', 'app', 3, 64)$$), '0',
    'no attempt is begun before the last one was made');
select test.other($$set lock_timeout = '100ms'$$);
begin;
select durable.turn_attempted('{w}');
select is(test.other($$select count(*)::text
    from durable.turn_attempt('{job@,job@1}', 'app', 3, 64)$$), '0',
    'no attempt is begun before the last one is taken back');
commit;
select test.other('reset lock_timeout');

update durable.suspects set attempts = 3, next_at = 0;
select is((a.workflow_uuid, a.attempts)::text, '(w,3)',
    'a suspect is given up after the allowed attempts')
from durable.turn_attempt('{job@,job@1}', 'app', 3, 64) as a;
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
insert into durable.suspects (workflow_uuid, attempts) values ('e', 1);
select is(count(*), 0::bigint, 'a suspect that has ended gets no attempt')
from durable.turn_attempt('{job@,job@1}', 'app', 3, 64);
select is(count(*), 0::bigint, 'a suspect that has ended is cleared')
from durable.suspects;
insert into durable.suspects values ('no', 1);
select is(count(*), 0::bigint, 'a suspect that is not due gets no attempt')
from durable.turn_attempt('{job@,job@1}', 'app', 3, 64);
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
    '{due,queued,later,done,gone}', null, false) as id;
reset lock_timeout;
select test.other('rollback');
select is(count(*), 0::bigint, 'an empty crash note makes no suspect')
from durable.turn_suspect('{job@1}', '{main}', '{job@1,job@}', 'app', 64,
    '{}', null, false);
select is(string_agg(id, ','), 'unnamed',
    'without a crash note those are suspects that the worker is going to run')
from durable.turn_suspect('{job@1}', '{main}', '{job@1,job@}', 'app', 64,
    null, null, false) as id;
select test.clear();
select test.waiting('w' || n, n - 10) from generate_series(1, 3) as n;
select is(string_agg(id, ',' order by id), 'w1,w3',
    'turn_suspect notes no more of a type than asked for')
from durable.turn_suspect('{job@1}', '{main}', '{job@1,job@}', 'app', 2,
    null, null, false) as id;
select test.clear();

-- Cohorts.

create function test.cohort() returns text language sql as $$
    select string_agg(workflow_uuid || ' ' || pause_ms, ','
        order by workflow_uuid)
    from durable.turn_attempt('{job@1}', 'app', 3, 64);
$$;
select test.waiting('w' || n, -10) from generate_series(1, 9) as n;
select from durable.turn_suspect('{job@1}', '{main}', '{job@1}', 'app', 64,
    null, null, false);
select is(test.cohort(), 'w1 0,w2 0,w3 0,w4 0',
    'half of the suspects that were noted together are tried together');
select is(test.other('select test.cohort()'), 'w5 0,w6 0,w7 0,w8 0',
    'another worker tries the next cohort');
select durable.turn_attempted('{w1,w2,w3,w4}');
select is(test.cohort(), 'w9 0', 'an odd suspect is tried before smaller cohorts');
select is(test.cohort(), 'w1 0,w2 0',
    'a cohort whose session survived has half as many at the next attempt');
select from durable.turn_suspect('{job@1}', '{main}', '{job@1}', 'app', 64,
    '{w3,w4}', null, true);
select is(string_agg(workflow_uuid, ','), 'w3,w4',
    'suspects of a process that ended itself run alone')
from durable.suspects
where cohort = 1 and workflow_uuid not in ('w1', 'w2', 'w9');
select durable.turn_attempted('{w1,w2,w9}');
select is((select count(*)
    from durable.turn_attempt('{job@1}', 'app', 3, 64)), 1::bigint,
    'suspects that survived smaller and smaller cohorts run alone');
select test.other('select durable.turn_attempted(''{w5,w6,w7,w8}'')');
select test.clear();
select durable.turn_attempted(array['w1', 'w2', 'w3', 'w4', 'w9']);
select test.waiting('w' || n, -10) from generate_series(1, 9) as n;
select from durable.turn_suspect('{job@1}', '{main}', '{job@1}', 'app', 64,
    null, null, false);
select is((select count(*)
    from durable.turn_attempt('{job@1}', 'app', 3, 2)), 2::bigint,
    'a cohort is not larger than the turn allows');
select durable.turn_attempted('{w1,w2}');
select test.clear();

select test.waiting('theirs', -10);
update dbos.workflow_status set application_name = 'other';
insert into durable.suspects values ('theirs', 1);
select is(count(*), 0::bigint,
    'a suspect of another application gets no attempt')
from durable.turn_attempt('{job@1}', 'app', 3, 64);
select is(count(*), 1::bigint, 'a suspect of another application is kept')
from durable.suspects;
select test.clear();

-- A death, when another worker has begun to run the suspect.

select test.waiting('w', -10);
insert into durable.suspects (workflow_uuid, attempts) values ('w', 1);
select test.other('begin');
select test.other($$select durable.turn_take('{job@1}', '{main}',
    '{job@1,job@}', 'app', 64, '{w}', null)::text$$);
select durable.turn_suspect('{job@1}', '{main}', '{job@1,job@}', 'app', 64,
    '{w}', 12345, true);
select is(x.attempts, 2,
    'a death is counted while another worker runs the suspect')
from durable.suspects as x;
select test.other('rollback');
select test.clear();

-- With thousands of workflows that wait for long.

select test.many_waits();
select ok(test.reads_little($$select durable.turn_suspect('{job@1}', '{main}',
    '{job@1}', 'app', 64, null, null, false)$$),
    'a first turn reads few of thousands of waits');

select finish();
