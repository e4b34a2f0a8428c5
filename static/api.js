// SPDX-License-Identifier: MIT
//
// The store's HTTP interface, as functions.  A GET is sent once, because the
// page polls.  A POST is repeated until it is answered, which is safe: it has
// a key, or the same effect when it is done twice.

/** @import { Order, OrderStatus, Patience, Payment } from "./types.js" */
/** @import { Process, Product, Room, Target, Trouble } from "./types.js" */
/** @import { View } from "./types.js" */

/** The steps of a dispatch. */
export const DISPATCH_STEPS = 10;

/**
 * Dispatched and cancelled orders never change again.
 *
 * @param {OrderStatus} status
 */
export const isOver = (status) =>
  status === "cancelled" || status === "dispatched";

/** What a key and a payment id look like.  A path cannot end in dots alone. */
export const KEY_PATTERN = /^(?!\.{1,2}$)[A-Za-z0-9._~-]{1,128}$/;

/** What an order id looks like. */
export const ORDER_PATTERN = /^[1-9][0-9]{0,15}$/;

const READ_TIMEOUT_MS = 5000;

// Longer than the server lets a request wait: its 503 comes first.
const ACT_TIMEOUT_MS = 35000;

const FIRST_PAUSE_MS = 300;
const LONGEST_PAUSE_MS = 2400;
const LONGEST_RETRY_AFTER_MS = 10000;

/** @type {Map<number, OrderStatus>} */
const STATUSES = new Map([
  [-1, "cancelled"], [0, "pending"], [1, "dispatched"], [2, "paid"],
]);

/** For this long after an action, the page asks for unshared answers. */
const FRESH_MS = 2000;

/** The outcome is unknown: the request may be repeated. */
export class Unavailable extends Error {
  /**
   * @param {string} message
   * @param {Trouble} trouble
   * @param {number} [retryAfterMs]  the server's Retry-After
   */
  constructor(message, trouble, retryAfterMs = 0) {
    super(message);
    this.name = "Unavailable";
    this.trouble = trouble;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The store refused the request; a repetition would be refused, too. */
export class Refused extends Error {
  /**
   * @param {number} status
   * @param {string} message  the server's sentence
   * @param {string} [order]  that it is about
   */
  constructor(status, message, order) {
    super(message);
    this.name = "Refused";
    this.status = status;
    this.order = order;
  }
}

/**
 * Asks for all that a view shows, in one request.
 *
 * @param {string} subject  "order/ID", "payment/KEY", or "" for the public
 *     part alone
 * @param {number | undefined} before  list only orders below this id
 * @param {boolean} room  with the machine room
 * @returns {Promise<View>}
 */
export async function fetchView(subject, before, room) {
  const query = new URLSearchParams();

  if (before !== undefined)
    query.set("before", String(before));
  if (room)
    query.set("room", "1");
  return readView(await send("GET",
    `view${subject && `/${subject}`}?${query}`, READ_TIMEOUT_MS));
}

/**
 * Buys one widget, once for each key.  Refused with 404: it is sold out.
 *
 * @param {string} key
 * @param {Patience} patience
 * @returns {Promise<string>} the payment id
 */
export const checkout = (key, patience) =>
  act(`checkout/${key}`, KEY_PATTERN, patience);

/**
 * Tells the store how a payment ended.  Only a payment's first call counts, so
 * the order may have ended differently, and the payment be too late.  Refused
 * with 404: it is unknown.
 *
 * @param {string} payment
 * @param {"paid" | "failed"} outcome
 * @param {Patience} patience
 * @returns {Promise<string>} the order id
 */
export const settle = (payment, outcome, patience) =>
  act(`payment_webhook/${payment}/${outcome}`, ORDER_PATTERN, patience)
    .catch((error) => error.order ?? Promise.reject(error));

/**
 * Fills the stock.
 *
 * @param {Patience} patience
 */
export const restock = (patience) => act("restock", /^null$/, patience);

/**
 * Makes a part of the store crash.  The request is not repeated, and often the
 * crash leaves it without an answer.
 *
 * @param {Target} target  "": web and executor
 * @returns {Promise<boolean>} whether the store allows it
 */
export async function crash(target) {
  try {
    await send("POST", `crash_application${target && `/${target}`}`,
      READ_TIMEOUT_MS);
  } catch (error) {
    return !(error instanceof Refused);
  }
  return true;
}

/** The server's clock minus the browser's; see readDate. */
let skewMs = NaN;

/** See FRESH_MS. */
let freshUntilMs = 0;

/** @returns {number} the time by the server's clock, in milliseconds */
export function serverNow() {
  return Date.now() + (Number.isNaN(skewMs) ? 0 : skewMs);
}

/**
 * A random time, so that many pages do not ask at the same moment.
 *
 * @param {number} ms
 * @returns {number} between half of it and all of it
 */
export function jitter(ms) {
  return ms / 2 + Math.random() * ms / 2;
}

/**
 * Repeats a POST until it is answered or the signal ends it.
 *
 * @param {string} path
 * @param {RegExp} pattern  of a good answer
 * @param {Patience} patience
 */
async function act(path, pattern, { signal, onWait }) {
  for (let failures = 0; ; failures++) {
    try {
      const body = await send("POST", path, ACT_TIMEOUT_MS, signal);

      if (!pattern.test(body))
        throw new Unavailable("the answer is malformed", "garbled");
      freshUntilMs = Date.now() + FRESH_MS;
      return body;
    } catch (error) {
      if (!(error instanceof Unavailable))
        throw error;
      onWait();
      await pause(pauseMs(failures, error.retryAfterMs), signal);
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

  // Pages with the same Retry-After must not come back together.
  return retryAfterMs > own ? Math.min(retryAfterMs, LONGEST_RETRY_AFTER_MS) +
    jitter(FIRST_PAUSE_MS) : own;
}

/**
 * @param {number} ms
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    setTimeout(resolve, ms);
    signal.addEventListener("abort", () => reject(signal.reason));
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
  const signals = [AbortSignal.timeout(timeoutMs), ...signal ? [signal] : []];
  let response;
  let body;

  try {
    // "no-cache" asks every time, and allows 304.
    response = await fetch(path, {
      method,
      // By this, nginx tells our page's requests from another site's.
      headers: { "X-Requested-With": "fetch" },
      cache: Date.now() < freshUntilMs ? "no-store" : "no-cache",
      signal: AbortSignal.any(signals),
    });
    body = (await response.text()).trim();
    readDate(response.headers.get("Date"));
  } catch (error) {
    signal?.throwIfAborted();
    throw new Unavailable(`no answer: ${error}`, "silent");
  }

  // A failure of the server does not tell the outcome.
  if (response.status === 429 || response.status >= 500)
    throw new Unavailable(`status ${response.status}`, "busy",
      1000 * Number(response.headers.get("Retry-After")));
  if (!response.ok)
    throw new Refused(response.status, readError(body),
      /"order_id": (\d+)/.exec(body)?.[1]);
  return body;
}

/**
 * Learns the server's time.  A Date is up to a second late, so the greatest
 * skew is the best one; one far below it means that a clock was set.
 *
 * @param {string | null} value
 */
function readDate(value) {
  const skew = Date.parse(value ?? "") - Date.now();

  if (!Number.isNaN(skew) && !(skew <= skewMs && skew > skewMs - 3000))
    skewMs = skew;
}

/**
 * @param {string} body
 * @returns {string} a sentence
 */
function readError(body) {
  try {
    const { error } = JSON.parse(body);
    if (typeof error === "string" && error.length <= 200)
      return error;
  } catch {
    // The answer is not the store's.
  }
  return "The store gave no reason";
}

/**
 * @param {string} body
 * @returns {View}
 */
function readView(body) {
  let view;

  try {
    view = JSON.parse(body);
  } catch {
    throw new Unavailable("the answer is not JSON", "garbled");
  }
  if (!Array.isArray(view?.orders) ||
      !(Array.isArray(view.workflows ?? [])))
    throw new Unavailable("the answer is not a view", "garbled");
  return {
    product: readProduct(view.product),
    orders: view.orders.map(readOrder),
    order: view.order && readOrder(view.order),
    payment: view.payment && readPayment(view.payment),
    room: view.room && readRoom(view.room),
    workflows: view.workflows,
  };
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
    throw new Unavailable("the product is malformed", "garbled");
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
    throw new Unavailable("the order is malformed", "garbled");
  return {
    id,
    status,
    updated: new Date(row.last_update_time),
    done: Math.min(Math.max(DISPATCH_STEPS - remaining, 0), DISPATCH_STEPS),
  };
}

/**
 * @param {any} row
 * @returns {Payment}
 */
function readPayment(row) {
  if (typeof row?.payment_id !== "string")
    throw new Unavailable("the payment is malformed", "garbled");
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
    throw new Unavailable("the machine room is malformed", "garbled");
  return {
    processes: room.processes.map(read),
    deaths: room.deaths.map(read),
    totals: room.totals,
  };
}
