// SPDX-License-Identifier: MIT
//
// What the stories with the official SDK share: the SDK itself, TAP, and
// waiting.  The first argument is the URL of the database.
//
// NODE_MODULES names another directory with @dbos-inc/dbos-sdk.

import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";

export const here = dirname(fileURLToPath(import.meta.url));
export const modules = process.env.NODE_MODULES ?? join(here, "../node_modules");
const require = createRequire(`${modules}/`);
export const { DBOS, DBOSClient } = require("@dbos-inc/dbos-sdk");
export const { Client } = require("pg");

export const url = process.argv[2];
const WAIT_MS = 20000;
export const polling = { pollingIntervalMs: 50, timeoutSeconds: WAIT_MS / 1000 };
export const silent = { info() {}, debug() {}, warn() {}, error() {} };

let run = 0;
let failed = 0;

/** One assertion, which fails when the story throws. */
export async function promise(title, story) {
  let why = null;

  try {
    await story();
  } catch (error) {
    why = String(error?.stack ?? error);
    failed++;
  }
  console.log(`${why === null ? "ok" : "not ok"} ${++run} - ${title}`);
  if (why !== null)
    console.log(why.replace(/^/gm, "# "));
}

/** Prints the plan and exits. */
export function finish() {
  console.log(`1..${run}`);
  process.exit(failed === 0 ? 0 : 1);
}

export function equal(got, wanted, what) {
  if (!isDeepStrictEqual(got, wanted))
    throw new Error(`${what}: got ${JSON.stringify(got)}, ` +
      `wanted ${JSON.stringify(wanted)}`);
}

/** Asks until the answer is the wanted one; not longer than WAIT_MS. */
export async function until(ask, wanted, what) {
  const end = Date.now() + WAIT_MS;
  let got;

  while (!isDeepStrictEqual(got = await ask(), wanted)) {
    if (Date.now() > end)
      equal(got, wanted, what);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
