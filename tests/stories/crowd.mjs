// SPDX-License-Identifier: MIT
//
// crowd: customers that come at the same moment and keep their connections.
// All connect before the first one asks for a checkout.  Prints a line for each
// answer, its status and Retry-After, or the error's code.
//
//	node crowd.mjs URL CUSTOMERS

import http from 'node:http';

const [url, customers] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true });

function buy(number) {
	return new Promise((resolve) => {
		const tell = (text) => {
			console.log(text);
			resolve();
		};
		const request = http.request(`${url}/checkout/crowd-${number}`,
			{ method: 'POST', agent });

		request.on('error', (error) => tell(error.code));
		request.on('response', (answer) => {
			answer.resume();
			answer.on('end', () => tell(`${answer.statusCode} ${
				answer.headers['retry-after'] ?? '-'}`));
		});
		request.end();
	});
}

await Promise.all(Array.from({ length: Number(customers) },
	(_, number) => buy(number)));
process.exit();
