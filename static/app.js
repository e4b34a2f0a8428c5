// SPDX-License-Identifier: MIT
//
// The page: what is polled, what the buttons do, and which view is open.

import * as api from "./api.js";
import * as state from "./state.js";
import * as views from "./views.js";
import { keepPolling } from "./poll.js";

/** @typedef {import("./state.js").Route} Route */
/** @typedef {import("./api.js").Order} Order */

const ORDERS_LISTED = 20;

const BRISK_MS = 1000;
const CALM_MS = 3000;

/** How long the page waits before it asks again a server that is away. */
const AWAY_MS = [300, 600, 1200, 2400];

const SOLD_OUT = "Sorry, the last widget has just been sold. " +
  "Nothing was charged.";
const STILL_BUYING = "The store does not answer yet. Trying again: " +
  "you will get one widget, not two.";
const STILL_SETTLING = "The store does not answer yet. Trying again: " +
  "this payment counts once.";
const STILL_RESTOCKING = "The store does not answer yet. Trying again…";

/** The open view. @type {Route} */
let route = state.readRoute();

/** Ends what the open view has asked for, when it is left. */
let leaving = new AbortController();

/** The action under way in the open view. */
let busy = false;

/** Rounds in a row to which the server gave no answer. */
let misses = 0;

let productKnown = false;
let crashes = 0;

views.openView(route);
const poll = keepPolling(round);
poll();

window.addEventListener("popstate", () => open());
document.addEventListener("click", followLink);
press("buy", buy);
press("restock", restock);
press("confirm", () => settle("confirm", "paid"));
press("cancel", () => settle("cancel", "failed"));
views.buttons.crash.addEventListener("click", crash);

/** Opens the view of the address. */
function open() {
  leaving.abort();
  leaving = new AbortController();
  busy = false;
  route = state.readRoute();
  views.openView(route);
  views.focusView(route);
  poll();
}

/**
 * Says, in place of the open view, that there is no such thing.
 *
 * @param {string} title
 * @param {string} sentence
 */
function openMissing(title, sentence) {
  route = { view: "missing", id: route.id, asked: null };
  views.openView(route);
  views.showMissing(title, sentence);
  views.focusView(route);
}

/**
 * Asks for what the open view shows.
 *
 * @returns {Promise<number>} milliseconds until it may have changed
 */
async function round() {
  const here = route;
  let moving = false;
  const asked = [
    api.fetchOrders(ORDERS_LISTED).then((orders) => {
      views.showOrders(orders, route);
      moving ||= orders.some((order) => order.status === "paid");
    }),
  ];

  if (here.view === "store" || !productKnown)
    asked.push(api.fetchProduct().then((product) => {
      views.showProduct(product);
      productKnown = true;
    }));
  if (here.view === "order")
    asked.push(lookUp(here).then((order) => {
      moving ||= order !== null && order.status !== "cancelled" &&
        order.status !== "dispatched";
    }));

  const answers = await Promise.allSettled(asked);
  if (answers.some((answer) => answer.status === "rejected")) {
    views.showConnection(true);
    return AWAY_MS[Math.min(misses++, AWAY_MS.length - 1)];
  }
  views.showConnection(false);
  if (misses > 0) {
    misses = 0;
    api.hurry();
  }
  return moving ? BRISK_MS : CALM_MS;
}

/**
 * Shows the order of the open view.
 *
 * @param {Route} here
 * @returns {Promise<Order?>} null when there is none
 */
async function lookUp(here) {
  let order = null;

  try {
    order = await api.fetchOrder(here.id);
  } catch (error) {
    if (!(error instanceof api.Refused && error.status < 500))
      throw error;
  }
  if (here === route && order !== null)
    views.showOrder(order, here.asked);
  else if (here === route)
    openMissing(`No order #${here.id}`,
      "This store has no order of this number.");
  return order;
}

/**
 * Follows a link within the page without loading it again.
 *
 * @param {MouseEvent} event
 */
function followLink(event) {
  const target = event.target;
  const link = target instanceof Element ?
    target.closest("a[data-in-page]") : null;

  if (!(link instanceof HTMLAnchorElement) || event.button !== 0 ||
      event.metaKey || event.ctrlKey || event.shiftKey || event.altKey)
    return;
  event.preventDefault();
  if (isEcho(event))
    return;
  state.enterLink(link.href);
  open();
}

/**
 * Whether it is the second click of a double click.  The first may have opened
 * another view: what lies under the pointer now is not what was meant.
 *
 * @param {MouseEvent} event
 */
function isEcho(event) {
  return event.detail > 1;
}

/**
 * @param {Exclude<keyof typeof views.buttons, "crash">} name
 * @param {() => void} action
 */
function press(name, action) {
  views.buttons[name].addEventListener("click", (event) => {
    if (!isEcho(event))
      action();
  });
}

/**
 * Does one action of the open view; nothing while another is under way.
 *
 * @param {"buy" | "restock" | "confirm" | "cancel"} name
 * @param {"store" | "payment"} place  where it says how it goes
 * @param {string} doing
 * @param {string} waiting  once an attempt was not answered
 * @param {(patience: import("./api.js").Patience) => Promise<void>} action
 * @param {(refusal: api.Refused) => void} refused
 */
async function act(name, place, doing, waiting, action, refused) {
  const { signal } = leaving;

  if (busy)
    return;
  busy = true;
  views.showBusy(name);
  views.showNote(place, doing);
  try {
    await action({
      signal,
      onWait: () => {
        views.showNote(place, waiting);
        poll();
      },
    });
  } catch (error) {
    if (signal.aborted)
      return;
    if (!(error instanceof api.Refused))
      throw error;
    refused(error);
  } finally {
    if (!signal.aborted) {
      busy = false;
      views.showBusy(null);
      poll();
    }
  }
}

function buy() {
  act("buy", "store", "Reserving your widget…", STILL_BUYING,
    async (patience) => {
      const payment = await api.checkout(state.purchaseKey(), patience);

      state.enterPayment(payment);
      open();
    },
    (refusal) => {
      // A key that was refused stays refused.
      state.endPurchase();
      views.showNote("store", refusal.status === 404 ? SOLD_OUT :
        `The store refused: ${refusal.message}.`, "bad");
    });
}

function restock() {
  act("restock", "store", "Restocking…", STILL_RESTOCKING,
    async (patience) => {
      await api.restock(patience);
      views.showNote("store", "Restocked.");
    },
    (refusal) => views.showNote("store",
      `The store refused: ${refusal.message}.`, "bad"));
}

/**
 * @param {"confirm" | "cancel"} name
 * @param {"paid" | "failed"} outcome
 */
function settle(name, outcome) {
  const payment = route.id;

  act(name, "payment",
    outcome === "paid" ? "Confirming your payment…" :
      "Cancelling your payment…",
    STILL_SETTLING,
    async (patience) => {
      const order = await api.settle(payment, outcome, patience);

      state.endPurchase();
      state.enterOrder(order, outcome);
      open();
    },
    (refusal) => {
      state.endPurchase();
      if (refusal.status === 404)
        openMissing("Unknown payment",
          "This store knows no payment of this name. Nothing was charged.");
      else
        views.showNote("payment",
          `The store refused: ${refusal.message}.`, "bad");
    });
}

async function crash() {
  const times = ++crashes === 1 ? "once" : `${crashes} times`;

  views.showNote("crash", `Pressed ${times}. Watch the orders go on.`);
  if (!await api.crash())
    views.showNote("crash", "This store does not let itself be crashed.",
      "bad");
  poll();
}
