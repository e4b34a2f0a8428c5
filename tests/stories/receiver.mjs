// SPDX-License-Identifier: MIT
//
// A receiver of webhooks for notify.tap: it fails as it is told, and notes each
// request.
//
//   node receiver.mjs PORT SECRET LOG '{"order.paid 1": ["503", "hang"], ...}'
//
// The n-th request about an event of an order gets the n-th answer, and 204
// behind the last one.  A line of the log is: answer, webhook-id, event, order,
// and whether the signature is right.

import { createHmac } from "node:crypto";
import { appendFileSync } from "node:fs";
import { createServer } from "node:http";

const LATE_MS = 1500;
const CHUNK = "x".repeat(65536);

const [, , port, secret, log, plan] = process.argv;
const answers = JSON.parse(plan);
const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");

function isSigned(headers, body) {
  const id = headers["webhook-id"], time = headers["webhook-timestamp"];
  const hash = createHmac("sha256", key).update(`${id}.${time}.${body}`);

  return Math.abs(Date.now() / 1000 - Number(time)) < 60 &&
    headers["content-type"] === "application/json" &&
    headers["webhook-signature"] === `v1,${hash.digest("base64")}`;
}

function writeOn(response) {
  while (!response.destroyed && response.write(CHUNK));
}

const server = createServer(async (request, response) => {
  let body = "";

  for await (const part of request) body += part;
  const event = JSON.parse(body);
  const name = `${event.type} ${event.data.order_id}`;
  const answer = request.url === "/hook" && request.method === "POST"
    ? answers[name]?.shift() ?? "204" : "elsewhere";

  appendFileSync(log, `${answer} ${request.headers["webhook-id"]} ${name} ` +
    `${isSigned(request.headers, body) && !isNaN(Date.parse(event.timestamp))
      ? "signed" : "unsigned"}\n`);
  switch (answer) {
  case "hang":
    break;
  case "close":
    request.socket.destroy();
    break;
  case "late":
    setTimeout(() => response.end(), LATE_MS);
    break;
  case "endless":
    response.writeHead(200);
    response.on("drain", () => writeOn(response));
    writeOn(response);
    break;
  default:
    response.writeHead(Number(answer) || 500, { location: "/elsewhere" });
    response.end();
  }
});
server.listen(Number(port), "127.0.0.1");
