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

/** @typedef {import("./state.js").Route} Route */
/** @typedef {import("./api.js").Order} Order */

const BRISK_MS = 1000;
const CALM_MS = 2000;

/** Dispatched and cancelled orders never change again. */
const isOver = (/** @type {Order} */ order) =>
  order.status === "cancelled" || order.status === "dispatched";

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

/** Since when it gives none. */
let awaySinceMs = 0;

let productKnown = false;
let crashes = 0;

/** The order of the open view. @type {Order?} */
let shown = null;

/** Everything is asked for at once: just opened, or just acted. */
let all = true;

/** Whether the next single request is for the list. */
let listsTurn = false;

show();
const poll = keepPolling(round);
const pollRoom = keepPolling(room.round);
const pollAll = () => {
  all = true;
  poll();
};
list.listen(pollAll);
room.listen(pollRoom);
poll();
pollRoom();

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
    /** @type {api.Target} */ (button.getAttribute("data-crash")), "room"));

/** Shows the view of the address, empty at first. */
function show() {
  route = state.readRoute();
  shown = null;
  stopCountdown();
  views.openView(route);
  if (route.view === "payment")
    room.choose(route.id, "your order");
}

/** Opens the view of the address. */
function open() {
  leaving.abort();
  leaving = new AbortController();
  busy = false;
  show();
  views.focusView(route);
  pollAll();
  pollRoom();
}

/**
 * Says, in place of the open view, that there is no such thing.
 *
 * @param {string} title
 * @param {string} sentence
 */
function openMissing(title, sentence) {
  route = { view: "missing", id: route.id, asked: null };
  stopCountdown();
  views.openView(route);
  views.showMissing(title, sentence);
  views.focusView(route);
}

/**
 * Asks for what the open view shows: everything at first, then one thing at
 * a time.
 *
 * @returns {Promise<number>} milliseconds until it may have changed
 */
async function round() {
  const here = route;
  const mine = ask(here);
  const asked = all || mine.length === 0 || listsTurn ?
    [() => list.fetchList(here)] : [];
  let moving = false;

  if (all || !listsTurn)
    asked.push(...mine);
  all = false;
  listsTurn = !listsTurn;

  const answers = await Promise.allSettled(asked.map((one) => one()));
  for (const answer of answers) {
    if (answer.status === "fulfilled")
      moving ||= answer.value;
    else
      return missed(answer.reason);
  }
  views.showConnection(null);
  if (here.view === "store")
    chooseNewest();
  if (misses > 0) {
    misses = 0;
    api.hurry();
    all = true;
    pollRoom();
  }
  return all ? 0 : moving || here.view === "payment" ? BRISK_MS : CALM_MS;
}

/**
 * What the open view wants to know, besides the list.
 *
 * @param {Route} here
 * @returns {(() => Promise<boolean>)[]}
 */
function ask(here) {
  const wanted = [];

  if (here.view === "store" || !productKnown)
    wanted.push(lookAtShelf);
  if (here.view === "payment")
    wanted.push(() => lookAtPayment(here));
  if (here.view === "order" && !(shown !== null && isOver(shown)))
    wanted.push(() => lookUp(here));
  return wanted;
}

/**
 * @param {unknown} error
 * @returns {number} milliseconds until the next attempt
 */
function missed(error) {
  const trouble = error instanceof api.Unavailable ? error.trouble : "busy";

  if (misses === 0)
    awaySinceMs = Date.now();
  all = true;
  views.showConnection(trouble,
    Math.floor((Date.now() - awaySinceMs) / 60000));
  return AWAY_MS[Math.min(misses++, AWAY_MS.length - 1)];
}

async function lookAtShelf() {
  views.showProduct(await api.fetchProduct());
  productKnown = true;
  return false;
}

/**
 * Shows until when the payment can be made; leads to its order when it was
 * settled in the meantime, by whomever.
 *
 * @param {Route} here
 */
async function lookAtPayment(here) {
  let payment;

  try {
    payment = await api.fetchPayment(here.id);
  } catch (error) {
    if (!(error instanceof api.Refused && error.status < 500))
      throw error;
    if (here === route && !busy) {
      state.endPurchase();
      openMissing("Unknown payment",
        "This store knows no payment of this name. Nothing was charged.");
    }
    return false;
  }
  if (payment.order === null || payment.status === null)
    return true;
  state.rememberOrder({
    id: Number(payment.order), payment: here.id, status: payment.status,
    done: payment.status === "dispatched" ? api.DISPATCH_STEPS : 0,
  });
  if (here !== route || busy)
    return true;
  room.choose(here.id, `order #${payment.order}`);
  views.showPayment(payment.order);
  startCountdown(payment.expiresMs);
  if (payment.status !== "pending") {
    state.endPurchase();
    state.enterOrder(payment.order, payment.status === "cancelled" &&
      payment.expiresMs !== null && payment.expiresMs <= api.serverNow() ?
      "expired" : null);
    open();
  }
  return true;
}

/** In the store, the journal is that of the newest order of this browser. */
function chooseNewest() {
  const own = state.ownOrders()[0];

  room.choose(own?.payment ?? null, own === undefined ? "" :
    `order #${own.id}`);
}

/**
 * Shows the order of the open view.
 *
 * @param {Route} here
 */
async function lookUp(here) {
  let order;

  try {
    order = await api.fetchOrder(here.id);
  } catch (error) {
    if (!(error instanceof api.Refused && error.status < 500))
      throw error;
    if (here === route)
      openMissing(`No order #${here.id}`,
        "This store has no order of this number.");
    return false;
  }
  list.noteOwn([order]);
  if (here === route) {
    shown = order;
    views.showOrder(order, here.asked);
    room.choose(order.workflow, `order #${order.id}`);
  }
  return !isOver(order);
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
        pollAll();
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
      pollAll();
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

/**
 * @param {api.Target} target
 * @param {"crash" | "room"} place  where it says how it goes
 */
async function crash(target, place) {
  const times = ++crashes === 1 ? "once" : `${crashes} times`;

  views.showNote(place, `Pressed ${times}. Watch the orders go on.`);
  if (!await api.crash(target))
    views.showNote(place, "This store does not let itself be crashed.",
      "bad");
  pollAll();
  pollRoom();
}
