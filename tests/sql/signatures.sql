-- SPDX-License-Identifier: MIT
--
-- The functions that the programs call have a number, by which a program finds
-- that the database has others.

select plan(1);

-- When this fails a signature has changed: raise durable.signatures in
-- sql/durable/tables.sql and SCHEMA_SIGNATURES in durable/db/session.h (once
-- for all that changes between two releases), and enter the new digest here.
select is(md5(string_agg(f.signature, E'\n' order by f.signature collate "C")),
    'b2740d7f819c522577969e632656ae4c', 'the functions that programs call are those of their number')
from (
    select p.oid::regprocedure || ' ' || pg_get_function_result(p.oid)
        as signature
    from pg_proc as p
    where p.pronamespace in ('durable'::regnamespace, 'store'::regnamespace)
        and (has_function_privilege('widget_store_web', p.oid, 'execute')
            or has_function_privilege('widget_store_daemon', p.oid, 'execute')))
    as f;

select finish();
