// SPDX-License-Identifier: MIT
//
// slow: a FastCGI client that pauses.  It connects, sends a request and then
// the end of its empty body, with a pause before each; the server's answer is
// written to standard output.
//
//	node slow.mjs SOCKET PAUSE_MS NAME=VALUE...

import net from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

const BEGIN_REQUEST = 1, PARAMS = 4, STDIN = 5, STDOUT = 6;
const RESPONDER = 1;
const [path, pauseMs, ...parameters] = process.argv.slice(2);

function record(type, content) {
	const { length } = content;

	return Buffer.concat([Buffer.from([1, type, 0, 1, length >> 8,
		length & 255, 0, 0]), content]);
}

// Neither a name nor a value here is longer than 127 bytes.
function parameter(text) {
	const [name, value] = text.split('=');

	return Buffer.from(`${String.fromCharCode(name.length, value.length)
	}${name}${value}`);
}

// The content of the answer's STDOUT records.
function contents(answer) {
	const parts = [];

	for (let at = 0; at + 8 <= answer.length;) {
		const end = at + 8 + answer.readUInt16BE(at + 4);

		if (answer[at + 1] === STDOUT)
			parts.push(answer.subarray(at + 8, end));
		at = end + answer[at + 6];
	}
	return Buffer.concat(parts);
}

const server = net.connect(path);

await pause(Number(pauseMs));
server.write(Buffer.concat([
	record(BEGIN_REQUEST, Buffer.from([0, RESPONDER, 0, 0, 0, 0, 0, 0])),
	record(PARAMS, Buffer.concat(parameters.map(parameter))),
	record(PARAMS, Buffer.alloc(0)),
]));
await pause(Number(pauseMs));
// A client may finish sending before it reads: the answer is lost if this write
// fails.
server.write(record(STDIN, Buffer.alloc(0)), async (error) => {
	if (error)
		throw error;
	process.stdout.write(contents(Buffer.concat(await server.toArray())));
});
