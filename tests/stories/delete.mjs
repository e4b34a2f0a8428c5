// SPDX-License-Identifier: MIT
//
// Deletes workflows as the client of the SDK does, and tries to start one again:
// delete.mjs URL ID...; prints how the start of the first was refused.

import { DBOSClient, url } from "./sdk.mjs";

const client = await DBOSClient.create({ systemDatabaseUrl: url });
const ids = process.argv.slice(3);

for (const id of ids)
  await client.deleteWorkflow(id);
await client.enqueue({ workflowName: "checkout_workflow",
  queueName: "checkout", workflowID: ids[0] }).then(
  () => console.log("started"),
  (error) => console.log(error.message));
await client.destroy();
