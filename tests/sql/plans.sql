-- SPDX-License-Identifier: MIT
--
-- The planner settings belong to the functions, and to nothing else.

select plan(2);

select is(array(
    select p.oid::regprocedure::text
    from pg_proc as p
    join pg_namespace as n on n.oid = p.pronamespace
    join pg_language as l on l.oid = p.prolang
    where n.nspname = 'durable'
        and l.lanname = 'plpgsql'
        and p.proname not like 'monitor%'
        and p.proname !~ '_json$'
        and not coalesce(p.proconfig, '{}')
            @> array['plan_cache_mode=force_custom_plan']
        -- Called within functions that have them.
        and p.proname <> all ('{count_pending,latest_starts,room,find_enqueued,
            next_partition,is_kept,weigh}')
        and not coalesce(p.proconfig, '{}') @> array['enable_seqscan=off',
            'enable_sort=off', 'plan_cache_mode=force_generic_plan', 'jit=off']
    order by 1), '{}'::text[],
    'every function of the engine has its planner settings, or plans each call');

select is(array(
    select p.oid::regprocedure::text
    from pg_proc as p
    join pg_language as l on l.oid = p.prolang
    where p.pronamespace in ('durable'::regnamespace, 'store'::regnamespace)
        and l.lanname = 'plpgsql'
        and (p.proname ~ '^(monitor|audit)' or p.proname ~ '_json$')
        and (p.proconfig @> array['enable_sort=off']
            or not p.proconfig @> array['enable_seqscan=off',
                'plan_cache_mode=force_generic_plan', 'jit=off'])
    order by 1), '{}'::text[],
    'what watches and what the web reads reads by key, too, and may sort');

select finish();
