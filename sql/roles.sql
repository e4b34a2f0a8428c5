-- SPDX-License-Identifier: MIT
--
-- The roles.  The owner owns every object and cannot log in.  Web and daemon may
-- each execute a few functions and read no table; members of durable_client, the
-- functions of durable/api.sql.  Run by a role that may create roles; existing
-- roles stay as they are.

select not exists (select from pg_roles where rolname = 'widget_store_owner')
    as missing \gset
\if :missing
create role widget_store_owner nologin;
\endif

select not exists (select from pg_roles where rolname = 'widget_store_web')
    as missing \gset
\if :missing
create role widget_store_web login;
\endif

select not exists (select from pg_roles where rolname = 'widget_store_daemon')
    as missing \gset
\if :missing
create role widget_store_daemon login;
\endif

select not exists (select from pg_roles where rolname = 'durable_client')
    as missing \gset
\if :missing
create role durable_client nologin;
\endif

-- The installer creates everything as the owner.  Since PostgreSQL 16 the
-- creator of a role is a member that may not set it.
select not pg_has_role(current_user, 'widget_store_owner',
    case when current_setting('server_version_num')::int < 160000
        then 'member' else 'set' end) as missing \gset
\if :missing
grant widget_store_owner to current_user;
\endif

-- The owner may end the sessions of frozen programs (durable.end_frozen).
select bool_or(not pg_has_role('widget_store_owner', r.oid, 'usage'))
        as missing,
    bool_and(m.rolsuper or pg_has_role(m.oid, r.oid, 'member with admin option')
        or m.rolcreaterole
            and current_setting('server_version_num')::int < 160000) as may_grant
from pg_roles as r
join pg_roles as m on m.rolname = current_user
where r.rolname in ('widget_store_web', 'widget_store_daemon') \gset
\if :missing
\if :may_grant
grant widget_store_web, widget_store_daemon to widget_store_owner;
\else
\warn 'widget-store-install: frozen programs on a Unix socket keep their sessions, until an administrator grants widget_store_web, widget_store_daemon to widget_store_owner'
\endif
\endif

select format('grant create, connect on database %I to widget_store_owner',
    current_database()) \gexec
select format('grant connect on database %I to widget_store_web, '
    'widget_store_daemon', current_database()) \gexec
