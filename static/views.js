// SPDX-License-Identifier: MIT
//
// The views: shows data in the document, and does not talk to the server.

import { DISPATCH_STEPS } from "./api.js";
import { get, set } from "./document.js";

/** @import { Order, OrderStatus, Product } from "./types.js" */
/** @import { Route, Trouble } from "./types.js" */

/** With this many left or fewer, the stock is a warning. */
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

/** For any customer's order. @type {Record<OrderStatus, string>} */
const STATUS_SENTENCES = {
  cancelled: "This order was cancelled. Nothing was charged.",
  pending: "This order waits for its payment.",
  dispatched: "The widget is on its way.",
  paid: "The order is paid. The widget is being prepared.",
};

/** For an order that this tab has just paid. */
const THANKS = {
  dispatched: "Thank you. Your widget is on its way.",
  paid: "Thank you. Your widget is being prepared.",
};
const TOO_LATE = "This order had already been cancelled when you paid: the " +
  "time to pay was over, or it was cancelled elsewhere. The store has " +
  "recorded your payment and gives it back.";
const TAKEN_BACK = "You cancelled this order. Nothing was charged, and the " +
  "widget is back in stock.";
const EXPIRED = "The time to pay was over before the payment was confirmed. " +
  "Nothing was charged, and the widget is back in stock.";
const ALREADY_PAID = "This order had already been paid when you cancelled, " +
  "so it will be dispatched.";
const UNKNOWN_STATUS = "Looking up the order…";

/** @type {Record<Route["view"], string>} */
const TITLES = {
  store: "Widget Store",
  payment: "Payment · Widget Store",
  order: "Order · Widget Store",
  missing: "Not found · Widget Store",
};

const sections = {
  store: get("view-store"),
  payment: get("view-payment"),
  order: get("view-order"),
  missing: get("view-missing"),
};

/** The buttons, by action. */
export const buttons = {
  buy: get("buy", HTMLButtonElement),
  restock: get("restock", HTMLButtonElement),
  confirm: get("confirm", HTMLButtonElement),
  cancel: get("cancel", HTMLButtonElement),
  crash: get("crash", HTMLButtonElement),
};

/** The notes, where a view reports on an action. */
const notes = {
  store: get("store-note"),
  payment: get("payment-note"),
  crash: get("crash-note"),
  room: get("room-note"),
};

const shop = get("shop");
const connection = get("connection");
const productStock = get("product-stock");
const paymentOrder = get("payment-order");
const orderStages = get("order-stages");
const orderProgress = get("order-progress", HTMLProgressElement);
const orderUpdated = get("order-updated", HTMLTimeElement);


/**
 * Opens a view, without the data of an earlier one of its kind.
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
    set(get("payment-id"), route.id);
    set(paymentOrder, "Order being made");
    break;
  case "order":
    set(get("order-id"), `#${route.id}`);
    document.title = `Order #${route.id} · Widget Store`;
    showOrder(null, null);
    break;
  case "missing":
    showMissing("Not found",
      "This address is not that of a payment or an order.");
    break;
  }
  shop.hidden = false;
}

/**
 * Moves the focus to the heading of the view that has just opened.
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

  set(get("product-name"), product.name);
  set(get("product-description"), product.description);
  set(get("product-price"), cost);
  set(get("payment-product"), product.name);
  set(get("payment-price"), cost);
  set(get("payment-total"), cost);

  set(productStock, left <= 0 ? "Sold out" : left <= FEW ?
    `Only ${left} left!` : `In stock, ${left} left`);
  productStock.dataset.level = left <= 0 ? "none" : left <= FEW ? "few" :
    "many";
  buttons.buy.disabled = left <= 0;
}

/**
 * @param {Order?} order  null: not known yet
 * @param {Route["asked"]} asked  how its payment ended in this tab
 */
export function showOrder(order, asked) {
  const status = order === null ? null : order.status;
  const done = order === null ? 0 : order.done;

  showBadge(get("order-badge"), status);
  set(get("order-sentence"), sentence(status, asked));
  showStages(status);
  get("order-dispatch").hidden = status === "cancelled";
  orderProgress.value = done;
  set(get("order-steps"), status === "pending" || status === null ? "" :
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
  set(get("missing-title"), title);
  set(get("missing-sentence"), text);
}

/** @param {string} order  the id of the order to pay */
export function showPayment(order) {
  set(paymentOrder, `Order #${order}`);
}

/** @type {Record<Trouble, string>} */
const TROUBLES = {
  silent: "Connection lost, reconnecting…",
  busy: "The store is restarting, one moment…",
  garbled: "The store's answer makes no sense, asking again…",
};

/**
 * @param {Trouble?} trouble  null: the store answers
 * @param {number} [minutes]  for how long it has not answered
 */
export function showConnection(trouble, minutes = 0) {
  set(connection, trouble === null ? "" : minutes < 1 ? TROUBLES[trouble] :
    `The store has been down for ${minutes} ` +
    `${minutes === 1 ? "minute" : "minutes"}. Your orders are safe; this ` +
    "page will reconnect.");
}

/**
 * Shows the order's place among the three stages.
 *
 * @param {OrderStatus?} status
 */
function showStages(status) {
  const reached = status === "dispatched" ? 3 : status === "paid" ? 2 :
    status === "pending" ? 1 : 0;

  orderStages.hidden = status === "cancelled";
  [...orderStages.children].forEach((stage, place) => {
    set(stage, place < reached ? "done" : place === reached ? "next" : "later",
      "data-state");
    set(stage, place === reached && reached > 0 ? "step" : "", "aria-current");
  });
}

/**
 * Marks the button of the action under way, and turns the others off.  They
 * stay focusable, so that the keyboard does not lose its place.
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
 * @param {string} text  "" for an empty note
 * @param {"plain" | "bad"} [tone]
 */
export function showNote(place, text, tone = "plain") {
  set(notes[place], text);
  notes[place].dataset.tone = tone;
}

/**
 * The sentence about an order, as an answer to what was asked in this tab.
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
  if (asked === "expired")
    return status === "cancelled" ? EXPIRED : STATUS_SENTENCES[status];
  if (status === "cancelled")
    return asked === "paid" ? TOO_LATE : TAKEN_BACK;
  return asked === "paid" ? THANKS[status] : ALREADY_PAID;
}

/**
 * @param {HTMLElement} badge
 * @param {OrderStatus?} status
 */
export function showBadge(badge, status) {
  badge.className = "badge";
  badge.dataset.status = status ?? "unknown";
  set(badge, status === null ? "Unknown" : STATUS_NAMES[status]);
}
