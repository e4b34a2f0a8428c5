// SPDX-License-Identifier: MIT
//
// The page: polls the store, does what the buttons say, and opens the views.

import * as api from "./api.js";
import * as list from "./orders.js";
import * as room from "./room.js";
import * as state from "./state.js";
import * as views from "./views.js";
import { startCountdown, stopCountdown } from "./countdown.js";
import { keepPolling } from "./poll.js";

/** @import { Order, OrderStatus, Patience } from "./types.js" */
/** @import { Route, Target, View } from "./types.js" */

/** The pauses between rounds: while an own order is being dispatched,
 * otherwise, and for an own order that waits for its payment. */
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

/** Ends the requests of the open view when it is left. */
let leaving = new AbortController();

/** Whether an action of the open view is under way. */
let busy = false;

/** How many rounds in a row got no answer. */
let misses = 0;

/** When the first of these rounds was. */
let awaySinceMs = 0;

let crashes = 0;

/** The order of the open view. @type {Order?} */
let shown = null;

/** Until then the subject, an order or a payment, is not asked for. */
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

// Another tab has stored news of an order: the next round asks for it.
window.addEventListener("storage", () => quietUntilMs = 0);

window.addEventListener("popstate", () => {
  const { view, id } = state.readRoute();

  // A change of the hash alone opens no view.
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

/** Shows the address's view, without data at first. */
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

/** Leaves the open view and opens the address's. */
function open() {
  leaving.abort();
  leaving = new AbortController();
  busy = false;
  show();
  views.focusView(route);
  poll();
}

/**
 * Replaces the open view: its subject does not exist.
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
    "This store has no payment with this id. Nothing was charged.");
}

/**
 * Asks for what the open view shows, in one request.
 *
 * @returns {Promise<number>} milliseconds until the next round
 */
async function round() {
  const here = route;

  if (here.view === "store")
    chooseNewest();
  const subject = Date.now() < quietUntilMs ? "" : wanted(here);
  const from = list.before();
  let view;

  try {
    // The journal of an order that waits does not change.
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
 * The subject to ask for: an order or a payment, "" for none.
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
 * Shows the news of an order or a payment.
 *
 * @param {Route} here
 * @param {string} subject
 * @param {View} view
 * @returns {OrderStatus?} the subject's status
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
 * @returns {number} milliseconds until the next round
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
 * Shows until when the payment can be made; opens its order when the payment
 * was settled elsewhere or has expired.
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
    // serverNow may be a second late, and the time may not seem over yet.
    state.enterOrder(payment.order, payment.status === "cancelled" &&
      payment.expiresMs !== null &&
      payment.expiresMs <= api.serverNow() + 1000 ? "expired" : null);
    open();
  }
}

/** The store view has the journal of this browser's newest order. */
function chooseNewest() {
  const own = state.ownOrders()[0];

  if (own === undefined)
    room.choose("", "");
  else
    room.choose(`payment/${own.payment}`, `order #${own.id}`);
}

/**
 * Shows the order of the open view, from the answer or from its list.
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
      "This store has no order with this number.");
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
 * Whether this is the second click of a double click.  The first may have
 * opened another view, where the customer did not mean to click.
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
 * Does an action of the open view, unless another one is under way.
 *
 * @param {"buy" | "restock" | "confirm" | "cancel"} name
 * @param {"store" | "payment"} place  of its note
 * @param {string} doing  the note at first
 * @param {string} waiting  the note after an attempt without an answer
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
      // These will not change for this key.
      if ([403, 404, 409].includes(refusal.status))
        state.endPurchase();
      views.showNote("store", refusal.status === 404 ? SOLD_OUT :
        `The store refused: ${refusal.message}.`, "bad");
    });
}

/**
 * Ends this tab's purchase if its payment was settled in another tab or has
 * expired, so that Buy Now buys another widget.
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
    // Then the checkout uses the same key.
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
 * @param {"crash" | "room"} place  of its note
 */
async function crash(target, place) {
  const times = ++crashes === 1 ? "once" : `${crashes} times`;

  views.showNote(place, `Pressed ${times}. Watch the orders continue.`);
  if (!await api.crash(target))
    views.showNote(place, "This store does not allow crashes.", "bad");
  poll();
}
