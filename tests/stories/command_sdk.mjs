// SPDX-License-Identifier: MIT
//
// The command durable and the official SDK see, start and control each other's
// workflows: node command_sdk.mjs URL.  command_sdk.tap starts the cluster.
//
// DURABLE names the command; it runs as the role clerk.

import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

import {
  DBOS, DBOSClient, equal, finish, here, modules, polling, promise, silent,
  until, url,
} from "./sdk.mjs";

/** The output of durable, without the last line break. */
async function durable(...words) {
  const { stdout } = await promisify(execFile)(process.env.DURABLE, words,
    { env: { ...process.env, PGUSER: "clerk" } });

  return stdout.trimEnd();
}

async function json(...words) {
  return JSON.parse(await durable(...words, "--json"));
}

/** What the official command line prints. */
async function dbos(...words) {
  const { stdout } = await promisify(execFile)(
    join(modules, ".bin/dbos"), [...words, "-s", url], { cwd: here });

  return stdout.trim() === "" ? null : JSON.parse(stdout);
}


// The application.

const worker = DBOS.registerWorkflow(async (one, two) => {
  await DBOS.setEvent("ready", { one });
  await DBOS.writeStream("numbers", 1);
  const message = await DBOS.recv("topic", 60);

  return [one, two, message];
}, { name: "worker", serialization: "portable" });

const failing = DBOS.registerWorkflow(async () => {
  throw new Error("it broke");
}, { name: "failing" });

DBOS.setConfig({ name: "peer", systemDatabaseUrl: url, logger: silent,
  applicationVersion: "peer-1", runMigrations: false });
await DBOS.launch();
await DBOS.registerQueue("peer", { minPollingIntervalMs: 50, concurrency: 3 });
const client = await DBOSClient.create({
  systemDatabaseUrl: url, applicationName: "peer", logger: silent,
});

function start(id, name, ...words) {
  return durable("start", name, "--queue", "peer", "--application", "peer",
    "--id", id, ...words);
}


await promise("the application runs what durable starts", async () => {
  equal(await start("a", "worker", "--arg", '{"x":[1,"ä"]}', "--arg", "2"), "a",
    "id");
  equal(JSON.parse(await durable("event", "a", "ready", "--wait=20")),
    { one: { x: [1, "ä"] } }, "event");
  await durable("send", "a", '"hello"', "--topic", "topic", "--key", "k");
  await durable("send", "a", '"hello"', "--topic", "topic", "--key", "k");
  equal(JSON.parse(await durable("get", "a", "--wait=20")),
    [{ x: [1, "ä"] }, 2, "hello"], "result");
  equal(await client.retrieveWorkflow("a").getResult(polling),
    [{ x: [1, "ä"] }, 2, "hello"], "result for a client");
});

await promise("durable and the official tools list the same", async () => {
  await client.enqueue({ workflowName: "worker", queueName: "peer",
    workflowID: "b" }, 1, { y: 2 });
  await until(async () => (await json("list", "--prefix", "b"))[0].status,
    "PENDING", "status");
  const ours = await json("list", "--values");
  const theirs = await client.listWorkflows({ sortDesc: true });

  equal(ours.map((w) => [w.workflow_id, w.status, w.name, w.queue_name,
    Date.parse(w.created_at)]),
  theirs.map((w) => [w.workflowID, w.status, w.workflowName, w.queueName,
    w.createdAt]), "workflows");
  equal(ours.map((w) => w.input.positionalArgs ?? w.input),
    theirs.map((w) => w.input), "inputs");
  equal((await dbos("workflow", "list")).map((w) => w.workflowID).sort(),
    ours.map((w) => w.workflow_id).sort(), "the official list");
  equal((await json("steps", "a")).map((s) => [s.step, s.name]),
    (await client.listWorkflowSteps("a")).map((s) => [s.functionID, s.name]),
    "steps");
  equal((await json("stream", "a", "numbers")),
    [{ offset: 0, value: 1 }], "stream");
});

await promise("a message of durable reaches a workflow of a client", async () => {
  await durable("send", "b", "[3]", "--topic", "topic");
  equal(JSON.parse(await durable("get", "b", "--wait=20")),
    [1, { y: 2 }, [3]], "result");
});

await promise("an error of the application is told", async () => {
  await start("c", "failing");
  await durable("get", "c", "--wait=20").then(
    () => { throw new Error("it succeeded"); },
    (error) => equal([error.code, /it broke/.test(error.stderr)], [1, true],
      "exit status and message"));
  equal((await json("get", "c")).error.message, "it broke", "error");
});

await promise("durable cancels, resumes, forks and deletes", async () => {
  await start("d", "worker", "--arg", "1", "--arg", "2");
  await durable("event", "d", "ready", "--wait=20");
  equal(await durable("cancel", "d"), "CANCELLED", "cancel");
  equal((await client.getWorkflow("d")).status, "CANCELLED", "for a client");
  equal(await durable("resume", "d"), "ENQUEUED", "resume");
  await client.send("d", "late", "topic");
  equal(await client.retrieveWorkflow("d").getResult(polling), [1, 2, "late"],
    "result");
  equal(await durable("fork", "d", "--step", "1", "--id", "e"), "e", "fork");
  await durable("send", "e", '"again"', "--topic", "topic");
  equal(await client.retrieveWorkflow("e").getResult(polling), [1, 2, "again"],
    "result of the fork");
  equal((await client.getWorkflow("e")).forkedFrom, "d", "origin");
  await durable("delete", "d");
  equal(await client.getWorkflow("d") ?? null, null, "deleted");
  equal(await client.listWorkflowSteps("d") ?? [], [], "steps of it");
});

await promise("each shows the queues of the other", async () => {
  await durable("queues", "register", "ours", "--concurrency", "4",
    "--rate-limit", "50", "--rate-period", "1", "--application", "peer");
  const theirs = (await client.listQueues()).find((q) => q.name === "ours");
  const ours = (await json("queues")).find((q) => q.name === "peer");

  equal([theirs.concurrency, theirs.rateLimit],
    [4, { limitPerPeriod: 50, periodSec: 1 }], "a queue of durable");
  equal([ours.concurrency, ours.registered, ours.application_name],
    [3, true, "peer"], "a queue of the application");
});

await promise("durable lists the schedules of a client", async () => {
  await client.createSchedule({ scheduleName: "nightly",
    workflowName: "worker", schedule: "0 3 * * *", context: null });
  equal((await json("schedules")).map((s) => [s.name, s.schedule, s.status]),
    [["nightly", "0 3 * * *", "ACTIVE"]], "schedules");
});

await DBOS.shutdown();
await client.destroy();
finish();
