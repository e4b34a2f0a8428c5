// SPDX-License-Identifier: MIT
//
// The stories of the machine room, with a purchase in which each of its crash
// buttons is pressed.

import {
  DISPATCH_MS, POLLING, VIEW, amended, ask, badge, button, buy, check, customer, equal, heading,
  newestOrder, picture, progressBeyond, promise, settle, stock, stockShown,
  visit,
} from "./browser.mjs";

const read = async (path) => JSON.parse((await ask("GET", path)).text);

const crashes = async (tab) =>
  Number(await tab.locator("#total-crashes").textContent());

/** Presses a crash button; returns when the room has counted the crash. */
async function crash(tab, name) {
  const before = await crashes(tab);

  await button(tab, name).click();
  await tab.waitForFunction((least) => Number(
    document.querySelector("#total-crashes").textContent) > least, before,
  POLLING);
}

/** Presses two buttons in the same instant. */
function pressBoth(tab, first, second) {
  return tab.evaluate((selectors) => {
    for (const selector of selectors)
      document.querySelector(selector).click();
  }, [first, second]);
}

export async function tellRoom() {
  const ann = await customer();
  const tab = await visit(ann);
  const room = tab.locator("#machine-room");

  await promise("the machine room opens by its address, and by the keyboard",
    async () => {
      const other = await visit(ann, "#machine-room");

      await other.locator("#processes tr").first().waitFor();
      await other.close();
      await stockShown(tab, "left");
      await tab.locator("#machine-room summary").press("Enter");
      await tab.locator("#processes tr").first().waitFor();
      equal(new URL(tab.url()).hash, "#machine-room", "hash");
    });

  await promise("the machine room shows the living processes, pid and age",
    async () => {
      const { processes } = await read("processes");
      const rows = tab.locator("#processes tr");

      await tab.waitForFunction((n) =>
        document.querySelectorAll("#processes tr").length === n,
      processes.length, POLLING);
      for (const [place, { pid }] of processes.entries())
        equal(await rows.nth(place).locator("td").first().textContent(),
          String(pid), "pid");
      check(/^\d+ (s|min)$/.test(await rows.first().locator("td").nth(1)
        .textContent()), "no age");
    });

  let order;

  await promise("a purchase with crashes of every part makes one order",
    async () => {
      const before = (await newestOrder()).order_id;
      const left = await stock();
      const bar = tab.locator("#order-progress");

      await pressBoth(tab, "[data-crash=web]", "#buy");
      await heading(tab, "Payment Confirmation");
      await crash(tab, "Executor");
      await picture(tab, "crash-1-payment");
      await pressBoth(tab, "[data-crash=everything]", "#confirm");
      await tab.waitForURL("**/?order=*");
      order = new URL(tab.url()).searchParams.get("order");
      await badge(tab, "Paid", DISPATCH_MS);
      const done = await progressBeyond(bar, 1);
      await crash(tab, "Executor");
      await picture(tab, "crash-2-order");
      // Long enough after the other crash not to be drawn as one.
      await progressBeyond(bar, done + 2);
      await crash(tab, "Database");
      await badge(tab, "Dispatched", DISPATCH_MS);
      equal(await stock(), left - 1, "stock");
      check(Number(order) > before, "no new order");
      const orders = await read("orders?limit=100");
      equal(orders.filter(({ order_id }) => order_id > before).length, 1,
        "orders");
    });

  await promise("a crashed purchase's journal shows each process and crash",
    async () => {
      await tab.locator("#journal-state", { hasText: "finished" }).waitFor();
      await picture(tab, "crash-3-dispatched");
      const { workflow_id: id } = await read(`order/${order}`);
      const flow = await read(`workflow/${id}`);
      const child = await read(`workflow/${flow.children[0]}`);
      const pids = new Set([...flow.runs, ...child.runs].map(({ pid }) => pid));

      check(pids.size > 1, "one process did it all");
      equal(await tab.locator("#journal .turn").count(),
        flow.runs.length + child.runs.length, "turns");
      equal(await tab.locator("#chart .turn").count(),
        flow.runs.length + child.runs.length, "blocks");
      equal(await tab.locator("#journal .step").count(),
        flow.steps.concat(child.steps).filter(({ run }) => run !== null)
          .length, "steps");
      equal(new Set(await tab.locator("#journal .process").allTextContents())
        .size, pids.size, "letters");
      check(await tab.locator("#chart .cut").count() >= 3, "too few cuts");
      equal(await tab.locator("#chart .cut").count(),
        await tab.locator("#journal .crash").count(), "crashes");
      check(await tab.locator("#journal .replay").count() > 0, "no replay");
    });

  await promise("the machine room shows the totals of orders, crashes, losses",
    async () => {
      const { totals } = await read("processes");

      equal(totals.lost, 0, "lost");
      for (const name of ["orders", "crashes", "lost"])
        await tab.locator(`#total-${name}`, { hasText: totals[name] })
          .waitFor();
    });

  await promise("the machine room shows a wait for a message", async () => {
    await tab.getByRole("link", { name: "Continue Shopping" }).click();
    await buy(tab);
    await tab.locator("#journal .waiting", { hasText: "waits for a message" })
      .waitFor();
    await settle(tab, "Cancel Payment");
  });

  await promise("a closed machine room makes no requests", async () => {
    const asked = [];

    await room.locator("summary").press("Enter");
    await tab.waitForFunction(() => location.hash === "", null, POLLING);
    tab.on("request", (request) => asked.push(request.url()));
    for (let i = 0; i < 2; i++)
      await tab.waitForResponse(VIEW);
    equal(asked.filter((url) => /room/.test(url)).join(" "), "", "requests");
  });

  await promise("a store without a machine room shows none", async () => {
    const other = await ann.newPage();

    await amended(other, (view) => view.room = null);
    const asked = other.waitForResponse(/\/view.*room=1/);
    await other.goto(tab.url());
    await asked;
    check(!/room/.test((await other.waitForResponse(VIEW)).url()),
      "it asks again");
    check(await other.locator("#machine-room").isHidden(), "there it is");
  });

  await ann.close();
}
