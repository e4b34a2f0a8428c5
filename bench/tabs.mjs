// SPDX-License-Identifier: MIT
//
// Open tabs: each has a connection, and once a second asks whether what it has
// still holds, as the page does (If-None-Match).  Tab N asks for the paths
// given, one after the other; {} in a path is N, and {block} the id that ends
// the twenty orders around it.
//
//	node tabs.mjs URL TABS SECONDS BUY PATH...
//
// BUY is how many widgets are bought meanwhile, each second.  Prints a line
// when every tab has come and got its copies, and one of JSON at the end of the
// SECONDS that follow: answers by status, and the latency's 99th percentile.

import http from "node:http";

const [url, tabs, seconds, buy, ...paths] = process.argv.slice(2);
const count = Number(tabs);
const start = performance.now();
const begin = start + 1000 * Math.max(3, paths.length + 1);
const end = begin + Number(seconds) * 1000;
const statuses = {};
const times = [];

function note(status, ms) {
  statuses[status] = (statuses[status] ?? 0) + 1;
  times.push(ms);
}

function request(agent, method, path, headers) {
  return new Promise((resolve) => {
    const began = performance.now();
    const asked = http.request(url + path, { method, agent, headers },
      (answer) => {
        answer.resume();
        answer.on("end", () => {
          if (began >= begin)
            note(answer.statusCode, performance.now() - began);
          resolve(answer.headers.etag);
        });
      });

    asked.on("error", () => {
      note("lost", performance.now() - began);
      resolve();
    });
    asked.end();
  });
}

const at = (time) => new Promise((resolve) =>
  setTimeout(resolve, Math.max(0, time - performance.now())));

async function tab(number) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const tags = new Map();

  // Tabs that look at the same come at different times, as people do.
  let due = start + 1000 * (number * 0.618034 % 1);

  for (let round = 0; due < end; round++, due += 1000) {
    const path = paths[round % paths.length].replace("{}", number + 1)
      .replace("{block}", (Math.floor((number + 1) / 20) + 1) * 20);
    const headers = tags.has(path) ? { "If-None-Match": tags.get(path) } : {};

    await at(due);
    tags.set(path, await request(agent, "GET", path, headers) ?? "none");
  }
  agent.destroy();
}

async function customer() {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

  for (let due = start, n = 0; due < end; due += 1000 / Number(buy), n++) {
    const key = `tabs-${process.pid}-${n}`;

    await at(due);
    await request(agent, "POST", `/checkout/${key}`);
    await request(agent, "POST", `/payment_webhook/${key}/paid`);
  }
  agent.destroy();
}

const all = [at(end)];
if (Number(buy) > 0)
  all.push(customer());
for (let number = 0; number < count && paths.length > 0; number++)
  all.push(tab(number));
await at(begin);
console.log("begin");
await Promise.all(all);
times.sort((a, b) => a - b);
console.log(JSON.stringify({ statuses,
  p99_ms: Math.round(times[Math.floor(times.length * 0.99)]) }));
