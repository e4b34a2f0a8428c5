// SPDX-License-Identifier: MIT
//
// The operators' view of workflows in a browser:
// node workflows.mjs URL TOKEN ID, with the id of a checkout that is paid.

import {
  POLLING, button, check, customer, equal, errors, finish, foreign, heading,
  promise, seen, violations, visit,
} from "./browser.mjs";

const [, , address, token, bought] = process.argv;
const ann = await customer();
const tab = await visit(ann, "workflows.html");

const text = (id) => tab.locator(`#${id}`).textContent();

/** Waits until so many workflows are listed. */
const listed = (count) => tab.waitForFunction((wanted) =>
  document.querySelectorAll("#rows tr").length === wanted, count, POLLING);

/** Waits until the facts of the workflow that is shown have a text. */
const fact = (wanted) => tab.locator("#facts", { hasText: wanted }).waitFor();

/** Shows the workflows that pass a filter. */
async function filter(id, value) {
  const field = tab.locator(`#${id}`);

  await (id === "status" ? field.selectOption(value) : field.fill(value));
  await button(tab, "Show").click();
}

async function open(id) {
  await tab.goto(new URL(`workflows.html#${encodeURIComponent(id)}`,
    address).href);
  await heading(tab, id);
}

await promise("the view asks for the token, and refuses a wrong one",
  async () => {
    await heading(tab, "Operators' token");
    await seen(tab, "workflows-door");
    await tab.getByLabel("Token").fill("wrong");
    await button(tab, "Open").click();
    await tab.locator("#note", { hasText: "token is needed" }).waitFor();
  });
await promise("with the token the view lists all workflows", async () => {
  await tab.getByLabel("Token").fill(token);
  await button(tab, "Open").click();
  await tab.getByRole("link", { name: bought, exact: true }).waitFor();
  check(await tab.locator("#door").isHidden(), "the door stays");
  await seen(tab, "workflows-list");
});
await promise("a reload needs no token, and a new tab does", async () => {
  await tab.reload();
  await tab.getByRole("link", { name: bought, exact: true }).waitFor();
  const other = await visit(await customer(), "workflows.html");

  await heading(other, "Operators' token");
  await other.close();
});
await promise("filters choose by status, name and queue", async () => {
  await filter("status", "CANCELLED");
  await tab.locator("#note", { hasText: "No workflow passes" }).waitFor();
  await listed(0);
  await filter("status", "");
  await filter("name", "checkout_workflow");
  await listed(1);
  await tab.getByRole("link", { name: bought, exact: true }).waitFor();
  await filter("name", "");
  await filter("queue", "none");
  await listed(0);
  await filter("queue", "");
});
await promise("a workflow has its input, its output and its journal",
  async () => {
    await tab.getByRole("link", { name: bought, exact: true }).click();
    await heading(tab, bought);
    await fact("SUCCESS");
    check((await text("input")).includes("positionalArgs"), "no input");
    const steps = tab.locator("#steps tr");

    check(await steps.count() >= 6, `${await steps.count()} steps`);
    await tab.locator("#steps", { hasText: "reserve_inventory" }).waitFor();
    await tab.locator("#chart .turn").first().waitFor();
    check(await button(tab, "Cancel").isDisabled(), "it may be cancelled");
    await seen(tab, "workflows-one");
    await tab.setViewportSize({ width: 360, height: 740 });
    await seen(tab, "workflows-phone");
    check(await tab.evaluate(() => document.documentElement.scrollWidth <=
      innerWidth), "it is wider than a phone");
    await tab.setViewportSize({ width: 1280, height: 800 });
  });
await promise("a child has a link to its parent, and steps to children",
  async () => {
    await tab.locator("#steps a").first().click();
    await fact("dispatch_order_workflow");
    await tab.locator("#facts a", { hasText: bought }).click();
    await heading(tab, bought);
  });
await promise("a waiting checkout is cancelled and resumed", async () => {
  await fetch(new URL("checkout/waiting", address), { method: "POST" });
  await open("waiting");
  await fact("PENDING");
  await button(tab, "Cancel").click();
  await fact("CANCELLED");
  check(await button(tab, "Cancel").isDisabled(), "it may be cancelled again");
  await button(tab, "Resume").click();
  await tab.waitForFunction(() =>
    !/CANCELLED/.test(document.querySelector("#facts").textContent), null,
  POLLING);
});
await promise("a workflow is forked once, and the fork is shown", async () => {
  await open(bought);
  await tab.getByLabel("From step").fill("1");
  // The answer to the first request is lost.
  await tab.route("**/operator/fork/**", async (route) => {
    await route.fetch();
    await route.abort();
  }, { times: 1 });
  await button(tab, "Fork").click();
  await tab.locator("#note", { hasText: "does not answer" }).waitFor();
  await button(tab, "Fork").click();
  await fact("Forked from");
  await tab.locator("#facts a", { hasText: bought }).waitFor();
  const id = await text("one-title");

  await tab.getByRole("link", { name: "All workflows" }).click();
  await tab.getByRole("link", { name: id, exact: true }).waitFor();
  await filter("name", "checkout_workflow");
  await listed(3);
});
await promise("an unknown workflow is named as such", async () => {
  await tab.goto(new URL("workflows.html#nothing", address).href);
  await tab.locator("#note", { hasText: "Unknown workflow" }).waitFor();
});
await promise("the view writes no error to the console", () =>
  equal(errors.join("; "), "", "errors"));
await promise("the view violates no policy", () =>
  equal(violations.join("; "), "", "violations"));
await promise("the view asks nothing of another host", () =>
  equal([...foreign].join("; "), "", "requests"));

await finish();
