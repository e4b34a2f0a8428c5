// SPDX-License-Identifier: MIT
//
// deaf: a proxy in front of PostgreSQL that can lose and delay notifications,
// and changes nothing else.
//
//	node deaf.mjs LISTEN_SOCKET SERVER_SOCKET STATE_FILE
//
// The state file is read for each notification: "pass", "drop", or "delay
// MILLISECONDS".  A delayed notification is sent between two other messages,
// where PostgreSQL may send any.  The server's messages are a type, a
// length and a body (PostgreSQL, "Message Formats"); over a Unix-domain socket
// a client asks for no encryption first.

import fs from 'node:fs';
import net from 'node:net';

const NOTIFICATION = 'A'.charCodeAt(0);
const [listenPath, serverPath, statePath] = process.argv.slice(2);

function deliver(client, message) {
	const [word, ms] = fs.readFileSync(statePath, 'utf8').split(/\s+/);

	if (word === 'delay')
		setTimeout(() => client.writable && client.write(message), ms);
	else if (word !== 'drop')
		client.write(message);
}

// Forwards the whole messages of a buffer; returns the rest.
function forward(client, buffer) {
	let sent = 0, at = 0;

	while (buffer.length - at >= 5) {
		const end = at + 1 + buffer.readUInt32BE(at + 1);

		if (end > buffer.length)
			break;
		if (buffer[at] === NOTIFICATION) {
			client.write(buffer.subarray(sent, at));
			deliver(client, buffer.subarray(at, end));
			sent = end;
		}
		at = end;
	}
	if (at > sent)
		client.write(buffer.subarray(sent, at));
	return buffer.subarray(at);
}

function connect(client) {
	const server = net.connect(serverPath);
	let left = Buffer.alloc(0);

	client.pipe(server);
	server.on('data', (data) => {
		left = forward(client, Buffer.concat([left, data]));
		if (client.writableNeedDrain)
			server.pause();
	});
	client.on('drain', () => server.resume());
	server.on('end', () => client.end());
	server.on('error', () => client.destroy());
	server.on('close', () => client.destroySoon());
	client.on('error', () => server.destroy());
	client.on('close', () => server.destroy());
}

fs.rmSync(listenPath, { force: true });
net.createServer(connect).listen(listenPath);
