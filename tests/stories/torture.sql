-- SPDX-License-Identifier: MIT
--
-- What the workflows of torture.c use, and the functions with which the hostile
-- ones do harm.

create schema torture;
grant usage on schema torture to public;

create table torture.expected (id text primary key, type text, input jsonb,
    status text, says text);
create table torture.verdicts (type text, is_right boolean, why text);
create table torture.accounts (account int primary key, balance bigint not null);
insert into torture.accounts select g, 1000 from generate_series(1, 128) as g;
-- Found without its schema, unless a neighbour has changed the session.
create table public.accounts (account int);
insert into public.accounts values (1);
create table torture.ledger (id text, part text, account int, amount bigint);
create table torture.locked (n int);
insert into torture.locked values (0);
create table torture.pair (side text primary key, n int not null);
insert into torture.pair values ('left', 0), ('right', 0);

create function torture.raise(state text) returns text
language plpgsql as $$
begin
    raise exception using errcode = state, message = $m$made by the test$m$;
end
$$;

create function torture.make_table() returns text
language plpgsql as $$
begin
    create temp table accounts (account int, balance bigint);
    return null;
end
$$;

create function torture.deallocate() returns text
language plpgsql as $$
begin
    execute $q$deallocate all$q$;
    return null;
end
$$;

-- Sessions in which a function has left something.
create table torture.sessions (what text, pid int);

-- Leaves something in the session that no check of the turn sees.
create function torture.leave(what text) returns text
language plpgsql as $$
declare
    name text := gen_random_uuid();
begin
    -- A worker that does not listen has no channel to lose.
    if what = 'no channel'
	and not exists (select from pg_listening_channels()) then
	return null;
    end if;
    case what
    when 'cursor' then
	execute format($q$declare %I cursor with hold for select 1$q$, name);
    when 'lock' then
	perform pg_advisory_lock(77, (random() * 1000000000)::int);
    when 'prepared statement' then
	execute format($q$prepare %I as select 1$q$, name);
    when 'setting' then
	perform set_config('extra_float_digits', '0', false),
	    set_config('test.tenant', 'x', false);
    when 'channel' then
	listen other;
    when 'no channel' then
	unlisten *;
    end case;
    insert into torture.sessions values (what, pg_backend_pid());
    return null;
end
$$;
