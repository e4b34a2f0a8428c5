// SPDX-License-Identifier: MIT
//
// Makes table.md and the plots from the raw data of bench/run:
//
//	node bench/report.mjs DIRECTORY

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const directory = process.argv[2] ?? '.';
const raw = readFileSync(join(directory, 'raw.jsonl'), 'utf8')
	.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line));

const NAMES = {
	A: 'A, this store',
	B: 'B, DBOS on Node',
	C: 'C, one at a time',
	D: 'C, in batches of 64',
};
const COLORS = { A: '#0b6e4f', B: '#c0392b', C: '#7f8c8d', D: '#2c3e50' };

function median(values) {
	const sorted = values.filter((v) => Number.isFinite(v))
		.sort((a, b) => a - b);
	const middle = sorted.length >> 1;

	if (sorted.length === 0)
		return undefined;
	return sorted.length % 2 === 1 ? sorted[middle] :
		(sorted[middle - 1] + sorted[middle]) / 2;
}

// The median of a value over the runs of a figure and system that match;
// undefined if there is none.
function of(figure, system, match, value) {
	return median(raw.filter((run) => run.figure === figure &&
		run.system === system &&
		Object.entries(match).every(([k, v]) => run[k] === v)).map(value));
}

function values(figure, key) {
	return [...new Set(raw.filter((run) => run.figure === figure)
		.map((run) => run[key]))].sort((a, b) => a - b);
}

function number(value) {
	if (value === undefined)
		return '–';
	const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;

	return value.toFixed(digits).replace(/\B(?=(\d{3})+$)/g,
		digits === 0 ? ' ' : '');
}

function table(title, head, rows) {
	const filled = rows.filter((row) => row.slice(1)
		.some((cell) => cell !== undefined));
	const line = (cells) => `| ${cells.join(' | ')} |\n`;

	if (filled.length === 0)
		return '';
	return `\n### ${title}\n\n` + line(head) +
		line(head.map((_, i) => i === 0 ? '---' : '--:')) +
		filled.map((row) => line(row.map((cell) =>
			typeof cell === 'string' ? cell : number(cell)))).join('');
}

// Figures of one purchase, from a run's counters.
const bought = (run) => run.after.database.orders - run.before.database.orders;
const perPurchase = (key) => (run) =>
	(run.after.database[key] - run.before.database[key]) / bought(run);
const cpuMs = (group) => (run) => run.after.cpu[group] === undefined ?
	undefined : (run.after.cpu[group] - (run.before.cpu[group] ?? 0)) * 1000 /
	bought(run);

// Purchases over the time from the first request to the end of the last
// dispatch.  It includes all work, so a store can keep up this rate for ever.
const whole = (run) => bought(run) / ((run.after.database.ended_ms ??
	run.after.database.at_ms - 1500) - run.before.database.at_ms) * 1000;
const paid = (run) => run.purchases.purchase.per_second;
const checkouts = (run) => run.checkouts.checkout.per_second;


// Plots.

const escape = (text) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;');

// Plots lines over the number of clients, with logarithmic axes.  series holds
// [system, name, points].
function plot(file, title, unit, series) {
	const shown = series.map(([system, name, points]) =>
		[system, name, points.filter(([, y]) => y > 0)])
		.filter(([, , points]) => points.length > 0);
	const all = shown.flatMap(([, , points]) => points);
	const [w, h, left, right, top, bottom] = [640, 400, 64, 176, 44, 48];

	if (all.length === 0)
		return;
	const xs = [...new Set(all.map(([x]) => x))].sort((a, b) => a - b);
	const low = Math.floor(Math.log10(Math.min(...all.map(([, y]) => y))));
	const high = Math.max(low + 1,
		Math.ceil(Math.log10(Math.max(...all.map(([, y]) => y)))));
	const spread = Math.log(xs.at(-1) / xs[0]) || 1;
	const x = (v) => left + Math.log(v / xs[0]) / spread * (w - left - right);
	const y = (v) => top + (high - Math.log10(v)) / (high - low) *
		(h - top - bottom);
	const text = (px, py, anchor, content, extra = '') => `<text x="${px}" ` +
		`y="${py}" text-anchor="${anchor}" ${extra}>${escape(content)}</text>`;
	const parts = [text(left, 24, 'start', title, 'font-size="15"')];

	for (let power = low; power <= high; power++) {
		const py = y(10 ** power);

		parts.push(`<path d="M${left} ${py}H${w - right}" stroke="#ddd"/>`,
			text(left - 8, py + 4, 'end', String(10 ** power)));
	}
	for (const value of xs)
		parts.push(text(x(value), h - bottom + 20, 'middle', String(value)));
	parts.push(text((left + w - right) / 2, h - 10, 'middle', 'clients'),
		text(16, top - 8, 'start', unit));
	const labels = shown.map(([system, name, points]) => ({
		system, name, points, y: y(points.at(-1)[1]) + 4,
	})).sort((a, b) => a.y - b.y);
	labels.forEach((label, i) => {
		if (i > 0)
			label.y = Math.max(label.y, labels[i - 1].y + 15);
		const path = label.points.map(([px, py], j) =>
			`${j === 0 ? 'M' : 'L'}${x(px).toFixed(1)} ${y(py).toFixed(1)}`)
			.join('');
		const dashes = label.name.includes('p50') ?
			' stroke-dasharray="5 4"' : '';

		parts.push(`<path d="${path}" fill="none" stroke-width="2" ` +
			`stroke="${COLORS[label.system]}"${dashes}/>`);
		for (const [px, py] of label.points)
			parts.push(`<circle cx="${x(px).toFixed(1)}" ` +
				`cy="${y(py).toFixed(1)}" r="3" ` +
				`fill="${COLORS[label.system]}"/>`);
		parts.push(text(w - right + 10, label.y.toFixed(1), 'start',
			label.name, `fill="${COLORS[label.system]}"`));
	});
	writeFileSync(join(directory, file), `<svg xmlns="http://www.w3.org/2000/` +
		`svg" viewBox="0 0 ${w} ${h}" width="${w}" height="${h}" ` +
		`font-family="sans-serif" font-size="12" fill="#333">\n` +
		`<rect width="${w}" height="${h}" fill="#fff"/>\n` +
		`${parts.join('\n')}\n</svg>\n`);
}


// The tables.

const A_AND_B = ['A', 'B'];
let out = '';

out += table('What a purchase leaves in the tables',
	['table', ...['A', 'B', 'C'].map((s) => NAMES[s])],
	Object.keys(raw.find((run) => run.figure === 'rows')?.rows ?? {}).map(
		(name) => [name, ...['A', 'B', 'C'].map((system) =>
			of('rows', system, {}, (run) => run.rows[name]))]));

function byClients(title, rows, figure = 'load') {
	const columns = values(figure, 'clients');

	out += table(title, ['clients', ...columns.map(String)],
		rows.map(([name, system, value]) => [name,
			...columns.map((n) => of(figure, system, { clients: n }, value))]));
}

byClients('Full purchases per second', [
	...A_AND_B.flatMap((s) => [
		[`${NAMES[s]}, to the end of the last dispatch`, s, whole],
		[`${NAMES[s]}, as the customers see it`, s, paid]]),
	[NAMES.C, 'C', (run) => run.one_per_second],
	[NAMES.D, 'C', (run) => run.batch_per_second * 64],
]);
byClients('Checkouts per second',
	A_AND_B.map((s) => [NAMES[s], s, checkouts]));
byClients('Latency in ms, closed loop', A_AND_B.flatMap((s) => [
	...['p50', 'p99', 'max'].map((p) => [`${s}: checkout alone, ${p}`, s,
		(run) => run.checkouts.checkout[`${p}_ms`]]),
	...['p50', 'p99', 'max'].map((p) =>
		[`${s}: checkout among purchases, ${p}`, s,
			(run) => run.purchases.checkout[`${p}_ms`]]),
	...['p50', 'p99', 'max'].map((p) =>
		[`${s}: payment among purchases, ${p}`, s,
			(run) => run.purchases.payment[`${p}_ms`]]),
]));
byClients('Cost of a purchase, dispatch and idle polling included',
	A_AND_B.flatMap((s) => [
		[`${s}: commits`, s, perPurchase('commits')],
		[`${s}: WAL flushes`, s, perPurchase('wal_syncs')],
		[`${s}: WAL bytes`, s, perPurchase('wal_bytes')],
		...['nginx', 'web', 'daemon', 'cluster'].map((group) =>
			[`${s}: CPU ms, ${{ cluster: 'PostgreSQL',
				web: s === 'B' ? 'node' : 'web' }[group] ?? group}`, s,
			cpuMs(group)]),
	]).concat([
		['C, one at a time: commits', 'C', (run) =>
			(run.middle.database.commits - run.before.database.commits) /
			(run.middle.database.orders - run.before.database.orders)],
		['C, batched: WAL bytes', 'C', (run) =>
			(run.after.database.wal_bytes - run.middle.database.wal_bytes) /
			(run.after.database.orders - run.middle.database.orders)],
		['C, batched: CPU ms, PostgreSQL', 'C', (run) =>
			(run.after.cpu.cluster - run.middle.cpu.cluster) * 1000 /
			(run.after.database.orders - run.middle.database.orders)],
	]));

const seconds = values('sustained', 'seconds');
const sustained = ['A', 'B', 'C'].flatMap((s) => seconds.map((n) => [s, n]));

out += table('Full purchases per second, 64 clients, without a pause',
	['', ...sustained.map(([s, n]) => `${s === 'C' ? NAMES.D : NAMES[s]}, ${n} s`)],
	[
		['as the customers see it', (run) => run.batch_per_second === undefined ?
			paid(run) : run.batch_per_second * 64],
		['to the end of the last dispatch', (run) =>
			run.batch_per_second === undefined ? whole(run) : undefined],
		['CPU ms of a purchase, all processes', (run) =>
			Object.keys(run.after.cpu).reduce((sum, group) =>
				sum + cpuMs(group)(run), 0)],
		['WAL bytes of a purchase', perPurchase('wal_bytes')],
	].map(([name, value]) => [name, ...sustained.map(([s, n]) =>
		of('sustained', s, { seconds: n }, value))]));

byClients('Statements of a purchase', A_AND_B.map((s) =>
	[NAMES[s], s, perPurchase('statements')]), 'profile');

out += table('Checkouts by the clock, at half of the closed loop\'s rate',
	['', 'A', 'B'], [
		['checkouts/s, closed loop, 64 clients', ...A_AND_B.map((s) =>
			of('open', s, {}, (run) => run.closed.checkout.per_second))],
		...['p50', 'p99', 'max'].map((p) => [`${p} ms`, ...A_AND_B.map((s) =>
			of('open', s, {}, (run) => run.open.checkout[`${p}_ms`]))]),
	]);

const memory = (kind) => (run) => Object.values(run.full.memory)
	.reduce((sum, m) => sum + m[kind], 0);
const growth = (run) => Object.keys(run.full.memory).reduce((sum, group) =>
	sum + run.full.memory[group].private - run.empty.memory[group].private, 0);
const idle = (value) => (run) => (value(run.idle_after) -
	value(run.idle_before)) / ((run.idle_after.database.at_ms -
	run.idle_before.database.at_ms) / 1000);
const programs = (c) => Object.entries(c.cpu).reduce((sum, [name, s]) =>
	sum + (name === 'cluster' ? 0 : s), 0);
for (const system of A_AND_B) {
	const counts = [...new Set(raw.filter((run) => run.figure === 'waiting' &&
		run.system === system).map((run) => run.asked))]
		.sort((a, b) => a - b);
	const row = (name, value) => [name, ...counts.map((asked) =>
		of('waiting', system, { asked }, value))];

	out += table(`${NAMES[system]}, with checkouts that wait for payment`,
		['at least', ...counts.map(String)], [
			row('waiting', (run) => run.waiting),
			row('resident KB, all programs', memory('rss')),
			row('the same, shared pages once', memory('pss')),
			row('private KB, all programs', memory('private')),
			row('private KB more than with none', growth),
			row('private bytes each', (run) =>
				growth(run) * 1024 / run.waiting),
			row('database bytes each', (run) =>
				(run.full.counters.database.bytes -
				run.empty.counters.database.bytes) / run.waiting),
			row('idle: % of a core, all programs', (run) =>
				idle(programs)(run) * 100),
			row('idle: % of a core, PostgreSQL', (run) =>
				idle((c) => c.cpu.cluster)(run) * 100),
			row('idle: statements/s', idle((c) => c.database.statements)),
			row('idle: commits/s', idle((c) => c.database.commits)),
			row('kill -9 to the first payment, ms', (run) =>
				median(run.restart_ms)),
			row('the slowest of three, ms', (run) =>
				Math.max(...run.restart_ms)),
			row('kill -9 to full speed, ms', (run) => run.full_speed_ms),
		]);
}

const ticks = A_AND_B.flatMap((s) => values('ticks', 'dispatches')
	.map((dispatches) => [s, { dispatches }]))
	.filter(([s, match]) => of('ticks', s, match, () => 1));

out += table('How late ticks are, all dispatches at once',
	['dispatches', ...ticks.map(([s, match]) =>
		`${s}, ${number(match.dispatches)}`)],
	['p50', 'p99', 'max'].map((p) => [`${p} ms`, ...ticks.map(([s, match]) =>
		of('ticks', s, match, (run) => run.lateness[`${p}_ms`]))]));

out += table('Workflows of 100 SQL steps', ['', 'A'], [
	['pgbench -N, 64 clients, transactions/s',
		of('steps', 'A', {}, (run) => run.pgbench_tps)],
	['steps/s, 500 workflows, every result read',
		of('steps', 'A', {}, (run) => run.read)],
	['steps/s, 500 workflows, no result read',
		of('steps', 'A', {}, (run) => run.blind)],
	['steps/s, one workflow',
		of('steps', 'A', {}, (run) => run.one_workflow)],
	['steps over transactions, results read',
		of('steps', 'A', {}, (run) => run.read / run.pgbench_tps)],
]);

const crews = values('external', 'processes')
	.map((processes) => ({ processes }));

out += table('External steps of a millisecond', ['step processes',
	...crews.map((crew) => String(crew.processes))], [
		['steps/s, one after the other in each of 100 workflows',
			(run) => run.one_by_one],
		['steps/s, begun together by 100 workflows',
			(run) => run.together],
		['from the commit to the begin, p50 ms',
			(run) => run.latency.p50_ms],
		['from the commit to the begin, p99 ms',
			(run) => run.latency.p99_ms],
	].map(([name, value]) => [name, ...crews.map((crew) =>
		of('external', 'A', crew, value))]));

const roundMs = ({ tenths }, tenth) =>
	(tenths[tenth].ms - tenths[tenth - 1].ms) /
	(tenths[tenth].rounds - tenths[tenth - 1].rounds);

out += table('A workflow that calls wf_continue in each turn',
	['', 'second tenth', 'last tenth'], [
		['rounds before', (run, tenth) => run.tenths[tenth - 1].rounds],
		['ms of a round', roundMs],
		['rows in journals', (run, tenth) => run.tenths[tenth].journal],
		['private memory of the daemon, KB',
			(run, tenth) => run.tenths[tenth].memory],
	].map(([name, value]) => [name, ...[1, 9].map((tenth) =>
		of('loop', 'A', {}, (run) => value(run, tenth)))]));

const teams = values('scale', 'daemons').flatMap((daemons) =>
	values('scale', 'workers').map((workers) => ({ workers, daemons })));

out += table('A, 64 clients, with more workers and daemons',
	['daemons × workers', ...teams.map((team) =>
		`${team.daemons} × ${team.workers}`)], [
		['full purchases/s, to the end of the last dispatch', whole],
		['full purchases/s, as the customers see it', paid],
		['checkouts/s', checkouts],
		['checkout among purchases, p50 ms', (run) =>
			run.purchases.checkout.p50_ms],
		['checkout among purchases, p99 ms', (run) =>
			run.purchases.checkout.p99_ms],
		['commits of a purchase', perPurchase('commits')],
		['WAL flushes of a purchase', perPurchase('wal_syncs')],
		['CPU ms of a purchase, daemons', (run) => cpuMs('daemon')(run) +
			(cpuMs('daemon2')(run) ?? 0)],
		['CPU ms of a purchase, PostgreSQL', cpuMs('cluster')],
	].map(([name, value]) => [name, ...teams.map((team) =>
		of('scale', 'A', team, value))]));

writeFileSync(join(directory, 'table.md'), out.trimStart());

// The comparison is fair only if all three leave the same rows.
const left = raw.filter((run) => run.figure === 'rows')
	.map((run) => JSON.stringify(Object.values(run.rows).map(Number)));
if (new Set(left).size > 1) {
	console.error('report: the systems leave different rows in the ' +
		'tables: the comparison is not fair, see the first table');
	process.exit(1);
}


const clients = values('load', 'clients');
const line = (system, value) => clients.map((n) =>
	[n, of('load', system, { clients: n }, value)]);

plot('purchases.svg', 'Full purchases per second', 'per second', [
	...A_AND_B.map((s) => [s, NAMES[s], line(s, whole)]),
	['C', NAMES.C, line('C', (run) => run.one_per_second)],
	['D', NAMES.D, line('C', (run) => run.batch_per_second * 64)],
]);
plot('checkouts.svg', 'Checkouts per second', 'per second',
	A_AND_B.map((s) => [s, NAMES[s], line(s, checkouts)]));
plot('latency.svg', 'Latency of a checkout, closed loop', 'ms',
	A_AND_B.flatMap((s) => ['p50', 'p99'].map((p) => [s, `${s}, ${p}`,
		line(s, (run) => run.checkouts.checkout[`${p}_ms`])])));
plot('cpu.svg', 'CPU of a full purchase, all processes', 'ms',
	A_AND_B.map((s) => [s, NAMES[s], line(s, (run) =>
		Object.keys(run.after.cpu).reduce((sum, group) =>
			sum + cpuMs(group)(run), 0))]));
