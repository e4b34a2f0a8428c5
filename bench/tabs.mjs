// SPDX-License-Identifier: MIT
//
// Simulates open tabs.  Each has a connection and asks as the page does whether
// its copy still holds (If-None-Match).
//
//	node tabs.mjs URL TABS SECONDS BUY SHARED [OWN EVERY]
//
// Every three seconds a tab asks for the path SHARED, which is the same for all
// tabs.  If OWN is given, tab N asks for that path first, and then every EVERY
// ms in place of SHARED; {} in it is replaced by N.  BUY widgets are bought a
// second.  Prints a line when every tab has its copies, and SECONDS later one
// of JSON: answers by status, and the 99th percentile of latency.

import http from "node:http";

const [url, tabs, seconds, buy, shared, own, every] = process.argv.slice(2);
const count = Number(tabs);
const start = performance.now();
const begin = start + 5000;
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

  // The tabs' requests are spread over time, as those of real tabs are.
  let due = start + 1000 * (number * 0.618034 % 1);
  let ownDue = own === undefined ? Infinity : 0;

  while (due < end) {
    await at(due);
    const mine = performance.now() >= ownDue;
    const path = mine ? own.replace("{}", number + 1) : shared;
    const tag = tags.get(path);

    tags.set(path, await request(agent, "GET", path,
      { "Accept-Encoding": "gzip", ...tag && { "If-None-Match": tag } }));
    if (mine)
      ownDue = performance.now() +
        Number(every) * (ownDue === 0 ? Math.random() : 1);
    due = performance.now() +
      Math.min(3000, Number(every ?? 3000)) * (1 + 0.2 * Math.random());
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
for (let number = 0; number < count && shared !== undefined; number++)
  all.push(tab(number));
await at(begin);
console.log("begin");
await Promise.all(all);
times.sort((a, b) => a - b);
console.log(JSON.stringify({ statuses,
  p99_ms: Math.round(times[Math.floor(times.length * 0.99)]) }));
