-- SPDX-License-Identifier: MIT
--
-- For demonstrations only: lets the web crash the database server.  Only a
-- superuser can install it, with widget-store-install --allow-crash.

create or replace function store.crash_database()
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    -- The program's parent is this server process.  When one dies of a signal,
    -- PostgreSQL ends all others and goes through crash recovery.
    copy (select) to program 'kill -KILL $PPID';
end
$$;
comment on function store.crash_database() is
    'Crashes the server as a fault in it would. Called by the web for '
    '/crash_application/database and /everything.';
revoke all on function store.crash_database() from public;
grant execute on function store.crash_database() to widget_store_web;
