// SPDX-License-Identifier: MIT
//
// Transactions on node-postgres, as in DBOS Transact's documentation of data
// source plug-ins.  The published packages are for version 4 of the SDK and do
// not start with 5.3.  This one does the same with one statement less: it does
// not ask first whether the step has been recorded, because the insert of the
// record tells.

import { AsyncLocalStorage } from 'node:async_hooks';

import { DBOS } from '@dbos-inc/dbos-sdk';
import {
	assertStillOwnsWorkflow,
	DBOSStepAlreadyRecordedError,
	guardDataSourcePoolPG,
	initializeDataSourceSchemaPG,
	isPGRetriableTransactionError,
	registerDataSource,
	registerTransaction,
	replayRecordedStep,
} from '@dbos-inc/dbos-sdk/datasource';
import pg from 'pg';
import superjson from 'superjson';

const transaction = new AsyncLocalStorage();

// A statement with a name is prepared once in each connection.
const RECORD = {
	name: 'record',
	text: `insert into dbos.transaction_completion
		(workflow_id, function_num, output) values ($1, $2, $3)
		on conflict do nothing`,
};
const RECORDED = {
	name: 'recorded',
	text: `select output, error from dbos.transaction_completion
		where workflow_id = $1 and function_num = $2`,
};
const RECORD_ERROR = {
	name: 'record_error',
	text: `insert into dbos.transaction_completion
		(workflow_id, function_num, error) values ($1, $2, $3)
		on conflict do nothing`,
};
const FORGET = {
	name: 'forget',
	text: `delete from dbos.transaction_completion
		where workflow_id = $1 and function_num >= $2`,
};

class Handler {
	constructor(name, config) {
		this.name = name;
		this.config = config;
	}

	async initialize() {
		this.pool = new pg.Pool(this.config);
		guardDataSourcePoolPG(this.pool, 'pg');
		await this.run((client) => initializeDataSourceSchemaPG(
			async (sql) => (await client.query(sql)).rows, 'dbos'));
	}

	async destroy() {
		await this.pool.end();
	}

	async run(work) {
		const client = await this.pool.connect();
		try {
			await client.query('begin');
			const result = await work(client);
			await client.query('commit');
			client.release();
			return result;
		} catch (error) {
			await client.query('rollback').then(
				() => client.release(), (e) => client.release(e));
			throw error;
		}
	}

	async deleteCheckpoints(id, from, beforeCommit) {
		if (beforeCommit === undefined) {
			await this.pool.query(FORGET, [id, from]);
			return;
		}
		await this.run(async (client) => {
			await client.query(FORGET, [id, from]);
			await beforeCommit();
		});
	}

	async replay(id, step) {
		const { rows } = await this.pool.query(RECORDED, [id, step]);
		return replayRecordedStep(rows[0]);
	}

	async invokeTransactionFunction(config, target, func, ...args) {
		const id = DBOS.workflowID;
		const step = DBOS.stepID;

		for (let pause = 1; ; pause = Math.min(pause * 1.5, 2000)) {
			try {
				return await this.run(async (client) => {
					const result = await transaction.run(client,
						() => func.call(target, ...args));
					if (id === undefined)
						return result;
					const { rowCount } = await client.query(RECORD,
						[id, step, superjson.stringify(result)]);
					if (rowCount === 0)
						throw new DBOSStepAlreadyRecordedError(id, step);
					await assertStillOwnsWorkflow(id);
					return result;
				});
			} catch (error) {
				if (error instanceof DBOSStepAlreadyRecordedError)
					return await this.replay(id, step);
				if (isPGRetriableTransactionError(error)) {
					await new Promise((done) => setTimeout(done, pause));
					continue;
				}
				if (error.name === 'DBOSWorkflowConflictError' ||
				    id === undefined)
					throw error;
				const { rowCount } = await this.pool.query(RECORD_ERROR,
					[id, step, superjson.stringify(error)]);
				if (rowCount === 0)
					return await this.replay(id, step);
				throw error;
			}
		}
	}
}

export class DataSource {
	constructor(name, config) {
		this.name = name;
		registerDataSource(new Handler(name, config));
	}

	// The connection of the calling transaction.
	get client() {
		return transaction.getStore();
	}

	registerTransaction(func, config) {
		return registerTransaction(this.name, func, config);
	}
}
