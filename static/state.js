// SPDX-License-Identifier: MIT
//
// What outlives a reload: the view in the address, the purchase's key in the
// tab's session storage, the orders in the browser's local storage.

import { KEY_PATTERN, ORDER_PATTERN } from "./api.js";

/** @import { Asked, OwnOrder, Route } from "./types.js" */

const KEY_ITEM = "widget-store-key";
const ORDERS_ITEM = "widget-store-orders";
const ROOM_HASH = "#machine-room";

/** The greatest order id: greater numbers are not exact in JSON. */
const ORDER_MAX = Number.MAX_SAFE_INTEGER;

/** How many orders a browser remembers. */
const OWN_ORDERS_MAX = 100;

/** The orders, for a browser that denies storage. */
let ordersInMemory = "[]";

/** The key, for a browser that denies storage. @type {string?} */
let keyInMemory = null;

/**
 * The route that the address names.
 *
 * @returns {Route}
 */
export function readRoute() {
  const query = new URLSearchParams(location.search);
  const payment = query.get("payment");
  const order = query.get("order");
  const asked = history.state?.asked;

  if (payment !== null)
    return {
      view: KEY_PATTERN.test(payment) ? "payment" : "missing",
      id: payment,
      asked: null,
    };
  if (order !== null)
    return {
      view: ORDER_PATTERN.test(order) && Number(order) <= ORDER_MAX ? "order" :
        "missing",
      id: order,
      asked: ["paid", "failed", "expired"].includes(asked) ? asked : null,
    };
  return { view: "store", id: "", asked: null };
}

/**
 * Makes the address that of a payment; Back then leads to the store.
 *
 * @param {string} id
 */
export function enterPayment(id) {
  history.pushState(null, "",
    `?payment=${encodeURIComponent(id)}${location.hash}`);
}

/**
 * Replaces the address of a payment by that of its order, so that Back does
 * not lead to a payment that is settled.
 *
 * @param {string} id
 * @param {Asked} asked
 */
export function enterOrder(id, asked) {
  history.replaceState({ asked }, "",
    `?order=${encodeURIComponent(id)}${location.hash}`);
}

/**
 * Makes the address that of a link of the page.
 *
 * @param {string} href
 */
export function enterLink(href) {
  const address = new URL(href);

  // The machine room stays as open as it was.
  address.hash = location.hash;
  if (address.href !== location.href)
    history.pushState(null, "", address);
}

/** @returns {boolean} whether the address asks for the machine room */
export function readRoomOpen() {
  return location.hash === ROOM_HASH;
}

/** @param {boolean} open */
export function keepRoomOpen(open) {
  if (open !== readRoomOpen())
    history.replaceState(history.state, "",
      location.pathname + location.search + (open ? ROOM_HASH : ""));
}

/**
 * The key of the purchase under way, or a new one.  A second click, a reload
 * and a duplicated tab get the same key.
 *
 * @returns {string}
 */
export function purchaseKey() {
  const key = purchaseUnderWay() ?? newKey();

  writeKey(key);
  return key;
}

/** @returns {string?} the key of the purchase under way */
export function purchaseUnderWay() {
  const key = readKey();

  return key !== null && KEY_PATTERN.test(key) ? key : null;
}

/** Ends the purchase, so that the next one gets another key. */
export function endPurchase() {
  writeKey(null);
}

/** @returns {string} */
function newKey() {
  // Browsers have it only for a page from HTTPS or from this host.
  if (typeof crypto.randomUUID === "function")
    return crypto.randomUUID();
  return Array.from(crypto.getRandomValues(new Uint8Array(16)),
    (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @returns {string?} */
function readKey() {
  try {
    return sessionStorage.getItem(KEY_ITEM);
  } catch {
    return keyInMemory;
  }
}

/** @param {string?} key */
function writeKey(key) {
  keyInMemory = key;
  try {
    if (key === null)
      sessionStorage.removeItem(KEY_ITEM);
    else
      sessionStorage.setItem(KEY_ITEM, key);
  } catch {
    // Denied: a reload forgets the key.
  }
}

/**
 * The orders of this browser, from all its tabs, newest first.
 *
 * @returns {OwnOrder[]}
 */
export function ownOrders() {
  let stored = ordersInMemory;

  try {
    stored = localStorage.getItem(ORDERS_ITEM) ?? "[]";
  } catch {
    // Denied: the orders last as long as the page.
  }
  try {
    return JSON.parse(stored).filter(isOwnOrder);
  } catch {
    return [];
  }
}

/** @param {OwnOrder} order  new, or changed */
export function rememberOrder(order) {
  const others = ownOrders().filter((other) => other.id !== order.id);
  const all = [order, ...others].sort((a, b) => b.id - a.id);

  ordersInMemory = JSON.stringify(all.slice(0, OWN_ORDERS_MAX));
  try {
    localStorage.setItem(ORDERS_ITEM, ordersInMemory);
  } catch {
    // Denied, or full.
  }
}

/** @param {any} order */
function isOwnOrder(order) {
  return Number.isInteger(order?.id) && KEY_PATTERN.test(order.payment) &&
    typeof order.status === "string" && Number.isInteger(order.done);
}
