-- SPDX-License-Identifier: MIT
--
-- The versions of workflow functions.  A workflow that asks for no version gets
-- the latest one of its name, as with the DBOS SDKs: the one that a daemon of its
-- application registered last, or that a client has made the latest since then
-- (setLatestApplicationVersion, which writes dbos.application_versions).

create table if not exists durable.types (
    application text not null,
    name text not null,
    version text not null,
    registered_at bigint not null,
    constraint types_pkey primary key (application, name, version)
);
comment on table durable.types is
    'One row per version of a workflow function that a daemon has registered.';
comment on column durable.types.application is 'Whose workflows.';
comment on column durable.types.name is 'Name of the function.';
comment on column durable.types.version is 'Its version.';
comment on column durable.types.registered_at is
    'When a daemon served it first, in milliseconds since the epoch; of several '
    'at once the last one of its list has the latest time.';

create or replace function durable.type_rank(
    of_application text,
    of_version text,
    registered_at bigint
)
returns bigint
language sql
stable
return greatest(registered_at, (
    select v.version_timestamp
    from dbos.application_versions as v
    where v.version_name = of_version
        and coalesce(v.application_name, of_application) = of_application));
comment on function durable.type_rank(text, text, bigint) is
    'By what the latest version of a function is the latest: the time at which '
    'it was registered or, if later, made the latest.';

create or replace view durable.versions as
select coalesce(t.application, w.application) as application,
    coalesce(t.name, w.name) as name,
    coalesce(t.version, w.version) as version,
    t.registered_at,
    coalesce(t.rank = max(t.rank) over (
        partition by t.application, t.name), false) as is_latest,
    coalesce(w.workflows, 0) as workflows,
    w.oldest_at
from (
    select r.application, r.name, r.version, r.registered_at,
        durable.type_rank(r.application, r.version, r.registered_at) as rank
    from durable.types as r) as t
full join (
    select s.application_name as application, s.name,
        s.application_version as version, count(*) as workflows,
        min(s.created_at) as oldest_at
    from dbos.workflow_status as s
    where s.status in ('PENDING', 'ENQUEUED', 'DELAYED')
    group by s.application_name, s.name, s.application_version) as w
    on w.application = t.application
    and w.name = t.name
    and w.version = t.version;
comment on view durable.versions is
    'Which versions of which functions still have workflows that go on, or are '
    'registered: an old version may be removed when it has none. Reads all '
    'workflows that go on.';
comment on column durable.versions.application is
    'Whose workflows; null: no application''s.';
comment on column durable.versions.name is 'Name of the workflow function.';
comment on column durable.versions.version is
    'Its version; null: of workflows that ask for none.';
comment on column durable.versions.registered_at is
    'As in durable.types; null: no daemon has registered it.';
comment on column durable.versions.is_latest is
    'Whether it runs the workflows that ask for no version.';
comment on column durable.versions.workflows is
    'How many workflows are pending, enqueued or delayed.';
comment on column durable.versions.oldest_at is
    'When the first of them was created, in milliseconds since the epoch.';

create or replace function durable.superseded(
    application text,
    runnable text[]
)
returns text[]
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return array(
        select mine.name
        from (
            -- The last version in the list is what the daemon would take.
            select distinct on (n.part[1]) n.part[1] as name,
                n.part[2] as version
            from (
                select regexp_match(r.type, '^(.*)@([^@]+)$') as part, r.place
                from unnest(superseded.runnable) with ordinality
                    as r (type, place)) as n
            where n.part is not null
            order by n.part[1], n.place desc) as mine
        join durable.types as t
            on t.application = superseded.application
            and t.name = mine.name
            and t.version = mine.version
        where exists (
            select from durable.types as o
            where o.application = superseded.application
                and o.name = mine.name
                and o.version <> mine.version
                and durable.type_rank(o.application, o.version,
                    o.registered_at)
                    > durable.type_rank(t.application, t.version,
                        t.registered_at))
        order by mine.name);
end
$$;
comment on function durable.superseded(text, text[]) is
    'The names of which a later version is registered than the last one in '
    'runnable (durable.served): a daemon with this list runs no workflow of '
    'these names that asks for no version. Called by each worker with its sweep.';

create or replace function durable.register_types(
    application text,
    runnable text[]
)
returns text[]
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    present_ms bigint := durable.now_ms();
begin
    insert into durable.types (application, name, version, registered_at)
    select register_types.application, n.part[1], n.part[2],
        present_ms + n.place
    from (
        select regexp_match(r.type, '^(.*)@([^@]+)$') as part, r.place
        from unnest(register_types.runnable) with ordinality
            as r (type, place)) as n
    where n.part is not null
        and not exists (
            select from durable.types as t
            where t.application = register_types.application
                and t.name = n.part[1]
                and t.version = n.part[2])
    on conflict do nothing;
    -- For the tools; durable.register has made the daemon's own the latest.
    insert into dbos.application_versions (version_id, version_name,
        application_name, version_timestamp)
    select gen_random_uuid()::text, t.version, register_types.application,
        min(t.registered_at) - 1000
    from durable.types as t
    where t.application = register_types.application
        and not exists (
            select from dbos.application_versions as v
            where v.version_name = t.version)
    group by t.version
    on conflict do nothing;
    return durable.superseded(register_types.application,
        register_types.runnable);
end
$$;
comment on function durable.register_types(text, text[]) is
    'Called by each worker of a daemon when it has connected, behind '
    'durable.register: registers what it can run (as in durable.served), and '
    'returns durable.superseded.';


grant execute on function
    durable.superseded(text, text[]),
    durable.register_types(text, text[])
to widget_store_daemon;
