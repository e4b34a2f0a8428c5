// SPDX-License-Identifier: MIT
//
// The store's HTTP interface, as functions.  Reading is tried once: the page
// polls.  What changes something is repeated until it is answered, because
// every such request can be: it carries a key, or does the same when it is
// done twice.

/**
 * @typedef {object} Product
 * @property {string} name
 * @property {string} description
 * @property {number} inventory  how many can be bought
 * @property {number} price  in dollars
 */

/** @typedef {"cancelled" | "pending" | "dispatched" | "paid"} OrderStatus */

/**
 * @typedef {object} Order
 * @property {number} id
 * @property {OrderStatus} status
 * @property {Date} updated  when the status or the progress last changed
 * @property {number} done  steps towards dispatch, of DISPATCH_STEPS
 * @property {string?} workflow  that made it, where the store tells it
 */

/**
 * @typedef {object} Payment
 * @property {string} id
 * @property {string?} order  its order; null as long as there is none
 * @property {OrderStatus?} status  of the order
 * @property {number?} expiresMs  until when it can be paid
 */

/**
 * A process that lives, or one that has died.
 *
 * @typedef {object} Process
 * @property {string} program  web, daemon or postgresql
 * @property {string} role  master, worker or server
 * @property {number?} pid
 * @property {number} atMs  since when it lives, or when it died
 * @property {number} deaths  how often one in its place has died
 */

/**
 * @typedef {object} Room
 * @property {Process[]} processes  that live
 * @property {Process[]} deaths  the last ones, newest first
 * @property {{orders: number, crashes: number, lost: number}} totals
 */

/**
 * @typedef {object} Step
 * @property {number} function_id  its place in the journal
 * @property {string} name
 * @property {number} started_ms
 * @property {number} completed_ms
 * @property {string?} child_id  the workflow that it started
 * @property {boolean} error
 * @property {number?} run  index of the run that executed it
 */

/**
 * What one process did of a workflow without a break.
 *
 * @typedef {object} Run
 * @property {number} pid
 * @property {number} began_ms
 * @property {number} ended_ms
 * @property {"suspended" | "finished"} end
 */

/**
 * A workflow's journal, as the server writes it.
 *
 * @typedef {object} Workflow
 * @property {string} workflow_id
 * @property {string} name
 * @property {string} status
 * @property {number} created_ms
 * @property {number} updated_ms
 * @property {{what: string, until_ms: number?}?} waits_for
 * @property {Step[]} steps
 * @property {Run[]} runs
 * @property {string[]} children
 */

/** @typedef {"web" | "executor" | "database" | "everything" | ""} Target */

/**
 * What accompanies a request that is repeated.
 *
 * @typedef {object} Patience
 * @property {AbortSignal} signal  ends it: nobody waits for it any more
 * @property {() => void} onWait  called after each attempt without answer
 */

/** A paid order is dispatched after so many steps. */
export const DISPATCH_STEPS = 10;

/** What a key and a payment id look like. */
export const KEY_PATTERN = /^[A-Za-z0-9._~-]{1,128}$/;

/** What an order id looks like. */
export const ORDER_PATTERN = /^[1-9][0-9]{0,9}$/;

const READ_TIMEOUT_MS = 5000;

// Longer than the server lets a request wait: its answer comes first.
const ACT_TIMEOUT_MS = 35000;

const FIRST_PAUSE_MS = 300;
const LONGEST_PAUSE_MS = 5000;
const LONGEST_RETRY_AFTER_MS = 10000;

/** Answers that ask for another attempt. */
const LATER = [429, 502, 503, 504];

/** @type {Map<number, OrderStatus>} */
const STATUSES = new Map([
  [-1, "cancelled"], [0, "pending"], [1, "dispatched"], [2, "paid"],
]);

/** After an action of its own a page wants answers that nobody shares. */
const FRESH_MS = 2000;

/**
 * Why nothing is known: nobody answered, the store is not ready, or what came
 * is nothing that a store says.
 *
 * @typedef {"silent" | "busy" | "garbled"} Trouble
 */

/** There was no answer, or none that settles anything: try again. */
export class Unavailable extends Error {
  /**
   * @param {string} message
   * @param {Trouble} trouble
   * @param {number} [retryAfterMs]  not before this, says the server
   */
  constructor(message, trouble, retryAfterMs = 0) {
    super(message);
    this.name = "Unavailable";
    this.trouble = trouble;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The store answered, and would answer the same again. */
export class Refused extends Error {
  /**
   * @param {number} status
   * @param {string} message  a sentence of the server's
   */
  constructor(status, message) {
    super(message);
    this.name = "Refused";
    this.status = status;
  }
}

/**
 * @returns {Promise<Product>}
 */
export async function fetchProduct() {
  return readProduct(parse(await send("GET", "product", READ_TIMEOUT_MS)));
}

/**
 * Orders of everybody, newest first.
 *
 * @param {number} limit
 * @param {number} [before]  the newest of them is older than this one
 * @returns {Promise<Order[]>}
 */
export async function fetchOrders(limit, before) {
  const from = before === undefined ? "" : `&before=${before}`;
  const rows = parse(await send("GET", `orders?limit=${limit}${from}`,
    READ_TIMEOUT_MS));

  if (!Array.isArray(rows))
    throw new Unavailable("the orders are no list", "garbled");
  return rows.map(readOrder).sort((a, b) => b.id - a.id);
}

/**
 * An order; Refused with 404 when there is none of this id.
 *
 * @param {string} id
 * @returns {Promise<Order>}
 */
export async function fetchOrder(id) {
  return readOrder(parse(await send("GET", `order/${id}`, READ_TIMEOUT_MS)));
}

/**
 * A payment; Refused with 404 when there is none of this id.
 *
 * @param {string} id
 * @returns {Promise<Payment>}
 */
export async function fetchPayment(id) {
  return readPayment(parse(await send("GET", `payment/${id}`,
    READ_TIMEOUT_MS)));
}

/**
 * The processes; Refused with 404 where the store does not show them.
 *
 * @returns {Promise<Room>}
 */
export async function fetchProcesses() {
  return readRoom(parse(await send("GET", "processes", READ_TIMEOUT_MS)));
}

/**
 * A workflow; Refused with 404 when there is none of this id (yet).
 *
 * @param {string} id
 * @returns {Promise<Workflow>}
 */
export async function fetchWorkflow(id) {
  const flow = parse(await send("GET", `workflow/${id}`, READ_TIMEOUT_MS));

  if (!Array.isArray(flow?.steps) || !Array.isArray(flow.runs) ||
      !Array.isArray(flow.children))
    throw new Unavailable("the answer is no workflow", "garbled");
  return flow;
}

/**
 * Buys one widget, once for each key.  Refused with 404: it is sold out.
 *
 * @param {string} key
 * @param {Patience} patience
 * @returns {Promise<string>} the payment id
 */
export function checkout(key, patience) {
  return repeat(patience, async () => {
    const id = await act(`checkout/${key}`, patience);

    if (!KEY_PATTERN.test(id))
      throw new Unavailable("the answer is no payment id", "garbled");
    return id;
  });
}

/**
 * Tells the store how a payment ended.  The first word counts: the order may
 * have ended otherwise.  Refused with 404: there is no such payment.
 *
 * @param {string} payment
 * @param {"paid" | "failed"} outcome
 * @param {Patience} patience
 * @returns {Promise<string>} the order id
 */
export function settle(payment, outcome, patience) {
  return repeat(patience, async () => {
    const id = await act(`payment_webhook/${payment}/${outcome}`, patience);

    if (!ORDER_PATTERN.test(id))
      throw new Unavailable("the answer is no order id", "garbled");
    return id;
  });
}

/**
 * Fills the shelf.
 *
 * @param {Patience} patience
 */
export async function restock(patience) {
  await repeat(patience, () => act("restock", patience));
}

/**
 * Makes a part of the store crash.  It is not repeated, and often not
 * answered either: whoever should answer is dead.
 *
 * @param {Target} target  "": web and executor
 * @returns {Promise<boolean>} whether the store allows it
 */
export async function crash(target) {
  try {
    await send("POST", `crash_application${target && `/${target}`}`,
      READ_TIMEOUT_MS);
  } catch (error) {
    return !(error instanceof Refused && error.status === 404);
  }
  return true;
}

/** The server's clock minus ours; its Date header has whole seconds. */
let skewMs = NaN;

/** Until when answers are asked for that nobody shares. */
let freshUntilMs = 0;

/** @returns {number} the time by the server's clock, in milliseconds */
export function serverNow() {
  return Date.now() + (Number.isNaN(skewMs) ? 0 : skewMs);
}

/** @type {Set<() => void>} */
const pauses = new Set();

/** Ends every pause between attempts: the server is known to be back. */
export function hurry() {
  for (const end of [...pauses])
    end();
}

/**
 * A time with a random part, so that a thousand pages do not come at once.
 *
 * @param {number} ms
 * @returns {number} between half of it and all of it
 */
export function jitter(ms) {
  return ms / 2 + Math.random() * ms / 2;
}

/**
 * @param {string} path
 * @param {Patience} patience
 */
async function act(path, patience) {
  const body = await send("POST", path, ACT_TIMEOUT_MS, patience.signal);

  freshUntilMs = Date.now() + FRESH_MS;
  return body.trim();
}

/**
 * Makes attempts until one is answered or nobody waits any more.
 *
 * @template T
 * @param {Patience} patience
 * @param {() => Promise<T>} attempt
 * @returns {Promise<T>}
 */
async function repeat(patience, attempt) {
  for (let failures = 0; ; failures++) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof Unavailable))
        throw error;
      patience.onWait();
      await pause(pauseMs(failures, error.retryAfterMs), patience.signal);
    }
  }
}

/**
 * @param {number} failures  so far, before this one
 * @param {number} retryAfterMs
 */
function pauseMs(failures, retryAfterMs) {
  const own = jitter(Math.min(FIRST_PAUSE_MS * 2 ** failures,
    LONGEST_PAUSE_MS));
  const asked = Math.min(retryAfterMs, LONGEST_RETRY_AFTER_MS);

  // Never all at the very moment that the server named.
  return asked > own ? asked + jitter(FIRST_PAUSE_MS) : own;
}

/**
 * @param {number} ms
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      pauses.delete(end);
      signal.removeEventListener("abort", end);
      if (signal.aborted)
        reject(signal.reason);
      else
        resolve();
    };
    const timer = setTimeout(end, ms);

    pauses.add(end);
    signal.addEventListener("abort", end);
    if (signal.aborted)
      end();
  });
}

/**
 * One request.  Throws Unavailable, Refused, or the signal's reason.
 *
 * @param {"GET" | "POST"} method
 * @param {string} path  relative to the page
 * @param {number} timeoutMs
 * @param {AbortSignal} [signal]
 * @returns {Promise<string>} the body of a good answer
 */
async function send(method, path, timeoutMs, signal) {
  const controller = new AbortController();
  const stop = () => controller.abort();
  const timer = setTimeout(stop, timeoutMs);
  let response;
  let body;

  signal?.throwIfAborted();
  signal?.addEventListener("abort", stop);
  try {
    // "no-cache" asks every time, but lets the answer be 304.
    response = await fetch(path, {
      method,
      cache: Date.now() < freshUntilMs ? "no-store" : "no-cache",
      signal: controller.signal,
    });
    body = await response.text();
    readDate(response.headers.get("Date"));
  } catch (error) {
    signal?.throwIfAborted();
    throw new Unavailable(`no answer: ${error}`, "silent");
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  }

  if (LATER.includes(response.status))
    throw new Unavailable(`status ${response.status}`, "busy",
      readRetryAfter(response.headers.get("Retry-After")));
  if (!response.ok)
    throw new Refused(response.status, readError(body));
  return body;
}

/**
 * Learns the server's time.  A Date is up to a second old, so that the latest
 * one seen is the truest, unless a clock was set.
 *
 * @param {string | null} value
 */
function readDate(value) {
  const skew = Date.parse(value ?? "") - Date.now();

  if (!Number.isNaN(skew) && !(skew <= skewMs && skew > skewMs - 3000))
    skewMs = skew;
}

/**
 * RFC 9110, section 10.2.3: seconds, or a date.
 *
 * @param {string | null} value
 * @returns {number} milliseconds
 */
function readRetryAfter(value) {
  if (value === null)
    return 0;
  const ms = /^[0-9]+$/.test(value) ? Number(value) * 1000 :
    Date.parse(value) - Date.now();
  return Number.isFinite(ms) ? Math.max(ms, 0) : 0;
}

/**
 * @param {string} body
 * @returns {string} a sentence, as long as it can be shown
 */
function readError(body) {
  try {
    const { error } = JSON.parse(body);
    if (typeof error === "string" && error.length <= 200)
      return error;
  } catch {
    // Somebody else than the store answered.
  }
  return "The store gave no reason";
}

/**
 * @param {string} body
 * @returns {any}
 */
function parse(body) {
  try {
    return JSON.parse(body);
  } catch {
    throw new Unavailable("the answer is not JSON", "garbled");
  }
}

/**
 * @param {any} row
 * @returns {Product}
 */
function readProduct(row) {
  const price = Number(row?.price);
  const inventory = Number(row?.inventory);

  if (!row?.product || !Number.isFinite(price) ||
      !Number.isInteger(inventory))
    throw new Unavailable("the answer is no product", "garbled");
  return {
    name: String(row.product),
    description: String(row.description ?? ""),
    inventory,
    price,
  };
}

/**
 * @param {any} row
 * @returns {Order}
 */
function readOrder(row) {
  const id = Number(row?.order_id);
  const status = STATUSES.get(Number(row?.order_status));
  const remaining = Number(row?.progress_remaining);

  if (!Number.isInteger(id) || status === undefined ||
      !Number.isFinite(remaining))
    throw new Unavailable("the answer is no order", "garbled");
  return {
    id,
    status,
    updated: new Date(row.last_update_time),
    done: Math.min(Math.max(DISPATCH_STEPS - remaining, 0), DISPATCH_STEPS),
    workflow: KEY_PATTERN.test(row.workflow_id ?? "") ? row.workflow_id : null,
  };
}

/**
 * @param {any} row
 * @returns {Payment}
 */
function readPayment(row) {
  if (typeof row?.payment_id !== "string")
    throw new Unavailable("the answer is no payment", "garbled");
  return {
    id: row.payment_id,
    order: Number.isInteger(row.order_id) ? String(row.order_id) : null,
    status: STATUSES.get(row.order_status) ?? null,
    expiresMs: Number.isFinite(row.expires_ms) ? row.expires_ms : null,
  };
}

/**
 * @param {any} room
 * @returns {Room}
 */
function readRoom(room) {
  /** @param {any} row @returns {Process} */
  const read = (row) => ({
    program: String(row.program),
    role: String(row.role),
    pid: row.pid,
    atMs: row.since_ms ?? row.at_ms,
    deaths: row.deaths ?? 0,
  });

  if (!Array.isArray(room?.processes) || !Array.isArray(room.deaths) ||
      !Number.isInteger(room.totals?.orders))
    throw new Unavailable("the answer is no machine room", "garbled");
  return {
    processes: room.processes.map(read),
    deaths: room.deaths.map(read),
    totals: room.totals,
  };
}
