// SPDX-License-Identifier: MIT
//
// The page in a real browser, against a real store: node page.mjs URL.
// page.tap starts the store, and stops and starts parts of it when asked to: a
// line on descriptor 3, answered by one on descriptor 4.

import {
  DISPATCH_MS, POLLING, VIEW, amended, ask, atOnce, badge, button, buy, check, crash,
  customer, drawn, equal, errors, finish, foreign, heading, newestOrder,
  ownOrders, picture, progressBeyond, promise, requestTimes, row, seen, sellAll,
  sentence, settle, shifted, stock, stockShown, store, twins, violations, visit,
  wish,
} from "./browser.mjs";
import { tellCrashes } from "./page-crash.mjs";
import { tellRoom } from "./page-room.mjs";


// A purchase.

await ask("POST", "restock");
const ann = await customer();
const page = await visit(ann);
let order;

// Set once, and lost when the page is loaded again.
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

await promise("the whole page weighs less than 100 KB, also unpacked",
  async () => {
    const [packed, bytes] = await page.evaluate(() =>
      ["transferSize", "decodedBodySize"].map((size) =>
        performance.getEntriesByType("navigation")
          .concat(performance.getEntriesByType("resource"))
          .reduce((sum, entry) => sum + entry[size], 0)));

    console.log(`# ${packed} bytes, unpacked ${bytes}`);
    check(packed > 10000 && packed < bytes && bytes < 100000,
      `${bytes} bytes`);
  });

await promise("Buy Now takes a widget from the stock and asks for payment",
  async () => {
    await buy(page);
    equal(await stock(), 99, "stock");
    await picture(page, "payment");
  });

await promise("the payment page shows total and order, and counts down",
  async () => {
    const left = page.locator("#payment-left");
    const { order_id } = await newestOrder();

    equal(await page.locator("#payment-total").textContent(), "$99.99",
      "total");
    await page.locator("#payment-order", { hasText: `#${order_id}` })
      .waitFor();
    await left.getByText(/^(9:5[0-9]|10:00)$/).waitFor();
    const first = await left.textContent();
    await page.waitForFunction((before) =>
      document.querySelector("#payment-left").textContent !== before, first,
    POLLING);
    check(/^9:/.test(await left.textContent()), "it does not count down");
  });

await promise("an unpaid order of this browser leads back to its payment",
  async () => {
    const address = page.url();

    await button(page, "Yours").click();
    await page.goBack();
    await heading(page, "Premium Quality Widget");
    await page.locator("#orders").getByRole("link").first().click();
    await heading(page, "Payment Confirmation");
    equal(page.url(), address, "address");
    await button(page, "All").click();
  });

await promise("a reload keeps the payment page", async () => {
  const address = page.url();

  await page.reload();
  await heading(page, "Payment Confirmation");
  equal(page.url(), address, "address");
});

await promise("after Back, Buy Now leads to the same payment again",
  async () => {
    const payment = new URL(page.url()).searchParams.get("payment");

    await page.goBack();
    await heading(page, "Premium Quality Widget");
    equal(await buy(page), payment, "payment");
    equal(await stock(), 99, "stock");
  });

await promise("Confirm Payment pays the order and leads to it",
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

await promise("an order is dispatched in spite of three crashes",
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

await promise("after Continue Shopping, Buy Now makes a new order",
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

await promise("a double click on Buy Now makes one order and pays nothing",
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

await promise("two tabs with one key make one order", async () => {
  const bob = await customer();
  const { order_id } = await newestOrder();

  const { key, tabs } = await twins(bob);
  const payments = await Promise.all(tabs.map(buy));
  equal(payments[0], key, "payment of the first tab");
  equal(payments[1], key, "payment of the second tab");
  equal((await newestOrder()).order_id, order_id + 1, "newest order");

  // Neither tab may hear of the other's payment.
  await bob.route("**/view/payment/*", (route) => route.abort());
  const orders = await Promise.all(tabs.map((tab) =>
    settle(tab, "Confirm Payment")));
  equal(orders[0], String(order_id + 1), "order of the first tab");
  equal(orders[1], String(order_id + 1), "order of the second tab");
  await Promise.all(tabs.map((tab) => badge(tab, "Paid")));
  await bob.close();
});

await promise("confirming a cancelled order says so", async () => {
  const bob = await customer();
  const tab = await visit(bob);
  const payment = await buy(tab);

  // The tab does not hear of the cancellation before the button is pressed.
  await tab.route("**/view/payment/*", (route) => route.abort());
  await ask("POST", `payment_webhook/${payment}/failed`);
  await settle(tab, "Confirm Payment");
  await badge(tab, "Cancelled");
  await sentence(tab, "recorded your payment and gives it back");
  await bob.close();
});

await promise("cancelling a paid order says that it is paid", async () => {
  const bob = await customer();
  const tab = await visit(bob);
  const payment = await buy(tab);

  await tab.route("**/view/payment/*", (route) => route.abort());
  await ask("POST", `payment_webhook/${payment}/paid`);
  await settle(tab, "Cancel Payment");
  await sentence(tab, "had already been paid");
  await bob.close();
});

await promise("paying in another tab turns the payment page into the order",
  async () => {
    const bob = await customer();
    const tab = await visit(bob);
    const payment = await buy(tab);
    const other = await visit(bob, `?payment=${payment}`);

    await settle(other, "Confirm Payment");
    await tab.waitForURL("**/?order=*");
    await sentence(tab, "The order is paid");
    await bob.close();
  });

await promise("an unanswered request is repeated with the same key",
  async () => {
    const bob = await customer();
    const tab = await visit(bob);
    const addresses = [];

    await tab.route(/\/(checkout|payment_webhook)\//, (route) => {
      addresses.push(route.request().url());
      switch (addresses.length % 3) {
      case 1: return route.abort("connectionreset");
      case 2: return route.fulfill({
        status: addresses.length === 2 ? 500 : 503,
        headers: { "Retry-After": "1" }, body: "{}",
      });
      default: return route.continue();
      }
    });
    await button(tab, "Buy Now").click();
    await tab.locator("#store-note", { hasText: "Trying again" }).waitFor();
    await seen(tab, "store-waiting");
    await heading(tab, "Payment Confirmation");
    await settle(tab, "Cancel Payment");
    equal(addresses.length, 6, "requests");
    equal(new Set(addresses).size, 2, "different addresses");
    await bob.close();
  });


await promise("Buy Now buys anew after payment in another tab", async () => {
  const bob = await customer();
  const tab = await visit(bob);
  const payment = await buy(tab);

  await tab.goBack();
  await heading(tab, "Premium Quality Widget");
  await ask("POST", `payment_webhook/${payment}/paid`);
  check(await buy(tab) !== payment, "the old payment");
  await settle(tab, "Cancel Payment");
  await bob.close();
});


// The server is down.

await promise("without a server the page says so and keeps what it shows",
  async () => {
    await page.goto(store.href);
    await button(page, "Restock").click();
    await stockShown(page, "100 left");
    await mark();
    // So that the server comes back from a crash.
    await crash(page, "everything");
    await wish("away");
    await page.getByText("Connection lost, reconnecting").waitFor();
    check(await page.locator("#product-price").isVisible(), "no price");
    await seen(page, "away");
  });

await promise("Buy Now without a server says that it tries again", async () => {
  await button(page, "Buy Now").click();
  await page.locator("#store-note", { hasText: "Trying again" }).waitFor();
});

await promise("the page goes on without a reload when the server is back",
  async () => {
    const { order_id } = await wish("back").then(newestOrder);

    await heading(page, "Payment Confirmation");
    await page.getByText("Connection lost").waitFor({ state: "hidden" });
    check(await isMarked(), "the page was loaded again");
    await row(page, (await newestOrder()).order_id).getByText("Pending")
      .waitFor();
    // A crash of the server may skip some order numbers.
    equal((await ownOrders(page)).filter(({ id }) => id > order_id).length, 1,
      "new orders");
    equal(await stock(), 99, "stock");
    await settle(page, "Cancel Payment");
  });


await promise("after minutes without a server the page says for how long",
  async () => {
    const bob = await customer();
    const tab = await bob.newPage();

    await tab.clock.install();
    await tab.goto(store.href);
    await stockShown(tab, "left");
    await tab.route(VIEW, (route) => route.abort());
    await tab.clock.runFor(10000);
    await tab.getByText("Connection lost").waitFor();
    await tab.clock.fastForward(130000);
    await tab.getByText("down for 2 minutes. Your orders are safe").waitFor();
    await bob.close();
  });

await promise("the page says when an answer is not JSON, and goes on",
  async () => {
    const bob = await customer();
    const tab = await visit(bob);

    await stockShown(tab, "left");
    await tab.route(VIEW, (route) => route.fulfill({
      body: "<h1>Welcome to our hotel's network</h1>",
    }));
    await tab.getByText("answer makes no sense").waitFor();
    await tab.unrouteAll({ behavior: "wait" });
    await tab.getByText("answer makes no sense").waitFor({ state: "hidden" });
    await bob.close();
  });


// What is not there.

await promise("an unknown order's page says so and leads back", async () => {
  await page.goto(new URL("?order=2000000000", store).href);
  await heading(page, "No order #2000000000");
  await seen(page, "missing");
  await page.getByRole("link", { name: "Go to the store" }).click();
  await heading(page, "Premium Quality Widget");
});

await promise("a bad address's page says so and leads back",
  async () => {
    for (const query of ["?order=x", "?order=0", "?order=9007199254740992",
      "?payment=a%20b", "?payment=.."]) {
      await page.goto(new URL(query, store).href);
      await heading(page, "Not found");
    }
    await page.getByRole("link", { name: "Go to the store" }).click();
    await heading(page, "Premium Quality Widget");
  });

await promise("an unknown payment's page says so and leads back",
  async () => {
    await page.goto(new URL("?payment=unknown", store).href);
    await heading(page, "Unknown payment");
    await page.getByRole("link", { name: "Go to the store" }).click();
    await heading(page, "Premium Quality Widget");
  });

await promise("Buy Now is disabled while the store is sold out",
  async () => {
    await sellAll();
    await stockShown(page, "Sold out");
    check(await button(page, "Buy Now").isDisabled(), "Buy Now is enabled");
    await seen(page, "sold-out");
  });

await promise("Buy Now on the widget that was just sold says so",
  async () => {
    const bob = await customer();
    const tab = await bob.newPage();

    // The page still shows the last widget after it was sold.
    equal(await stock(), 0, "stock");
    await amended(tab, (view) => view.product.inventory = 1);
    await tab.goto(store.href);
    await stockShown(tab, "Only 1 left!");
    await button(tab, "Buy Now").click();
    await crash(tab, "executor");
    await tab.getByText("the last widget has just been sold").waitFor();
    await tab.unrouteAll({ behavior: "wait" });
    await stockShown(tab, "Sold out");
    await bob.close();
  });

await promise("the page sells again after a restock", async () => {
  await button(page, "Restock").click();
  await stockShown(page, "100 left");
  await buy(page);
  await settle(page, "Cancel Payment");
});


await promise("a long list of orders has older and newer pages", async () => {
  const first = page.locator("#orders li").first();
  const { order_id } = await newestOrder();

  await row(page, order_id).waitFor();
  await button(page, "Older").click();
  await page.getByText("Page 2").waitFor();
  check(Number(await first.getAttribute("data-order")) < order_id,
    "no older order");
  equal(await page.locator("#orders li").count(), 6, "rows");
  await button(page, "Newer").click();
  await row(page, order_id).waitFor();
});

await promise("a second click on Older during loading turns one page only",
  async () => {
    let release;
    const released = new Promise((resolve) => release = resolve);

    await page.route(VIEW, async (route) => {
      await released;
      await route.continue();
    });
    await page.evaluate(() => {
      document.querySelector("#orders-older").click();
      document.querySelector("#orders-older").click();
    });
    release();
    await page.unrouteAll({ behavior: "wait" });
    await page.getByText("Page 2").waitFor();
    await button(page, "All").click();
    await page.getByText("Page 1").waitFor();
  });

await promise("the page of an expired order says that the time was over",
  async () => {
    const bob = await customer();
    const tab = await visit(bob);
    const before = await stock();

    await wish("hurry");
    try {
      const payment = await buy(tab);
      await crash(tab, "database");
      await tab.locator("[data-level=hurry]").waitFor();
      await seen(tab, "payment-hurry");
      await tab.waitForURL("**/?order=*");
      await badge(tab, "Cancelled");
      await sentence(tab, "The time to pay was over");
      await seen(tab, "order-expired");
      equal(await stock(), before, "stock");

      // A bookmark of an expired payment leads to its order.
      await tab.goto(new URL(`?payment=${payment}`, store).href);
      await sentence(tab, "The time to pay was over");
    } finally {
      await wish("calm");
    }
    await bob.close();
  });

await tellRoom();


// At most a request a second, whatever crashes meanwhile.

const states = {
  "the store": (tab) => stockShown(tab, "left"),
  "the list of its own orders": async (tab) => {
    await buy(tab);
    await tab.goBack();
    await button(tab, "Yours").click();
  },
  "the payment page": buy,
  "an order on its way": async (tab) => {
    await buy(tab);
    await settle(tab, "Confirm Payment");
    await badge(tab, "Paid");
  },
  "an order on its way in the machine room": async (tab) => {
    await tab.locator("#machine-room summary").click();
    await buy(tab);
    await settle(tab, "Confirm Payment");
    await tab.locator("#journal .replay").first().waitFor();
  },
  "the machine room": async (tab) => {
    await tab.locator("#machine-room summary").click();
    await tab.locator("#processes tr").first().waitFor();
  },
};

/** The shortest time between two requests of the page in a state. */
async function gap(open) {
  const bob = await customer();
  const tab = await visit(bob);

  await open(tab);
  // Without the request that an action makes at once.
  await tab.waitForResponse(VIEW);
  const times = await requestTimes(tab, 6);
  await bob.close();
  return Math.min(...times.slice(1).map((at, i) => at - times[i]));
}

const gaps = Object.entries(states).map(([name, open]) =>
  [name, atOnce(gap(open))]);

await tellCrashes();
for (const [name, told] of gaps)
  await promise(`${name} asks no more than once a second`, async () => {
    const ms = await told();

    console.log(`# ${Math.round(ms)} ms`);
    check(ms >= 990, `it asks again after ${ms} ms`);
  });


// Keyboards, old browsers, and screens of all sizes.

await promise("a purchase is possible with the keyboard alone", async () => {
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

await promise("the page sells without session storage and randomUUID",
  async () => {
    const bob = await customer();

    await bob.addInitScript(() => {
      for (const name of ["sessionStorage", "localStorage"])
        Object.defineProperty(window, name, {
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

async function fitsEverywhere(colorScheme, width) {
  const bob = await customer({
    colorScheme, viewport: { width, height: 800 },
    reducedMotion: "no-preference",
  });
  const tab = await visit(bob);
  const fits = async (name) => {
    await seen(tab, `${name}-${width}-${colorScheme}`);
    equal(await tab.evaluate(() => document.documentElement.scrollWidth),
      width, `width of ${name}`);
    const jumped = await shifted(tab, since);
    check(jumped < 0.05, `layout shift of ${jumped} in ${name}`);
  };
  let since = 0;

  await stockShown(tab, "left");
  await fits("store");
  await buy(tab);
  since = await drawn(tab);
  await tab.locator("#payment-order", { hasText: "#" }).waitFor();
  await fits("payment");
  await settle(tab, "Confirm Payment");
  since = await drawn(tab);
  await badge(tab, "Paid");
  await fits("order");
  await tab.locator("#machine-room summary").click();
  await tab.locator("#journal .replay").first().waitFor();
  await tab.locator("#processes tr").first().waitFor();
  since = await drawn(tab);
  await fits("room");
  await tab.goto(new URL("?order=0", store).href);
  await heading(tab, "Not found");
  since = 0;
  await fits("missing");
  await bob.close();
}

for (const [title, told] of [["light", 1280], ["dark", 320]].map(
  ([colorScheme, width]) => [
    `every view fits ${width} pixels, ${colorScheme}, and axe finds nothing`,
    atOnce(fitsEverywhere(colorScheme, width)),
  ]))
  await promise(title, told);

await promise("without JavaScript the page says what it needs", async () => {
  const bob = await customer({ javaScriptEnabled: false });
  const tab = await visit(bob);

  await tab.locator("noscript p").waitFor();
  check(/This page needs JavaScript/.test(
    await tab.locator("noscript p").textContent()), "another sentence");
  await bob.close();
});

await ann.close();

await promise("the page writes no error to the console", () =>
  equal(errors.join("; "), "", "errors"));
await promise("the page violates no Content Security Policy", async () => {
  const response = await fetch(store);

  equal(violations.join("; "), "", "violations");
  check(/default-src 'none'.*script-src 'self'/.test(
    response.headers.get("Content-Security-Policy")), "no strict policy");
});
await promise("the page asks nothing of another host", () =>
  equal([...foreign].join("; "), "", "requests"));

await finish();
