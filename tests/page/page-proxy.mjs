// SPDX-License-Identifier: MIT
//
// A purchase behind a proxy: node page-proxy.mjs URL URL.  The first address is
// one over TLS.  Over the second a browser sends no Sec-Fetch-Site, because it
// trusts neither the scheme nor the host.

import {
  badge, buy, customer, equal, errors, finish, foreign, heading, promise,
  settle, stockShown, violations, visit,
} from "./browser.mjs";

const addresses = process.argv.slice(2).map((address) => new URL(address));

for (const address of addresses) {
  const way = address.protocol === "https:" ? "with TLS" : "without TLS";
  const bob = await customer({ ignoreHTTPSErrors: true });
  const page = await visit(bob, address);

  await promise(`behind a proxy ${way} the page shows the store`, async () => {
    await heading(page, "Premium Quality Widget");
    await stockShown(page, "left");
  });
  await promise(`behind a proxy ${way} a customer buys and pays`, async () => {
    await buy(page);
    await settle(page, "Confirm Payment");
    await badge(page, "Paid");
  });
  await promise(`behind a proxy ${way} the page keeps its address`, () =>
    equal(new URL(page.url()).origin, address.origin, "origin"));
  await bob.close();
}

// Without TLS, Chromium says that it ignores a policy which needs TLS.
await promise("behind a proxy the page writes no error to the console", () =>
  equal(errors.filter((error) => !error.startsWith("The Cross-Origin-Opener-" +
    "Policy header has been ignored")).join("; "), "", "errors"));
await promise("behind a proxy the page violates no policy", () =>
  equal(violations.join("; "), "", "violations"));
await promise("behind a proxy the page asks nothing of another host", () =>
  equal([...foreign].filter((asked) => !addresses.some(({ origin }) =>
    new URL(asked).origin === origin)).join("; "), "", "requests"));

await finish();
