-- SPDX-License-Identifier: MIT
--
-- What the daemons serve, and which workflows wait in vain for one that does.

create table if not exists durable.served (
    number int not null generated always as identity
        constraint served_pkey primary key,
    application text not null,
    runnable text[] not null,
    queues text[] not null,
    constraint served_what unique (application, runnable, queues)
);
comment on table durable.served is
    'What the daemons serve; daemons that serve the same share a row. The first '
    'worker of each holds a shared advisory lock on the number of its row: no '
    'lock, no daemon.';
comment on column durable.served.number is 'The second key of that lock.';
comment on column durable.served.application is 'Whose workflows.';
comment on column durable.served.runnable is
    'Which code: name@version, and name@ for a workflow of no version.';
comment on column durable.served.queues is 'From which queues.';

create table if not exists durable.unserved (
    workflows bigint not null
);
comment on table durable.unserved is
    'One row: the number of workflows that no daemon serves, as of the last '
    'look of a daemon.';
comment on column durable.unserved.workflows is 'Their number, up to 10000.';

insert into durable.unserved (workflows)
select 0
where not exists (select from durable.unserved);

create or replace function durable.is_served(key text[])
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return exists (
            select from durable.served as d
            where key[1] = any (d.queues)
                and key[2] = any (d.runnable)
                and key[3] in ('', '@' || d.application))
        -- Another application of the DBOS family, which notes nothing here.
        or exists (
            select from dbos.application_versions as v
            where '@' || v.application_name = key[3]
                and not exists (
                    select from durable.served as d
                    where '@' || d.application = key[3]));
end
$$;
comment on function durable.is_served(text[]) is
    'Whether a daemon serves the enqueued workflows of a key (durable.queue_key), '
    'or another application of the DBOS family may.';

create or replace function durable.next_key(former text[])
returns text[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return least((
        select min(durable.queue_key(s.queue_name, s.name,
            s.application_version, s.application_name))
        from dbos.workflow_status as s
        where s.status = 'ENQUEUED'
            and durable.queue_key(s.queue_name, s.name,
                s.application_version, s.application_name) > former), (
        select min(durable.queue_key(s.queue_name, s.name,
            s.application_version, s.application_name))
        from dbos.workflow_status as s
        where s.status = 'DELAYED'
            and durable.queue_key(s.queue_name, s.name,
                s.application_version, s.application_name) > former));
end
$$;
comment on function durable.next_key(text[]) is
    'The next key (durable.queue_key) of enqueued or delayed workflows, or null; '
    'the first behind an empty array.';

create or replace function durable.count_of_key(key text[], most bigint)
returns bigint
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    present_ms bigint := durable.now_ms();
begin
    return (
        select count(*)
        from (
            (select
            from dbos.workflow_status as s
            where durable.queue_key(s.queue_name, s.name,
                    s.application_version, s.application_name) = key
                and s.status = 'ENQUEUED'
            order by s.priority, s.created_at
            limit most)
            union all
            (select
            from dbos.workflow_status as s
            where durable.queue_key(s.queue_name, s.name,
                    s.application_version, s.application_name) = key
                and s.status = 'DELAYED'
                and s.delay_until_epoch_ms + 0 <= present_ms
            order by s.delay_until_epoch_ms + 0
            limit most)
            limit most) as n);
end
$$;
comment on function durable.count_of_key(text[], bigint) is
    'How many workflows of a key (durable.queue_key) are enqueued, or delayed and '
    'due, counted to most.';

create or replace function durable.find_unserved()
returns table (workflows bigint, example text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    most constant bigint := 10000;
    key text[] := '{}';
    place record;
    more bigint;
begin
    workflows := 0;
    -- Key by key and type by type, each by the ends of an index.
    for looks in 1..most loop
        key := durable.next_key(key);
        exit when key is null or workflows = most;
        continue when durable.is_served(key);
        more := durable.count_of_key(key, most - workflows);
        continue when more = 0;
        workflows := workflows + more;
        example := coalesce(example, rtrim(key[2], '@')
            || coalesce(' in queue ' || key[1], ' in no queue'));
    end loop;
    for place in
        with recursive types as (
            select min(w.type) as type
            from durable.waits as w
            union all
            select (
                select min(w.type)
                from durable.waits as w
                where w.type > t.type)
            from types as t
            where t.type is not null
        )
        select t.type
        from types as t
        where t.type is not null
            and not exists (
                select
                from durable.served as d
                cross join unnest(d.runnable) as r (type)
                where t.type = r.type || '@' || d.application)
    loop
        exit when workflows = most;
        select count(*)
        into more
        from (
            select from durable.waits as w
            where w.type = place.type
            limit most - workflows) as n;
        workflows := workflows + more;
        example := coalesce(example, place.type);
    end loop;
    return next;
end
$$;
comment on function durable.find_unserved() is
    'The number of workflows, up to 10000, that are enqueued or wait and that no '
    'daemon serves, and an example of them. Looks at 10000 kinds of enqueued '
    'workflows at most: a kind has a queue, a name, a version and an owner.';

create or replace function durable.hold_served(
    application text,
    runnable text[],
    queues text[]
)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    mine int;
begin
    insert into durable.served (application, runnable, queues)
    select hold_served.application, hold_served.runnable, hold_served.queues
    where not exists (
        select from durable.served as d
        where d.application = hold_served.application
            and d.runnable = hold_served.runnable
            and d.queues = hold_served.queues)
    on conflict do nothing;
    select d.number
    into mine
    from durable.served as d
    where d.application = hold_served.application
        and d.runnable = hold_served.runnable
        and d.queues = hold_served.queues;
    perform pg_advisory_lock_shared('durable.served'::regclass::oid::int, mine)
    where not exists (
        select from pg_locks as l
        where l.locktype = 'advisory'
            and l.pid = pg_backend_pid()
            and l.classid = 'durable.served'::regclass
            and l.objid::bigint = mine);
    -- What this daemon served before.
    perform pg_advisory_unlock_shared(
        'durable.served'::regclass::oid::int, l.objid::bigint::int)
    from pg_locks as l
    where l.locktype = 'advisory'
        and l.pid = pg_backend_pid()
        and l.classid = 'durable.served'::regclass
        and l.objid::bigint <> mine;
    delete from durable.served as d
    where not exists (
        select from pg_locks as l
        where l.locktype = 'advisory'
            and l.database = (
                select c.oid from pg_database as c
                where c.datname = current_database())
            and l.classid = 'durable.served'::regclass
            and l.objid::bigint = d.number);
end
$$;
comment on function durable.hold_served(text, text[], text[]) is
    'Notes what the calling session''s daemon serves, for as long as the session '
    'lasts, and deletes the rows of daemons that are gone. Writes nothing when '
    'nothing has changed.';

create or replace function durable.note_served(
    application text,
    runnable text[],
    queues text[]
)
returns table (kind text, what text)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    waiting record;
begin
    perform durable.hold_served(note_served.application, note_served.runnable,
        note_served.queues);
    select f.workflows, f.example
    into waiting
    from durable.find_unserved() as f;
    update durable.unserved as u
    set workflows = waiting.workflows
    where u.workflows <> waiting.workflows;
    return query
    select n.kind, n.what
    from (
        values ('unserved', waiting.example), ('partitions', (
            select string_agg(l.name, ', ' order by l.name)
            from durable.limited_queues as l
            where l.name = any (note_served.queues)
                and l.is_partitioned
                -- In the order of the index, so that the planner uses no other.
                and (
                    select true
                    from dbos.workflow_status as s
                    where s.queue_name = l.name
                        and s.status = 'ENQUEUED'
                        and s.queue_partition_key is null
                    order by s.priority, s.created_at
                    limit 1))), ('schedules',
            durable.idle_schedules(note_served.application)), ('notifications', (
            select q.tenths * 10 || ' %'
            from durable.notification_queue as q
            where q.tenths >= 6))) as n (kind, what)
    where n.what is not null;
end
$$;
comment on function durable.note_served(text, text[], text[]) is
    'Called by a daemon''s first worker every half a minute: notes what the '
    'daemon serves, and how many workflows no daemon does. Returns what an '
    'operator should know: an example of these (unserved), queues of the daemon '
    'with limits for partitions in which workflows of no partition wait '
    '(partitions), which schedules do not fire (schedules, '
    'durable.idle_schedules), and how full the notification queue is when '
    'durable.hint sends none (notifications).';


grant execute on function durable.note_served(text, text[], text[])
to widget_store_daemon;
