// SPDX-License-Identifier: MIT
//
// The page: what is polled, what the buttons do, and which view is open.

import * as api from "./api.js";
import * as list from "./orders.js";
import * as room from "./room.js";
import * as state from "./state.js";
import * as views from "./views.js";
import { startCountdown, stopCountdown } from "./countdown.js";
import { keepPolling } from "./poll.js";

/** @import { Order, OrderStatus, Patience } from "./types.js" */
/** @import { Route, Target, View } from "./types.js" */

/** How long the page waits before it asks again: while an order of ours moves,
 * else, and for one that waits for its payment. */
const BRISK_MS = 1000;
const CALM_MS = 3000;
const WAITING_MS = 30000;

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

/** Since when it gives none. */
let awaySinceMs = 0;

let crashes = 0;

/** The order of the open view. @type {Order?} */
let shown = null;

/** Until then there is no news of the subject, an order or a payment. */
let quietUntilMs = 0;

show();
const rounds = keepPolling(round);
const poll = () => {
  quietUntilMs = 0;
  rounds();
};
list.listen(poll);
room.listen(poll);
poll();

// Another tab has heard of an order: it is looked at in the next round.
window.addEventListener("storage", () => quietUntilMs = 0);

window.addEventListener("popstate", () => {
  const { view, id } = state.readRoute();

  // A step to #machine-room opens no view.
  if (view !== route.view || id !== route.id)
    open();
});
document.addEventListener("click", followLink);
press("buy", buy);
press("restock", restock);
press("confirm", () => settle("confirm", "paid"));
press("cancel", () => settle("cancel", "failed"));
views.buttons.crash.addEventListener("click", () => crash("", "crash"));
for (const button of document.querySelectorAll("[data-crash]"))
  button.addEventListener("click", () => crash(
    /** @type {Target} */ (button.getAttribute("data-crash")), "room"));

/** Shows the view of the address, empty at first. */
function show() {
  route = state.readRoute();
  shown = null;
  stopCountdown();
  views.openView(route);
  if (route.view === "payment")
    room.choose(`payment/${route.id}`, "your order");
  if (route.view === "order")
    room.choose(`order/${route.id}`, `order #${route.id}`);
}

/** Opens the view of the address. */
function open() {
  leaving.abort();
  leaving = new AbortController();
  busy = false;
  show();
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
  room.choose("", "");
  stopCountdown();
  views.openView(route);
  views.showMissing(title, sentence);
  views.focusView(route);
}

function openUnknown() {
  state.endPurchase();
  openMissing("Unknown payment",
    "This store knows no payment of this name. Nothing was charged.");
}

/**
 * Asks for what the open view shows, in one request.
 *
 * @returns {Promise<number>} milliseconds until it may have changed
 */
async function round() {
  const here = route;

  if (here.view === "store")
    chooseNewest();
  const subject = Date.now() < quietUntilMs ? "" : wanted(here);
  const from = list.before();
  let view;

  try {
    // Of an order that waits there is nothing new in the machine room.
    view = await api.fetchView(subject, from, room.asks() &&
      (subject === "" || quietUntilMs === 0));
  } catch (error) {
    return missed(error);
  }
  views.showConnection(null);
  misses = 0;
  views.showProduct(view.product);
  const moving = list.showList(here, view.orders, from);
  const status = hear(here, subject, view);
  room.show(view, subject, status !== null && api.isOver(status));
  return moving || status === "paid" ? BRISK_MS : CALM_MS;
}

/**
 * Which order or payment there is to ask about.
 *
 * @param {Route} here
 */
function wanted(here) {
  if (here.view === "payment")
    return `payment/${here.id}`;
  if (here.view === "order" && !(shown !== null && api.isOver(shown.status)))
    return `order/${here.id}`;
  return room.wanted() || list.wanted();
}

/**
 * Shows what was heard of an order or a payment.
 *
 * @param {Route} here
 * @param {string} subject
 * @param {View} view
 * @returns {OrderStatus?} what the subject has come to
 */
function hear(here, subject, view) {
  const status = view.order?.status ?? view.payment?.status ?? null;

  if (subject !== "")
    quietUntilMs = status === null || status === "pending" ?
      Date.now() + WAITING_MS : 0;
  if (view.order !== null)
    list.noteOwn([view.order]);
  if (here !== route)
    return status;
  if (here.view === "payment")
    hearOfPayment(here, subject, view);
  if (here.view === "order")
    hearOfOrder(here, subject, view);
  return status;
}

/**
 * @param {unknown} error
 * @returns {number} milliseconds until the next attempt
 */
function missed(error) {
  const trouble = error instanceof api.Unavailable ? error.trouble : "busy";

  if (misses === 0)
    awaySinceMs = Date.now();
  quietUntilMs = 0;
  views.showConnection(trouble,
    Math.floor((Date.now() - awaySinceMs) / 60000));
  return misses++ === 0 ? BRISK_MS : CALM_MS;
}

/**
 * Shows until when the payment can be made; leads to its order when it was
 * settled in the meantime, by whomever.
 *
 * @param {Route} here
 * @param {string} subject
 * @param {View} view
 */
function hearOfPayment(here, subject, { payment }) {
  if (subject === "" && state.ownOrders().some((own) =>
    own.payment === here.id && own.status !== "pending"))
    quietUntilMs = 0;
  if (subject === "" || busy)
    return;
  if (payment === null) {
    openUnknown();
    return;
  }
  if (payment.order === null || payment.status === null) {
    quietUntilMs = 0;
    return;
  }
  state.rememberOrder({
    id: Number(payment.order), payment: here.id, status: payment.status,
    done: payment.status === "dispatched" ? api.DISPATCH_STEPS : 0,
  });
  room.choose(subject, `order #${payment.order}`);
  views.showPayment(payment.order);
  startCountdown(payment.expiresMs);
  if (payment.expiresMs !== null)
    quietUntilMs = Math.min(quietUntilMs,
      Date.now() + payment.expiresMs - api.serverNow());
  if (payment.status !== "pending") {
    state.endPurchase();
    // The server's clock is known to a second: it may seem not to be over yet.
    state.enterOrder(payment.order, payment.status === "cancelled" &&
      payment.expiresMs !== null &&
      payment.expiresMs <= api.serverNow() + 1000 ? "expired" : null);
    open();
  }
}

/** In the store, the journal is that of the newest order of this browser. */
function chooseNewest() {
  const own = state.ownOrders()[0];

  if (own === undefined)
    room.choose("", "");
  else
    room.choose(`payment/${own.payment}`, `order #${own.id}`);
}

/**
 * Shows the order of the open view, also when it was only listed.
 *
 * @param {Route} here
 * @param {string} subject
 * @param {View} view
 */
function hearOfOrder(here, subject, view) {
  const order = [view.order, ...view.orders].find((one) =>
    one?.id === Number(here.id));

  if (order) {
    shown = order;
    views.showOrder(order, here.asked);
  } else if (subject === `order/${here.id}`) {
    openMissing(`No order #${here.id}`,
      "This store has no order of this number.");
  }
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
 * @param {(patience: Patience) => Promise<void>} action
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
      onWait: () => views.showNote(place, waiting),
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
      await forgetSettled(patience.signal);
      const payment = await api.checkout(state.purchaseKey(), patience);

      state.enterPayment(payment);
      open();
    },
    (refusal) => {
      // A key that is refused for its own sake stays refused.
      if (refusal.status === 404 || refusal.status === 409)
        state.endPurchase();
      views.showNote("store", refusal.status === 404 ? SOLD_OUT :
        `The store refused: ${refusal.message}.`, "bad");
    });
}

/**
 * Ends a purchase that was begun in the store before and settled elsewhere, in
 * another tab or by the clock: who buys now wants another widget.
 *
 * @param {AbortSignal} signal
 */
async function forgetSettled(signal) {
  const key = state.purchaseUnderWay();

  if (key === null)
    return;
  try {
    const { payment } = await api.fetchView(`payment/${key}`, undefined,
      false);

    if ((payment?.status ?? "pending") !== "pending")
      state.endPurchase();
  } catch {
    // Then the checkout tells.
  }
  signal.throwIfAborted();
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

      state.rememberOrder({
        id: Number(order), payment, status: "pending", done: 0,
      });
      state.endPurchase();
      state.enterOrder(order, outcome);
      open();
    },
    (refusal) => {
      if (refusal.status === 404)
        openUnknown();
      else
        views.showNote("payment",
          `The store refused: ${refusal.message}.`, "bad");
    });
}

/**
 * @param {Target} target
 * @param {"crash" | "room"} place  where it says how it goes
 */
async function crash(target, place) {
  const times = ++crashes === 1 ? "once" : `${crashes} times`;

  views.showNote(place, `Pressed ${times}. Watch the orders go on.`);
  if (!await api.crash(target))
    views.showNote(place, "This store does not let itself be crashed.",
      "bad");
  poll();
}
