// SPDX-License-Identifier: MIT
//
// The list of recent orders: those of this browser, or everybody's, by pages.

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

const NONE_OWN = "You have no orders yet. They are remembered by this " +
  "browser alone.";
const NONE = "No orders yet. They appear here as they are placed.";

/** Whose are shown. */
let own = false;

/** Where each page that was left by Older begins: below which order.
 * @type {(number | undefined)[]} */
let pages = [undefined];

/** Which unsettled order of ours is asked for next. */
let turn = 0;

/** @type {Route} */
let route;

/** @param {() => void} changed  called when others are to be shown */
export function listen(changed) {
  const go = (/** @type {boolean} */ whose,
    /** @type {(number | undefined)[]} */ to) => {
    own = whose;
    pages = to;
    empty.textContent = "Looking up the orders…";
    // A page that has not come is no place to turn from.
    turnOff(newer, true);
    turnOff(older, true);
    showWhose();
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

/** @returns {number | undefined} below which order everybody's begin */
export const before = () => own ? undefined : pages.at(-1);

/**
 * An order of ours that is listed and not over: each in its turn, those
 * that move before those that wait.
 *
 * @returns {string} its place in the view, "" for none
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
 * @param {Order[]} orders  of everybody
 * @param {number | undefined} from  below which order they were to begin
 * @returns {boolean} whether one of ours moves
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

/** @param {Order[]} orders  what was heard of them */
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
 * @param {(Order | OwnOrder)[]} orders  newest first, and one of the next page
 * @param {string} none
 */
function show(orders, none) {
  const shown = orders.slice(0, PAGE);
  const listed = new Set(shown.map((order) => order.id));

  for (const [id, row] of rows)
    if (!listed.has(id)) {
      row.item.remove();
      rows.delete(id);
    }

  // A row that stays is left where it is: it may have the focus.
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
  showWhose();
}

function showWhose() {
  set(mine, String(own), "aria-pressed");
  set(all, String(!own), "aria-pressed");
}

/** @param {HTMLButtonElement} button */
const isOff = (button) => button.getAttribute("aria-disabled") === "true";

/**
 * A button that has the focus keeps it.
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

  // An order of ours that waits for its payment can be paid.
  row.link.href = toPay ? `?payment=${order.payment}` : `?order=${order.id}`;
  showBadge(row.badge, order.status);
  row.progress.value = order.done;
  row.progress.hidden = order.status !== "paid";
  set(row.link, open ? "page" : "", "aria-current");
}
