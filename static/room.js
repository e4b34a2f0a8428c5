// SPDX-License-Identifier: MIT
//
// The machine room: processes, deaths, and the journal of an order.  The page
// asks for it only while it is open, and not in a store without one.

import { serverNow } from "./api.js";
import * as state from "./state.js";
import * as timeline from "./timeline.js";
import { get, make, set } from "./document.js";

/** @import { Process, Room, View, Workflow } from "./types.js" */

const room = get("machine-room", HTMLDetailsElement);
const link = get("room-link");
const body = get("processes", HTMLTableSectionElement);
const title = get("journal-title");
const totals = {
  orders: get("total-orders"),
  crashes: get("total-crashes"),
  lost: get("total-lost"),
};

/** The subject with the journal to show, "" for none. */
let chosen = "";

/** That subject's name, for the heading. */
let name = "";

/** Whether that journal is shown and will not grow. */
let complete = false;

/** @type {Workflow[]} */
let flows = [];

/** All deaths that were reported, by process and time.
 * @type {Map<string, Process>} */
const deaths = new Map();

/** @type {Process[]} */
let processes = [];

/** Whether the store has a machine room; assumed until it answers. */
let exists = true;

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
 * Chooses the subject with the journal to show.
 *
 * @param {string} subject  "" for none
 * @param {string} order  its name
 */
export function choose(subject, order) {
  name = order;
  if (subject === chosen)
    return;
  chosen = subject;
  complete = false;
  if (subject === "")
    showJournal([], "Journal", "Buy a widget to see one.");
}

/** @returns {boolean} whether to ask for the machine room, too */
export const asks = () => room.hidden ? exists : room.open;

/** @returns {string} the subject to ask for, "" for none */
export const wanted = () => room.open && !complete ? chosen : "";

/**
 * @param {View} view
 * @param {string} subject  the view's
 * @param {boolean} over  whether the subject will not change any more
 */
export function show(view, subject, over) {
  if (room.hidden)
    exists = view.room !== null;
  if (view.room !== null)
    showProcesses(view.room);
  if (view.workflows !== null && subject === chosen) {
    complete = over && view.workflows.every(timeline.isOver);
    showJournal(view.workflows, `Journal of ${name}`,
      view.workflows.length > 0 ? sentence(view.workflows) :
        "This order has no journal.");
  }
}

/**
 * @param {Workflow[]} next
 * @param {string} heading
 * @param {string} state  a sentence
 */
function showJournal(next, heading, state) {
  // For another order the letters begin again.
  if (next[0]?.workflow_id !== flows[0]?.workflow_id)
    timeline.clear();
  flows = next;
  set(title, heading);
  set(get("journal-state"), state);
  redraw();
}

/** @param {Workflow[]} flows */
function sentence(flows) {
  const turns = flows.reduce((sum, flow) => sum + flow.runs.length, 0);
  const pids = new Set(flows.flatMap((flow) =>
    flow.runs.map((run) => run.pid)));
  const live = flows.find((flow) => !timeline.isOver(flow));

  return `${turns} ${turns === 1 ? "turn" : "turns"} in ${pids.size} ` +
    `${pids.size === 1 ? "process" : "processes"}, ` +
    (live === undefined ? "finished" : live.waits_for === null ?
      "running" : `waiting for a ${live.waits_for.what}`);
}

function redraw() {
  if (room.open && flows.length > 0)
    timeline.show(flows, [...deaths.values()]);
}

/** @param {Room} seen */
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

/** @param {Process} process */
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
    age(serverNow() - processes[place].atMs)));
}

/** @param {number} ms */
function age(ms) {
  const s = Math.max(Math.floor(ms / 1000), 0);

  return s < 60 ? `${s} s` : s < 3600 ? `${Math.floor(s / 60)} min` :
    s < 172800 ? `${Math.floor(s / 3600)} h` : `${Math.floor(s / 86400)} d`;
}
