// SPDX-License-Identifier: MIT
//
// The list of recent orders, by pages: this browser's orders, or all.

import * as api from "./api.js";
import * as state from "./state.js";
import { get, set } from "./document.js";
import { showBadge } from "./views.js";

/** @import { Order, OrderRow, OwnOrder, Route } from "./types.js" */

const PAGE = 6;

const list = get("orders");
const empty = get("orders-empty");
const mine = get("orders-mine", HTMLButtonElement);
const all = get("orders-all", HTMLButtonElement);
const newer = get("orders-newer", HTMLButtonElement);
const older = get("orders-older", HTMLButtonElement);
const page = get("orders-page");

const NONE_OWN = "You have no orders yet. Only this browser remembers " +
  "your orders.";
const NONE = "No orders yet. New orders appear here.";

/** Whether the list shows this browser's orders, not all. */
let own = false;

/** Below which id each page begins, from the newest to the open one.
 * @type {(number | undefined)[]} */
let pages = [undefined];

/** Counts the rounds that asked for an own order. */
let turn = 0;

/** @type {Route} */
let route;

/** @param {() => void} changed  called when another page is to be shown */
export function listen(changed) {
  const go = (/** @type {boolean} */ ownOnly,
    /** @type {(number | undefined)[]} */ to) => {
    own = ownOnly;
    pages = to;
    empty.textContent = "Looking up the orders…";
    // Turning a page needs its orders, which have not come yet.
    turnOff(newer, true);
    turnOff(older, true);
    showPressed();
    if (own)
      showOwn();
    changed();
  };

  mine.addEventListener("click", () => go(true, [undefined]));
  all.addEventListener("click", () => go(false, [undefined]));
  newer.addEventListener("click", () => isOff(newer) ||
    go(own, pages.slice(0, -1)));
  older.addEventListener("click", () => isOff(older) ||
    go(own, [...pages, shownIds().at(-1)]));
  window.addEventListener("storage", () => own && showOwn());
}

/** @returns {number | undefined} the id below which to ask for all orders */
export const before = () => own ? undefined : pages.at(-1);

/**
 * An own order that is listed and not over: one after the other, those being
 * dispatched before those that wait.
 *
 * @returns {string} "order/ID", "" for none
 */
export function wanted() {
  const open = state.ownOrders().filter((order) =>
    own && !api.isOver(order.status));
  const moving = open.filter((order) => order.status === "paid");
  const asked = moving.length > 0 ? moving : open;

  return asked.length > 0 ? `order/${asked[turn++ % asked.length].id}` : "";
}

/**
 * @param {Route} open
 * @param {Order[]} orders  a page of all orders
 * @param {number | undefined} from  the id below which it was asked for
 * @returns {boolean} whether an own one is being dispatched
 */
export function showList(open, orders, from) {
  route = open;
  noteOwn(orders);
  if (own)
    showOwn();
  else if (from === pages.at(-1))
    show(orders, NONE);
  return state.ownOrders().some(({ id }) => orders.some((order) =>
    order.id === id && order.status === "paid"));
}

/** @param {Order[]} orders  as the server has just described them */
export function noteOwn(orders) {
  for (const known of state.ownOrders()) {
    const order = orders.find((other) => other.id === known.id);

    if (order !== undefined &&
        (order.status !== known.status || order.done !== known.done))
      state.rememberOrder({
        ...known, status: order.status, done: order.done,
      });
  }
  for (const order of own ? state.ownOrders() : orders) {
    const row = rows.get(order.id);

    if (row !== undefined)
      showRow(row, order);
  }
}

function showOwn() {
  const from = pages.at(-1) ?? Infinity;

  show(state.ownOrders().filter((order) => order.id < from)
    .slice(0, PAGE + 1), NONE_OWN);
}

/** The rows on the screen, by order. @type {Map<number, OrderRow>} */
const rows = new Map();

const shownIds = () => [...rows.keys()].sort((a, b) => b - a);

/**
 * @param {(Order | OwnOrder)[]} orders  newest first, one more than a page
 * @param {string} none  for an empty list
 */
function show(orders, none) {
  const shown = orders.slice(0, PAGE);
  const listed = new Set(shown.map((order) => order.id));

  for (const [id, row] of rows)
    if (!listed.has(id)) {
      row.item.remove();
      rows.delete(id);
    }

  // A row that stays is not moved, because it may have the focus.
  let next = list.firstElementChild;
  for (const order of shown) {
    const row = rows.get(order.id) ?? newRow(order.id);

    if (row.item === next)
      next = next.nextElementSibling;
    else
      list.insertBefore(row.item, next);
    showRow(row, order);
  }
  set(empty, none);
  empty.hidden = shown.length > 0;
  set(page, `Page ${pages.length}`);
  turnOff(newer, pages.length === 1);
  turnOff(older, orders.length <= PAGE);
  showPressed();
}

function showPressed() {
  set(mine, String(own), "aria-pressed");
  set(all, String(!own), "aria-pressed");
}

/** @param {HTMLButtonElement} button */
const isOff = (button) => button.getAttribute("aria-disabled") === "true";

/**
 * By aria-disabled alone, so that the button can keep the focus.
 *
 * @param {HTMLButtonElement} button
 * @param {boolean} off
 */
function turnOff(button, off) {
  button.disabled = false;
  set(button, off ? "true" : "", "aria-disabled");
}

/**
 * @param {number} id
 * @returns {OrderRow}
 */
function newRow(id) {
  const item = document.createElement("li");
  const link = document.createElement("a");
  const badge = document.createElement("span");
  const progress = document.createElement("progress");

  item.dataset.order = String(id);
  link.dataset.inPage = "";
  link.textContent = `Order #${id}`;
  progress.max = api.DISPATCH_STEPS;
  progress.setAttribute("aria-label", `Progress to dispatch of order ${id}`);
  item.append(link, badge, progress);

  const row = { item, link, badge, progress };
  rows.set(id, row);
  return row;
}

/**
 * @param {OrderRow} row
 * @param {Order | OwnOrder} order
 */
function showRow(row, order) {
  const open = route?.view === "order" && route.id === String(order.id);
  const toPay = "payment" in order && order.status === "pending";

  // An own order that waits leads to its payment.
  row.link.href = toPay ? `?payment=${order.payment}` : `?order=${order.id}`;
  showBadge(row.badge, order.status);
  row.progress.value = order.done;
  row.progress.hidden = order.status !== "paid";
  set(row.link, open ? "page" : "", "aria-current");
}
