-- SPDX-License-Identifier: MIT
--
-- Schedules fire: each time once, for those that a daemon serves.

select plan(52);

-- Fires until nothing is due; the number of calls that it took.
create function test.fire(
    runnable text[] default '{job@1,job@}',
    application text default 'app',
    alive_ms bigint default 86400000
)
returns int
language plpgsql
as $$
begin
    for n in 1..1000 loop
        if coalesce(durable.fire_schedules(runnable, application, alive_ms),
            1) > 0 then
            return n;
        end if;
    end loop;
end
$$;

-- The beginning of the minute in which the test began.
create table test.base as
select date_trunc('minute', now()) as at;

-- Puts what has happened to all schedules back, to so many seconds before
-- that.
create function test.put_back(seconds int)
returns void
language sql
volatile
begin atomic
    update durable.schedules as p
    set past_ms = (extract(epoch from (select b.at from test.base as b))
            - seconds)
            * 1000,
        next_at = (extract(epoch from (select b.at from test.base as b))
            - seconds)
            * 1000;
end;

-- How often a schedule fired before that, and in which time.
create function test.fired(schedule text)
returns text
language sql
volatile
return (
    select count(*) || ' in ' || coalesce(max(t.at) - min(t.at), '0')
    from (
        select substr(s.workflow_uuid, length('sched-' || schedule || '-') + 1)
            ::timestamptz as at
        from dbos.workflow_status as s
        where s.schedule_name = schedule
            and s.workflow_uuid !~ 'trigger') as t
    where t.at <= (select b.at from test.base as b));

create function test.empty()
returns void
language sql
volatile
begin atomic
    select test.clear();
    delete from dbos.workflow_schedules;
end;

insert into durable.types (application, name, version, registered_at)
values ('app', 'job', '1', 1), ('app', 'other', '2', 2);

-- Creating.

select lives_ok($s$select durable.create_schedule('a', 'job', '*/10 * * * * *',
    '{"b": [1, "x"]}', timezone => 'Europe/Berlin', queue => 'main',
    application => 'app')$s$, 'a schedule is created');
select is(row(w.workflow_name, w.workflow_class_name, w.schedule, w.status,
    w.context, w.last_fired_at, w.automatic_backfill, w.cron_timezone,
    w.queue_name, w.application_name)::text, row('job', '', '*/10 * * * * *',
    'ACTIVE', '{"json":{"b": [1, "x"]},"__dbos_serializer":"superjson"}',
    null, false, 'Europe/Berlin', 'main', 'app')::text,
    'it is a row as the SDK writes it')
from dbos.workflow_schedules as w;
select throws_ok($s$select durable.create_schedule('a', 'job', '* * * * *')$s$,
    '23505', 'there is a schedule "a" of application app',
    'a second one of its name is refused');
select throws_ok($s$select durable.create_schedule('b', 'job', '61 * * * *')$s$,
    '22023', '"61" is none of 0 to 59', 'what is no cron expression is refused');
select throws_ok($s$select durable.create_schedule('b', 'job', '* * * * *',
    timezone => 'Nowhere')$s$, '22023', 'there is no time zone "Nowhere"',
    'what is no time zone is refused');
select throws_ok($s$select durable.create_schedule('a', 'job', '* * * * *',
    application => 'other', replace => true)$s$, '23505', null,
    'another application''s is not replaced');
select lives_ok($s$select durable.create_schedule('a', 'job', '*/15 * * * * *',
    '{"b": [1, "x"]}', queue => 'main', application => 'app',
    replace => true)$s$, 'one is replaced');

-- Firing.

select test.put_back(60);
select test.fire();
select is(test.fired('a'), '4 in 00:00:45', 'each time fires');
select is(row(s.status, s.name, s.class_name, s.config_name, s.serialization,
    s.queue_name, s.executor_id, s.application_version, s.application_id,
    s.application_name, s.recovery_attempts, s.priority, s.schedule_name,
    s.authenticated_user, s.assumed_role, s.authenticated_roles,
    s.owner_xid)::text, row('ENQUEUED', 'job', null, null, 'js_superjson',
    'main', '', '1', '', 'app', 0, 0, 'a', '', '', '[]', null)::text,
    'what it enqueues is a row as the SDK writes it')
from dbos.workflow_status as s
order by s.workflow_uuid
limit 1;
select is(i.inputs, '{"json":["' || substr(i.workflow_uuid, 9)
    || '",{"b": [1, "x"]}],"meta":{"values":{"0":["Date"]}},'
    '"__dbos_serializer":"superjson"}', 'its arguments are time and context')
from dbos.workflow_input as i
order by i.workflow_uuid
limit 1;
select is(w.last_fired_at, (
    select max(substr(s.workflow_uuid, 9)) from dbos.workflow_status as s),
    'the schedule has the last time')
from dbos.workflow_schedules as w;
select test.put_back(60);
select test.fire();
select is(test.fired('a'), '4 in 00:00:45', 'no time fires twice');
select is(durable.next_schedule('{job@1,job@}', 'app') between 1 and 15000, true,
    'a worker is told when the next time is');
select is(durable.next_schedule('{other@1,other@}', 'app'), null,
    'not of workflows that it does not run');
select is(durable.next_schedule('{job@1,job@}', 'other'), null,
    'not of other applications');
select test.empty();
select is((select count(*) from durable.schedules), 0::bigint,
    'nothing is left of a deleted schedule');
select is(durable.next_schedule('{job@1,job@}', 'app'), null,
    'without schedules there is nothing to wait for');

-- Whose they are.

select durable.create_schedule('free', 'job', '* * * * *'),
    durable.create_schedule('theirs', 'job', '* * * * *',
        application => 'other'),
    durable.create_schedule('absent', 'absent', '* * * * *',
        application => 'app');
select test.put_back(60);
select test.fire();
select is((
    select string_agg(distinct s.schedule_name || ' ' || s.application_name
        || ' ' || s.queue_name, ',')
    from dbos.workflow_status as s), 'free app _dbos_internal_queue',
    'one of no application is whose daemon runs its workflow');
select matches(durable.trigger_schedule('free'), '^sched-free-trigger-',
    'and is triggered without one');
select is(row(s.application_name, s.application_version)::text, '(app,1)',
    'for an application that has its workflow')
from dbos.workflow_status as s
where s.workflow_uuid like 'sched-free-trigger-%';
select test.empty();

-- What cannot fire harms nothing.

insert into dbos.workflow_schedules (schedule_id, schedule_name, workflow_name,
    schedule, context, cron_timezone, last_fired_at, automatic_backfill)
values ('1', 'cron', 'job', '* * * * * * *', 'null', null, null, false),
    ('2', 'zone', 'job', '* * * * *', 'null', 'Nowhere', null, false),
    ('3', 'context', 'job', '* * * * *', 'gASV', null, null, false),
    ('4', 'meta', 'job', '* * * * *', '{"json":1,"meta":{"values":5},'
        '"__dbos_serializer":"superjson"}', null, null, false),
    ('5', repeat('long', 400), 'job', '* * * * *', 'null', null, null, false),
    ('6', 'plain', 'job', '0 0 * * *', '[1]', '', 'soon', true),
    ('7', 'never', 'job', '0 0 29 * 1#1', 'null', null, null, false);
select test.put_back(86400);
select test.fire();
select is((
    select string_agg(s.schedule_name || ' ' || s.serialization, ',')
    from dbos.workflow_status as s), 'plain portable_json',
    'a sound schedule fires beside others; a plain context stays plain');
select is(i.inputs, '{"positionalArgs":["' || substr(i.workflow_uuid, 13)
    || '",[1]]}', 'as the second argument')
from dbos.workflow_input as i;
select is((
    select string_agg(left(l.name, 8) || ': ' || l.error, '; ' order by l.name)
    from durable.list_schedules() as l
    where l.error is not null),
    'context: its context is not readable; '
    'cron: "* * * * * * *" has not 5 or 6 fields; '
    'longlong: its names are too long; meta: its context is not readable; '
    'zone: there is no time zone "Nowhere"', 'why each does not fire is told');
select is(durable.idle_schedules('app'),
    '"context" (its context is not readable); '
    '"cron" ("* * * * * * *" has not 5 or 6 fields); '
    '"' || repeat('long', 15) || '" (its names are too long) and 4 more',
    'the log names some of them');
update dbos.workflow_schedules
set schedule = '* * * * *'
where schedule_name = 'cron';
select test.put_back(60);
select test.fire();
select is(test.fired('cron'), '1 in 00:00:00', 'one that is corrected fires');
select test.empty();

-- What superjson notes about a context stays true in the arguments.

select is(a.before || a.behind, c.wanted, 'superjson: ' || c.context)
from (
    values ('{"json":null,"meta":{"values":["undefined"]},'
        '"__dbos_serializer":"superjson"}', '{"json":["",null],"meta":'
        '{"values":{"0":["Date"],"1":["undefined"]}},'
        '"__dbos_serializer":"superjson"}'),
    ('{"json":{"a":1,"b.c":[2]},"meta":{"values":{"a":["Date"],"b\\.c":["set"]'
        ',"d":["map",{"0.1":["Date"]}]},"referentialEqualities":{"a":["e"]}},'
        '"__dbos_serializer":"superjson"}', '{"json":["",{"a":1,"b.c":[2]}],'
        '"meta":{"values":{"0":["Date"],"1.a":["Date"],"1.b\\.c":["set"],'
        '"1.d":["map",{"0.1":["Date"]}]},"referentialEqualities":'
        '{"1.a":["1.e"]}},"__dbos_serializer":"superjson"}'),
    ('{"json":{"a":null},"meta":{"referentialEqualities":[["a"],{"b":["c"]}]},'
        '"__dbos_serializer":"superjson"}', '{"json":["",{"a":null}],"meta":'
        '{"values":{"0":["Date"]},"referentialEqualities":{"1":["1.a"],'
        '"1.b":["1.c"]}},"__dbos_serializer":"superjson"}'))
    as c (context, wanted)
cross join lateral durable.schedule_arguments(c.context) as a;

-- Late, missed, paused.

select durable.create_schedule('late', 'job', '* * * * *'),
    durable.create_schedule('backfill', 'job', '* * * * *',
        automatic_backfill => true);
select test.put_back(300);
select test.fire(alive_ms => 150000);
select is(test.fired('late') in ('2 in 00:01:00', '3 in 00:02:00'), true,
    'what came due while the daemon lived fires late');
select is(test.fired('backfill'), '5 in 00:04:00',
    'with automatic_backfill what came due before, too');
select test.clear();
select test.fire();
update dbos.workflow_schedules
set last_fired_at = durable.iso_ms(1000 * (extract(epoch from (select b.at
    from test.base as b)) - 240)::bigint);
select durable.pause_schedule(n) from unnest(array['late', 'backfill']) as n;
select is((select count(*) from durable.schedules), 0::bigint,
    'a paused schedule does not fire');
select durable.resume_schedule(n) from unnest(array['late', 'backfill']) as n;
select test.fire();
select is(test.fired('late'), '0 in 00:00:00', 'nor when it is resumed');
select is(test.fired('backfill'), '4 in 00:03:00',
    'but with automatic_backfill');
select test.empty();
select durable.create_schedule('second', 'job', '* * * * * *');
select test.put_back(1500);
select is(test.fire() between 2 and 3, true,
    'times of one schedule fire by the thousand');
select is(test.fired('second'), '1500 in 00:24:59', 'and none is left out');
select durable.create_schedule('second', 'job', '* * * * * *', '1',
    replace => true);
select is((select next_at = past_ms from durable.schedules), true,
    'a schedule with another context goes on where it was');
update durable.schedules set past_ms = past_ms + 900000000, next_at = null;
update durable.clock set latest_ms = latest_ms + 900000000;
select durable.sweep('{}', 'app');
select is((select next_at <= durable.now_ms() from durable.schedules), true,
    'when the clock is put back schedules fire from then on');
select test.empty();

-- Trigger and backfill.

select durable.create_schedule('t', 'job', '30 2 * * *', '{}',
    timezone => 'Europe/Berlin', application => 'app');
select durable.pause_schedule('t');
select is(cardinality(array(
    select distinct durable.trigger_schedule('t') from generate_series(1, 3))),
    3, 'each trigger is a workflow of its own');
select is((
    select string_agg(distinct regexp_replace(s.workflow_uuid, '\d', '9', 'g')
        || ' ' || s.schedule_name, ',')
    from dbos.workflow_status as s), 'sched-t-trigger-9999-99-99T99:99:99.999Z t',
    'as with DBOS, of a paused schedule, too');
select is((
    select string_agg(b, ',')
    from durable.backfill_schedule('t', '2026-03-28 01:30Z',
        '2026-03-31 00:30Z') as b), 'sched-t-2026-03-29T01:00:00.000Z,'
    'sched-t-2026-03-30T00:30:00.000Z',
    'a backfill has neither its first nor its last moment');
select is((select count(*) from dbos.workflow_status), 5::bigint,
    'and enqueues its workflows');
select is((
    select count(*)
    from durable.backfill_schedule('t', '2020-01-01Z', '2026-01-01Z')),
    2192::bigint, 'a backfill may be long');
select throws_ok('select durable.' || f, 'P0002', 'there is no schedule "x"', f)
from unnest(array['pause_schedule(''x'')', 'resume_schedule(''x'')',
    'delete_schedule(''x'')', 'trigger_schedule(''x'')',
    'backfill_schedule(''x'', now(), now())']) as f;
select lives_ok($s$select durable.delete_schedule('t')$s$,
    'a schedule is deleted');
select is((select count(*) from dbos.workflow_status), 2197::bigint,
    'and none of its workflows');
select test.clear();

-- The worker's cost.

select ok(test.reads_little($s$select durable.next_schedule('{job@1,job@}',
    'app')$s$), 'without schedules a worker reads little');
insert into dbos.workflow_schedules (schedule_id, schedule_name, workflow_name,
    schedule, context, application_name)
select 's' || n, 's' || n, case when n % 3 = 0 then 'job' else 'other' end,
    '* * * * *', 'null', 'app'
from generate_series(1, 3000) as n;
update durable.schedules
set next_at = past_ms + 90000
where workflow_name = 'job';
vacuum analyze durable.schedules;
select ok(test.reads_little($s$select durable.fire_schedules('{job@1,job@}',
    'app', 0)$s$), 'with thousands that are not due, too');
analyze;
select ok(test.reads_little($s$select durable.fire_schedules('{job@1,job@}',
    'app', 0)$s$), 'and with a plan that knows them');

select finish();
