// SPDX-License-Identifier: MIT
//
// Slow clients: node slow_senders.mjs PORT N opens N connections that send a part
// of a header and N that send a part of a body, and then a byte now and then.
// Prints which of the bodies were refused at once, and when all were closed.

import { connect } from "node:net";

const [port, count] = process.argv.slice(2).map(Number);
const begun = Date.now();
const bodies = { refused: 0, told: 0 };
let closed = 0;

function slow(text, told) {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1",
      localAddress: "127.0.0.8" });
    const timer = setInterval(() => socket.writable && !told &&
      socket.write("x"), 1000);

    socket.on("connect", () => socket.write(text)).on("error", () => {})
      .on("data", (data) => told?.(String(data)))
      .on("close", () => {
        clearInterval(timer);
        closed++;
        resolve();
      });
  });
}

const all = [];
for (let i = 0; i < count; i++)
  all.push(slow("GET / HTTP/1.1\r\nHost: store\r\nX-Slow: "));
for (let i = 0; i < count; i++)
  all.push(slow("POST /payment_webhook HTTP/1.1\r\nHost: store\r\n" +
    "Content-Length: 1000\r\n\r\nx", (answer) => {
    if (/^HTTP\/1.1 503/.test(answer) && ++bodies.refused === count - 100)
      console.log(`503 ${bodies.refused}`);
  }));
await Promise.all(all);
console.log(`closed ${closed} within ` +
  `${Math.ceil((Date.now() - begun) / 1000)} s`);
