-- SPDX-License-Identifier: MIT
--
-- The privileges of each role, and that every object has a comment.

select plan(48);

create view test.functions as
select p.oid, n.nspname as schema, p.proname as name, p.prosecdef, p.proconfig,
    n.nspname || '.' || p.proname as full_name
from pg_proc as p
join pg_namespace as n on n.oid = p.pronamespace
where n.nspname in ('durable', 'store');

create view test.relations as
select c.oid, c.relkind, n.nspname || '.' || c.relname as full_name
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
where n.nspname in ('dbos', 'durable', 'store')
    and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S');

-- The functions that a role may execute.
create function test.executable(role_name text)
returns text[]
language sql
return (
    select array_agg(f.full_name order by f.full_name)
    from test.functions as f
    where has_function_privilege(role_name, f.oid, 'execute'));

-- The relations that a role can do anything with.
create function test.touchable(role_name text)
returns text[]
language sql
return (
    select array_agg(r.full_name order by r.full_name)
    from test.relations as r
    where case when r.relkind = 'S'
        then has_sequence_privilege(role_name, r.oid, 'usage, select, update')
        else has_table_privilege(role_name, r.oid, 'select, insert, update, '
                'delete, truncate, references, trigger')
            or has_any_column_privilege(role_name, r.oid,
                'select, insert, update, references') end);

create role stranger;

-- The web.

select is(test.executable('widget_store_web'), array['durable.client_events',
    'durable.client_stream',
    'durable.client_submit', 'durable.daemon_alive',
    'durable.heed_notification_queue', 'durable.hint', 'durable.metrics_page',
    'durable.monitor_enter', 'durable.monitor_leave', 'durable.signatures',
    'durable.version', 'durable.workflow_json', 'store.crash_executor', 'store.order_json',
    'store.orders_json', 'store.past_answer', 'store.payment_json',
    'store.processes_json', 'store.product_json', 'store.refund_late_payment',
    'store.refused_checkout',
    'store.restock', 'store.view_json', 'store.watched_order_json'],
    'the web may execute what it needs and nothing else');
    select is(test.touchable('widget_store_web'), null,
        'the web may touch no table');
select is(has_schema_privilege('widget_store_web', 'dbos', 'usage'), false,
    'the web does not see the system database');
select is(test.as_role('widget_store_web', statement), '42501',
    'the web is refused: ' || statement)
from unnest(array[
    'select * from store.products', 'select * from store.orders',
    'update store.products set price = 0',
    'insert into store.orders (order_status) values (2)',
    'delete from store.orders', 'truncate store.orders',
    'select * from dbos.workflow_status', 'select * from durable.waits',
    'select * from durable.version', 'select store.create_order(''{0}'')',
    'select store.undo_reserve_inventory(''{1}'')', 'select durable.now_ms()',
    'select durable.turn_end_waits(array[''x''])',
    'select nextval(''store.orders_order_id_seq'')',
    'create table store.mine ()', 'create table durable.mine ()'])
    as statement;
select is(test.as_role('widget_store_web', 'select store.product_json()')
    like '{"product_id"%', true, 'the web may call product_json');

-- The daemon.

select is(test.executable('widget_store_daemon'), array_agg(full_name
    order by full_name),
    'the daemon may execute what it needs and nothing else')
from unnest(array['durable.hint', 'durable.now_ms', 'durable.register', 'durable.monitor_enter',
    'durable.admit', 'durable.all_queues', 'durable.collect', 'durable.enqueue_delayed', 'durable.monitor_leave', 'durable.sweep',
    'durable.taken', 'durable.turn_timer_groups', 'durable.turn_attempt', 'durable.turn_attempted',
    'durable.turn_cleared',
    'durable.turn_begin', 'durable.turn_cleanups', 'durable.turn_consumed',
    'durable.turn_continue',
    'durable.turn_end_waits',
    'durable.turn_control', 'durable.turn_known', 'durable.turn_start_with',
    'durable.turn_streams', 'durable.stream_value', 'durable.superseded',
    'durable.register_types', 'durable.turn_attributes', 'durable.find_workflows',
    'durable.turn_events', 'durable.turn_inbox', 'durable.turn_journal',
    'durable.turn_load', 'durable.turn_messages', 'durable.turn_take',
    'durable.end_frozen', 'durable.fire_schedules', 'durable.next_schedule',
    'durable.next_due', 'durable.monitor_note_runs', 'durable.note_served',
    'durable.turn_start', 'durable.turn_statuses',
    'durable.turn_suspect', 'durable.turn_topic', 'durable.turn_waits',
    'durable.signatures', 'durable.version', 'durable.workflow_event', 'durable.workflow_result',
    'store.create_order', 'store.reserve_inventory', 'store.reserve_inventory_for',
    'store.undo_reserve_inventory', 'store.update_order_progress',
    'store.update_order_status',
    'durable.step_look', 'durable.step_next', 'durable.step_register',
    'durable.step_settle', 'durable.step_take', 'durable.turn_chosen',
    'durable.turn_external', 'durable.turn_forget', 'durable.turn_wait_items'])
    as full_name;
select is(test.touchable('widget_store_daemon'), null,
    'the daemon may touch no table');
select is(has_schema_privilege('widget_store_daemon', 'dbos', 'usage'), false,
    'the daemon does not see the system database');
select is(test.as_role('widget_store_daemon', statement), '42501',
    'the daemon is refused: ' || statement)
from unnest(array[
    'select * from store.orders', 'update store.stock set inventory = 9',
    'select * from durable.waits', 'delete from dbos.workflow_status',
    'select store.restock()']) as statement;
select is(test.as_role('widget_store_daemon',
    'select store.create_order(''{0}'')'),
    '1', 'the daemon may call create_order');

-- The members of durable_client.

select is(test.executable('durable_client'), array['durable.backfill_schedule',
    'durable.cancel_workflow', 'durable.client_metrics', 'durable.collect',
    'durable.collect_begin', 'durable.collect_estimate',
    'durable.create_schedule', 'durable.delete_schedule',
    'durable.delete_workflow', 'durable.fork_workflow', 'durable.get_event',
    'durable.get_workflow', 'durable.list_queues', 'durable.list_retention',
    'durable.list_schedules',
    'durable.list_steps', 'durable.list_workflows',
    'durable.operator_list_json',
    'durable.operator_workflow_json', 'durable.pause_schedule',
    'durable.read_stream', 'durable.register_queue', 'durable.reset_retention',
    'durable.resume_schedule', 'durable.resume_workflow',
    'durable.send_message', 'durable.set_retention', 'durable.start_workflow',
    'durable.trigger_schedule', 'durable.version', 'store.refunds_json'],
    'a client may execute what it needs and nothing else');
select is(test.touchable('durable_client'), null, 'a client may touch no table');
select is(has_schema_privilege('durable_client', 'dbos', 'usage'), false,
    'a client does not see the system database');
select is(rolcanlogin or rolsuper or rolcreaterole or rolcreatedb, false,
    'durable_client cannot log in and has no special right')
from pg_roles
where rolname = 'durable_client';

-- Other roles.

select is(test.executable('stranger'), null,
    'another role may execute nothing');
select is(test.touchable('stranger'), null, 'another role may touch nothing');
select is(has_schema_privilege('stranger', name, 'usage, create'), false,
    'another role does not see schema ' || name)
from unnest(array['dbos', 'durable', 'store']) as name;
select is(array_agg(distinct pg_get_userbyid(o.owner)::text),
    '{widget_store_owner}', 'every object belongs to widget_store_owner')
from (
    select proowner from pg_proc where oid in (select oid from test.functions)
    union all
    select relowner from pg_class where oid in (select oid from test.relations)
    union all
    select nspowner from pg_namespace
    where nspname in ('dbos', 'durable', 'store')
) as o (owner);
select is(rolcanlogin or rolsuper or rolcreaterole or rolcreatedb, false,
    'widget_store_owner cannot log in and has no special right')
    from pg_roles
    where rolname = 'widget_store_owner';
select is(string_agg(rolname, ', '), null,
    'the programs'' roles can log in and have no special right')
from pg_roles
where rolname in ('widget_store_web', 'widget_store_daemon')
    and (rolsuper or rolcreaterole or rolcreatedb or rolreplication
        or rolbypassrls or not rolcanlogin);

select is(count(*), 0::bigint, 'the programs'' roles are members of no role')
from pg_auth_members
where member in ('widget_store_web'::regrole, 'widget_store_daemon'::regrole);

-- The functions themselves.

select is(array_agg(full_name), null,
    'every function with its owner''s rights sets its search path')
from test.functions
where prosecdef
    and not coalesce('search_path=pg_catalog, pg_temp' = any (proconfig),
        false);

-- Comments and names.

select is(array_agg(full_name order by full_name), null,
    'every function has a comment')
from test.functions
where obj_description(oid, 'pg_proc') is null;
select is(array_agg(full_name order by full_name), null,
    'every table has a comment')
from test.relations
where full_name not like 'dbos.%'
    and relkind <> 'S'
    and obj_description(oid, 'pg_class') is null;
select is(array_agg(r.full_name || '.' || a.attname order by r.full_name,
    a.attnum), null, 'every column has a comment')
from test.relations as r
join pg_attribute as a on a.attrelid = r.oid
where r.full_name not like 'dbos.%'
    and r.relkind <> 'S'
    and a.attnum > 0
    and not a.attisdropped
    and col_description(r.oid, a.attnum) is null;
select is(array_agg(nspname::text), null, 'every schema has a comment')
from pg_namespace
where nspname in ('durable', 'store')
    and obj_description(oid, 'pg_namespace') is null;
select is(array_agg(c.conname::text order by c.conname), null,
    'every check constraint has a chosen name')
from pg_constraint as c
join test.relations as r on r.oid = c.conrelid
where r.full_name not like 'dbos.%'
    and c.contype = 'c'
    and c.conname ~ '_check[0-9]*$';

drop role stranger;
select finish();
