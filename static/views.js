// SPDX-License-Identifier: MIT
//
// The document: shows what it is given, and knows nothing of the server.

import { DISPATCH_STEPS } from "./api.js";

/** @typedef {import("./api.js").Product} Product */
/** @typedef {import("./api.js").Order} Order */
/** @typedef {import("./api.js").OrderStatus} OrderStatus */
/** @typedef {import("./state.js").Route} Route */

/** From so many on, what is left is worth a warning. */
const FEW = 10;

const price = new Intl.NumberFormat("en-US", {
  style: "currency", currency: "USD",
});
const moment = new Intl.DateTimeFormat(undefined, {
  dateStyle: "medium", timeStyle: "medium",
});

/** @type {Record<OrderStatus, string>} */
const STATUS_NAMES = {
  cancelled: "Cancelled",
  pending: "Pending",
  dispatched: "Dispatched",
  paid: "Paid",
};

/** Of any order, whoever bought it. @type {Record<OrderStatus, string>} */
const STATUS_SENTENCES = {
  cancelled: "This order was cancelled. Nothing was charged.",
  pending: "This order waits for its payment.",
  dispatched: "The widget is on its way.",
  paid: "The order is paid. The widget is being made ready.",
};

/** Of an order whose payment was settled here a moment ago. */
const THANKS = {
  dispatched: "Thank you. Your widget is on its way.",
  paid: "Thank you. Your widget is being made ready.",
};
const TOO_LATE = "This order had already been cancelled when you confirmed: " +
  "the time to pay was over, or it was cancelled elsewhere. Nothing was " +
  "charged, and the widget is back on the shelf.";
const TAKEN_BACK = "You cancelled this order. Nothing was charged, and the " +
  "widget is back on the shelf.";
const ALREADY_PAID = "This order had already been paid when you cancelled, " +
  "so it goes on.";
const UNKNOWN_STATUS = "Looking up the order…";

/** @type {Record<Route["view"], string>} */
const TITLES = {
  store: "Widget Store",
  payment: "Payment · Widget Store",
  order: "Order · Widget Store",
  missing: "Not found · Widget Store",
};

const sections = {
  store: get("view-store", HTMLElement),
  payment: get("view-payment", HTMLElement),
  order: get("view-order", HTMLElement),
  missing: get("view-missing", HTMLElement),
};

/** What can be pressed. */
export const buttons = {
  buy: get("buy", HTMLButtonElement),
  restock: get("restock", HTMLButtonElement),
  confirm: get("confirm", HTMLButtonElement),
  cancel: get("cancel", HTMLButtonElement),
  crash: get("crash", HTMLButtonElement),
};

/** Where a view says how an action goes. */
const notes = {
  store: get("store-note", HTMLElement),
  payment: get("payment-note", HTMLElement),
  crash: get("crash-note", HTMLElement),
};

const shop = get("shop", HTMLElement);
const connection = get("connection", HTMLElement);

const productName = get("product-name", HTMLElement);
const productDescription = get("product-description", HTMLElement);
const productPrice = get("product-price", HTMLElement);
const productStock = get("product-stock", HTMLElement);

const paymentId = get("payment-id", HTMLElement);
const paymentProduct = get("payment-product", HTMLElement);
const paymentPrice = get("payment-price", HTMLElement);

const orderId = get("order-id", HTMLElement);
const orderBadge = get("order-badge", HTMLElement);
const orderSentence = get("order-sentence", HTMLElement);
const orderDispatch = get("order-dispatch", HTMLElement);
const orderProgress = get("order-progress", HTMLProgressElement);
const orderSteps = get("order-steps", HTMLElement);
const orderUpdated = get("order-updated", HTMLTimeElement);

const missingTitle = get("missing-title", HTMLElement);
const missingSentence = get("missing-sentence", HTMLElement);

const ordersEmpty = get("orders-empty", HTMLElement);
const ordersList = get("orders", HTMLElement);

/**
 * Opens a view, empty of what an earlier one of its kind has shown.
 *
 * @param {Route} route
 */
export function openView(route) {
  for (const section of Object.values(sections))
    section.hidden = section !== sections[route.view];
  document.title = TITLES[route.view];
  showBusy(null);
  showNote("store", "");
  showNote("payment", "");

  switch (route.view) {
  case "store":
    break;
  case "payment":
    set(paymentId, route.id);
    break;
  case "order":
    set(orderId, `#${route.id}`);
    document.title = `Order #${route.id} · Widget Store`;
    showOrder(null, null);
    break;
  case "missing":
    showMissing("Not found",
      "The address names no payment and no order that a store could have.");
    break;
  }
  shop.hidden = false;
}

/**
 * Leads the keyboard and a screen reader to the view that has just opened.
 *
 * @param {Route} route
 */
export function focusView(route) {
  window.scrollTo(0, 0);
  sections[route.view].querySelector("h1")?.focus();
}

/** @param {Product} product */
export function showProduct(product) {
  const left = product.inventory;
  const cost = price.format(product.price);

  set(productName, product.name);
  set(productDescription, product.description);
  set(productPrice, cost);
  set(paymentProduct, product.name);
  set(paymentPrice, cost);

  set(productStock, left <= 0 ? "Sold out" : left <= FEW ?
    `Only ${left} left!` : `In stock, ${left} left`);
  productStock.dataset.level = left <= 0 ? "none" : left <= FEW ? "few" :
    "many";
  buttons.buy.disabled = left <= 0;
}

/**
 * @param {Order?} order  null: not known yet
 * @param {Route["asked"]} asked  what the customer wanted it to become
 */
export function showOrder(order, asked) {
  const status = order === null ? null : order.status;
  const done = order === null ? 0 : order.done;

  showBadge(orderBadge, status);
  set(orderSentence, sentence(status, asked));
  orderDispatch.hidden = status === "cancelled";
  orderProgress.value = done;
  set(orderSteps, status === "pending" || status === null ? "" :
    `${done} of ${DISPATCH_STEPS}`);
  if (order === null || Number.isNaN(order.updated.getTime())) {
    orderUpdated.removeAttribute("datetime");
    set(orderUpdated, "not yet known");
  } else {
    orderUpdated.dateTime = order.updated.toISOString();
    set(orderUpdated, moment.format(order.updated));
  }
}

/**
 * @param {string} title
 * @param {string} text
 */
export function showMissing(title, text) {
  set(missingTitle, title);
  set(missingSentence, text);
}

/** The rows on the screen, by order. @type {Map<number, OrderRow>} */
const rows = new Map();

/**
 * @param {Order[]} orders  newest first
 * @param {Route} route  the order that is open is marked
 */
export function showOrders(orders, route) {
  const listed = new Set(orders.map((order) => order.id));

  for (const [id, row] of rows)
    if (!listed.has(id)) {
      row.item.remove();
      rows.delete(id);
    }

  // A row that stays is left where it is: it may have the focus.
  let next = ordersList.firstElementChild;
  for (const order of orders) {
    const row = rows.get(order.id) ?? newRow(order.id);

    if (row.item === next)
      next = next.nextElementSibling;
    else
      ordersList.insertBefore(row.item, next);
    showRow(row, order, route);
  }
  set(ordersEmpty, "No orders yet. They appear here as they are placed.");
  ordersEmpty.hidden = orders.length > 0;
}

/** @param {boolean} away  the server does not answer */
export function showConnection(away) {
  set(connection, away ? "Connection lost, reconnecting…" : "");
}

/**
 * Marks the button whose action is under way, and holds the others back.
 * They stay focusable, so that the keyboard does not lose its place.
 *
 * @param {keyof typeof buttons | null} name  null: nothing is under way
 */
export function showBusy(name) {
  for (const [other, button] of Object.entries(buttons)) {
    if (button === buttons.crash)
      continue;
    set(button, other === name ? "true" : "", "aria-busy");
    set(button, name === null ? "" : "true", "aria-disabled");
  }
}

/**
 * @param {keyof typeof notes} place
 * @param {string} text  "" for nothing
 * @param {"plain" | "bad"} [tone]
 */
export function showNote(place, text, tone = "plain") {
  set(notes[place], text);
  notes[place].dataset.tone = tone;
}

/**
 * What an order has come to, in the words of whoever settled its payment.
 *
 * @param {OrderStatus?} status
 * @param {Route["asked"]} asked
 * @returns {string}
 */
function sentence(status, asked) {
  if (status === null)
    return UNKNOWN_STATUS;
  if (asked === null || status === "pending")
    return STATUS_SENTENCES[status];
  if (status === "cancelled")
    return asked === "paid" ? TOO_LATE : TAKEN_BACK;
  return asked === "paid" ? THANKS[status] : ALREADY_PAID;
}

/**
 * @typedef {object} OrderRow
 * @property {HTMLLIElement} item
 * @property {HTMLAnchorElement} link
 * @property {HTMLSpanElement} badge
 * @property {HTMLProgressElement} progress
 */

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
  link.href = `?order=${id}`;
  link.dataset.inPage = "";
  link.textContent = `Order #${id}`;
  progress.max = DISPATCH_STEPS;
  progress.setAttribute("aria-label", `Progress to dispatch of order ${id}`);
  item.append(link, badge, progress);

  const row = { item, link, badge, progress };
  rows.set(id, row);
  return row;
}

/**
 * @param {OrderRow} row
 * @param {Order} order
 * @param {Route} route
 */
function showRow(row, order, route) {
  const open = route.view === "order" && route.id === String(order.id);

  showBadge(row.badge, order.status);
  row.progress.value = order.done;
  row.progress.hidden = order.status !== "paid";
  set(row.link, open ? "page" : "", "aria-current");
}

/**
 * @param {HTMLElement} badge
 * @param {OrderStatus?} status
 */
function showBadge(badge, status) {
  badge.className = "badge";
  badge.dataset.status = status ?? "unknown";
  set(badge, status === null ? "Unknown" : STATUS_NAMES[status]);
}

/**
 * Changes a text, or an attribute ("" removes it), only when it differs: what
 * stays the same is not announced again.
 *
 * @param {HTMLElement} element
 * @param {string} value
 * @param {string} [attribute]
 */
function set(element, value, attribute) {
  if (attribute === undefined) {
    if (element.textContent !== value)
      element.textContent = value;
  } else if (value === "") {
    element.removeAttribute(attribute);
  } else {
    element.setAttribute(attribute, value);
  }
}

/**
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
function get(id, type) {
  const element = document.getElementById(id);

  if (!(element instanceof type))
    throw new Error(`the page has no ${id}`);
  return element;
}
