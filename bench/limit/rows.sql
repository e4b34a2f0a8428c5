-- SPDX-License-Identifier: MIT
--
-- The rows that a purchase leaves in each table, as JSON.
select json_build_object(
    'workflow_status', (select count(*) from dbos.workflow_status) / n,
    'workflow_input', (select count(*) from dbos.workflow_input) / n,
    'workflow_output', (select count(*) from dbos.workflow_output) / n,
    'operation_outputs', (select count(*) from dbos.operation_outputs) / n,
    'workflow_events', (select count(*) from dbos.workflow_events) / n,
    'workflow_events_history',
        (select count(*) from dbos.workflow_events_history) / n,
    'notifications', (select count(*) from dbos.notifications) / n,
    'orders', 1)
from (select count(*)::numeric as n from store.orders) as orders;
