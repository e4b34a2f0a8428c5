-- SPDX-License-Identifier: MIT
--
-- Describes schema dbos as the catalogs of PostgreSQL know it: one line per
-- fact, "kind<tab>object<tab>description", in an order that depends on names
-- alone.  The text of functions is left out, and so are owners.

\pset format unaligned
\pset fieldsep '\t'
\pset tuples_only on
\pset pager off

-- With nothing on the path every name is printed with its schema.
set search_path = pg_catalog;

with relations as (
    select c.*
    from pg_class as c
    where c.relnamespace = 'dbos'::regnamespace
),
attributes as (
    select r.relname || '.' || a.attname as object,
        r.relname,
        a.*,
        row_number() over (partition by r.oid order by a.attnum) as place
    from relations as r
    join pg_attribute as a on a.attrelid = r.oid
    where r.relkind in ('r', 'p', 'v', 'm', 'f')
        and a.attnum > 0
        and not a.attisdropped
),
functions as (
    select p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')'
            as object,
        p.*
    from pg_proc as p
    where p.pronamespace = 'dbos'::regnamespace
)
select 'relations' as kind,
    r.relname::text as object,
    format('kind %s, persistence %s, access %s, options %s, identity %s, '
        'security %s, rules %s, partition %s', r.relkind, r.relpersistence,
        m.amname, r.reloptions, r.relreplident,
        (r.relrowsecurity, r.relforcerowsecurity), r.relhasrules,
        r.relispartition) as description
from relations as r
left join pg_am as m on m.oid = r.relam
where r.relkind <> 'i'
union all
select 'relations', t.typname, format('type of kind %s', t.typtype)
from pg_type as t
where t.typnamespace = 'dbos'::regnamespace
    and t.typtype not in ('b', 'c')
union all
select 'order', a.relname,
    string_agg(a.attname, ', ' order by a.attnum)
from attributes as a
group by a.relname
union all
select 'columns', a.object,
    format('%s, %s, storage %s, compression %s, collation %s',
        format_type(a.atttypid, a.atttypmod),
        case when a.attnotnull then 'not null' else 'null' end,
        a.attstorage, a.attcompression, l.collname)
from attributes as a
left join pg_collation as l on l.oid = a.attcollation
union all
select 'defaults', a.object,
    format('%s, identity "%s", generated "%s"',
        pg_get_expr(d.adbin, d.adrelid), a.attidentity, a.attgenerated)
from attributes as a
left join pg_attrdef as d
    on d.adrelid = a.attrelid
    and d.adnum = a.attnum
where d.oid is not null
    or a.attidentity <> ''
union all
select 'constraints', r.relname || '.' || k.conname,
    format('%s, validated %s', pg_get_constraintdef(k.oid), k.convalidated)
from pg_constraint as k
join relations as r on r.oid = k.conrelid
union all
select 'indexes', r.relname || '.' || c.relname,
    format('%s, valid %s, clustered %s, identity %s',
        pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisclustered,
        i.indisreplident)
from pg_index as i
join relations as r on r.oid = i.indrelid
join pg_class as c on c.oid = i.indexrelid
union all
select 'functions', f.object,
    format('kind %s, (%s) returns %s, %s, volatile %s, strict %s, definer %s, '
        'leakproof %s, parallel %s, cost %s, rows %s, settings %s', f.prokind,
        pg_get_function_arguments(f.oid), pg_get_function_result(f.oid),
        l.lanname, f.provolatile, f.proisstrict, f.prosecdef, f.proleakproof,
        f.proparallel, f.procost, f.prorows, f.proconfig)
from functions as f
join pg_language as l on l.oid = f.prolang
union all
select 'triggers', r.relname || '.' || t.tgname,
    format('%s, enabled %s', pg_get_triggerdef(t.oid), t.tgenabled)
from pg_trigger as t
join relations as r on r.oid = t.tgrelid
where not t.tgisinternal
union all
select 'public', g.object, string_agg(g.privilege_type, ', '
    order by g.privilege_type)
from (
    select 'schema dbos' as object, x.*
    from pg_namespace as n,
        aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) as x
    where n.nspname = 'dbos'
    union all
    select r.relname, x.*
    from relations as r,
        aclexplode(coalesce(r.relacl, acldefault('r', r.relowner))) as x
    union all
    select f.object, x.*
    from functions as f,
        aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) as x
) as g
where g.grantee = 0
group by g.object
union all
select 'remarks', o.object, d.description
from pg_description as d
cross join lateral pg_identify_object(d.classoid, d.objoid, d.objsubid) as i
cross join lateral (select i.identity as object) as o
where i.schema = 'dbos'
    or i.type = 'schema' and i.identity = 'dbos'
union all
select 'version', 'dbos_migrations', m.version::text
from dbos.dbos_migrations as m
order by 1, 2, 3;
