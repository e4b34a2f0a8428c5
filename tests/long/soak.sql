-- SPDX-License-Identifier: MIT
--
-- The samples of tests/long/soak, and its verdicts, in a database of their own
-- so that the samples are no part of what is measured.
--
-- The quarters are those of the time after the warm-up.  A limit allows the
-- last quarter the figure of the first, a percentage for chance and a constant
-- for small figures.

create table run (
    warm_up_s int not null, -- seconds since the load began
    end_s int not null,
    expected_sessions int not null
);
create table samples (
    at_s int primary key,
    customers int not null, -- connections of the load
    orders bigint not null, -- made since the start
    sessions int not null -- of web and daemon
);
create table processes (
    at_s int not null,
    program text not null,
    pid int not null,
    own_kb bigint not null, -- private; of a server process: in use
    resident_kb bigint not null,
    descriptors int not null
);
create table relations (
    at_s int not null,
    relation text not null,
    table_bytes bigint not null,
    index_bytes bigint not null,
    dead bigint not null, -- row versions
    vacuums bigint not null
);

create view quarters as
select n as quarter, r.warm_up_s + (r.end_s - r.warm_up_s) * (n - 1) / 4 as from_s,
    r.warm_up_s + (r.end_s - r.warm_up_s) * n / 4 as to_s
from run as r
cross join generate_series(1, 4) as n;

-- A program's processes together.  The least of each quarter counts, because
-- requests under way and large turns need more for a time; a leak stays.
create view memory as
select t.program, q.quarter, min(t.own_kb) as own_kb,
    avg(t.resident_kb) as resident_kb, min(t.descriptors) as descriptors,
    min(t.processes) as processes
from quarters as q
join (
    select p.at_s, p.program, sum(p.own_kb) as own_kb,
        sum(p.resident_kb) as resident_kb,
        sum(p.descriptors) -
	    case p.program when 'nginx' then s.customers else 0 end
	    as descriptors,
        count(*) as processes
    from processes as p
    join samples as s using (at_s)
    group by p.at_s, p.program, s.customers) as t
    on t.at_s between q.from_s and q.to_s
group by t.program, q.quarter;

-- The bytes that an order leaves, by relation.  Sizes go up in steps, so that
-- the slope of all samples says more than the difference of two.
create view growth as
select r.relation, q.quarter,
    avg(r.table_bytes + r.index_bytes) as bytes,
    regr_slope(r.table_bytes, s.orders) as table_bytes_per_order,
    regr_slope(r.index_bytes, s.orders) as index_bytes_per_order,
    regr_slope(r.table_bytes + r.index_bytes, s.orders) as bytes_per_order,
    max(r.dead) as most_dead, max(r.vacuums) as vacuums
from quarters as q
join relations as r on r.at_s between q.from_s and q.to_s
join samples as s on s.at_s = r.at_s
group by r.relation, q.quarter;

-- Whether a relation keeps rows of every order, or only of workflows under way.
create view kept as
select distinct r.relation,
    r.relation like 'dbos.%' or r.relation = 'store.orders' as kept
from relations as r;

create view under_way as
select g.relation, g.quarter, g.bytes, g.most_dead,
    max(g.most_dead) over (partition by g.relation order by g.quarter)
	as ever_dead
from growth as g
join kept as k using (relation)
where not k.kept;

create view verdicts as
select 1 as part, format('memory of %s, KiB', f.program) as what,
    f.own_kb as first, l.own_kb as last, f.own_kb * 1.05 + 1024 as allowed
from memory as f
join memory as l using (program)
where f.quarter = 1
    and l.quarter = 4
union all
select 2, format('descriptors of %s', f.program), f.descriptors,
    l.descriptors, f.descriptors * 1.05 + 16
from memory as f
join memory as l using (program)
where f.quarter = 1
    and l.quarter = 4
union all
select 3, 'sessions', min(s.sessions), max(s.sessions), r.expected_sessions
from samples as s
join run as r on s.at_s >= r.warm_up_s
group by r.expected_sessions
union all
select 4, 'bytes per order, all that is kept', f.bytes, l.bytes, f.bytes * 1.1
from (
    select sum(g.bytes_per_order) as bytes
    from growth as g
    join kept as k using (relation)
    where k.kept and g.quarter = 1) as f
cross join (
    select sum(g.bytes_per_order) as bytes
    from growth as g
    join kept as k using (relation)
    where k.kept and g.quarter = 4) as l
union all
select 5, format('bytes per order, %s', f.relation), f.bytes_per_order,
    l.bytes_per_order, f.bytes_per_order * 1.25 + 256
from growth as f
join growth as l using (relation)
join kept as k using (relation)
where k.kept and f.quarter = 1
    and l.quarter = 4
    and l.bytes_per_order > 1
-- An index never gives its pages back, so its size follows the largest number
-- of row versions that were dead together.
union all
select 6, format('bytes, %s', f.relation), f.bytes, l.bytes,
    (f.bytes * 1.25 + 1048576) *
	greatest(1, l.ever_dead::float / nullif(f.ever_dead, 0))
from under_way as f
join under_way as l using (relation)
where f.quarter = 1
    and l.quarter = 4
-- Autovacuum comes each minute, and can be two rounds late when its processes
-- are busy with large tables.
union all
select 7, format('dead row versions, %s', f.relation), f.most_dead,
    l.most_dead, f.most_dead * 3 + 10000
from under_way as f
join under_way as l using (relation)
where f.quarter = 1
    and l.quarter = 4
    and l.most_dead > 0;
