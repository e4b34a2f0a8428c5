-- SPDX-License-Identifier: MIT
--
-- The planner settings of the functions that the programs call.
--
-- They keep every plan a nested loop over an index, whatever the statistics are,
-- because these functions ask for little and by key: a sequential scan that was
-- planned for an empty table would still be used when the table is large.  Only
-- what the web reads and what watches may sort, because it orders a few rows by
-- columns of several tables.  They are the functions' own, so that the statements of a workflow's steps, which
-- run in the same sessions, are planned as everywhere else.  A function that
-- plans each call anew, for filters, keeps its own.

do $$
declare
    target record;
    setting text;
begin
    for target in
        select p.oid::regprocedure as signature,
            p.proname ~ '(^monitor_|^audit|^losses$|^note_orders$|_json$)'
                as may_sort
        from pg_proc as p
        join pg_namespace as n on n.oid = p.pronamespace
        join pg_language as l on l.oid = p.prolang
        where n.nspname in ('durable', 'store')
            and l.lanname = 'plpgsql'
            and not coalesce(p.proconfig, '{}')
                @> array['plan_cache_mode=force_custom_plan']
            -- Called for each partition or each finished workflow, by functions
            -- that have the settings.
            and p.proname <> all ('{count_pending,latest_starts,room,
                find_enqueued,next_partition,is_kept,weigh}')
            -- The crash button's function is a superuser's.
            and pg_has_role(p.proowner, 'usage')
    loop
        execute format('alter function %s set plan_cache_mode = '
            'force_generic_plan', target.signature);
        for setting in
            select s.name
            from pg_settings as s
            where s.name in ('enable_seqscan', 'enable_hashjoin',
                'enable_mergejoin', 'enable_bitmapscan', 'enable_sort',
                'enable_memoize', 'enable_material', 'jit',
                -- From PostgreSQL 16 on; an ordered aggregate would read a
                -- whole index.
                'enable_presorted_aggregate')
                and not (target.may_sort and s.name = 'enable_sort')
        loop
            execute format('alter function %s set %I = off', target.signature,
                setting);
        end loop;
    end loop;
end
$$;
