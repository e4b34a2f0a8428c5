// SPDX-License-Identifier: MIT
//
// An executor of the official TypeScript SDK, of the same application as the
// daemons of queues.c and of another version, takes from the same queues:
// node queues.mjs URL.  queues.c runs it.

import {
  Client, DBOS, equal, finish, promise, silent, until, url,
} from "./sdk.mjs";

DBOS.registerWorkflow(async (ms) => {
  await DBOS.sleepms(ms);
}, { name: "guest" });

DBOS.setConfig({ name: "test", systemDatabaseUrl: url, logger: silent,
  applicationVersion: "sdk-1", runMigrations: false });
await DBOS.launch();
const database = new Client({ connectionString: url });
await database.connect();

/** The first value of a statement. */
async function sql(text, ...values) {
  const { rows } = await database.query({ text, values, rowMode: "array" });

  return rows[0]?.[0];
}

/** Enqueues so many workflows of each name, in turns. */
async function enqueue(queue, prefix, count, names) {
  await sql("select count(dbos.enqueue_workflow(t.name, $1, " +
    "array['10'::json], workflow_id => $2 || ' ' || t.name || ' ' || n, " +
    "app_version => case t.name when 'guest' then 'sdk-1' else '1' end, " +
    "application_name => 'test')) from generate_series(1, $3::int) as n, " +
    "unnest($4::text[]) as t (name)", queue, prefix, count, names);
}

/** Waits until all of a prefix have ended, and says how. */
async function allEnded(prefix) {
  await until(async () => Number(await sql("select count(*) " +
    "from dbos.workflow_status where workflow_uuid like $1 || ' %' " +
    "and status in ('ENQUEUED', 'PENDING')", prefix)), 0, "what has not ended");
  return await sql("select string_agg(distinct name || ' ' || status || ' ' || " +
    "application_version, ', ') from dbos.workflow_status " +
    "where workflow_uuid like $1 || ' %'", prefix);
}

/** The most of a prefix that ran at a time. */
async function atOnce(prefix) {
  return Number(await sql("with w as (select started_at_epoch_ms as began, " +
    "completed_at as ended from dbos.workflow_status " +
    "where workflow_uuid like $1 || ' %') select max(n) from (" +
    "select sum(change) over (order by at, change) as n from (" +
    "select began as at, 1 as change from w union all " +
    "select ended, -1 from w) as c) as r", prefix));
}

/** The most of a prefix that began in a second. */
async function inASecond(prefix) {
  return Number(await sql("select max(n) from (select count(*) over (" +
    "order by started_at_epoch_ms range between current row and 999 following" +
    ") as n from dbos.workflow_status where workflow_uuid like $1 || ' %') as r",
  prefix));
}

let queue;

await promise("a queue that the SDK registers is served by both", async () => {
  queue = await DBOS.registerQueue("beside", { globalConcurrency: 4,
    rateLimit: { limitPerPeriod: 50, periodSec: 1 }, minPollingIntervalMs: 50 });
  await enqueue("beside", "first", 60, ["visitor", "guest"]);
  equal(await allEnded("first"), "guest SUCCESS sdk-1, visitor SUCCESS 1",
    "ends");
});

await promise("they never exceed its limits together", async () => {
  equal(await atOnce("first") <= 4, true, `at once: ${await atOnce("first")}`);
  equal(await inASecond("first") <= 50, true,
    `in a second: ${await inASecond("first")}`);
});

// The SDK itself heeds it within a second.
await promise("a limit that the SDK changes holds at once for ours", async () => {
  await queue.setRateLimit(undefined);
  await queue.setGlobalConcurrency(1);
  await enqueue("beside", "changed", 20, ["visitor"]);
  equal(await allEnded("changed"), "visitor SUCCESS 1", "ends");
  equal(await atOnce("changed"), 1, "at once");
});

await promise("partitions that the SDK registers begin one by one", async () => {
  await DBOS.registerQueue("apart", { partitionConcurrency: 1,
    minPollingIntervalMs: 50 });
  await sql("select count(dbos.enqueue_workflow('visitor', 'apart', " +
    "array['10'::json], workflow_id => 'apart ' || n || ' ' || m, " +
    "app_version => '1', application_name => 'test', " +
    "queue_partition_key => n::text)) from generate_series(1, 5) as n, " +
    "generate_series(1, 5) as m");
  equal(await allEnded("apart"), "visitor SUCCESS 1", "ends");
  for (const n of [1, 2, 3, 4, 5])
    equal(await atOnce(`apart ${n}`), 1, `at once in partition ${n}`);
});

await database.end();
await DBOS.shutdown();
finish();
