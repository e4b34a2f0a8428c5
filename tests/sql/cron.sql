-- SPDX-License-Identifier: MIT
--
-- The times of a schedule.

select plan(76);

-- The next time, in UTC.
create function test.next(
    expression text,
    after timestamptz,
    zone text default 'UTC'
)
returns text
language sql
return to_char(to_timestamp(durable.cron_next(durable.cron_parse(expression),
    durable.cron_zone(zone), floor(extract(epoch from after))::bigint))
    at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS');

select is(test.next(c.expression, c.after::timestamptz), c.wanted,
    c.expression || ' behind ' || c.after)
from (
    values ('* * * * *', '2026-01-01 00:00:00Z', '2026-01-01 00:01:00'),
    ('* * * * *', '2026-01-01 00:00:59.999Z', '2026-01-01 00:01:00'),
    ('* * * * * *', '2026-12-31 23:59:59Z', '2027-01-01 00:00:00'),
    ('*/7 * * * * *', '2026-01-01 00:00:50Z', '2026-01-01 00:00:56'),
    ('30 4 * * *', '2026-01-01 04:30:00Z', '2026-01-02 04:30:00'),
    ('  0   12  1 1 * ', '2026-01-01 12:00:00Z', '2027-01-01 12:00:00'),
    ('0 0 29 2 *', '2026-01-01 00:00:00Z', '2028-02-29 00:00:00'),
    ('0 0 29 2 *', '2096-03-01 00:00:00Z', '2104-02-29 00:00:00'),
    ('0 0 29 2 mon', '2096-03-01 00:00:00Z', '2112-02-29 00:00:00'),
    ('0 0 31 * *', '2026-04-01 00:00:00Z', '2026-05-31 00:00:00'),
    ('0 0 13 * 5', '2026-01-01 00:00:00Z', '2026-02-13 00:00:00'),
    ('0 0 * * 7', '2026-01-01 00:00:00Z', '2026-01-04 00:00:00'),
    ('0 0 * * 0', '2026-01-01 00:00:00Z', '2026-01-04 00:00:00'),
    ('0 0 * * 5-7', '2026-01-03 00:00:00Z', '2026-01-04 00:00:00'),
    ('0 0 * * sat-mon', '2026-01-04 00:00:00Z', '2026-01-05 00:00:00'),
    ('0 0 ? JAN-mar,December ?', '2026-03-31 00:00:00Z', '2026-12-01 00:00:00'),
    ('0 22-2/2 * * *', '2026-01-01 22:00:00Z', '2026-01-02 00:00:00'),
    ('0 22-2/2 * * *', '2026-01-01 02:00:00Z', '2026-01-01 22:00:00'),
    ('15,45,30 3 * * *', '2026-01-01 03:15:00Z', '2026-01-01 03:30:00'),
    ('0 0 L * *', '2028-02-01 00:00:00Z', '2028-02-29 00:00:00'),
    ('0 0 L-2 * *', '2026-02-01 00:00:00Z', '2026-02-26 00:00:00'),
    ('0 0 1w * *', '2026-07-31 00:00:00Z', '2026-08-03 00:00:00'),
    ('0 0 15W * *', '2026-02-01 00:00:00Z', '2026-02-16 00:00:00'),
    ('0 0 LW * *', '2026-05-01 00:00:00Z', '2026-05-29 00:00:00'),
    ('0 0 31W * *', '2026-05-01 00:00:00Z', '2026-05-29 00:00:00'),
    ('0 0 * * friL', '2026-01-01 00:00:00Z', '2026-01-30 00:00:00'),
    ('0 0 * * mon#2', '2026-01-01 00:00:00Z', '2026-01-12 00:00:00'),
    ('0 0 29 * 1#1', '2026-01-01 00:00:00Z', null),
    ('@hourly', '2026-01-01 00:30:00Z', '2026-01-01 01:00:00'),
    ('@Weekly', '2026-01-01 00:00:00Z', '2026-01-04 00:00:00'))
    as c (expression, after, wanted);

-- Changes of daylight saving time.

select is(test.next(c.expression, c.after::timestamptz, c.zone), c.wanted,
    format('%s in %s behind %s', c.expression, c.zone, c.after))
from (
    values ('30 2 * * *', 'Europe/Berlin', '2026-03-28 02:00Z',
        '2026-03-29 01:00:00'),
    ('30 2 * * *', 'Europe/Berlin', '2026-03-29 01:00Z', '2026-03-30 00:30:00'),
    ('0,30 2 * * *', 'Europe/Berlin', '2026-03-29 00:59:59Z',
        '2026-03-29 01:00:00'),
    ('0,30 2 * * *', 'Europe/Berlin', '2026-03-29 01:00:00Z',
        '2026-03-30 00:00:00'),
    ('0 2,3 * * *', 'Europe/Berlin', '2026-03-29 01:00Z',
        '2026-03-30 00:00:00'),
    ('30 2 29 3 *', 'Europe/Berlin', '2025-04-01 00:00Z',
        '2026-03-29 01:00:00'),
    ('*/30 2 * * *', 'Europe/Berlin', '2026-03-28 02:00Z',
        '2026-03-30 00:00:00'),
    ('30 * * * *', 'Europe/Berlin', '2026-03-29 00:30Z', '2026-03-29 01:30:00'),
    ('30 2 * * *', 'Europe/Berlin', '2026-10-24 12:00Z', '2026-10-25 00:30:00'),
    ('30 2 * * *', 'Europe/Berlin', '2026-10-25 00:30Z', '2026-10-26 01:30:00'),
    ('30 2 * * *', 'Europe/Berlin', '2026-10-25 01:15Z', '2026-10-26 01:30:00'),
    ('30 2 25 10 *', 'Europe/Berlin', '2026-10-25 01:15Z',
        '2027-10-25 00:30:00'),
    ('0 3 * * *', 'Europe/Berlin', '2026-10-25 01:15Z', '2026-10-25 02:00:00'),
    ('30 * * * *', 'Europe/Berlin', '2026-10-25 00:30Z', '2026-10-25 01:30:00'),
    ('*/20 2 * * *', 'Europe/Berlin', '2026-10-25 00:40Z',
        '2026-10-25 01:00:00'),
    ('30 2 * * *', 'America/New_York', '2026-03-07 12:00Z',
        '2026-03-08 07:00:00'),
    ('30 1 * * *', 'America/New_York', '2026-11-01 05:30Z',
        '2026-11-02 06:30:00'),
    ('*/30 * * * *', 'America/New_York', '2026-11-01 05:30Z',
        '2026-11-01 06:00:00'),
    ('15 2 * * *', 'Australia/Lord_Howe', '2026-10-02 16:00Z',
        '2026-10-03 15:30:00'),
    ('45 1 * * *', 'Australia/Lord_Howe', '2026-04-04 14:45Z',
        '2026-04-05 15:15:00'),
    ('*/15 * * * *', 'Australia/Lord_Howe', '2026-04-04 14:45Z',
        '2026-04-04 15:00:00'),
    ('30 0 * * *', 'Africa/Cairo', '2026-04-23 12:00Z', '2026-04-23 22:00:00'))
    as c (expression, zone, after, wanted);

-- Time zones.

select is(durable.cron_zone(z.name), z.wanted, format('time zone "%s"', z.name))
from (values (null, 'UTC'), ('', 'UTC'), ('utc', 'UTC'),
    ('europe/berlin', 'Europe/Berlin'), ('+05:30', '<+0530>-05:30'),
    ('CET', 'Europe/Brussels')) as z (name, wanted);
select is(test.next('0 12 * * *', '2026-01-01 00:00Z', '+05:30'),
    '2026-01-01 06:30:00', 'a zone to the east is earlier');
select throws_ok(format('select durable.cron_zone(%L)', z), '22023')
from unnest(array['Europe/Berln', 'CEST', 'ABC3', '+25:00', 'posixrules '])
    as z;

-- What is no cron expression says so, whatever it is.

create function test.refusal(expression text)
returns text
language plpgsql
as $$
begin
    return durable.cron_parse(expression);
exception
    when others then
        return sqlstate;
end
$$;
select is((
    select string_agg(e, ' | ')
    from unnest(array['', '*', '* * * *', '* * * * * * *', '60 * * * *',
        '* 24 * * *', '* * 0 * *', '* * 32 * *', '* * * 0 *', '* * * 13 *',
        '* * * * 8', '-1 * * * *', '1- * * * *', '1,,2 * * * *', '*/0 * * * *',
        '5/15 * * * *', '5* * * * *', '1-70 * * * *', '99999 * * * *',
        '* * 30 2 *', '* * 31 feb,apr *', 'L * * * *', '* * L-31 * *',
        '* * 32W * *', '* * 1-15W * *', '* * * * 1#6', '* * * * 8L',
        '* * * foo *', '* * * * funday', '@never', '*	* * * *', 'a b c d e',
        '0x1 * * * *', '* * ?,1 * *']) as e
    where test.refusal(e) <> '22023'), null, 'what is no expression is refused');

create function test.letters(alphabet text, most int)
returns text
language sql
volatile
return (
    select string_agg(substr(alphabet,
        1 + floor(random() * length(alphabet))::int, 1), '')
    from generate_series(0, floor(random() * most)::int));
select setseed(0.25);
select is((
    select string_agg(distinct r.got, ' ')
    from (
        select test.refusal(coalesce(test.letters('0123456789*,-/ LW#?afmnsu',
            24), '')) as got
        from generate_series(1, 2000)
        union all
        select test.refusal(test.letters('0159*,-/ ', 5) || ' '
            || test.letters('012*-/', 4) || ' ' || test.letters('0139LW*-,', 5)
            || ' ' || test.letters('01*-/jandec', 4) || ' '
            || test.letters('0167L#*-,frisun', 5))
        from generate_series(1, 2000)) as r
    where r.got !~ '^\(' and r.got <> '22023'), null,
    'random text is read or refused');

-- Random expressions against a reference that looks at each minute.

create type test.field as (expression text, numbers int[]);

create function test.field(min int, max int)
returns test.field
language plpgsql
volatile
as $$
declare
    a int := min + floor(random() * (max - min + 1));
    b int := min + floor(random() * (max - min + 1));
    step int := 1 + floor(random() * 12);
    one test.field;
    other test.field;
begin
    case floor(random() * 6)
        when 0 then
            return row('*'::text, array(select generate_series(min, max)));
        when 1 then
            return row('*/' || step, array(
                select generate_series(min, max, step)));
        when 2 then
            return row(least(a, b) || '-' || greatest(a, b), array(
                select generate_series(least(a, b), greatest(a, b))));
        when 3 then
            return row(least(a, b) || '-' || greatest(a, b) || '/' || step,
                array(select generate_series(least(a, b), greatest(a, b),
                    step)));
        when 4 then
            one := test.field(min, max);
            other := test.field(min, max);
            return row(one.expression || ',' || other.expression,
                one.numbers || other.numbers);
        else
            return row(a::text, array[a]);
    end case;
end
$$;

-- The times of the minutes in a range, by what a clock on the wall shows.
create function test.minutes(
    m int[],
    h int[],
    dom int[],
    mon int[],
    dow int[],
    is_wildcard boolean,
    zone text,
    after timestamptz,
    until timestamptz
)
returns timestamptz[]
language plpgsql
as $$
declare
    at timestamptz := after - interval '1 day';
    shown timestamp := at at time zone zone;
    latest timestamp := shown;
    former timestamp;
    passed timestamp[];
    found timestamptz[] := '{}';
begin
    while at < until loop
        at := at + interval '1 min';
        former := shown;
        shown := at at time zone zone;
        passed := array[shown];
        if not is_wildcard and shown > former then
            passed := array(select generate_series(former + interval '1 min',
                shown, interval '1 min'));
        end if;
        if at > after and (is_wildcard or shown > latest) and exists (
            select
            from unnest(passed) as p
            where extract(minute from p) = any (m)
                and extract(hour from p) = any (h)
                and extract(day from p) = any (dom)
                and extract(month from p) = any (mon)
                and extract(dow from p) = any (dow)) then
            found := found || at;
        end if;
        latest := greatest(latest, shown);
    end loop;
    return found;
end
$$;

-- All times of an expression in a range.
create function test.times(
    expression text,
    zone text,
    after timestamptz,
    until timestamptz
)
returns timestamptz[]
language sql
return array(
    select to_timestamp(t.at_ms / 1000)
    from durable.schedule_times(expression, zone,
        (extract(epoch from after) * 1000)::bigint,
        (extract(epoch from until) * 1000)::bigint, 100000) as s
    cross join lateral unnest(s.times) as t (at_ms));

create function test.compare(zone text, around timestamptz, cases int)
returns text
language plpgsql
as $$
declare
    m test.field;
    h test.field;
    dom test.field;
    mon test.field;
    dow test.field;
    expression text;
    after timestamptz;
    fired int := 0;
    got timestamptz[];
    wanted timestamptz[];
begin
    for n in 1..cases loop
        m := test.field(0, 59);
        h := test.field(0, 23);
        -- Half of them on each day, else few have a time in the range.
        if random() < 0.5 then
            dom := row('*', array(select generate_series(1, 31)));
            mon := row('*', array(select generate_series(1, 12)));
            dow := row('*', array(select generate_series(0, 6)));
        else
            dom := test.field(1, 31);
            mon := row('*', array(select generate_series(1, 12)));
            dow := test.field(0, 6);
        end if;
        expression := concat_ws(' ', m.expression, h.expression,
            dom.expression, mon.expression, dow.expression);
        after := around - interval '1 min' * floor(random() * 360);
        got := test.times(expression, zone, after, around + interval '6 h');
        wanted := test.minutes(m.numbers, h.numbers, dom.numbers, mon.numbers,
            dow.numbers, m.expression like '*%' or h.expression like '*%', zone,
            after, around + interval '6 h');
        if got <> wanted then
            return format('%s in %s behind %s: got %s, wanted %s', expression,
                zone, after, got, wanted);
        end if;
        fired := fired + cardinality(got);
    end loop;
    return case when fired = 0 then 'no case has a time' end;
end
$$;
select is(test.compare(c.zone, c.around::timestamptz, 20), null,
    format('random expressions in %s around %s', c.zone, c.around))
from (
    values ('UTC', '2028-02-29 00:00Z'), ('Asia/Kolkata', '2026-12-31 20:00Z'),
    ('Europe/Berlin', '2026-03-29 01:00Z'),
    ('Europe/Berlin', '2026-10-25 01:00Z'),
    ('America/New_York', '2026-03-08 07:00Z'),
    ('America/New_York', '2026-11-01 06:00Z'),
    ('Australia/Lord_Howe', '2026-10-03 15:30Z'),
    ('Australia/Lord_Howe', '2026-04-04 15:00Z'),
    ('Africa/Cairo', '2026-04-23 22:00Z'),
    ('Pacific/Apia', '2011-12-30 10:00Z')) as c (zone, around);

select finish();
