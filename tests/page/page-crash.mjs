// SPDX-License-Identifier: MIT
//
// Stories of the page in which a crash button is pressed at the same moment as
// another button or link.  They run at the same time, each with a customer of
// its own, and wait for one another before they crash the store, so that each
// meets the crashes of the others, too.

import {
  DISPATCH_MS, ask, atOnce, badge, button, buy, crash, customer, equal, heading,
  ownOrders, promise, sentence, settle, stockShown, store, twins,
  visit,
} from "./browser.mjs";

const statusOf = async (order) =>
  JSON.parse((await ask("GET", `order/${order}`)).text).order_status;

/** Checks that the browser has one order, and its status in the store. */
async function oneOrder(tab, status) {
  const own = await ownOrders(tab);

  equal(own.length, 1, "orders of this browser");
  equal(await statusOf(own[0].id), status, "order_status");
}

const CANCELLED = -1;
const PENDING = 0;
const DISPATCHED = 1;

/** Title, crash button, and the story around pressing it. */
const stories = [
  ["Buy Now", "web", async (tab, press) => {
    await press(() => button(tab, "Buy Now").click());
    await heading(tab, "Payment Confirmation");
    await settle(tab, "Confirm Payment");
    await badge(tab, "Dispatched", DISPATCH_MS);
    await oneOrder(tab, DISPATCHED);
  }],
  ["a reload of a paid order", "everything", async (tab, press) => {
    await buy(tab);
    await settle(tab, "Confirm Payment");
    await press(() => tab.reload());
    await badge(tab, "Dispatched", DISPATCH_MS);
    await oneOrder(tab, DISPATCHED);
  }],
  ["Cancel Payment", "database", async (tab, press) => {
    await buy(tab);
    await press(() => settle(tab, "Cancel Payment"));
    await badge(tab, "Cancelled");
    await sentence(tab, "You cancelled this order");
    await oneOrder(tab, CANCELLED);
  }],
  ["Back from the payment page", "executor", async (tab, press) => {
    const payment = await buy(tab);

    await press(() => tab.goBack());
    await heading(tab, "Premium Quality Widget");
    equal(await buy(tab), payment, "payment");
    await tab.locator("#payment-order", { hasText: "#" }).waitFor();
    await oneOrder(tab, PENDING);
    await settle(tab, "Cancel Payment");
  }],
  ["a double click on Buy Now", "web", async (tab, press) => {
    await press(() => button(tab, "Buy Now").dblclick());
    await heading(tab, "Payment Confirmation");
    await tab.locator("#payment-order", { hasText: "#" }).waitFor();
    await oneOrder(tab, PENDING);
    await settle(tab, "Cancel Payment");
  }],
  ["Confirm Payment in another tab", "executor", async (tab, press, bob) => {
    const payment = await buy(tab);
    const other = await visit(bob, `?payment=${payment}`);

    await press(() => button(other, "Confirm Payment").click());
    await tab.waitForURL("**/?order=*");
    await badge(tab, "Dispatched", DISPATCH_MS);
    await oneOrder(tab, DISPATCHED);
  }],
  ["Buy Now in two tabs with one key", "database", async (tab, press, bob) => {
    const { tabs } = await twins(bob);

    await press(() => Promise.all(tabs.map((one) =>
      button(one, "Buy Now").click())));
    await Promise.all(tabs.map((one) =>
      heading(one, "Payment Confirmation")));
    await settle(tabs[0], "Cancel Payment");
    await tabs[1].waitForURL("**/?order=*");
    await badge(tabs[1], "Cancelled");
    await oneOrder(tab, CANCELLED);
  }],
  ["Confirm Payment of a cancelled order", "everything", async (tab, press) => {
    const payment = await buy(tab);

    await tab.route("**/view/payment/*", (route) => route.abort());
    await ask("POST", `payment_webhook/${payment}/failed`);
    await press(() => settle(tab, "Confirm Payment"));
    await badge(tab, "Cancelled");
    await sentence(tab, "recorded your payment and gives it back");
  }],
  ["a bookmark of an unknown order", "database", async (tab, press) => {
    await press(() => tab.goto(new URL("?order=2000000000", store).href));
    await heading(tab, "No order #2000000000");
  }],
  ["a bookmark of an unknown payment", "everything", async (tab, press) => {
    await press(() =>
      tab.goto(new URL("?payment=unknown", store).href));
    await heading(tab, "Unknown payment");
  }],
  ["turning to older orders", "web", async (tab, press) => {
    await press(() => button(tab, "Older").click());
    await tab.getByText("Page 2").waitFor();
    await tab.locator("#orders li").nth(5).waitFor();
  }],
  ["watching a journal", "executor", async (tab, press) => {
    await tab.locator("#machine-room summary").click();
    await buy(tab);
    await settle(tab, "Confirm Payment");
    await tab.locator("#journal .replay").first().waitFor();
    await press();
    await tab.locator("#journal .crash").first().waitFor();
    await tab.locator("#journal-state", { hasText: "finished" })
      .waitFor({ timeout: DISPATCH_MS });
    await badge(tab, "Dispatched");
    await oneOrder(tab, DISPATCHED);
  }],
];

let coming = stories.length;
let open;
const allCame = new Promise((resolve) => open = resolve);

/** Counts a story that is ready for its crash, or has failed before. */
function come() {
  if (--coming === 0)
    open();
}

async function tell(story, part) {
  const bob = await customer();
  const tab = await visit(bob);
  let came = false;
  const press = async (act = () => {}) => {
    came = true;
    come();
    await allCame;
    await crash(tab, part);
    await act();
  };

  try {
    await stockShown(tab, "left");
    await story(tab, press, bob);
  } finally {
    if (!came)
      come();
  }
  await bob.close();
}

export async function tellCrashes() {
  await ask("POST", "restock");
  const told = stories.map(([title, part, story]) => [
    `${title} keeps its promise in a crash of ${part}`,
    atOnce(tell(story, part)),
  ]);

  for (const [title, story] of told)
    await promise(title, story);
}
