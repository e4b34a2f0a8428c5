-- SPDX-License-Identifier: MIT
--
-- What a worker calls after an unclean death, its own predecessor's or that of a
-- whole daemon: which workflows may have killed their process (suspects), and
-- how often each was tried alone.

create or replace function durable.turn_suspect(
    types text[],
    queues text[],
    runnable text[],
    application text,
    max_workflows int,
    crash_note text[]
)
returns setof text
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    taken text[];
begin
    if crash_note is not null then
        -- Also workflows that another worker has locked by now.
        select array_agg(s.workflow_uuid)
        into taken
        from dbos.workflow_status as s
        where s.workflow_uuid = any (crash_note)
            and durable.is_due(s.workflow_uuid, s.status, durable.now_ms())
            -- The insert would wait for a suspect that another worker runs.
            and not exists (
                select from durable.suspects as x
                where x.workflow_uuid = s.workflow_uuid);
    else
        select array_agg(t.workflow_uuid)
        into taken
        from durable.turn_take(types, queues, runnable, application,
            max_workflows, null) as t;
    end if;
    return query
    insert into durable.suspects as s (workflow_uuid, attempts)
    select id, 1
    from unnest(taken) as id
    on conflict on constraint suspects_pkey do nothing
    returning s.workflow_uuid;
end
$$;
comment on function durable.turn_suspect(text[], text[], text[], text, int,
    text[]) is
    'Notes suspects, in a transaction of its own before the turn that runs them: '
    'the workflows of the crash note of a dead worker that are still due, or, '
    'without a note (null), the due workflows that the calling worker is going '
    'to run.  Returns the ids of the new suspects.';

create or replace function durable.release_attempt(id text)
returns void
language sql
volatile
set search_path = pg_catalog, pg_temp
as $$
    select pg_advisory_unlock('durable.suspects'::regclass::oid::int,
        hashtext(id));
$$;
comment on function durable.release_attempt(text) is
    'Lets other sessions count attempts at a suspect again.';

create or replace function durable.turn_attempt(
    runnable text[],
    application text,
    max_attempts int
)
returns table (workflow_uuid text, attempts int)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    suspect text;
    workflow record;
begin
    for suspect in
        select x.workflow_uuid
        from durable.suspects as x
        order by x.attempts, x.workflow_uuid
    loop
        -- No other session counts an attempt until this one has been made.
        continue when not pg_try_advisory_lock(
            'durable.suspects'::regclass::oid::int, hashtext(suspect));
        select s.status, x.attempts, durable.can_run(s.name,
            s.application_version, s.application_name, runnable,
            application)
            as ours
        into workflow
        from durable.suspects as x
        join dbos.workflow_status as s on s.workflow_uuid = x.workflow_uuid
        where x.workflow_uuid = suspect
        -- The suspect's row, too, because another session may be about to take
        -- its last attempt back.
        for update of s, x skip locked;
        exit when workflow.ours and durable.is_due(suspect, workflow.status,
            durable.now_ms());
        -- A workflow that has had its turn meanwhile, or that a tool has ended,
        -- is no suspect any more.
        if workflow.ours or workflow.status not in ('PENDING', 'ENQUEUED') then
            delete from durable.suspects as x
            where x.workflow_uuid = suspect;
        end if;
        perform durable.release_attempt(suspect);
        workflow := null;
    end loop;
    if workflow is null then
        return;
    end if;
    if workflow.attempts < max_attempts then
        update durable.suspects as x
        set attempts = x.attempts + 1
        where x.workflow_uuid = suspect;
    else
        update dbos.workflow_status as s
        set status = 'MAX_RECOVERY_ATTEMPTS_EXCEEDED',
            recovery_attempts = workflow.attempts,
            queue_name = null,
            owner_xid = null,
            deduplication_id = null,
            completed_at = durable.now_ms(),
            updated_at = durable.now_ms()
        where s.workflow_uuid = suspect;
        delete from durable.suspects as x
        where x.workflow_uuid = suspect;
        perform durable.release_attempt(suspect);
    end if;
    return query
    select suspect, workflow.attempts;
end
$$;
comment on function durable.turn_attempt(text[], text, int) is
    'Counts one more attempt at one due suspect, which is the session''s until '
    'turn_attempted, or gives it up as MAX_RECOVERY_ATTEMPTS_EXCEEDED after '
    'max_attempts.  Returns it with the attempts before this one; no row when '
    'no suspect is due and free.';

create or replace function durable.turn_attempted(id text, survived boolean)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    update durable.suspects as x
    set attempts = x.attempts - 1
    where x.workflow_uuid = id
        and survived
        and x.attempts > 1;
    perform durable.release_attempt(id);
end
$$;
comment on function durable.turn_attempted(text, boolean) is
    'Ends the attempt that turn_attempt counted.  It is taken back when the '
    'process has survived a circumstance; the end of its session ends it, '
    'too.';


grant execute on function
    durable.turn_suspect(text[], text[], text[], text, int, text[]),
    durable.turn_attempt(text[], text, int),
    durable.turn_attempted(text, boolean)
to widget_store_daemon;
