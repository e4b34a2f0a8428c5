// SPDX-License-Identifier: MIT
//
// What outlives a reload: the address says which view is open, and the
// session storage of the tab keeps the key of the purchase under way.

import { KEY_PATTERN, ORDER_PATTERN } from "./api.js";

/** @import { Asked, OwnOrder, Route } from "./types.js" */

const KEY_ITEM = "widget-store-key";
const ORDERS_ITEM = "widget-store-orders";
const ROOM_HASH = "#machine-room";

/** No order has a greater id. */
const ORDER_MAX = Number.MAX_SAFE_INTEGER;

/** So many orders of its own a browser remembers. */
const OWN_ORDERS_MAX = 100;

/** The orders, where the browser lets a page store nothing. */
let ordersInMemory = "[]";

/** The key, where the browser lets a page store nothing. @type {string?} */
let keyInMemory = null;

/**
 * The route of the address that the browser shows now.
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
 * Makes the address that of the payment.  Back leads to the store.
 *
 * @param {string} id
 */
export function enterPayment(id) {
  history.pushState(null, "",
    `?payment=${encodeURIComponent(id)}${location.hash}`);
}

/**
 * Makes the address that of the order which a payment has led to, in place
 * of the payment's: there is no way back to that.
 *
 * @param {string} id
 * @param {Asked} asked
 */
export function enterOrder(id, asked) {
  history.replaceState({ asked }, "",
    `?order=${encodeURIComponent(id)}${location.hash}`);
}

/**
 * Goes where a link of the page leads.
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
 * The key of the purchase under way; a new one when there is none.  A second
 * click, a reload and a duplicated tab get the same.
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

/** Ends the purchase: the next one gets another key. */
export function endPurchase() {
  writeKey(null);
}

/** @returns {string} */
function newKey() {
  // Only where the page comes from this host or by HTTPS.
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
    // Then a reload forgets it, and nothing else.
  }
}

/**
 * The orders of this browser, newest first; in all of its tabs.
 *
 * @returns {OwnOrder[]}
 */
export function ownOrders() {
  let stored = ordersInMemory;

  try {
    stored = localStorage.getItem(ORDERS_ITEM) ?? "[]";
  } catch {
    // Then they last as long as the page.
  }
  try {
    return JSON.parse(stored).filter(isOwnOrder);
  } catch {
    return [];
  }
}

/** @param {OwnOrder} order  new, or with news */
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
