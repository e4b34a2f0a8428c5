-- SPDX-License-Identifier: MIT
--
-- What a statement reads does not depend on the planner's statistics: its plan
-- was made when the tables were empty, and analyzed as such, and they are large
-- now.

\if :{?rows}
\else
    \set rows 20000
\endif

select plan(24);

create table test.statements (title text, statement text);
insert into test.statements
values ('turn_take', $$select durable.turn_take('{job@1}', '{main}',
        '{job@1,job@}', 'app', 64, null)$$),
    ('turn_take of some ids', $$select durable.turn_take('{job@1}', '{main}',
        '{job@1,job@}', 'app', 64, '{w7,w8}')$$),
    ('turn_load', $$select durable.turn_load('{w7,w8}')$$),
    ('turn_inbox', $$select durable.turn_inbox('{w7,w8}')$$),
    ('turn_topic', $$select durable.turn_topic('w7', 'topic', null, null)$$),
    ('next_due', $$select durable.next_due('{job@1}', '{main}',
        '{job@1,job@}', 'app', durable.now_ms())$$),
    ('sweep', $$select durable.sweep('{job@1}', 'app')$$),
    ('enqueue_delayed', $$select durable.enqueue_delayed('{main}',
        '{job@1,job@}', 'app')$$),
    ('a start', $$select durable.client_submit('{w7,w9}', '{job,job}',
        '{main,main}', '{null,null}', 'app', '{}', '{}', '{}', '{}', '{}')$$),
    ('a message', $$select durable.client_submit('{}', '{}', '{}', '{}', 'app',
        '{w7,w9}', '{job,job}', '{topic,topic}', '{1,1}', '{key,key}')$$),
    ('client_events', $$select durable.client_events('{w7,w9}', '{a,a}')$$),
    ('workflow_result', $$select durable.workflow_result('w7')$$);

create table test.findings as
select s.title, 0 as look, false as little
from test.statements as s
where false;
-- In one session, which keeps its plans.
create function test.look(number int)
returns void
language sql
begin atomic
    insert into test.findings
    select s.title, number, test.reads_little(s.statement)
    from test.statements as s;
end;

vacuum analyze dbos.workflow_status, dbos.workflow_input, dbos.workflow_output,
    dbos.operation_outputs, dbos.notifications, dbos.workflow_events,
    durable.waits, durable.timer_groups, durable.suspects, durable.arrivals;
select test.look(0);
select test.clear();
delete from dbos.notifications;

-- Ended workflows, and ones that wait for long; all with steps, messages and
-- events.
set session_replication_role = replica;
insert into dbos.workflow_status (workflow_uuid, status, name,
    application_version, application_name, serialization, created_at)
select 'w' || n, case when n % 2 = 0 then 'SUCCESS' else 'PENDING' end, 'job',
    '1', 'app', 'portable_json', n
from generate_series(1, :rows) as n;
insert into dbos.workflow_input (workflow_uuid, inputs)
select 'w' || n, '{}'
from generate_series(1, :rows) as n;
insert into dbos.workflow_output (workflow_uuid, output)
select 'w' || n, '1'
from generate_series(2, :rows, 2) as n;
insert into durable.waits (workflow_uuid, wake_at, type, kind)
select 'w' || n, 9000000000000, 'job@1', 'timer'
from generate_series(1, :rows, 2) as n;
insert into dbos.operation_outputs (workflow_uuid, function_id, function_name,
    output)
select 'w' || n, 0, 'step', '1'
from generate_series(1, :rows) as n;
insert into dbos.notifications (message_uuid, destination_uuid, topic, message,
    consumed)
select 'm' || n, 'w' || n, 'topic', '1', n % 2 = 0
from generate_series(1, :rows) as n;
insert into dbos.workflow_events (workflow_uuid, key, value)
select 'w' || n, 'a', '1'
from generate_series(1, :rows) as n;
reset session_replication_role;

select test.look(1);
select ok(f.little, f.title || ' reads little by a plan for empty tables')
from test.findings as f
where f.look = 1;
analyze;
select test.look(2);
select ok(f.little, f.title || ' reads little by a plan that knows the tables')
from test.findings as f
where f.look = 2;

select finish();
