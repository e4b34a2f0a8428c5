-- SPDX-License-Identifier: MIT
--
-- Much that is due at the same time: a sweep does a bite and says that there is
-- more.

select plan(6);

-- A sweep that cannot do all.

select test.workflow('delayed ' || n, 'DELAYED') from generate_series(1, 1500)
    as n;
update dbos.workflow_status set delay_until_epoch_ms = 1;
select is(durable.sweep('{job@1}', 'app'), true,
    'a sweep that leaves delayed workflows has more to do');
select is(count(*), 1000::bigint, 'a sweep enqueues a thousand')
from dbos.workflow_status
where status = 'ENQUEUED';
select is(durable.sweep('{job@1}', 'app'), false,
    'a sweep that enqueued the last delayed workflows has no more to do');
select test.clear();
select test.workflow('late ' || n, 'PENDING') from generate_series(1, 1500) as n;
update dbos.workflow_status set workflow_deadline_epoch_ms = 1;
select is(durable.sweep('{job@1}', 'app'), true,
    'a sweep that leaves late workflows has more to do');
select is(durable.sweep('{job@1}', 'app'), false,
    'a sweep that cancelled the last late workflows has no more to do');
select test.clear();
insert into durable.arrivals select 'a' || n from generate_series(1, 1500) as n;
select is(durable.sweep('{job@1}', 'app'), true,
    'a sweep that leaves arrivals has more to do');

select finish();
