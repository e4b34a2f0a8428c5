-- SPDX-License-Identifier: MIT
--
-- What the operators' view of workflows shows and does, over the functions of
-- api.sql and inspect.sql.

create or replace function durable.operator_list_json(
    status text,
    name text,
    queue text,
    skip int
)
returns text
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select coalesce(json_agg(json_build_object(
            'workflow_id', w.workflow_id,
            'name', w.name,
            'status', w.status,
            'queue', w.queue_name,
            'created_at', w.created_at,
            'updated_at', w.updated_at)), '[]')::text
        from durable.list_workflows(
            status => case when operator_list_json.status is not null
                then array[operator_list_json.status] end,
            name => operator_list_json.name,
            queue_name => operator_list_json.queue,
            max_rows => 51, skip_rows => coalesce(skip, 0)) as w);
end
$$;
comment on function durable.operator_list_json(text, text, text, int) is
    'A page of 50 workflows and one more, the newest first, as JSON; a filter '
    'that is null passes everything.';

create or replace function durable.operator_workflow_json(id text)
returns text
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select json_build_object(
            'workflow', row_to_json(w),
            'steps', (
                select coalesce(json_agg(row_to_json(s)), '[]')
                from durable.list_steps(id) as s),
            'timeline', durable.workflow_json(id)::json)::text
        from durable.get_workflow(id) as w);
end
$$;
comment on function durable.operator_workflow_json(text) is
    'A workflow with its journal and its turns, as JSON; null when there is none '
    'of this id.';


grant execute on function
    durable.operator_list_json(text, text, text, int),
    durable.operator_workflow_json(text)
to durable_client;
