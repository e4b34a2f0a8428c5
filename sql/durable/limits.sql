-- SPDX-License-Identifier: MIT
--
-- The limits of queues: which queues have some, and how many workflows more
-- they let begin.
--
-- What is counted are the rows that the DBOS SDKs count: workflows of the
-- application and of none that are PENDING in the queue, and those that are
-- rate_limited and began in the period.

create or replace view durable.limited_queues as
select l.name, l.concurrency, l.worker_concurrency, l.rate_max, l.rate_ms,
    l.partition_concurrency, l.partition_worker_concurrency,
    l.partition_rate_max, l.partition_rate_ms,
    num_nonnulls(l.partition_concurrency, l.partition_worker_concurrency,
        l.partition_rate_max) > 0 as is_partitioned
from (
    select q.name, q.concurrency, q.worker_concurrency,
        q.partition_concurrency, q.partition_worker_concurrency,
        case when q.rate_limit_period_sec is not null then q.rate_limit_max
            end as rate_max,
        case when q.partition_rate_limit_period_sec is not null
            then q.partition_rate_limit_max end as partition_rate_max,
        -- Bounded, so that no value is beyond bigint.
        ceil(1000 * least(greatest(q.rate_limit_period_sec, 0), 1e12))::bigint
            as rate_ms,
        ceil(1000 * least(greatest(q.partition_rate_limit_period_sec, 0),
            1e12))::bigint as partition_rate_ms
    from dbos.queues as q
    -- The SDKs keep the names of their own queues, which have no limits.
    where q.name not like '\_dbos\_%') as l
where num_nonnulls(l.concurrency, l.worker_concurrency, l.rate_max,
    l.partition_concurrency, l.partition_worker_concurrency,
    l.partition_rate_max) > 0;
comment on view durable.limited_queues is
    'The queues of dbos.queues that have limits. As with the DBOS SDKs 5.3 a '
    'rate limit has a period, any limit for partitions makes a queue a '
    'partitioned one (partition_queue alone does not), and every queue is in '
    'the order of priority (priority_enabled says nothing).';
comment on column durable.limited_queues.name is 'As in dbos.queues.';
comment on column durable.limited_queues.concurrency is
    'How many workflows of the queue may be PENDING; null: any number.';
comment on column durable.limited_queues.worker_concurrency is
    'How many of an executor; null: any number.';
comment on column durable.limited_queues.rate_max is
    'How many workflows may begin within rate_ms; null: any number.';
comment on column durable.limited_queues.rate_ms is
    'The period of the rate limit, in milliseconds.';
comment on column durable.limited_queues.partition_concurrency is
    'As concurrency, for each partition.';
comment on column durable.limited_queues.partition_worker_concurrency is
    'As worker_concurrency, for each partition.';
comment on column durable.limited_queues.partition_rate_max is
    'As rate_max, for each partition.';
comment on column durable.limited_queues.partition_rate_ms is
    'As rate_ms, for each partition.';
comment on column durable.limited_queues.is_partitioned is
    'Whether only workflows with a partition key begin, each partition by its '
    'own limits.';

create or replace function durable.count_pending(
    queue text,
    partition text,
    application text,
    executor text,
    most int
)
returns int
language plpgsql
as $$
begin
    -- In the order of the index, so that the planner uses no other.
    if partition is null then
        return count(*)
        from (
            select
            from dbos.workflow_status as s
            where s.queue_name = queue
                and s.status = 'PENDING'
                and coalesce(s.application_name, application) = application
                and (executor is null or s.executor_id = executor)
            order by s.priority, s.created_at
            limit greatest(most, 0)) as n;
    end if;
    return count(*)
    from (
        select
        from dbos.workflow_status as s
        where s.queue_name = queue
            and s.queue_partition_key = partition
            and s.status = 'PENDING'
            and coalesce(s.application_name, application) = application
            and (executor is null or s.executor_id = executor)
        order by s.priority, s.created_at, s.workflow_uuid
        limit greatest(most, 0)) as n;
end
$$;
comment on function durable.count_pending(text, text, text, text, int) is
    'How many workflows of a queue are PENDING, counted to most: of one '
    'partition, or (null) of all; of one executor, or of all.';

create or replace function durable.latest_starts(
    queue text,
    partition text,
    application text,
    period_ms bigint,
    most int
)
returns bigint[]
language plpgsql
as $$
declare
    present_ms constant bigint := durable.now_ms();
begin
    -- A start beyond the period ahead is from before the clock was put back.
    if partition is null then
        return array(
            select s.started_at_epoch_ms
            from dbos.workflow_status as s
            where array[s.queue_name] = array[queue]
                and s.rate_limited
                and s.started_at_epoch_ms + 0 > present_ms - period_ms
                and s.started_at_epoch_ms + 0 <= present_ms + period_ms
                and s.status not in ('ENQUEUED', 'DELAYED')
                and coalesce(s.application_name, application) = application
            order by s.started_at_epoch_ms + 0 desc
            limit greatest(most, 0));
    end if;
    return array(
        select s.started_at_epoch_ms
        from dbos.workflow_status as s
        where array[s.queue_name, s.queue_partition_key]
                = array[queue, partition]
            and s.rate_limited
            and s.queue_partition_key is not null
            and s.started_at_epoch_ms + 0 > present_ms - period_ms
            and s.started_at_epoch_ms + 0 <= present_ms + period_ms
            and s.status not in ('ENQUEUED', 'DELAYED')
            and coalesce(s.application_name, application) = application
        order by s.started_at_epoch_ms + 0 desc
        limit greatest(most, 0));
end
$$;
comment on function durable.latest_starts(text, text, text, bigint, int) is
    'When the latest workflows under the rate limit of a queue began, within the '
    'last period and at most so many, the latest first: of one partition, or '
    '(null) of all.';

create or replace function durable.room(
    queue text,
    partition text,
    application text,
    executor text,
    concurrency int,
    worker_concurrency int,
    rate_max int,
    rate_ms bigint,
    most int,
    out room int,
    out again_ms bigint
)
language plpgsql
as $$
declare
    starts bigint[];
begin
    room := most;
    if concurrency is not null then
        room := least(room, concurrency - durable.count_pending(queue,
            partition, application, null, concurrency));
    end if;
    if worker_concurrency is not null then
        room := least(room, worker_concurrency - durable.count_pending(queue,
            partition, application, executor, worker_concurrency));
    end if;
    if rate_max is not null then
        starts := durable.latest_starts(queue, partition, application,
            rate_ms, rate_max);
        room := least(room, rate_max - cardinality(starts));
        if cardinality(starts) >= rate_max then
            again_ms := starts[rate_max] + rate_ms;
        end if;
    end if;
    room := greatest(room, 0);
end
$$;
comment on function durable.room(text, text, text, text, int, int, int, bigint,
    int) is
    'How many more workflows, at most most, may begin under the limits of a '
    'queue or of one of its partitions; again_ms: when the rate limit has room '
    'again, if it has none. Any interval of the period has rate_max starts at '
    'most, because each start counts those of the period before it.';
