// SPDX-License-Identifier: MIT
//
// Helpers of the page's stories: TAP, requests past the page, a real browser,
// and checks of what it shows.
//
// CHROMIUM names the browser, NODE_MODULES another directory with
// playwright-core and axe-core, SCREENSHOTS a directory for pictures of the
// views.

import { writeSync } from "node:fs";
import { createRequire } from "node:module";
import { Socket } from "node:net";
import { createInterface } from "node:readline";

const require = createRequire(process.env.NODE_MODULES ?
  `${process.env.NODE_MODULES}/` : import.meta.url);
const { chromium } = require("playwright-core");
const axe = require("axe-core");

export const store = new URL(process.argv[2]);
// Ample, because a story promises an end, and no time: the machine may be busy.
export const TIMEOUT_MS = 60000;

// A dispatch takes ten seconds, and longer with crashes in it.
export const DISPATCH_MS = 120000;

// For waitForFunction, which else has the page draw sixty frames a second.
export const POLLING = { polling: 100 };


// TAP.

// TESTS_RUN: how many assertions the caller has printed.
let run = Number(process.env.TESTS_RUN ?? 0);
let failed = 0;

/** Prints the plan and exits. */
export async function finish() {
  await browser.close();
  console.log(`1..${run}`);
  process.exit(failed === 0 ? 0 : 1);
}

/** One assertion, which fails when the story throws. */
export async function promise(title, story) {
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

/** Starts a story now, and returns one for promise that awaits its end. */
export function atOnce(told) {
  const end = told.then((value) => () => value,
    (error) => () => { throw error; });

  return async () => (await end)();
}

export function equal(got, wanted, what) {
  if (got !== wanted)
    throw new Error(`${what}: got ${got}, wanted ${wanted}`);
}

export function check(condition, what) {
  if (!condition)
    throw new Error(what);
}


// The store, past the page.

const answers = createInterface({
  input: new Socket({ fd: 4, readable: true, writable: false }),
})[Symbol.asyncIterator]();

/** Makes page.tap do what is wished; returns when it is done. */
export async function wish(what) {
  writeSync(3, `${what}\n`);
  check(!(await answers.next()).done, `page.tap did not answer to ${what}`);
}

/** Asks until it is answered: a part of the store may just have crashed. */
export async function ask(method, path) {
  const end = Date.now() + TIMEOUT_MS;

  for (;;) {
    const response = await fetch(new URL(path, store), { method })
      .catch((error) => ({ status: 503, text: () => String(error) }));

    if (response.status < 500 || Date.now() > end)
      return { status: response.status, text: await response.text() };
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export async function stock() {
  return JSON.parse((await ask("GET", "product")).text).inventory;
}

export async function newestOrder() {
  return JSON.parse((await ask("GET", "orders?limit=1")).text)[0] ??
    { order_id: 0 };
}

export async function sellAll() {
  let left;

  while ((left = await stock()) > 0)
    await Promise.all(Array.from({ length: Math.min(left, 10) }, () =>
      ask("POST", `checkout/${crypto.randomUUID()}`)));
}


// The browser.

export const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-features=HttpsUpgrades",
    "--host-resolver-rules=MAP shop.example 127.0.0.1",
  ],
});

// What no story may cause, as the last assertions check.
export const errors = [];
export const violations = [];
export const foreign = new Set();

// The browser's remark on a failed request is no error of the page, because the
// stories make requests fail.
const REMARK = /^Failed to load resource/;

/**
 * A customer is a browser context of its own.  Animations cost more than the
 * store does, so they are off unless a story looks at them.
 */
export async function customer(options = {}) {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 800 }, reducedMotion: "reduce",
    ...options,
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
export async function visit(context, path = "") {
  const page = await context.newPage();

  await page.goto(new URL(path, store).href);
  return page;
}

/** Two tabs with the same session storage, as after duplicating a tab. */
export async function twins(context) {
  const key = crypto.randomUUID();

  await context.addInitScript((copied) => {
    if (location.protocol !== "about:")
      sessionStorage.setItem("widget-store-key", copied);
  }, key);
  return { key, tabs: await Promise.all([visit(context), visit(context)]) };
}

export async function heading(page, text) {
  await page.getByRole("heading", { level: 1, name: text }).waitFor();
}

/** The path of the requests for what the page shows. */
export const VIEW = /\/view(\/[^.]*)?(\?.*)?$/;

/** Changes the store's answer to a view on its way to the page. */
export function amended(page, change) {
  return page.route(VIEW, async (route) => {
    try {
      const view = await (await route.fetch()).json();

      change(view);
      await route.fulfill({ json: view });
    } catch {
      // The page has been left.
    }
  });
}

/** Presses a crash button; returns when the request has been sent. */
export async function crash(page, part) {
  const pressed = page.waitForRequest(`**/crash_application/${part}`);

  await page.evaluate((name) =>
    document.querySelector(`[data-crash=${name}]`).click(), part);
  await pressed;
}

/** The orders that a browser remembers. */
export function ownOrders(page) {
  return page.evaluate(() =>
    JSON.parse(localStorage.getItem("widget-store-orders") ?? "[]"));
}

/** When the page has sent its next requests, in milliseconds. */
export async function requestTimes(page, count) {
  const asked = [];

  page.on("request", (request) => asked.push(request));
  // A request has its time when it has been answered.
  while (asked.length < count ||
      asked.slice(0, count).some((request) => request.timing().startTime <= 0))
    await page.waitForEvent("requestfinished");
  return asked.slice(0, count).map((request) => request.timing().startTime);
}

export const button = (page, name) => page.getByRole("button", { name });

/** Waits until the view of the store shows the text for its stock. */
export async function stockShown(page, text) {
  await page.locator("#product-stock", { hasText: text }).waitFor();
}

/** Buys, and returns the payment id when its page is open. */
export async function buy(page) {
  await button(page, "Buy Now").click();
  await heading(page, "Payment Confirmation");
  return new URL(page.url()).searchParams.get("payment");
}

/** Presses a button of the payment page; returns the id of the order. */
export async function settle(page, name) {
  await button(page, name).click();
  await page.waitForURL("**/?order=*");
  return new URL(page.url()).searchParams.get("order");
}

export async function badge(page, text, timeout = TIMEOUT_MS) {
  await page.locator("#order-badge", { hasText: text }).waitFor({ timeout });
}

export async function sentence(page, text) {
  await page.locator("#order-sentence", { hasText: text }).waitFor();
}

/** The row of an order in the list of recent ones. */
export const row = (page, order) => page.locator(`#orders [data-order="${order}"]`);

export async function progressBeyond(bar, value) {
  const element = await bar.elementHandle();

  await element.ownerFrame().then((frame) => frame.waitForFunction(
    ([progress, least]) => progress.value > least, [element, value],
    POLLING));
  return element.evaluate((progress) => progress.value);
}

export async function picture(page, name) {
  if (process.env.SCREENSHOTS)
    await page.screenshot({
      path: `${process.env.SCREENSHOTS}/${name}.png`, fullPage: true,
    });
}

/** Takes a picture of a view, and checks that axe finds no fault in it. */
export async function seen(page, name) {
  await picture(page, name);
  await page.evaluate(axe.source);
  const { violations: faults } = await page.evaluate(() =>
    window.axe.run(document, { resultTypes: ["violations"] }));

  equal(faults.map(({ id, nodes }) => `${id}: ${nodes[0].html} ` +
    nodes[0].failureSummary).join("; "), "", `axe on ${name}`);
}

/** Waits until the page is drawn; returns the time of its clock. */
export function drawn(page) {
  return page.evaluate(() => new Promise((resolve) =>
    requestAnimationFrame(() => requestAnimationFrame(resolve))));
}

/** The layout shift since that time that no input has caused. */
export function shifted(page, since) {
  return page.evaluate((from) => new Promise((resolve) => {
    let sum = 0;

    new PerformanceObserver((list) => {
      for (const entry of list.getEntries())
        sum += entry.hadRecentInput || entry.startTime < from ? 0 :
          entry.value;
    }).observe({ type: "layout-shift", buffered: true });
    requestAnimationFrame(() => requestAnimationFrame(() => resolve(sum)));
  }), since);
}
