// SPDX-License-Identifier: MIT
//
// What outlives a reload: the address says which view is open, and the
// session storage of the tab keeps the key of the purchase under way.

import { KEY_PATTERN, ORDER_PATTERN } from "./api.js";

/**
 * The open view.  In "missing" the id is what the address asks for.
 *
 * @typedef {object} Route
 * @property {"store" | "payment" | "order" | "missing"} view
 * @property {string} id  of the payment or the order, "" in the store
 * @property {"paid" | "failed" | null} asked  how the customer settled the
 *     payment, in the order view that follows
 */

const KEY_ITEM = "widget-store-key";

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
      view: ORDER_PATTERN.test(order) ? "order" : "missing",
      id: order,
      asked: asked === "paid" || asked === "failed" ? asked : null,
    };
  return { view: "store", id: "", asked: null };
}

/**
 * Makes the address that of the payment.  Back leads to the store.
 *
 * @param {string} id
 */
export function enterPayment(id) {
  history.pushState(null, "", `?payment=${encodeURIComponent(id)}`);
}

/**
 * Makes the address that of the order which a payment has led to, in place
 * of the payment's: there is no way back to that.
 *
 * @param {string} id
 * @param {"paid" | "failed"} asked
 */
export function enterOrder(id, asked) {
  history.replaceState({ asked }, "", `?order=${encodeURIComponent(id)}`);
}

/**
 * Goes where a link of the page leads.
 *
 * @param {string} href
 */
export function enterLink(href) {
  if (href !== location.href)
    history.pushState(null, "", href);
}

/**
 * The key of the purchase under way; a new one when there is none.  A second
 * click, a reload and a duplicated tab get the same.
 *
 * @returns {string}
 */
export function purchaseKey() {
  const stored = readKey();

  if (stored !== null && KEY_PATTERN.test(stored))
    return stored;
  const key = newKey();
  writeKey(key);
  return key;
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
