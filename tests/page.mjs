// SPDX-License-Identifier: MIT
//
// The page in a real browser, against a real store: node page.mjs URL.
// page.tap starts the store, and takes nginx away and brings it back when it
// is told so: a line on descriptor 3, answered by one on descriptor 4.
//
// CHROMIUM names the browser, NODE_MODULES another directory with
// playwright-core, SCREENSHOTS a directory where pictures of the views go.

import { writeSync } from "node:fs";
import { createRequire } from "node:module";
import { Socket } from "node:net";
import { createInterface } from "node:readline";

const require = createRequire(process.env.NODE_MODULES ?
  `${process.env.NODE_MODULES}/` : import.meta.url);
const { chromium } = require("playwright-core");

const store = new URL(process.argv[2]);
const TIMEOUT_MS = 20000;

// A dispatch takes ten seconds; the crashes in it take some more.
const DISPATCH_MS = 60000;


// TAP.

let run = 0;
let failed = 0;

/** The promise is kept unless the story throws. */
async function promise(title, story) {
  let why = null;

  try {
    await story();
  } catch (error) {
    why = String(error?.stack ?? error);
    failed++;
  }
  console.log(`${why === null ? "ok" : "not ok"} ${++run} - ${title}`);
  if (why !== null)
    console.log(why.replace(/^/gm, "# "));
}

function equal(got, wanted, what) {
  if (got !== wanted)
    throw new Error(`${what}: got ${got}, wanted ${wanted}`);
}

function check(condition, what) {
  if (!condition)
    throw new Error(what);
}


// The store, from behind.

const answers = createInterface({
  input: new Socket({ fd: 4, readable: true, writable: false }),
})[Symbol.asyncIterator]();

/** Has page.tap do it; returns when it is done. */
async function nginx(wish) {
  writeSync(3, `${wish}\n`);
  check(!(await answers.next()).done, `nobody answered to ${wish}`);
}

async function ask(method, path) {
  const response = await fetch(new URL(path, store), { method });
  return { status: response.status, text: await response.text() };
}

async function stock() {
  return JSON.parse((await ask("GET", "product")).text).inventory;
}

async function newestOrder() {
  return JSON.parse((await ask("GET", "orders?limit=1")).text)[0] ??
    { order_id: 0 };
}

async function sellAll() {
  let left;

  while ((left = await stock()) > 0)
    await Promise.all(Array.from({ length: Math.min(left, 10) }, () =>
      ask("POST", `checkout/${crypto.randomUUID()}`)));
}


// The browser.

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
  ],
});

// What no story may cause: the last assertions.
const errors = [];
const violations = [];
const foreign = new Set();

// That a request has failed is the browser's remark, not the page's error:
// the stories make them fail.
const REMARK = /^Failed to load resource/;

/** A context of its own is a customer of its own. */
async function customer(options = {}) {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 800 }, ...options,
  });

  context.setDefaultTimeout(TIMEOUT_MS);
  context.on("request", (request) => {
    const { protocol, origin } = new URL(request.url());

    if (protocol !== "data:" && origin !== store.origin)
      foreign.add(request.url());
  });
  context.on("console", (message) => {
    if (/Content Security Policy/i.test(message.text()))
      violations.push(message.text());
    else if (["error", "warning"].includes(message.type()) &&
        !REMARK.test(message.text()))
      errors.push(message.text());
  });
  context.on("weberror", (error) => errors.push(String(error.error())));
  return context;
}

/** A tab with the store open. */
async function visit(context, path = "") {
  const page = await context.newPage();

  await page.goto(new URL(path, store).href);
  return page;
}

async function heading(page, text) {
  await page.getByRole("heading", { level: 1, name: text }).waitFor();
}

const button = (page, name) => page.getByRole("button", { name });

/** Waits until the view of the store shows so many. */
async function stockShown(page, text) {
  await page.locator("#product-stock", { hasText: text }).waitFor();
}

/** Buys, and returns the payment id when its page is open. */
async function buy(page) {
  await button(page, "Buy Now").click();
  await heading(page, "Payment Confirmation");
  return new URL(page.url()).searchParams.get("payment");
}

/** Presses a button of the payment page; returns the id of the order. */
async function settle(page, name) {
  await button(page, name).click();
  await page.waitForURL("**/?order=*");
  return new URL(page.url()).searchParams.get("order");
}

async function badge(page, text, timeout = TIMEOUT_MS) {
  await page.locator("#order-badge", { hasText: text }).waitFor({ timeout });
}

async function sentence(page, text) {
  await page.locator("#order-sentence", { hasText: text }).waitFor();
}

/** The row of an order in the list of recent ones. */
const row = (page, order) => page.locator(`#orders [data-order="${order}"]`);

async function progressBeyond(bar, value) {
  const element = await bar.elementHandle();

  await element.ownerFrame().then((frame) => frame.waitForFunction(
    ([progress, least]) => progress.value > least, [element, value]));
  return element.evaluate((progress) => progress.value);
}

async function picture(page, name) {
  if (process.env.SCREENSHOTS)
    await page.screenshot({ path: `${process.env.SCREENSHOTS}/${name}.png` });
}


// A purchase.

await ask("POST", "restock");
const ann = await customer();
const page = await visit(ann);
let order;

// Set once: it is gone if the page is ever loaded again.
const mark = () => page.evaluate(() => { window.sameDocument = true; });
const isMarked = () => page.evaluate(() => window.sameDocument === true);

await promise("the store shows the product, its price and the stock",
  async () => {
    await heading(page, "Premium Quality Widget");
    equal(await page.locator("#product-price").textContent(), "$99.99",
      "price");
    await stockShown(page, "100 left");
    await picture(page, "store");
  });

await promise("Buy Now takes one from the stock and asks for the payment",
  async () => {
    await buy(page);
    equal(await stock(), 99, "stock");
    await picture(page, "payment");
  });

await promise("a reload keeps the payment page", async () => {
  const address = page.url();

  await page.reload();
  await heading(page, "Payment Confirmation");
  equal(page.url(), address, "address");
});

await promise("Back leads to the store, Buy Now to the same payment again",
  async () => {
    const payment = new URL(page.url()).searchParams.get("payment");

    await page.goBack();
    await heading(page, "Premium Quality Widget");
    equal(await buy(page), payment, "payment");
    equal(await stock(), 99, "stock");
  });

await promise("Confirm Payment leads to the order, and it is paid",
  async () => {
    order = await settle(page, "Confirm Payment");
    await heading(page, `Order #${order}`);
    await badge(page, "Paid");
    await mark();
  });

await promise("the progress bar moves, in the order and in the list",
  async () => {
    const bar = page.locator("#order-progress");
    const first = await progressBeyond(bar, 0);

    await progressBeyond(bar, first);
    await progressBeyond(row(page, order).locator("progress"), first);
    await picture(page, "order");
  });

await promise("crashed three times, the order is dispatched in the end",
  async () => {
    const bar = page.locator("#order-progress");
    let done = await bar.evaluate((progress) => progress.value);

    for (let crash = 0; crash < 3; crash++) {
      const pressed = page.waitForRequest("**/crash_application");

      await button(page, "Crash the application").click();
      await pressed;
      done = await progressBeyond(bar, done);
    }
    await badge(page, "Dispatched", DISPATCH_MS);
    check(await isMarked(), "the page was loaded again");
    await row(page, order).getByText("Dispatched").waitFor();
    equal(JSON.parse((await ask("GET", `order/${order}`)).text).order_status,
      1, "order_status");
  });

await promise("a reload keeps the order page", async () => {
  await page.reload();
  await heading(page, `Order #${order}`);
  await badge(page, "Dispatched");
});

await promise("Continue Shopping leads back to the store, and a new order",
  async () => {
    await page.getByRole("link", { name: "Continue Shopping" }).click();
    await heading(page, "Premium Quality Widget");
    await buy(page);
    equal((await newestOrder()).order_id, Number(order) + 1, "newest order");
  });

await promise("Cancel Payment returns the widget and cancels the order",
  async () => {
    equal(await stock(), 98, "stock before");
    order = await settle(page, "Cancel Payment");
    await badge(page, "Cancelled");
    await sentence(page, "You cancelled this order");
    equal(await stock(), 99, "stock after");
    await row(page, order).getByText("Cancelled").waitFor();
  });

await promise("Restock fills the shelf", async () => {
  await page.getByRole("link", { name: "Continue Shopping" }).click();
  await stockShown(page, "99 left");
  await button(page, "Restock").click();
  await stockShown(page, "100 left");
});


// One purchase is one order.

await promise("a double click is one order, and settles no payment",
  async () => {
    const { order_id } = await newestOrder();

    // The second click may meet the buttons of the payment page.
    await button(page, "Buy Now").dblclick();
    await heading(page, "Payment Confirmation");
    equal((await newestOrder()).order_id, order_id + 1, "newest order");
    await button(page, "Cancel Payment").hover();
    await page.mouse.down({ clickCount: 2 });
    await page.mouse.up({ clickCount: 2 });
    equal(await page.locator("#payment-note").textContent(), "", "note");
    equal((await newestOrder()).order_status, 0, "order_status");
    await settle(page, "Cancel Payment");
  });

await promise("two tabs with one key are one order", async () => {
  const bob = await customer();
  const { order_id } = await newestOrder();

  // As when a tab is duplicated: the copy has the same session storage.
  const key = crypto.randomUUID();
  await bob.addInitScript((copied) => {
    if (location.protocol !== "about:")
      sessionStorage.setItem("widget-store-key", copied);
  }, key);
  const tabs = await Promise.all([visit(bob), visit(bob)]);
  const payments = await Promise.all(tabs.map(buy));
  equal(payments[0], key, "payment of the first tab");
  equal(payments[1], key, "payment of the second tab");
  equal((await newestOrder()).order_id, order_id + 1, "newest order");

  const orders = await Promise.all(tabs.map((tab) =>
    settle(tab, "Confirm Payment")));
  equal(orders[0], String(order_id + 1), "order of the first tab");
  equal(orders[1], String(order_id + 1), "order of the second tab");
  await Promise.all(tabs.map((tab) => badge(tab, "Paid")));
  await bob.close();
});

await promise("confirmed after it was cancelled, it says so", async () => {
  const bob = await customer();
  const tab = await visit(bob);
  const payment = await buy(tab);

  await ask("POST", `payment_webhook/${payment}/failed`);
  await settle(tab, "Confirm Payment");
  await badge(tab, "Cancelled");
  await sentence(tab, "Nothing was charged");
  await bob.close();
});

await promise("cancelled after it was paid, it says so", async () => {
  const bob = await customer();
  const tab = await visit(bob);
  const payment = await buy(tab);

  await ask("POST", `payment_webhook/${payment}/paid`);
  await settle(tab, "Cancel Payment");
  await sentence(tab, "had already been paid");
  await bob.close();
});

await promise("what is not answered is repeated with the same key",
  async () => {
    const bob = await customer();
    const tab = await visit(bob);
    const addresses = [];

    await tab.route(/\/(checkout|payment_webhook)\//, (route) => {
      addresses.push(route.request().url());
      switch (addresses.length % 3) {
      case 1: return route.abort("connectionreset");
      case 2: return route.fulfill({
        status: 503, headers: { "Retry-After": "1" }, body: "{}",
      });
      default: return route.continue();
      }
    });
    await button(tab, "Buy Now").click();
    await tab.locator("#store-note", { hasText: "Trying again" }).waitFor();
    await picture(tab, "store-waiting");
    await heading(tab, "Payment Confirmation");
    await settle(tab, "Cancel Payment");
    equal(addresses.length, 6, "requests");
    equal(new Set(addresses).size, 2, "different addresses");
    await bob.close();
  });


// The server goes away.

await promise("the server away: the page says so, and keeps what it shows",
  async () => {
    await page.goto(store.href);
    await button(page, "Restock").click();
    await stockShown(page, "100 left");
    await mark();
    await nginx("away");
    await page.getByText("Connection lost, reconnecting").waitFor();
    check(await page.locator("#product-price").isVisible(), "no price");
    await picture(page, "away");
  });

await promise("bought while the server is away: it waits visibly", async () => {
  await button(page, "Buy Now").click();
  await page.locator("#store-note", { hasText: "Trying again" }).waitFor();
});

await promise("the server back: the page goes on without a reload",
  async () => {
    const { order_id } = await nginx("back").then(newestOrder);

    await heading(page, "Payment Confirmation");
    await page.getByText("Connection lost").waitFor({ state: "hidden" });
    check(await isMarked(), "the page was loaded again");
    await row(page, (await newestOrder()).order_id).getByText("Pending")
      .waitFor();
    check((await newestOrder()).order_id <= order_id + 1, "more than one");
    equal(await stock(), 99, "stock");
    await settle(page, "Cancel Payment");
  });


// Truth about what is not there.

await promise("an unknown order has a sentence and a way back", async () => {
  await page.goto(new URL("?order=2000000000", store).href);
  await heading(page, "No order #2000000000");
  await picture(page, "missing");
  await page.getByRole("link", { name: "Go to the store" }).click();
  await heading(page, "Premium Quality Widget");
});

await promise("an address that is none has a sentence and a way back",
  async () => {
    for (const query of ["?order=x", "?order=0", "?payment=a%20b"]) {
      await page.goto(new URL(query, store).href);
      await heading(page, "Not found");
    }
    await page.getByRole("link", { name: "Go to the store" }).click();
    await heading(page, "Premium Quality Widget");
  });

await promise("an unknown payment has a sentence and a way back",
  async () => {
    await page.goto(new URL("?payment=nobody-knows-me", store).href);
    await button(page, "Confirm Payment").click();
    await heading(page, "Unknown payment");
    await page.getByRole("link", { name: "Go to the store" }).click();
    await heading(page, "Premium Quality Widget");
  });

await promise("sold out: Buy Now is disabled until somebody restocks",
  async () => {
    await sellAll();
    await stockShown(page, "Sold out");
    check(await button(page, "Buy Now").isDisabled(), "Buy Now is enabled");
    await picture(page, "sold-out");
  });

await promise("sold out a moment before Buy Now: a sentence says so",
  async () => {
    const bob = await customer();
    const tab = await bob.newPage();

    const product = JSON.parse((await ask("GET", "product")).text);

    // What the page had heard when the last one was sold.
    equal(product.inventory, 0, "stock");
    await tab.route("**/product", (route) => route.fulfill({
      json: { ...product, inventory: 1 },
    }));
    await tab.goto(store.href);
    await stockShown(tab, "Only 1 left!");
    await button(tab, "Buy Now").click();
    await tab.getByText("the last widget has just been sold").waitFor();
    await tab.unrouteAll({ behavior: "wait" });
    await stockShown(tab, "Sold out");
    await bob.close();
  });

await promise("the shelf filled again: the page sells again", async () => {
  await button(page, "Restock").click();
  await stockShown(page, "100 left");
  await buy(page);
  await settle(page, "Cancel Payment");
});


// Every browser.

await promise("a purchase needs nothing but the keyboard", async () => {
  const bob = await customer();
  const tab = await visit(bob);
  const tabTo = async (name) => {
    const wanted = button(tab, name);

    for (let stop = 0; stop < 40; stop++) {
      await tab.keyboard.press("Tab");
      if (await wanted.evaluate((element) =>
          element === document.activeElement))
        return;
    }
    throw new Error(`Tab does not reach ${name}`);
  };

  await stockShown(tab, "left");
  await tabTo("Buy Now");
  await tab.keyboard.press("Enter");
  await heading(tab, "Payment Confirmation");
  await tabTo("Confirm Payment");
  await tab.keyboard.press("Space");
  await badge(tab, "Paid");
  await bob.close();
});

await promise("without session storage and randomUUID it sells, too",
  async () => {
    const bob = await customer();

    await bob.addInitScript(() => {
      Object.defineProperty(window, "sessionStorage", {
        get() { throw new DOMException("denied", "SecurityError"); },
      });
      Object.defineProperty(crypto, "randomUUID", { value: undefined });
    });
    const tab = await visit(bob);
    check(/^[0-9a-f]{32}$/.test(await buy(tab)), "another kind of key");
    await settle(tab, "Cancel Payment");
    await badge(tab, "Cancelled");
    await bob.close();
  });

await promise("no view is wider than a screen of 320 pixels, light or dark",
  async () => {
    for (const colorScheme of ["light", "dark"]) {
      const bob = await customer({
        colorScheme, viewport: { width: 320, height: 640 },
      });
      const tab = await visit(bob);
      const fits = async (name) => {
        await picture(tab, `${name}-narrow-${colorScheme}`);
        equal(await tab.evaluate(() => document.documentElement.scrollWidth),
          320, `width of ${name}`);
      };

      await stockShown(tab, "left");
      await fits("store");
      await buy(tab);
      await fits("payment");
      await settle(tab, "Cancel Payment");
      await badge(tab, "Cancelled");
      await fits("order");
      await tab.goto(new URL("?order=0", store).href);
      await heading(tab, "Not found");
      await fits("missing");
      await bob.close();
    }
  });

await promise("without JavaScript the page says what it needs", async () => {
  const bob = await customer({ javaScriptEnabled: false });
  const tab = await visit(bob);

  await tab.locator("noscript p").waitFor();
  check(/This page needs JavaScript/.test(
    await tab.locator("noscript p").textContent()), "another sentence");
  await bob.close();
});

await ann.close();

await promise("no error reached the console", () =>
  equal(errors.join("; "), "", "errors"));
await promise("nothing went against the Content Security Policy", async () => {
  const response = await fetch(store);

  equal(violations.join("; "), "", "violations");
  check(/default-src 'none'.*script-src 'self'/.test(
    response.headers.get("Content-Security-Policy")), "no strict policy");
});
await promise("nothing was asked of another host", () =>
  equal([...foreign].join("; "), "", "requests"));

await browser.close();
console.log(`1..${run}`);
process.exit(failed === 0 ? 0 : 1);
