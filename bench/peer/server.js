// SPDX-License-Identifier: MIT
//
// The Widget Store on DBOS Transact for TypeScript, written as its
// documentation teaches: the example's workflows, with steps as data source
// transactions, behind Node's own HTTP server.  The environment tunes it; the
// defaults were the best values of those tried.
//
//	DATABASE_URL			the database
//	PORT				on 127.0.0.1
//	SYSTEM_POOL, APP_POOL		connections
//	COALESCE_MS			delay that gathers event notifications
//	PAYMENT_TIMEOUT_S		how long a checkout waits for payment

import http from 'node:http';

import { DBOS } from '@dbos-inc/dbos-sdk';

import { DataSource } from './datasource.js';

const env = (name, value) => Number(process.env[name] ?? value);

const PAYMENT_STATUS = 'payment_status';
const PAYMENT_ID = 'payment_id';
const ORDER_ID = 'order_id';
const PENDING = 0;
const DISPATCHED = 1;
const PAID = 2;
const CANCELLED = -1;
const PAYMENT_TIMEOUT_S = env('PAYMENT_TIMEOUT_S', 60);

const database = new DataSource('store', {
	connectionString: process.env.DATABASE_URL,
	max: env('APP_POOL', 20),
});

// Registers a function as a step.
function step(func) {
	return database.registerTransaction(func, { name: func.name });
}

async function sql(name, text, values) {
	return (await database.client.query({ name, text, values })).rows;
}

const createOrder = step(async function create_order() {
	const rows = await sql('create_order', `insert into store.orders
		(order_status) values ($1) returning order_id`, [PENDING]);
	return rows[0].order_id;
});

const reserveInventory = step(async function reserve_inventory() {
	const rows = await sql('reserve_inventory', `update store.stock
		set inventory = inventory - 1
		where product_id = 1 and inventory > 0
		returning product_id`);
	return rows.length > 0;
});

const undoReserveInventory = step(async function undo_reserve_inventory() {
	await sql('undo_reserve_inventory', `update store.stock
		set inventory = inventory + 1 where product_id = 1`);
});

const updateOrderStatus = step(
	async function update_order_status(orderId, status) {
		await sql('update_order_status', `update store.orders
			set order_status = $2, last_update_time = clock_timestamp()
			where order_id = $1`, [orderId, status]);
	});

const updateOrderProgress = step(
	async function update_order_progress(orderId) {
		await sql('update_order_progress', `update store.orders
			set progress_remaining = progress_remaining - 1,
			    order_status = case when progress_remaining = 1
				then $2 else order_status end,
			    last_update_time = clock_timestamp()
			where order_id = $1`, [orderId, DISPATCHED]);
	});

const dispatchOrder = DBOS.registerWorkflow(async (orderId) => {
	for (let i = 0; i < 10; i++) {
		await DBOS.sleep(1000);
		await updateOrderProgress(orderId);
	}
}, { name: 'dispatch_order_workflow' });

const checkout = DBOS.registerWorkflow(async () => {
	const orderId = await createOrder();

	if (!await reserveInventory()) {
		await updateOrderStatus(orderId, CANCELLED);
		await DBOS.setEvent(PAYMENT_ID, null);
		return;
	}
	await DBOS.setEvent(PAYMENT_ID, DBOS.workflowID);
	const paymentStatus = await DBOS.recv(PAYMENT_STATUS,
		PAYMENT_TIMEOUT_S);
	if (paymentStatus === 'paid') {
		await updateOrderStatus(orderId, PAID);
		await DBOS.startWorkflow(dispatchOrder)(orderId);
	} else {
		await undoReserveInventory();
		await updateOrderStatus(orderId, CANCELLED);
	}
	await DBOS.setEvent(ORDER_ID, String(orderId));
}, { name: 'checkout_workflow' });

// Restock, and the endpoints that only read, need no workflow.
const getProduct = step(async function get_product() {
	return (await sql('get_product', `select product_id, product,
		description, inventory, price
		from store.products join store.stock using (product_id)
		where product_id = 1`))[0];
});

const getOrders = step(async function get_orders() {
	return sql('get_orders', `select order_id, order_status,
		last_update_time, progress_remaining from store.orders
		order by order_id desc limit 20`);
});

const getOrder = step(async function get_order(orderId) {
	return (await sql('get_order', `select order_id, order_status,
		last_update_time, progress_remaining from store.orders
		where order_id = $1`, [orderId]))[0];
});

const restock = step(async function restock() {
	await sql('restock', 'update store.stock set inventory = 100');
});

const text = (value) => [200, 'text/plain', value];
const json = (value) => value === undefined ?
	[404, 'application/json', '{"error": "Not found"}'] :
	[200, 'application/json', JSON.stringify(value)];
const refused = (error) => [404, 'application/json',
	JSON.stringify({ error })];

const routes = {
	'POST checkout': async (key) => {
		const handle = await DBOS.startWorkflow(checkout,
			{ workflowID: key })();
		const payment = await DBOS.getEvent(handle.workflowID, PAYMENT_ID);
		return payment === null ? refused('Checkout failed to start') :
			text(payment);
	},
	'POST payment_webhook': async (id, status) => {
		await DBOS.send(id, status, PAYMENT_STATUS);
		const order = await DBOS.getEvent(id, ORDER_ID);
		return order === null ? refused('Payment failed to process') :
			text(order);
	},
	'GET product': async () => json(await getProduct()),
	'GET orders': async () => json(await getOrders()),
	'GET order': async (id) => json(await getOrder(Number(id))),
	'POST restock': async () => {
		await restock();
		return json(null);
	},
};

async function answer(request, response) {
	const [, resource, ...rest] = request.url.split('/');
	const route = routes[`${request.method} ${resource}`];
	let [status, type, body] = [404, 'text/plain', ''];

	try {
		if (route !== undefined)
			[status, type, body] = await route(...rest);
	} catch (error) {
		[status, type, body] = [500, 'text/plain', error.message];
	}
	response.writeHead(status, {
		'Content-Type': type,
		'Content-Length': Buffer.byteLength(body),
	});
	response.end(body);
}

DBOS.setConfig({
	name: 'widget-store',
	systemDatabaseUrl: process.env.DATABASE_URL,
	systemDatabasePoolSize: env('SYSTEM_POOL', 50),
	notificationCoalesceMs: env('COALESCE_MS', 1),
	applicationVersion: '1',
	logLevel: 'error',
});
await DBOS.launch();
// For bench/measure ticks, which enqueues all dispatches at once.
await DBOS.registerQueue('checkout', {});

const server = http.createServer(answer);
server.keepAliveTimeout = 60000;
server.listen(env('PORT', 3000), '127.0.0.1', 1024);
process.on('SIGTERM', () => {
	server.close();
	void DBOS.shutdown().finally(() => process.exit(0));
});
