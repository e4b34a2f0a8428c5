// SPDX-License-Identifier: MIT
//
// Malformed records of FastCGI, straight at the web's socket: node records.mjs
// SOCKET malformed prints how each connection ended, "closed" or an answer;
// node records.mjs SOCKET silent N opens N connections that send nothing, or
// only the beginning of a request, and prints how many the web closed.

import { connect } from "node:net";
import { randomBytes } from "node:crypto";

const [path, what, count] = process.argv.slice(2);

const record = (type, content, { id = 1, version = 1, padding = 0,
  length = content.length } = {}) => Buffer.concat([
  Buffer.from([version, type, id >> 8, id & 255, length >> 8, length & 255,
    padding, 0]), content, Buffer.alloc(padding)]);
const none = Buffer.alloc(0);
const begin = (role = 1) => record(1, Buffer.from([0, role, 0, 0, 0, 0, 0, 0]));
const long = (n) => Buffer.from([n >>> 24 | 128, n >>> 16 & 255,
  n >>> 8 & 255, n & 255]);
const pair = (name, value) => Buffer.concat([
  Buffer.from([name.length, value.length]), Buffer.from(name + value)]);
const get = Buffer.concat([pair("REQUEST_METHOD", "GET"),
  pair("DOCUMENT_URI", "/healthz")]);
const end = Buffer.concat([record(4, none), record(5, none)]);
const params = (content) => Buffer.concat([begin(), record(4, content), end]);

const malformed = {
  "a name of 2^31-1 bytes": params(Buffer.concat([long(2 ** 31 - 1), none])),
  "a name of 2^31-1 bytes and a value": params(Buffer.concat(
    [long(2 ** 31 - 1), Buffer.from([1]), Buffer.from("abc")])),
  "a value of 2^31-1 bytes": params(Buffer.concat(
    [Buffer.from([3]), long(2 ** 31 - 1), Buffer.from("abc")])),
  "a name and a value of 2^31-1 bytes": params(Buffer.concat(
    [long(2 ** 31 - 1), long(2 ** 31 - 1), Buffer.from("abc")])),
  "a name of 2^30 bytes": params(Buffer.concat([long(2 ** 30), long(0)])),
  "half of a length": params(Buffer.from([128, 0])),
  "a name without its value": params(Buffer.from([3, 9, 97, 98, 99])),
  "megabytes of parameters": Buffer.concat([begin(), ...Array(64).fill(
    record(4, Buffer.alloc(65000, "\x01\x01ab")))]),
  "version 0": record(1, Buffer.alloc(8), { version: 0 }),
  "version 255": record(1, Buffer.alloc(8), { version: 255 }),
  "a request of id 0": record(1, Buffer.alloc(8), { id: 0 }),
  "an empty beginning": record(1, none),
  "a long beginning": record(1, Buffer.alloc(9)),
  "an authorizer": Buffer.concat([begin(2), record(4, get), end]),
  "a filter": Buffer.concat([begin(3), record(4, get), end]),
  "two beginnings": Buffer.concat([begin(), begin(), record(4, get), end]),
  "an abort": Buffer.concat([begin(), record(2, none)]),
  "parameters of another request": Buffer.concat([begin(),
    record(4, get, { id: 2 }), end]),
  "no beginning": Buffer.concat([record(4, get), end]),
  "a body before the parameters end": Buffer.concat([begin(),
    record(5, get), end]),
  "parameters behind their end": Buffer.concat([begin(), record(4, get),
    record(4, none), record(4, get)]),
  "a stream of data": Buffer.concat([begin(), record(4, get),
    record(4, none), record(8, get)]),
  "a question for values": record(9, get, { id: 0 }),
  "an unknown type": record(77, get),
  "another protocol": Buffer.from("GET / HTTP/1.1\r\nHost: store\r\n\r\n"),
  "an end in the header": begin().subarray(0, 5),
  "an end in the parameters": Buffer.concat([begin(),
    record(4, get, { length: 60000 })]),
  "an end in the padding": record(1, Buffer.alloc(8), { padding: 255 })
    .subarray(0, 20),
};
const sound = {
  "one request": params(get),
  "padding everywhere": Buffer.concat([record(1, Buffer.from([0, 1, 0, 0, 0,
    0, 0, 0]), { padding: 255 }), record(4, get, { padding: 7 }),
  record(4, none, { padding: 1 }), record(5, none)]),
  "a record for each byte": Buffer.concat([begin(),
    ...[...get].map((byte) => record(4, Buffer.from([byte]))), end]),
};

// Sends bytes, all at once or a few at a time; resolves with what came back.
function ask(bytes, few = bytes.length) {
  return new Promise((resolve) => {
    const socket = connect(path);
    let answer = "";
    let at = 0;
    const next = () => {
      if (at >= bytes.length)
        return socket.end();
      socket.write(bytes.subarray(at, at += few), () => setImmediate(next));
    };

    socket.setEncoding("latin1").on("data", (text) => answer += text)
      .on("error", () => {}).on("close", () => resolve(
        /Status: (\d+)/.exec(answer)?.[1] ?? "closed"));
    socket.on("connect", next);
  });
}

if (what === "malformed") {
  for (const [name, bytes] of Object.entries(sound))
    for (const few of [bytes.length, 3])
      console.log(`${await ask(bytes, few)}\t${name}, ${few} bytes a time`);
  for (const [name, bytes] of Object.entries(malformed))
    console.log(`${await ask(bytes)}\t${name}`);
  for (let i = 0; i < 200; i++) {
    const bytes = i % 2 ? randomBytes(200) :
      Buffer.concat([begin(), record(4, randomBytes(1 + i)), end]);

    if (await ask(bytes) === "")
      console.log(`nothing\trandom ${bytes.toString("hex")}`);
  }
} else {
  // The web closes these; this end never does.
  let closed = 0, connected = 0;

  await Promise.all(Array.from({ length: Number(count) }, (_, i) =>
    new Promise((resolve) => {
      const socket = connect(path);
      let timer;

      socket.on("connect", () => {
        if (++connected === Number(count))
          console.log("connected");
      }).on("error", () => {}).on("data", () => {}).on("close", () => {
        clearInterval(timer);
        closed++;
        resolve();
      });
      if (i % 3 === 1)
        socket.write(begin());
      // A byte now and then must not keep it open.
      if (i % 3 === 2) {
        socket.write(begin());
        timer = setInterval(() => socket.writable &&
          socket.write(record(4, get).subarray(0, 1)), 300);
      }
    })));
  console.log(closed);
}
