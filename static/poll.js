// SPDX-License-Identifier: MIT
//
// Polling, only while the page is visible.

import { jitter } from "./api.js";

/**
 * Runs rounds, one at a time, as long as the page is visible.
 *
 * @param {() => Promise<number>} round  returns the milliseconds until the
 *     next one; never fails
 * @returns {() => void} makes a round due now
 */
export function keepPolling(round) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let running = false;
  let again = false;

  async function run() {
    clearTimeout(timer);
    again = true;
    if (running)
      return;
    running = true;
    let delay = 0;
    while (again && !document.hidden) {
      again = false;
      delay = await round();
    }
    running = false;
    if (!document.hidden)
      timer = setTimeout(run, 0.8 * delay + jitter(0.4 * delay));
  }

  document.addEventListener("visibilitychange", run);
  window.addEventListener("pageshow", (event) => event.persisted && run());
  window.addEventListener("online", run);
  return run;
}
