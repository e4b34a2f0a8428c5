-- SPDX-License-Identifier: MIT
--
-- The three roles.  The owner owns every object and cannot log in.  Web and
-- daemon may each execute a few functions and read no table.  Run by a role
-- that may create roles; existing roles stay as they are.

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

-- The installer creates everything as the owner.  Since PostgreSQL 16 the
-- creator of a role is a member that may not set it.
select not pg_has_role(current_user, 'widget_store_owner',
    case when current_setting('server_version_num')::int < 160000
        then 'member' else 'set' end) as missing \gset
\if :missing
grant widget_store_owner to current_user;
\endif

select format('grant create, connect on database %I to widget_store_owner',
    current_database()) \gexec
select format('grant connect on database %I to widget_store_web, '
    'widget_store_daemon', current_database()) \gexec
