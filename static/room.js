// SPDX-License-Identifier: MIT
//
// The machine room: who lives, who died, and what an order has gone through.
// It asks only while it is open, and never again where the store has none.

import * as api from "./api.js";
import * as state from "./state.js";
import * as timeline from "./timeline.js";
import { get, make, set } from "./document.js";

/** @typedef {import("./api.js").Workflow} Workflow */

const IDLE_MS = 1000;
const LIVE_MS = 500;
const CLOSED_MS = 3600000;

const room = get("machine-room", HTMLDetailsElement);
const link = get("room-link", HTMLElement);
const body = get("processes", HTMLTableSectionElement);
const title = get("journal-title", HTMLElement);
const status = get("journal-state", HTMLElement);
const totals = {
  orders: get("total-orders", HTMLElement),
  crashes: get("total-crashes", HTMLElement),
  lost: get("total-lost", HTMLElement),
};

/** The checkout that is shown. @type {string?} */
let chosen = null;

/** @type {Workflow[]} */
let flows = [];

/** Deaths of which we have heard, by process and time.
 * @type {Map<string, import("./api.js").Process>} */
const deaths = new Map();

/** @type {import("./api.js").Process[]} */
let processes = [];

let exists = true;
let turn = 0;

/** @param {() => void} poll  makes a round due */
export function listen(poll) {
  room.open = state.readRoomOpen();
  room.addEventListener("toggle", () => {
    state.keepRoomOpen(room.open);
    redraw();
    poll();
  });
  window.addEventListener("hashchange", () => {
    if (state.readRoomOpen()) {
      room.open = true;
      room.scrollIntoView();
    }
  });
  window.addEventListener("resize", redraw);
  setInterval(() => room.open && showAges(), 1000);
}

/**
 * Whose journal is shown.
 *
 * @param {string?} workflow
 * @param {string} name  of the order
 */
export function choose(workflow, name) {
  set(title, name === "" ? "Journal" : `Journal of ${name}`);
  if (workflow === chosen)
    return;
  chosen = workflow;
  flows = [];
  timeline.clear();
  set(status, workflow === null ? "Buy a widget to see one." :
    "Looking up the journal…");
}

/**
 * Asks for one thing that may have changed.
 *
 * @returns {Promise<number>} milliseconds until the next one
 */
export async function round() {
  if (!exists || (!room.open && !room.hidden))
    return CLOSED_MS;
  const wanted = chosen === null || room.hidden ? [] : unfinished(chosen);
  const next = turn++ % (wanted.length + 1);

  try {
    if (next === 0)
      showProcesses(await api.fetchProcesses());
    else
      await look(wanted[next - 1]);
  } catch (error) {
    if (error instanceof api.Refused && next === 0)
      exists = false;
    else if (!(error instanceof api.Refused ||
        error instanceof api.Unavailable))
      throw error;
  }
  return wanted.length > 0 ? LIVE_MS : IDLE_MS;
}

/**
 * The workflows of a checkout whose journals may still grow.
 *
 * @param {string} checkout
 * @returns {string[]}
 */
function unfinished(checkout) {
  return [checkout, ...flows[0]?.children ?? []].filter((id) =>
    !flows.some((flow) => flow.workflow_id === id && isOver(flow)));
}

/** @param {Workflow} flow */
const isOver = (flow) => flow.status !== "PENDING" &&
  flow.status !== "ENQUEUED" && flow.waits_for === null;

/** @param {string} id */
async function look(id) {
  const asked = chosen;
  const flow = await api.fetchWorkflow(id);

  if (asked !== chosen)
    return;
  flows = [...flows.filter((other) => other.workflow_id !== id), flow]
    .sort((a, b) => a.created_ms - b.created_ms);
  set(status, sentence());
  redraw();
}

function sentence() {
  const turns = flows.reduce((sum, flow) => sum + flow.runs.length, 0);
  const pids = new Set(flows.flatMap((flow) =>
    flow.runs.map((run) => run.pid)));
  const live = flows.find((flow) => !isOver(flow));
  const whole = flows.every((flow) => flow.children.every((id) =>
    flows.some((other) => other.workflow_id === id)));

  return `${turns} ${turns === 1 ? "turn" : "turns"} in ${pids.size} ` +
    `${pids.size === 1 ? "process" : "processes"}, ` +
    (live === undefined && whole ? "finished" : !live?.waits_for ?
      "running" : `waiting for a ${live.waits_for.what}`);
}

function redraw() {
  if (room.open && flows.length > 0)
    timeline.show(flows, [...deaths.values()]);
}

/** @param {import("./api.js").Room} seen */
function showProcesses(seen) {
  room.hidden = false;
  link.hidden = false;
  for (const death of seen.deaths)
    deaths.set(`${death.program} ${death.pid} ${death.atMs}`, death);
  processes = seen.processes;
  set(totals.orders, String(seen.totals.orders));
  set(totals.crashes, String(seen.totals.crashes));
  set(totals.lost, String(seen.totals.lost));
  if (room.open) {
    body.replaceChildren(...processes.map(newRow));
    showAges();
    redraw();
  }
}

/** @param {import("./api.js").Process} process */
function newRow(process) {
  const known = timeline.letterOf(process.pid);
  const name = make("th", "", process.role === "server" ? "PostgreSQL" :
    `${process.program} ${process.role}`);

  name.scope = "row";
  if (known !== undefined) {
    const badge = make("span", "process", known.letter);

    badge.dataset.colour = known.colour;
    name.append(" ", badge);
  }
  return make("tr", "", name, make("td", "", String(process.pid ?? "–")),
    make("td", ""), make("td", process.deaths > 0 ? "died" : "",
      String(process.deaths)));
}

function showAges() {
  [...body.rows].forEach((row, place) => set(row.cells[2],
    age(api.serverNow() - processes[place].atMs)));
}

/** @param {number} ms */
function age(ms) {
  const s = Math.max(Math.floor(ms / 1000), 0);

  return s < 60 ? `${s} s` : s < 3600 ? `${Math.floor(s / 60)} min` :
    s < 172800 ? `${Math.floor(s / 3600)} h` : `${Math.floor(s / 86400)} d`;
}
