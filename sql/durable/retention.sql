-- SPDX-License-Identifier: MIT
--
-- How long finished workflows are kept, by name, and for how long their ids start
-- nothing when they are gone.  collect.sql deletes them.

create table if not exists durable.retention (
    name text not null constraint retention_pkey primary key,
    keep_days int not null default 30
        constraint retention_keep_days check (keep_days >= 0),
    keep_count int not null default 0
        constraint retention_keep_count check (keep_count >= 0),
    id_days int not null default 90
        constraint retention_id_days check (id_days >= 0)
);
comment on table durable.retention is
    'How long finished workflows are kept: a row for the names that have none of '
    'their own, and one for each that has. Finished: SUCCESS, ERROR or CANCELLED.';
comment on column durable.retention.name is
    'Name of the workflow function; *: all others.';
comment on column durable.retention.keep_days is
    'Workflows are deleted so many days after their end; 0: not for their age.';
comment on column durable.retention.keep_count is
    'Workflows are deleted when so many have ended later; 0: not for their '
    'number.';
comment on column durable.retention.id_days is
    'For so many days after the deletion no workflow of the same id can start; '
    '0: for ever.';

insert into durable.retention (name)
values ('*')
on conflict do nothing;

create table if not exists durable.retired_ids (
    workflow_uuid text not null constraint retired_ids_pkey primary key,
    until_ms bigint
);
comment on table durable.retired_ids is
    'Ids of workflows that were deleted, and that start no workflow again.';
comment on column durable.retired_ids.workflow_uuid is 'The id.';
comment on column durable.retired_ids.until_ms is
    'Until when, in milliseconds since the epoch; null: for ever.';

create index if not exists retired_ids_until on durable.retired_ids (until_ms)
where until_ms is not null;

-- Which ids are taken.

create or replace function durable.refuse_retired()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    retired text;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        -- The snapshot may be older than the deletion: then this conflicts with
        -- a row that it does not see, and fails as a serialization does.
        insert into durable.retired_ids (workflow_uuid, until_ms)
        select a.workflow_uuid, -1
        from arrived as a
        on conflict do nothing;
        delete from durable.retired_ids as r
        where r.until_ms = -1
            and r.workflow_uuid = any (array(
                select a.workflow_uuid
                from arrived as a));
    end if;
    select r.workflow_uuid
    into retired
    from arrived as a
    join durable.retired_ids as r on r.workflow_uuid = a.workflow_uuid
    limit 1;
    if found then
        raise exception 'workflow ''%'' has ended and was deleted', retired
        using errcode = 'no_data_found',
            detail = 'durable.retired_ids keeps its id from running again.';
    end if;
    return null;
end
$$;
comment on function durable.refuse_retired() is
    'Trigger after insert on dbos.workflow_status: refuses the ids of '
    'durable.retired_ids, whichever program starts a workflow. Our own functions '
    'leave these ids out before.';

create or replace trigger durable_refuse_retired
after insert on dbos.workflow_status
referencing new table as arrived
for each statement
execute function durable.refuse_retired();

-- The policy.

create or replace function durable.list_retention()
returns table (name text, keep_days int, keep_count int, id_days int)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select r.name, r.keep_days, r.keep_count, r.id_days
    from durable.retention as r
    order by r.name <> '*', r.name;
end
$$;
comment on function durable.list_retention() is
    'The rows of durable.retention, the one for all other names first.';

create or replace function durable.begin_collections(of_name text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    update durable.collections as c
    set place_ms = 0,
        next_at = 0
    where of_name = '*'
        or c.name = of_name;
end
$$;
comment on function durable.begin_collections(text) is
    'Lets new rounds begin at once, of a name or of all (*).';

create or replace function durable.set_retention(
    name text,
    keep_days int default null,
    keep_count int default null,
    id_days int default null
)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if least(keep_days, keep_count, id_days) < 0 then
        raise exception 'days and counts are 0, for ever, or more'
        using errcode = 'invalid_parameter_value';
    end if;
    insert into durable.retention as r (name, keep_days, keep_count, id_days)
    select set_retention.name,
        coalesce(set_retention.keep_days, d.keep_days),
        coalesce(set_retention.keep_count, d.keep_count),
        coalesce(set_retention.id_days, d.id_days)
    from durable.retention as d
    where d.name = '*'
    on conflict on constraint retention_pkey do update
    set keep_days = coalesce(set_retention.keep_days, r.keep_days),
        keep_count = coalesce(set_retention.keep_count, r.keep_count),
        id_days = coalesce(set_retention.id_days, r.id_days);
    perform durable.begin_collections(set_retention.name);
end
$$;
comment on function durable.set_retention(text, int, int, int) is
    'Sets how long finished workflows of a name, or of all that have no policy of '
    'their own (*), are kept, with the columns of durable.retention. What is null '
    'stays as it is; a new policy has it from that of *.';

create or replace function durable.reset_retention(name text)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    delete from durable.retention as r
    where r.name = reset_retention.name
        and r.name <> '*';
    if not found then
        raise exception 'there is no policy of its own for ''%''',
            reset_retention.name
        using errcode = 'no_data_found';
    end if;
    perform durable.begin_collections(reset_retention.name);
end
$$;
comment on function durable.reset_retention(text) is
    'Ends the policy of a name, which has that of * from then on; fails with '
    'no_data_found where there is none.';

create or replace function durable.policy_of(of_name text)
returns durable.retention
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    policy durable.retention;
begin
    select r.*
    into policy
    from durable.retention as r
    where r.name in (of_name, '*')
    order by r.name = '*'
    limit 1;
    return policy;
end
$$;
comment on function durable.policy_of(text) is
    'The policy for workflows of a name.';

create or replace function durable.cut_of(owner text, of_name text)
returns bigint
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    policy durable.retention := durable.policy_of(of_name);
    cut_ms bigint := 0;
begin
    if policy.keep_count > 0 then
        -- What ended at the same time as the last one to be kept stays, too.
        select coalesce(s.completed_at, s.created_at)
        into cut_ms
        from dbos.workflow_status as s
        where coalesce('@' || s.application_name, '') = owner
            and coalesce(s.name, '') = of_name
            and s.status in ('SUCCESS', 'ERROR', 'CANCELLED')
        order by coalesce(s.completed_at, s.created_at) desc
        offset policy.keep_count - 1
        limit 1;
    end if;
    if policy.keep_days > 0 then
        cut_ms := greatest(cut_ms,
            durable.now_ms() - policy.keep_days * 86400000::bigint);
    end if;
    return coalesce(cut_ms, 0);
end
$$;
comment on function durable.cut_of(text, text) is
    'The time, in milliseconds since the epoch, before which workflows of this '
    'owner and name must have ended to be deleted. Reads as many index entries as '
    'the policy keeps.';


grant execute on function
    durable.list_retention(),
    durable.set_retention(text, int, int, int),
    durable.reset_retention(text)
to durable_client;
