// SPDX-License-Identifier: MIT
//
// Uses the official client and command line of the DBOS SDKs on our database:
// node cli.mjs URL.  cli.tap starts cluster and daemon, in which no payment
// times out.
//
// BOOKS names the file that audits.

import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

import {
  Client, DBOSClient, equal, finish, here, modules, polling, promise, silent,
  until, url,
} from "./sdk.mjs";

// Times are in whole milliseconds of two clocks that follow each other.
const SLACK_MS = 2;


// More assertions.

function check(condition, what) {
  if (!condition)
    throw new Error(what);
}

async function rejects(attempt, name, what) {
  try {
    await attempt;
  } catch (error) {
    equal(error.name === "Error" ? error.constructor.name : error.name, name,
      `${what}: ${error.message}`);
    return;
  }
  throw new Error(`${what}: nothing was thrown`);
}


// The tools, and SQL to check what they do.

const client = await DBOSClient.create({
  systemDatabaseUrl: url, applicationName: "widget-store", logger: silent,
});
const database = new Client({ connectionString: url });
await database.connect();

/** The rows of a statement, as arrays. */
async function sql(text, ...values) {
  return (await database.query({ text, values, rowMode: "array" })).rows;
}

/** The output of the command line: JSON, or null. */
async function cli(...words) {
  const { stdout } = await promisify(execFile)(
    join(modules, ".bin/dbos"), [...words, "-s", url], { cwd: here });

  return ["", "undefined"].includes(stdout.trim()) ? null :
    JSON.parse(stdout);
}

function options(workflowID, more) {
  return { workflowID, workflowName: "checkout_workflow",
    queueName: "checkout", ...more };
}

/** A checkout that waits for its payment. */
async function checkout(id) {
  const handle = await client.enqueue(options(id));

  equal(await client.getEvent(id, "payment_id", polling), id, "payment_id");
  return handle;
}

function pay(id, status, key) {
  return client.send(id, status, "payment_status", key);
}

function orderOf(id) {
  return client.getEvent(id, "order_id", polling);
}

async function statusOf(id) {
  return (await client.getWorkflow(id))?.status;
}

async function orderStatus(order) {
  return (await sql("select order_status from store.orders " +
    "where order_id = $1", order))[0][0];
}

async function stock() {
  return (await sql("select inventory from store.stock"))[0][0];
}

/** What the audit finds, a finding a line. */
async function books(...options) {
  return (await promisify(execFile)("psql",
    ["-XAtd", url, ...options, "-f", process.env.BOOKS])).stdout;
}

async function waits(id) {
  return (await sql("select kind, key from durable.waits " +
    "where workflow_uuid = $1", id))[0];
}

const scripts = {
  waiting: ["0 create_order", "1 reserve_inventory", "2 DBOS.setEvent",
    "4 DBOS.sleep"],
  paid: ["0 create_order", "1 reserve_inventory", "2 DBOS.setEvent",
    "3 DBOS.recv", "4 DBOS.sleep", "5 update_order_status",
    "6 dispatch_order_workflow", "7 DBOS.setEvent"],
  refused: ["0 create_order", "1 reserve_inventory", "2 DBOS.setEvent",
    "3 DBOS.recv", "4 DBOS.sleep", "5 undo_reserve_inventory",
    "6 update_order_status", "7 DBOS.setEvent"],
};

const script = (steps) => steps.map((s) => `${s.functionID} ${s.name}`);


// The client.

const begun = Date.now() - 5;

await promise("the client begins, pays and ends a checkout",
  async () => {
    const handle = await checkout("one");

    equal(await statusOf("one"), "PENDING", "status while it waits");
    await pay("one", "paid", "payment");
    equal(await orderOf("one"), "1", "order_id");
    equal(await handle.getResult(polling), null, "result");
    equal(await orderStatus("1"), 2, "order status");
  });

await promise("a checkout in the portable format ends", async () => {
  const handle = await client.enqueuePortable(options("two"), []);

  equal(await client.getEvent("two", "payment_id", polling), "two", "id");
  await client.send("two", "refused", "payment_status", "payment",
    { serializationType: "portable" });
  equal(await orderOf("two"), 2, "order_id of an order without payment");
  equal(await handle.getResult(polling), null, "result");
  equal(await orderStatus("2"), -1, "order status");
});

await promise("each checkout is answered in its own format", async () => {
  equal(await sql("select s.serialization, o.output " +
    "from dbos.workflow_status as s join dbos.workflow_output as o " +
    "on o.workflow_uuid = s.workflow_uuid " +
    "where s.workflow_uuid in ('one', 'two') order by s.workflow_uuid"),
  [["js_superjson", '{"json":null,"__dbos_serializer":"superjson"}'],
    ["portable_json", "null"]], "outputs");
});

await promise("getWorkflow returns the true status", async () => {
  const s = await client.getWorkflow("one");

  equal([s.status, s.workflowName, s.queueName, s.applicationName,
    s.applicationVersion, s.executorId, s.recoveryAttempts, s.priority],
  ["SUCCESS", "checkout_workflow", "checkout", "widget-store", "1", "tests",
    1, 0], "status");
  equal([s.input, s.output, s.error ?? null], [[], null, null], "values");
  equal([s.workflowClassName || null, s.workflowConfigName || null,
    s.parentWorkflowID ?? null, s.forkedFrom ?? null, s.deadlineEpochMS ??
    null], [null, null, null, null, null], "missing values");
  check(begun <= s.createdAt && s.createdAt <= s.dequeuedAt &&
    s.dequeuedAt <= s.completedAt && s.completedAt <= Date.now() + 5,
  `times: ${begun} ${s.createdAt} ${s.dequeuedAt} ${s.completedAt}`);
});

await promise("listWorkflowSteps returns the true steps", async () => {
  const s = await client.getWorkflow("one");
  const steps = await client.listWorkflowSteps("one");

  equal(script(steps), scripts.paid, "paid");
  equal(steps.map((step) => step.childWorkflowID).filter((id) => id),
    ["order:1"], "child");
  equal([steps[0].output, steps[1].output, steps[3].output],
    [1, true, "paid"], "outputs");
  equal(steps.filter((step) => step.error), [], "errors");
  check(steps.every((step) => s.dequeuedAt <= step.startedAtEpochMs &&
    step.startedAtEpochMs <= step.completedAtEpochMs &&
    step.completedAtEpochMs <= s.completedAt + SLACK_MS), "times");
  equal(script(await client.listWorkflowSteps("two")), scripts.refused,
    "refused");
});

await promise("a child is found by its parent's id", async () => {
  const [child] = await client.listWorkflows({ parentWorkflowID: "one" });

  equal([child.workflowID, child.workflowName, child.status, child.input],
    ["order:1", "dispatch_order_workflow", "PENDING", [1]], "child");
});

await promise("a second enqueue with an id makes no checkout", async () => {
  const again = await client.enqueue(options("one"));

  equal(again.workflowID, "one", "id");
  equal(await again.getResult(polling), null, "result");
  equal(await sql("select count(*) from store.orders"), [["2"]], "orders");
});

await promise("an id belongs to one kind of workflow", async () => {
  await rejects(client.enqueue(options("one",
    { workflowName: "dispatch_order_workflow" })),
  "DBOSConflictingWorkflowError", "another kind");
});

await promise("a message is sent once a key, and to known ids only",
  async () => {
    await pay("one", "failed", "payment");
    equal(await sql("select count(*) from dbos.notifications " +
      "where destination_uuid = 'one'"), [["1"]], "messages");
    await rejects(pay("absent", "paid"), "DBOSNonExistentWorkflowError",
      "absent");
  });

await promise("getEvent of a missing event is null", async () => {
  equal(await client.getEvent("one", "other", { pollingIntervalMs: 50,
    timeoutSeconds: 0.2 }), null, "event");
});

await promise("a deduplication id is free when its workflow ends",
  async () => {
    const first = await client.enqueue(options("three",
      { deduplicationID: "customer" }));

    await rejects(client.enqueue(options("four",
      { deduplicationID: "customer" })), "DBOSQueueDuplicatedError",
    "second");
    equal(await client.getEvent("three", "payment_id", polling), "three",
      "payment_id");
    await pay("three", "failed");
    await first.getResult(polling);
    await client.enqueue(options("four", { deduplicationID: "customer" }));
    equal(await client.getEvent("four", "payment_id", polling), "four",
      "payment_id of the second");
  });

await promise("a delayed checkout begins when its delay is over", async () => {
  await client.enqueue(options("delayed", { delaySeconds: 600 }));
  equal(await statusOf("delayed"), "DELAYED", "status");
  await client.setWorkflowDelay("delayed",
    { delayUntilEpochMS: Date.now() });
  equal(await client.getEvent("delayed", "payment_id", polling), "delayed",
    "payment_id");
});

await promise("a checkout past its time-out is cancelled", async () => {
  const handle = await client.enqueue(options("slow",
    { workflowTimeoutMS: 300 }));

  await rejects(handle.getResult(polling),
    "DBOSAwaitedWorkflowCancelledError", "result");
  equal(await waits("slow"), undefined, "wait");
});

await promise("a workflow of an unknown type stays enqueued", async () => {
  await client.enqueue(options("stranger", { workflowName: "stranger" }));
  await checkout("after the stranger");
  equal(await statusOf("stranger"), "ENQUEUED", "status");
  equal((await client.listQueuedWorkflows({ queueName: "checkout" }))
    .filter((w) => w.status === "ENQUEUED").map((w) => w.workflowID),
  ["stranger"], "what is enqueued");
});

await promise("the client lists our version and our queue", async () => {
  equal((await client.listApplicationVersions()).map((v) => v.versionName),
    ["1"], "versions");
  equal((await client.listQueues()).map((q) => q.name), ["checkout"],
    "queues");
});


// Interventions.

await promise("cancelling ends a waiting checkout", async () => {
  const handle = await checkout("cancelled");

  equal(await waits("cancelled"), ["message", "payment_status"], "wait");
  await client.cancelWorkflow("cancelled");
  equal(await statusOf("cancelled"), "CANCELLED", "status");
  equal(await waits("cancelled"), undefined, "wait");
  await rejects(handle.getResult(polling),
    "DBOSAwaitedWorkflowCancelledError", "result");
  equal(script(await client.listWorkflowSteps("cancelled")),
    scripts.waiting, "steps");
});

await promise("cancelling returns the widget and cancels the order, once",
  async () => {
    const [[order]] = await sql("select output from dbos.operation_outputs " +
      "where workflow_uuid = 'cancelled' and function_id = 0");
    const before = await stock();

    equal(await orderStatus(order), -1, "order status");
    equal(await books("-v", "stock=100"), "", "books");
    await client.cancelWorkflow("cancelled");
    equal(await stock(), before, "stock after a second cancel");
    await pay("cancelled", "paid", "payment");
    await checkout("after the cancelled");
    equal(await stock(), before - 1, "stock after another checkout");
    equal(await statusOf("cancelled"), "CANCELLED", "status");
    equal(await orderStatus(order), -1, "order status");
    equal((await books("-v", "stock=100")).split("|").slice(0, 2),
      ["payment without outcome", "cancelled"], "books with a payment");
  });

await promise("a resumed checkout goes on where it was", async () => {
  const before = await stock();
  const handle = await client.resumeWorkflow("cancelled");

  equal(await stock(), before - 1, "stock");
  equal(await handle.getResult(polling), null, "result");
  equal(await orderStatus(await orderOf("cancelled")), 2, "order status");
  equal(script(await client.listWorkflowSteps("cancelled")),
    scripts.paid, "steps");
});

await promise("a fork waits for its own payment of the same order",
  async () => {
    const id = await client.forkWorkflow("two", 3,
      { newWorkflowID: "fork" });

    equal(id, "fork", "id");
    await until(() => waits("fork"), ["message", "payment_status"], "wait");
    equal(script(await client.listWorkflowSteps("fork")), scripts.waiting,
      "steps");
    equal(await client.getEvent("fork", "order_id", { pollingIntervalMs: 50,
      timeoutSeconds: 0.2 }), null, "order_id before the payment");
    await pay("fork", "paid");
    equal(await orderOf("fork"), "2", "order_id");
    equal(await orderStatus("2"), 2, "order status");
    equal((await client.getWorkflow("fork")).forkedFrom, "two", "origin");
    equal((await client.getWorkflow("two")).wasForkedFrom, true, "mark");
    equal(script(await client.listWorkflowSteps("two")), scripts.refused,
      "steps of the origin");
  });

await promise("a fork of a dispatched checkout finds the dispatch",
  async () => {
    await client.forkWorkflow("one", 5, { newWorkflowID: "under way" });
    equal(await orderOf("under way"), "1", "order_id");
    await until(() => statusOf("order:1"), "SUCCESS", "the dispatch");
    equal(await orderStatus("1"), 1, "order status");
    await client.forkWorkflow("one", 5, { newWorkflowID: "behind" });
    equal(await orderOf("behind"), "1", "order_id of the later fork");
    for (const id of ["under way", "behind"]) {
      const steps = await client.listWorkflowSteps(id);

      await until(() => statusOf(id), "SUCCESS", id);
      equal(script(steps), scripts.paid, "steps");
      equal(steps[6].childWorkflowID, "order:1", "child");
    }
    equal(await orderStatus("1"), 1, "order status after the forks");
    equal(await sql("select count(*) from dbos.workflow_status " +
      "where name = 'dispatch_order_workflow' and status <> 'SUCCESS' " +
      "and workflow_uuid like '%:1'"), [["0"]], "other dispatches");
  });

await promise("a fork that is not paid leaves a dispatched order alone",
  async () => {
    const before = await stock();

    await client.forkWorkflow("one", 3, { newWorkflowID: "too late" });
    await until(() => waits("too late"), ["message", "payment_status"],
      "wait");
    await pay("too late", "failed");
    equal(await orderOf("too late"), 1, "order_id of an order without payment");
    equal(await orderStatus("1"), 1, "order status");
    equal(await stock(), before, "stock");
  });

await promise("a fork from the top is a checkout of its own", async () => {
  await client.forkWorkflow("two", 0, { newWorkflowID: "anew" });
  equal(await client.getEvent("anew", "payment_id", polling), "anew", "id");
  await pay("anew", "failed");
  check(Number(await orderOf("anew")) > 2, "order_id");
});

await promise("rewinding removes the steps after the given one", async () => {
  const order = await orderOf("anew");

  await client.rewindWorkflow("anew", { startStep: 3 });
  await until(() => waits("anew"), ["message", "payment_status"], "wait");
  equal(script(await client.listWorkflowSteps("anew")), scripts.waiting,
    "steps");
  equal(await client.getEvent("anew", "order_id", { pollingIntervalMs: 50,
    timeoutSeconds: 0.2 }), null, "order_id before the payment");
  await pay("anew", "failed");
  equal(await orderOf("anew"), order, "order_id");
});

await promise("a fork of a cancelled checkout has its widget", async () => {
  const before = await stock();

  await checkout("given up");
  await client.cancelWorkflow("given up");
  equal(await stock(), before, "stock");
  await client.forkWorkflow("given up", 3, { newWorkflowID: "taken up" });
  equal(await stock(), before - 1, "stock with the fork");
  await until(() => waits("taken up"), ["message", "payment_status"], "wait");
  await pay("taken up", "failed");
  equal(await orderStatus(await orderOf("taken up")), -1, "order status");
  await until(() => statusOf("taken up"), "SUCCESS", "the fork");
  equal(await stock(), before, "stock after the fork");
});

await promise("the books are right after cancels, forks and rewinds",
  async () => {
    await checkout("last");
    equal(await books("-v", "stock=100"), "", "books");
  });

await promise("deleting a waiting checkout leaves no row", async () => {
  await checkout("deleted");
  await client.deleteWorkflow("deleted");
  equal(await statusOf("deleted"), undefined, "status");
  for (const [table, column] of [
    ["dbos.workflow_input", "workflow_uuid"],
    ["dbos.workflow_output", "workflow_uuid"],
    ["dbos.operation_outputs", "workflow_uuid"],
    ["dbos.workflow_events", "workflow_uuid"],
    ["dbos.notifications", "destination_uuid"],
    ["durable.waits", "workflow_uuid"],
    ["durable.suspects", "workflow_uuid"]])
    equal(await sql(`select count(*) from ${table} ` +
      `where ${column} = 'deleted'`), [["0"]], table);
});

await promise("the key of a deleted checkout buys nothing again", async () => {
  const orders = await sql("select count(*) from store.orders");
  let said = "";

  await checkout("deleted").catch((error) => {
    said = String(error);
  });
  equal(/'deleted' has ended and was deleted/.test(said), true, said);
  equal(await sql("select count(*) from store.orders"), orders, "orders");
});

await promise("the SQL functions start and pay a checkout", async () => {
  await sql("select dbos.enqueue_workflow('checkout_workflow', 'checkout', " +
    "workflow_id => 'sql')");
  equal(await client.getEvent("sql", "payment_id", polling), "sql", "id");
  await sql("select dbos.send_message('sql', '\"paid\"', 'payment_status')");
  equal(await orderStatus(await orderOf("sql")), 2, "order status");
});


// The command line.

await promise("workflow list shows the oldest ten", async () => {
  const list = await cli("workflow", "list");

  equal(list.length, 10, "how many");
  equal(list.slice(0, 3).map((w) => `${w.workflowID} ${w.workflowName}`),
    ["one checkout_workflow", "order:1 dispatch_order_workflow",
      "two checkout_workflow"], "the oldest");
  equal(list[2].status, "SUCCESS", "status");
});

await promise("workflow list filters by its options", async () => {
  equal((await cli("workflow", "list", "-n", "checkout_workflow", "-S",
    "PENDING", "-l", "1", "-a", "widget-store", "-v", "1"))
    .map((w) => w.workflowID), ["four"], "waiting");
  equal(await cli("workflow", "list", "-a", "another"), [], "another's");
});

await promise("workflow get and steps show a workflow", async () => {
  const s = await cli("workflow", "get", "one");
  const steps = await cli("workflow", "steps", "one");

  equal([s.workflowID, s.status, s.workflowName, s.executorId],
    ["one", "SUCCESS", "checkout_workflow", "tests"], "get");
  equal(script(steps), scripts.paid, "steps");
  equal(steps[3].output, "'paid'", "the payment");
  equal(await cli("workflow", "get", "absent"), null, "absent");
});

await promise("workflow queue list shows enqueued workflows", async () => {
  equal((await cli("workflow", "queue", "list", "-S", "ENQUEUED"))
    .map((w) => w.workflowID), ["stranger"], "enqueued");
});

await promise("workflow cancel, resume and fork work", async () => {
  await checkout("by hand");
  await cli("workflow", "cancel", "by hand");
  equal([await statusOf("by hand"), await waits("by hand")],
    ["CANCELLED", undefined], "cancel");
  await cli("workflow", "resume", "by hand");
  await until(() => waits("by hand"), ["message", "payment_status"],
    "resume");
  await cli("workflow", "fork", "by hand", "-S", "3", "-f", "by fork");
  await until(() => waits("by fork"), ["message", "payment_status"], "fork");
  equal((await cli("workflow", "get", "by fork")).forkedFrom, "by hand",
    "origin");
});

await promise("the books are right, but for the deleted checkout",
  async () => {
    const stdout = await books();

    check(/^open and its workflow is gone\|\d+\|status 0\n$/.test(stdout),
      stdout);
  });

await client.destroy();
await database.end();
finish();
