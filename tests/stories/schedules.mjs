// SPDX-License-Identifier: MIT
//
// The official TypeScript SDK and the schedules of our daemons (schedules.c):
// node schedules.mjs URL PART.  schedules.tap starts it; a part fails by its
// status.

import { createRequire } from "node:module";

import { Client, DBOS, DBOSClient, equal, modules, polling, silent, until, url,
} from "./sdk.mjs";

const { TimeMatcher, validateCrontab } = createRequire(import.meta.url)(
  `${modules}/@dbos-inc/dbos-sdk/dist/src/scheduler/crontab.js`);
const database = new Client({ connectionString: url });
await database.connect();

/** The first column of a statement. */
async function sql(text, ...values) {
  const result = await database.query({ text, values, rowMode: "array" });

  return result.rows.map((row) => row[0]);
}

function random(most) {
  return Math.floor(Math.random() * most);
}

/** An item of a field of a cron expression, sometimes of a wrong number. */
function item(min, max, special) {
  const a = random(50) ? min + random(max - min + 1) : max + 1;
  const b = min + random(max - min + 1);

  return [() => "*", () => `*/${1 + random(20)}`, () => `${a}`,
    () => `${Math.min(a, b)}-${b}`, () => `${b}-${min}/${1 + random(5)}`,
    () => special[random(special.length)] ?? `${a}`][random(6)]();
}

function field(min, max, special = []) {
  return Array.from({ length: 1 + random(2) * random(3) }, () =>
    item(min, max, special)).join(",");
}

function expression() {
  const days = random(2) ? [field(1, 31, ["L", "L-3", "15W", "LW", "1w", "?"]),
    field(1, 12, ["jan", "February", "mar-may", "DEC"]),
    field(0, 6, ["7", "5-7", "fri-mon", "2L", "3#2", "sun#1", "?"])]
    : ["*", "*", "*"];

  return [...random(3) ? [] : [field(0, 59)], field(0, 59), field(0, 23),
    ...days].join(" ");
}

/** What the SDK says of an expression: its next time in seconds, or null. */
function theirs(text, zone, after) {
  try {
    validateCrontab(text);
  } catch {
    return "refused";
  }
  const matcher = new TimeMatcher(text, zone);
  const next = matcher.nextWakeupTime(after * 1000);

  return matcher.match(next) ? String(next.getTime() / 1000) : null;
}

/** Whether the two rules differ when the clock is put forward or back. */
function isFixed(text) {
  const fields = text.split(" ");

  return !fields.at(-5).startsWith("*") && !fields.at(-4).startsWith("*");
}

const parts = {
  /** Ours and theirs have the same times, and refuse the same. */
  async times() {
    const cases = Array.from({ length: 1000 }, () => {
      const text = expression();
      const zones = ["UTC", "Asia/Kolkata", "Europe/Berlin",
        "Australia/Lord_Howe"];
      const zone = zones[random(isFixed(text) ? 2 : 4)];
      const after = 1700000000 + random(200000000);

      return { text, zone, after, wanted: theirs(text, zone, after) };
    });

    await database.query(`create function pg_temp.next(text, text, bigint)
      returns text language plpgsql as $$ begin
      return durable.cron_next(durable.cron_parse($1), $2, $3);
      exception when invalid_parameter_value then return 'refused';
      end $$`);
    const got = await sql(`select pg_temp.next(c.text, c.zone, c.after)
      from unnest($1::text[], $2::text[], $3::bigint[])
        with ordinality as c (text, zone, after, place)
      order by c.place`, cases.map((c) => c.text), cases.map((c) => c.zone),
    cases.map((c) => c.after));

    cases.forEach((c, i) => equal(got[i], c.wanted, JSON.stringify(c)));
    const fired = cases.filter((c) => /^\d/.test(c.wanted)).length;

    if (fired < 500 || cases.length - fired < 10)
      throw new Error(`${fired} of ${cases.length} have a time`);
  },

  /** Ours enqueues what theirs does, whatever the context is. */
  async rows(client) {
    const shared = { at: new Date(5), "a.b": [1n, new Set([new Date(6)])] };
    const contexts = [undefined, null, 7, "text", [1, [2]], new Date(7),
      new Map([["a", { b: new Date(8) }]]),
      { one: shared, two: shared, none: undefined, nan: NaN }];

    for (const context of contexts) {
      await client.createSchedule({ scheduleName: "rows", context,
        workflowName: "scheduled", workflowClassName: "Class",
        schedule: "0 0 1 1 *", options: { queueName: "rows" } });
      const handle = await client.triggerSchedule("rows");
      const [ours] = await sql("select durable.trigger_schedule('rows')");
      const compared = await sql(`select to_jsonb(s) - '{workflow_uuid,
        created_at,updated_at}'::text[] || jsonb_build_object('inputs',
        replace(i.inputs, substr(s.workflow_uuid, 20), 'TIME'))
        from dbos.workflow_status as s
        join dbos.workflow_input as i using (workflow_uuid)
        where s.workflow_uuid = any ($1)`, [handle.workflowID, ours]);

      equal(compared.length, 2, "workflows");
      equal(compared[0], compared[1], "rows");
      equal((await client.getWorkflow(ours)).input[1], context, "context");
      await client.deleteSchedule("rows");
    }
  },

  /** A client manages schedules that our daemon fires, also those of SQL. */
  async client(client) {
    const context = { since: new Date(0), list: [1, 2] };
    const count = async (name) => (await client.listWorkflows({
      scheduleName: name, status: "SUCCESS" })).length;

    await client.createSchedule({ scheduleName: "theirs", context,
      workflowName: "scheduled", schedule: "* * * * * *" });
    await sql("select durable.create_schedule('sql', 'scheduled', " +
      "'30 2 * * *', '{\"a\": [1]}', timezone => 'Europe/Berlin', " +
      "queue => 'test', application => 'test')");
    const listed = await client.getSchedule("sql");

    equal({ ...listed, scheduleId: null }, { scheduleId: null,
      scheduleName: "sql", workflowName: "scheduled", workflowClassName: "",
      schedule: "30 2 * * *", status: "ACTIVE", context: { a: [1] },
      lastFiredAt: null, automaticBackfill: false,
      cronTimezone: "Europe/Berlin", queueName: "test",
      applicationName: "test" }, "schedule of SQL");
    const handle = await client.triggerSchedule("sql");

    equal(await handle.getResult(polling), { a: [1] }, "result of a trigger");
    const handles = await client.backfillSchedule("sql",
      new Date("2026-06-01"), new Date("2026-06-04"));

    equal(handles.map((h) => h.workflowID), [1, 2, 3].map((day) =>
      `sched-sql-2026-06-0${day}T00:30:00.000Z`), "backfill");
    equal(await sql("select durable.backfill_schedule('sql', '2026-06-01Z', " +
      "'2026-06-04Z')"), handles.map((h) => h.workflowID), "ours");
    await until(async () => await count("theirs") >= 2, true, "fired");
    await client.pauseSchedule("theirs");
    // What has fired until now; a pause holds for a whole turn of the clock.
    await until(async () => (await sql("select count(*) from " +
      "durable.schedules where schedule_name = 'theirs'"))[0], "0", "paused");
    const paused = await count("theirs");
    const fired = await client.getSchedule("theirs");

    equal(fired.status, "PAUSED", "status");
    await until(async () => Date.now() > Date.parse(fired.lastFiredAt) + 2500,
      true, "pause");
    equal(await count("theirs") - paused <= 1, true, "fires while paused");
    equal((await client.getSchedule("theirs")).lastFiredAt, fired.lastFiredAt,
      "last_fired_at while paused");
    await client.resumeSchedule("theirs");
    await until(async () => await count("theirs") >= paused + 2, true,
      "resumed");
    await client.deleteSchedule("theirs");
    await client.deleteSchedule("sql");
    equal(await sql("select count(*) from durable.schedules " +
      "where schedule_name in ('sql', 'theirs')"), ["0"], "deleted");
  },
};

/** A process of the application, which fires its schedules as ours do. */
async function peer() {
  DBOS.setConfig({ name: "test", systemDatabaseUrl: url, logger: silent,
    applicationVersion: "peer", runMigrations: false });
  await DBOS.launch();
}

if (process.argv[3] === "peer") {
  await peer();
} else {
  const client = await DBOSClient.create({
    systemDatabaseUrl: url, applicationName: "test", logger: silent,
  });

  await parts[process.argv[3]](client);
  process.exit(0);
}
