-- SPDX-License-Identifier: MIT
--
-- What a worker calls after an unclean death, its own predecessor's or that of a
-- whole daemon, and after the loss of its session: which workflows may be the
-- cause (suspects), and how many processes each of them has ended alone.

create or replace function durable.turn_suspect(
    types text[],
    queues text[],
    runnable text[],
    application text,
    max_workflows int,
    crash_note text[],
    death bigint,
    alone boolean
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
            max_workflows, null) as t
        where not t.left_out;
    end if;
    if death is not null then
        update durable.suspects as x
        set attempts = x.attempts + 1,
            last_death = death,
            begun = 0,
            next_at = 0
        where x.workflow_uuid in (
            select s.workflow_uuid
            from durable.suspects as s
            where s.workflow_uuid = any (crash_note)
                and s.last_death is distinct from death
            for update skip locked);
    end if;
    if alone then
        update durable.suspects as x
        set cohort = 1
        where x.workflow_uuid in (
            select s.workflow_uuid
            from durable.suspects as s
            where s.workflow_uuid = any (crash_note)
                and s.cohort > 1
            for update skip locked);
    end if;
    return query
    insert into durable.suspects as s (workflow_uuid, attempts, last_death,
        cohort)
    select id, num_nonnulls(death), death, case when alone then 1
        else greatest(cardinality(taken) / 2, 1) end
    from unnest(taken) as id
    on conflict on constraint suspects_pkey do nothing
    returning s.workflow_uuid;
end
$$;
comment on function durable.turn_suspect(text[], text[], text[], text, int,
    text[], bigint, boolean) is
    'Notes suspects, in a transaction of its own before the turns that run them: '
    'the workflows of a crash note that are still due, or, without a note '
    '(null), the due workflows that the calling worker is going to run.  death: '
    'when the worker of the note ended itself, in milliseconds since the epoch, '
    'if that is an attempt at the one workflow of the note; it is counted once, '
    'however often the call is repeated.  alone: the worker of the note ended '
    'itself, so that the note names a cause, and after the turns of new suspects '
    'each runs alone; else cohorts begin with half of them.  Returns the ids of '
    'the new suspects.';

create or replace function durable.attempt_is_due(
    next_at bigint,
    present_ms bigint
)
returns boolean
language sql
immutable
parallel safe
return next_at <= present_ms or next_at > present_ms + 64000;
comment on function durable.attempt_is_due(bigint, bigint) is
    'Whether a suspect may be tried at this time.  A time beyond the longest '
    'pause is left from before the clock was put back.';

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
    max_attempts int,
    max_workflows int
)
returns table (workflow_uuid text, attempts int, pause_ms int)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    suspect record;
    workflow record;
    chosen text[] := '{}';
    found_attempts int;
    size int;
    pause int := 0;
begin
    for suspect in
        select x.workflow_uuid as id, x.cohort
        from durable.suspects as x
        where durable.attempt_is_due(x.next_at, durable.now_ms())
        order by x.next_at, x.attempts, x.cohort desc, x.workflow_uuid
    loop
        exit when cardinality(chosen) >= least(size, max_workflows);
        -- No other session tries it until this attempt has been made.
        continue when suspect.cohort <> size or not pg_try_advisory_lock(
            'durable.suspects'::regclass::oid::int, hashtext(suspect.id));
        select s.status, x.attempts, x.begun, durable.can_run(s.name,
            s.application_version, s.application_name, runnable,
            application)
            as ours
        into workflow
        from durable.suspects as x
        join dbos.workflow_status as s on s.workflow_uuid = x.workflow_uuid
        where x.workflow_uuid = suspect.id
            -- Another session may have tried it a moment ago.
            and durable.attempt_is_due(x.next_at, durable.now_ms())
            and x.cohort = suspect.cohort
        -- The suspect's row, too, because another session may be about to take
        -- its last attempt back, or to count one.
        for update of s, x skip locked;
        if workflow.ours and durable.is_due(suspect.id, workflow.status,
            durable.now_ms()) then
            chosen := chosen || suspect.id;
            size := suspect.cohort;
            found_attempts := workflow.attempts;
            pause := 1000 * 2 ^ least(workflow.begun, 6);
            continue;
        end if;
        -- A workflow that has had its turn meanwhile, or that a tool has ended,
        -- is no suspect any more.
        if workflow.ours or not (workflow.status = 'ENQUEUED'
            or durable.goes_on(suspect.id, workflow.status)) then
            delete from durable.suspects as x
            where x.workflow_uuid = suspect.id;
        end if;
        perform durable.release_attempt(suspect.id);
    end loop;
    if size > 1 then
        pause := 0;
        update durable.suspects as x
        set cohort = greatest(cardinality(chosen) / 2, 1)
        where x.workflow_uuid = any (chosen);
    elsif found_attempts < max_attempts then
        update durable.suspects as x
        set begun = x.begun + 1,
            next_at = durable.now_ms() + pause
        where x.workflow_uuid = any (chosen);
    else
        perform durable.give_up(id, found_attempts)
        from unnest(chosen) as id;
        pause := 0;
    end if;
    return query
    select id, found_attempts, pause
    from unnest(chosen) as id;
end
$$;
comment on function durable.turn_attempt(text[], text, int, int) is
    'Begins one more attempt at a cohort of due suspects, of max_workflows at '
    'most, or at one that runs alone; they are the session''s until '
    'turn_attempted.  One that has max_attempts is given up as '
    'MAX_RECOVERY_ATTEMPTS_EXCEEDED.  Returns them with the attempts that '
    'turn_suspect has counted, and the pause before the next one in case that '
    'this one does not end; no row when no suspect is due and free.  Pause and '
    'half the cohort are noted before the attempt, so that a workflow which ends '
    'its session, its machine or the server costs the others little, and is '
    'never given up for that.';

create or replace function durable.give_up(id text, counted int)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    update dbos.workflow_status as s
    set status = 'MAX_RECOVERY_ATTEMPTS_EXCEEDED',
        recovery_attempts = counted,
        queue_name = null,
        owner_xid = null,
        deduplication_id = null,
        completed_at = durable.now_ms(),
        updated_at = durable.now_ms()
    where s.workflow_uuid = id;
    delete from durable.suspects as x
    where x.workflow_uuid = id;
    perform durable.release_attempt(id);
end
$$;
comment on function durable.give_up(text, int) is
    'Ends a suspect after its last attempt.';

create or replace function durable.turn_cleared()
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    delete from durable.suspects as x
    where x.workflow_uuid = any (durable.taken());
end
$$;
comment on function durable.turn_cleared() is
    'The workflows of this turn are no suspects any more when it commits.  Called '
    'by a worker at the end of a turn that took workflows by their ids: not at '
    'its begin, because turn_suspect could not count the death of the process '
    'before while a row is locked.';

create or replace function durable.turn_attempted(ids text[])
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    update durable.suspects as x
    -- Behind the suspects that are due already.
    set begun = x.begun - 1,
        next_at = durable.now_ms()
    where x.workflow_uuid = any (ids)
        and x.begun > 0;
    perform durable.release_attempt(id)
    from unnest(ids) as id;
end
$$;
comment on function durable.turn_attempted(text[]) is
    'Ends the attempt that turn_attempt began, when its session has survived it: '
    'a workflow that only met a circumstance is tried again without the pause.';


grant execute on function
    durable.turn_suspect(text[], text[], text[], text, int, text[], bigint,
        boolean),
    durable.turn_attempt(text[], text, int, int),
    durable.turn_attempted(text[]),
    durable.turn_cleared()
to widget_store_daemon;
