-- SPDX-License-Identifier: MIT
--
-- The step of bench/steps.c, on the tables of pgbench -i.

create schema bench;
grant usage on schema bench to widget_store_daemon;

create function bench.add(account int)
returns int
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    balance int;
begin
    update public.pgbench_accounts as a
    set abalance = a.abalance + 1
    where a.aid = account
    returning a.abalance into balance;
    return balance;
end
$$;
