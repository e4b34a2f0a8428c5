-- SPDX-License-Identifier: MIT
--
-- The times of a schedule.  The rules are those of the official TypeScript SDK
-- (its scheduler reads the same rows), but for the change of daylight saving
-- time, where they are those of Debian's cron.  They are in SQL because
-- PostgreSQL knows the time zones, and so that daemon, clients and command line
-- share them.

do $$
begin
    if to_regtype('durable.cron') is null then
        create type durable.cron as (
            seconds int[],
            minutes int[],
            hours int[],
            days text[],
            months int[],
            weekdays text[],
            is_wildcard boolean);
    end if;
end
$$;
comment on type durable.cron is
    'A cron expression that was read: the values of each field, the days of the '
    'month also as L, L-n, nW and LW, those of the week also as nL and n#m, and '
    'whether its minute or hour begins with an asterisk.';

create or replace function durable.cron_field(
    field text,
    min int,
    max int,
    tokens text default '$.'
)
returns text[]
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
declare
    -- A week has two Sundays, 0 and 7.
    top constant int := case when max = 6 then 7 else max end;
    item text;
    part text[];
    first int;
    last int;
    step int;
    field_values text[] := '{}';
begin
    foreach item in array string_to_array(field, ',') loop
        if item ~ tokens then
            field_values := field_values || item;
            continue;
        end if;
        part := regexp_match(item,
            '^(?:[*]|([0-9]{1,4})(?:-([0-9]{1,4}))?)(?:/([0-9]{1,9}))?$');
        first := coalesce(part[1]::int, min);
        last := coalesce(part[2], part[1], max::text)::int;
        step := coalesce(part[3]::int, 1);
        if part is null or first not between min and top
            or last not between min and top or step < 1
            or part[3] is not null and part[1] is not null
                and part[2] is null then
            raise invalid_parameter_value using message =
                format('"%s" is none of %s to %s', item, min, max);
        end if;
        -- A range such as 22-2 goes on at the beginning.
        field_values := field_values || array(
            select case when v > top or v > max and first > last
                then v - (max - min + 1) else v end::text
            from generate_series(first, case when last < first
                then last + max - min + 1 else last end, step) as v);
    end loop;
    if field_values = '{}' then
        raise invalid_parameter_value using message = 'a field is empty';
    end if;
    return field_values;
end
$$;
comment on function durable.cron_field(text, int, int, text) is
    'The values of a field of a cron expression, each of min to max, and its '
    'items that match tokens. Raises invalid_parameter_value.';

create or replace function durable.cron_words(field text, words text[])
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
begin
    for n in 1..cardinality(words) loop
        field := regexp_replace(field, words[n], n::text, 'gi');
    end loop;
    return field;
end
$$;
comment on function durable.cron_words(text, text[]) is
    'A field with names, which words match, replaced by their numbers from 1.';

create or replace function durable.sorted(numbers text[])
returns int[]
language sql
immutable
set search_path = pg_catalog, pg_temp
return array(
    select distinct n::int
    from unnest(numbers) as n
    order by 1);
comment on function durable.sorted(text[]) is
    'The numbers in their order, each once.';

create or replace function durable.cron_parse(expression text)
returns durable.cron
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
declare
    nicknames constant jsonb := '{"@yearly": "0 0 1 1 *",
        "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *",
        "@weekly": "0 0 * * 0", "@daily": "0 0 * * *",
        "@midnight": "0 0 * * *", "@hourly": "0 * * * *"}';
    field text[] := string_to_array(btrim(regexp_replace(coalesce(
        nicknames ->> lower(btrim(expression)), expression), ' +', ' ', 'g')),
        ' ');
    parsed durable.cron;
begin
    if cardinality(field) = 5 then
        field := array_prepend('0'::text, field);
    end if;
    if cardinality(field) is distinct from 6 then
        raise invalid_parameter_value using message =
            format('"%s" has not 5 or 6 fields', expression);
    end if;
    -- Long names first: a short one is their beginning.
    field[5] := durable.cron_words(field[5], '{jan(uary)?,feb(ruary)?,'
        'mar(ch)?,apr(il)?,may,june?,july?,aug(ust)?,sep(tember)?,oct(ober)?,'
        'nov(ember)?,dec(ember)?}');
    -- From 1, which is Monday.
    field[6] := durable.cron_words(field[6], '{mon(day)?,tue(sday)?,'
        'wed(nesday)?,thu(rsday)?,fri(day)?,sat(urday)?}');
    field[6] := regexp_replace(field[6], 'sun(day)?', '0', 'gi');
    field[4] := case field[4] when '?' then '*' else upper(field[4]) end;
    field[6] := case field[6] when '?' then '*' else upper(field[6]) end;
    parsed.seconds := durable.sorted(durable.cron_field(field[1], 0, 59));
    parsed.minutes := durable.sorted(durable.cron_field(field[2], 0, 59));
    parsed.hours := durable.sorted(durable.cron_field(field[3], 0, 23));
    parsed.days := array(
        select regexp_replace(d, '(^|-)0+(?=[1-9])', '\1')
        from unnest(durable.cron_field(field[4], 1, 31, '^(L|L-(0?[1-9]|[12]\d|'
            '30)|LW|(0?[1-9]|[12]\d|3[01])W)$')) as d);
    parsed.months := durable.sorted(durable.cron_field(field[5], 1, 12));
    parsed.weekdays := array(
        select replace(d, '7', '0')
        from unnest(durable.cron_field(field[6], 0, 6, '^[0-7](L|#[1-5])$'))
            as d);
    parsed.is_wildcard := field[2] like '*%' or field[3] like '*%';
    if not exists (
        select
        from unnest(parsed.days) as d
        cross join unnest(parsed.months) as m
        where d !~ '^\d+$'
            or d::int <= (array[31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30,
                31])[m]) then
        raise invalid_parameter_value using message =
            format('none of the months in "%s" has such a day', expression);
    end if;
    return parsed;
end
$$;
comment on function durable.cron_parse(text) is
    'Reads a cron expression: minute, hour, day of the month, month and day of '
    'the week, with or without the second in front; lists, ranges, steps, names; '
    'L, L-n, nW, LW, nL and n#m; @hourly and the like. Raises '
    'invalid_parameter_value with the reason.';

create or replace function durable.cron_days(
    month date,
    days text[],
    weekdays text[]
)
returns int[]
language sql
immutable
set search_path = pg_catalog, pg_temp
begin atomic
    with month_days as (
        select d.day, l.last,
            extract(dow from month + d.day - 1)::int as weekday
        from (
            select extract(day from month + interval '1 month - 1 day')::int
                as last) as l
        cross join generate_series(1, l.last) as d (day)
    )
    select array_agg(d.day order by d.day)
    from month_days as d
    where array[d.weekday::text, d.weekday || '#' || (d.day + 6) / 7,
            case when d.day + 7 > d.last then d.weekday || 'L' end]
            && weekdays
        and (array[d.day::text, case d.day when d.last then 'L' end,
                'L-' || d.last - d.day] && days
            -- The working day that is next to a day, in the same month.
            or d.day in (
                select case t.weekday
                    when 6 then t.day + case t.day when 1 then 2 else -1 end
                    when 0 then t.day + case t.day when t.last then -2 else 1
                        end
                    else t.day end
                from month_days as t
                where array[t.day || 'W', case t.day when t.last then 'LW' end]
                    && days));
end;
comment on function durable.cron_days(date, text[], text[]) is
    'On which days of a month a schedule fires, null: on none. A day has to be '
    'one of both fields.';

create or replace function durable.cron_time(cron durable.cron, from_s int)
returns int
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
declare
    h int;
    m int;
    s int;
begin
    foreach h in array cron.hours loop
        continue when h * 3600 + 3599 < from_s;
        foreach m in array cron.minutes loop
            continue when h * 3600 + m * 60 + 59 < from_s;
            foreach s in array cron.seconds loop
                if h * 3600 + m * 60 + s >= from_s then
                    return h * 3600 + m * 60 + s;
                end if;
            end loop;
        end loop;
    end loop;
    return null;
end
$$;
comment on function durable.cron_time(durable.cron, int) is
    'The first time of day at or after a time, in seconds; null: none.';

create or replace function durable.cron_next_local(
    cron durable.cron,
    after_s bigint
)
returns bigint
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
declare
    -- 29 February falls on a given weekday once in 40 years, at the least.
    months constant int := 40 * 12 + 2;
    local_from timestamp := timestamp 'epoch' + interval '1 s' * (after_s + 1);
    month date := date_trunc('month', local_from);
    today int := extract(day from local_from);
    d int;
    time_s int;
begin
    for n in 1..months loop
        if extract(month from month)::int = any (cron.months) then
            foreach d in array coalesce(durable.cron_days(month, cron.days,
                cron.weekdays), '{}') loop
                continue when n = 1 and d < today;
                time_s := durable.cron_time(cron, case when n = 1
                    and d = today then extract(epoch from local_from::time)::int
                    else 0 end);
                if time_s is not null then
                    return extract(epoch from month + d - 1)::bigint + time_s;
                end if;
            end loop;
        end if;
        month := month + interval '1 month';
    end loop;
    return null;
end
$$;
comment on function durable.cron_next_local(durable.cron, bigint) is
    'The first time of a clock that is never put forward or back, later than '
    'after_s; both in seconds of that clock since 1970. Null: never.';

create or replace function durable.zone_offset(zone text, at_s bigint)
returns bigint
language sql
stable
set search_path = pg_catalog, pg_temp
return extract(epoch from to_timestamp(at_s) at time zone zone)::bigint - at_s;
comment on function durable.zone_offset(text, bigint) is
    'How many seconds the clocks of a zone are ahead of UTC, at a time in '
    'seconds since the epoch.';

create or replace function durable.zone_change(
    zone text,
    from_s bigint,
    to_s bigint
)
returns bigint
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    former bigint := durable.zone_offset(zone, from_s);
    middle_s bigint;
begin
    if durable.zone_offset(zone, to_s) = former then
        return null;
    end if;
    while to_s - from_s > 1 loop
        middle_s := (from_s + to_s) / 2;
        if durable.zone_offset(zone, middle_s) = former then
            from_s := middle_s;
        else
            to_s := middle_s;
        end if;
    end loop;
    return to_s;
end
$$;
comment on function durable.zone_change(text, bigint, bigint) is
    'The first second after from_s, up to to_s, at which the clocks of a zone '
    'are put forward or back; null: none. Between these two times is one change '
    'at most.';

create or replace function durable.cron_zone(name text)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    part text[] := regexp_match(name, '^([+-])(\d\d)(?::?([0-5]\d))?$');
    zone text;
begin
    if coalesce(name, '') = '' then
        return 'UTC';
    elsif part is not null and part[2]::int < 24 then
        -- POSIX counts to the west.
        return format('<%s>%s%s:%s', translate(name, ':', ''),
            translate(part[1], '+-', '-+'), part[2], coalesce(part[3], '00'));
    end if;
    select z.name
    into zone
    from pg_timezone_names as z
    where lower(z.name) = lower(cron_zone.name);
    if zone is null then
        raise invalid_parameter_value using message =
            format('there is no time zone "%s"', name);
    end if;
    -- PostgreSQL takes these for abbreviations, without a summer.
    return case when zone in ('CET', 'MET') then 'Europe/Brussels'
        when zone = 'EET' then 'Europe/Athens'
        when zone = 'WET' then 'Europe/Lisbon'
        else zone end;
end
$$;
comment on function durable.cron_zone(text) is
    'A time zone of a schedule, a name of the tz database or +hh:mm, as '
    'PostgreSQL has it; null or empty: UTC. Raises invalid_parameter_value.';

create or replace function durable.cron_next(
    cron durable.cron,
    zone text,
    after_s bigint
)
returns bigint
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    day_s constant bigint := 86400;
    ahead_s bigint := durable.zone_offset(zone, after_s);
    -- What the clock shows: all up to here has been looked at.
    local_s bigint := after_s + ahead_s;
    change_s bigint := durable.zone_change(zone, after_s - day_s, after_s);
    at_s bigint;
    next_s bigint;
    later_s bigint;
begin
    -- The clock was put back, and shows again what it has shown.
    if change_s is not null and not cron.is_wildcard then
        local_s := greatest(local_s, change_s - 1
            + durable.zone_offset(zone, change_s - 1));
    end if;
    loop
        next_s := durable.cron_next_local(cron, local_s);
        if next_s is null then
            return null;
        end if;
        at_s := greatest(local_s - ahead_s, coalesce(change_s, 0));
        change_s := durable.zone_change(zone, at_s, at_s + 2 * day_s);
        if next_s - ahead_s < coalesce(change_s, at_s + 2 * day_s) then
            return next_s - ahead_s;
        elsif change_s is null then
            -- Nothing up to a day before.
            at_s := next_s - ahead_s - day_s;
            ahead_s := durable.zone_offset(zone, at_s);
            local_s := at_s + ahead_s;
            continue;
        end if;
        later_s := durable.zone_offset(zone, change_s);
        if not cron.is_wildcard and next_s < change_s + later_s then
            -- The clock passes over a time.
            return change_s;
        end if;
        local_s := change_s - 1 + case when cron.is_wildcard then later_s
            else greatest(ahead_s, later_s) end;
        ahead_s := later_s;
    end loop;
end
$$;
comment on function durable.cron_next(durable.cron, text, bigint) is
    'The first time at which a schedule fires after after_s, both in seconds '
    'since the epoch; null: never. Where the clocks of the zone are put forward '
    'or back, a cron expression whose minute or hour begins with an asterisk '
    'goes by what they show. Any other fires once: at the change, when they '
    'pass over its times, and the first time, when they show them twice.';
