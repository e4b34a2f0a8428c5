// SPDX-License-Identifier: MIT
//
// An application "peer" of the official TypeScript SDK beside a daemon of ours,
// application "test": node interop.mjs URL.  interop.tap starts the cluster,
// interop.c is the daemon.

import {
  Client, DBOS, DBOSClient, equal, finish, polling, promise, silent, until, url,
} from "./sdk.mjs";

// DBOS's example, as its SDKs for several languages share it.
const golden = {
  args: ["hello-interop", 42, "2025-06-15T10:30:00.000Z",
    ["alpha", "beta", "gamma"],
    { key1: "value1", key2: 99, nested: { deep: true } }, true, null],
  message: { sender: "test", payload: [1, 2, 3] },
  output: '{"echo_text":"hello-interop","echo_num":42,' +
    '"echo_dt":"2025-06-15T10:30:00.000Z","items_count":3,' +
    '"meta_keys":["key1","key2","nested"],"flag":true,"empty":null,' +
    '"received":{"sender":"test","payload":[1,2,3]}}',
  status: { text: "hello-interop", num: 42, flag: true },
  item: { item: "hello-interop" },
};


// The peer's workflows.

const canonical = DBOS.registerWorkflow(
  async (text, num, date, items, meta, flag, empty) => {
    await DBOS.setEvent("interop_status", { text, num, flag });
    await DBOS.writeStream("interop_stream", { item: text });
    await DBOS.closeStream("interop_stream");
    return { echo_text: text, echo_num: num, echo_dt: date,
      items_count: items.length, meta_keys: Object.keys(meta), flag, empty,
      received: await DBOS.recv("interop_topic", 60) };
  }, { name: "canonicalWorkflow", className: "interop",
    serialization: "portable" });

/** Starts our workflow of seven arguments and reads what it publishes. */
const parent = DBOS.registerWorkflow(async () => {
  const handle = await DBOS.enqueueWorkflowWithOptionsPortable(
    ours("canonicalWorkflow"), golden.args);
  const items = [];

  for await (const item of DBOS.readStream(handle.workflowID,
    "interop_stream", { pollingIntervalMs: 50 }))
    items.push(item);
  await DBOS.send(handle.workflowID, golden.message, "interop_topic");
  return [items, await handle.getResult()];
}, { name: "parent" });

/** The steps of interop.c's workflow of this name. */
const scripted = DBOS.registerWorkflow(async (id) => {
  await DBOS.now();
  await DBOS.randomUUID();
  if (await DBOS.patch("gift"))
    await DBOS.deprecatePatch("other");
  await DBOS.writeStream("stream", null);
  await DBOS.closeStream("stream");
  await DBOS.getResult(id, { timeoutSeconds: 0.001 });
  await DBOS.cancelWorkflow(id);
  await DBOS.resumeWorkflow(id);
}, { name: "scripted" });

const sleeper = DBOS.registerWorkflow(async () => {
  await DBOS.sleepms(3600000);
}, { name: "peerSleeper" });

const marked = DBOS.registerWorkflow(async () => {}, { name: "marked" });

DBOS.setConfig({ name: "peer", systemDatabaseUrl: url, logger: silent,
  applicationVersion: "peer-1", enablePatching: true, runMigrations: false });
await DBOS.launch();
await DBOS.registerQueue("peer", { minPollingIntervalMs: 50 });


// The tools.

const client = await DBOSClient.create({
  systemDatabaseUrl: url, applicationName: "test", logger: silent,
});
const database = new Client({ connectionString: url });
await database.connect();

/** The rows of a statement, as arrays. */
async function sql(text, ...values) {
  return (await database.query({ text, values, rowMode: "array" })).rows;
}

/** How to enqueue a workflow of interop.c. */
function ours(workflowName, more) {
  return { workflowName, queueName: "test", applicationName: "test", ...more };
}

/** Runs a workflow of interop.c and returns its result. */
async function call(name, args, more) {
  const handle = await client.enqueuePortable(ours(name, more), args);

  return await handle.getResult(polling);
}

async function statusOf(id) {
  return (await client.getWorkflow(id))?.status;
}

async function steps(id) {
  return (await client.listWorkflowSteps(id)).map((s) =>
    `${s.functionID} ${s.name}`);
}

async function readAll(id, key) {
  const values = [];

  for await (const value of client.readStream(id, key, polling))
    values.push(value);
  return values;
}


await promise("a client starts ours with DBOS's seven arguments", async () => {
  const handle = await client.enqueuePortable(
    ours("canonicalWorkflow", { workflowID: "golden",
      workflowClassName: "interop" }), golden.args);

  equal(await client.getEvent("golden", "interop_status", polling),
    golden.status, "event");
  equal(await readAll("golden", "interop_stream"), [golden.item], "stream");
  equal(await client.readStreamOffset("golden", "interop_stream", 0, polling),
    golden.item, "value at an offset");
  await client.send("golden", golden.message, "interop_topic", undefined,
    { serializationType: "portable" });
  equal(await handle.getResult(polling), JSON.parse(golden.output), "result");
  equal(await sql("select output from dbos.workflow_output " +
    "where workflow_uuid = 'golden'"), [[golden.output]], "stored output");
  equal(await sql('select value, "offset", serialization from dbos.streams ' +
    "where workflow_uuid = 'golden' order by 2"),
  [[JSON.stringify(golden.item), 0, "portable_json"],
    ['"__DBOS_STREAM_CLOSED__"', 1, "portable_json"]], "stored stream");
});

await promise("a client starts ours with named arguments", async () => {
  const handle = await client.enqueuePortable(ours("named"), [],
    { name: "test", count: 42, tags: ["a", "b"] });

  equal(await handle.getResult(polling), "test-42-a,b", "result");
});

await promise("a client starts ours in the SDK's own format", async () => {
  const handle = await client.enqueue(
    ours("canonicalWorkflow", { workflowID: "native" }), ...golden.args);

  await client.send("native", golden.message, "interop_topic");
  equal(await handle.getResult(polling), JSON.parse(golden.output), "result");
});

await promise("ours starts theirs with seven arguments, and talks with it",
  async () => {
    equal(await call("caller", [golden.message, ...golden.args],
      { workflowID: "caller" }),
    { status: golden.status, item: golden.item, ended: true, early: false,
      result: JSON.parse(golden.output) }, "result");
    const child = await client.getWorkflow("caller-0");

    equal([child.workflowName, child.workflowClassName, child.queueName,
      child.applicationName, child.applicationVersion, child.priority,
      child.parentWorkflowID, child.status],
    ["canonicalWorkflow", "interop", "peer", "peer", "peer-1", 3, "caller",
      "SUCCESS"], "the child");
    equal(await sql("select output from dbos.workflow_output " +
      "where workflow_uuid = 'caller-0'"), [[golden.output]],
    "what theirs stored");
  });

await promise("theirs starts ours, reads its stream and gets its result",
  async () => {
    const handle = await DBOS.startWorkflow(parent)();

    equal(await handle.getResult(polling),
      [[golden.item], JSON.parse(golden.output)], "result");
  });

await promise("ours records the steps that theirs does", async () => {
  const target = await DBOS.startWorkflow(sleeper)();
  const handle = await DBOS.startWorkflow(scripted)(target.workflowID);

  await handle.getResult(polling);
  await call("scripted", [target.workflowID], { workflowID: "scripted" });
  equal(await steps("scripted"), await steps(handle.workflowID), "steps");
  equal((await steps("scripted"))[2], "2 DBOS.patch-gift", "the patch");
  await client.cancelWorkflow(target.workflowID);
});

await promise("ours cancels and resumes theirs", async () => {
  const target = await DBOS.startWorkflow(sleeper)();

  await call("controller", [target.workflowID]);
  equal(await statusOf(target.workflowID), "CANCELLED", "status");
  await call("controller", [target.workflowID, true]);
  await until(() => statusOf(target.workflowID), "PENDING", "status");
  await client.cancelWorkflow(target.workflowID);
});

await promise("attributes are found from both sides", async () => {
  const wanted = { customer: "c", tier: 1 };
  const handle = await DBOS.startWorkflow(marked,
    { workflowAttributes: { ...wanted, more: true } })();

  await handle.getResult(polling);
  equal(await call("finder", [wanted], { workflowID: "finder 1" }),
    [handle.workflowID], "found by ours");
  equal((await client.listWorkflows({ attributes: wanted })).map((w) =>
    [w.workflowID, w.attributes]), [["finder 1", wanted]], "found by theirs");
  await call("finder", [{ tier: 1 }],
    { workflowID: "finder 2", attributes: { customer: "c" } });
  equal((await client.getWorkflow("finder 2")).attributes, wanted,
    "attributes of both");
});

await promise("the client knows our versions, and makes one the latest",
  async () => {
    equal((await client.listApplicationVersions()).map((v) => v.versionName),
      ["1"], "versions");
    await client.setLatestApplicationVersion("1");
    equal(await sql("select bool_and(is_latest), sum(workflows) " +
      "from durable.versions where application = 'test'"), [[true, "0"]],
    "durable.versions");
    await call("sleeper", [], { workflowID: "asleep", workflowTimeoutMS: 300 })
      .catch(() => null);
    equal(await statusOf("asleep"), "CANCELLED", "time-out");
  });

await DBOS.shutdown();
await client.destroy();
await database.end();
finish();
