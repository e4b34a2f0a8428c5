// SPDX-License-Identifier: MIT
//
// The time that is left to pay, by the server's clock.

import { serverNow } from "./api.js";
import { get, set } from "./document.js";

const left = get("payment-left");
const label = get("payment-left-label");
const bar = get("payment-bar", HTMLProgressElement);
const alarm = get("payment-alarm");

/** When a screen reader announces the seconds left. */
const ALARMS_S = [30, 10];

const HURRY_S = 15;
const USUAL_S = 60;

/** @type {ReturnType<typeof setInterval> | undefined} */
let ticking;

/** @type {number?} */
let end = null;

/** @param {number?} expiresMs  null: not known yet */
export function startCountdown(expiresMs) {
  end = expiresMs;
  clearInterval(ticking);
  if (end !== null)
    ticking = setInterval(tick, 250);
  tick();
}

export function stopCountdown() {
  clearInterval(ticking);
  end = null;
  bar.max = USUAL_S;
  set(alarm, "");
  tick();
}

function tick() {
  if (end === null) {
    set(left, "–:––");
    return;
  }
  const s = Math.max(Math.floor((end - serverNow()) / 1000), 0);

  set(left, `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`);
  set(label, s > 0 ? "Reserved for you for" :
    "The time to pay is over. Waiting for the store to confirm");
  bar.max = Math.max(bar.max, s);
  bar.value = s;
  get("payment-countdown").dataset.level = s <= HURRY_S ? "hurry" : "calm";
  if (ALARMS_S.includes(s))
    set(alarm, `${s} seconds left to pay.`);
}
