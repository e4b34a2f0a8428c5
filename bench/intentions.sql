-- SPDX-License-Identifier: MIT
--
-- How long it takes from the commit with which a workflow asks for an external
-- step of bench/steps.c to the begin of its function.  The server needs
-- track_commit_timestamp.

create table bench.intentions (
    workflow_uuid text not null,
    function_id int not null,
    transaction xid not null
);

create function bench.note_intention()
returns trigger
language plpgsql
as $$
begin
    insert into bench.intentions (workflow_uuid, function_id, transaction)
    values (new.workflow_uuid, new.function_id, pg_current_xact_id()::xid);
    return null;
end
$$;

create trigger note_intention
after insert on durable.external_steps
for each row
execute function bench.note_intention();
grant insert on bench.intentions to widget_store_owner;
grant usage on schema bench to widget_store_owner;

create function bench.latency()
returns json
language sql
begin atomic
    select json_build_object('steps', count(*),
        'p50_ms', round(percentile_disc(0.5)
            within group (order by l.us) / 1000.0, 1),
        'p99_ms', round(percentile_disc(0.99)
            within group (order by l.us) / 1000.0, 1))
    from (
        select o.output::bigint - (extract(epoch
            from pg_xact_commit_timestamp(i.transaction)) * 1000000)::bigint
            as us
        from bench.intentions as i
        join dbos.operation_outputs as o
            on o.workflow_uuid = i.workflow_uuid
            and o.function_id = i.function_id) as l;
end;
