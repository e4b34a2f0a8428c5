// SPDX-License-Identifier: MIT
//
// A checkout and its dispatch over time: a chart of their turns, cut by
// crashes, and the journal in words.

import { serverNow } from "./api.js";
import { get, make, set } from "./document.js";

/** @import { Crash, Process, Turn, Workflow } from "./types.js" */

const SVG = "http://www.w3.org/2000/svg";

/** A longer wait is drawn as one of this length. */
const LONGEST_DRAWN_MS = 2500;

/** The least time drawn between a crash and its neighbours. */
const CUT_MS = 600;

/** Deaths within this time are shown as one crash. */
const TOGETHER_MS = 2500;

/** One crash kills all processes of a program within this time. */
const AT_ONCE_MS = 300;

const COLOURS = 6;
const LANE = { first: 46, height: 58, block: 26 };

const chart = get("chart", SVGSVGElement);
const journal = get("journal");
const chartTitle = get("chart-title", SVGElement);

const clock = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false,
});

const NAMES = new Map([
  ["checkout_workflow", "checkout"], ["dispatch_order_workflow", "dispatch"],
  ["notify_workflow", "notification"],
]);

/** Numbers of the letters, by pid. @type {Map<number, number>} */
const letters = new Map();

/** @param {Workflow} flow */
export const isOver = (flow) => flow.status !== "PENDING" &&
  flow.status !== "ENQUEUED" && flow.waits_for === null;

/** @param {string} name */
const plain = (name) => NAMES.get(name) ?? name;

/**
 * A process's letter and colour; undefined for one that is not in the chart.
 *
 * @param {number?} pid
 */
export function letterOf(pid) {
  const place = pid === null ? undefined : letters.get(pid);

  return place === undefined ? undefined : {
    letter: String.fromCharCode(65 + place % 26),
    colour: String(place % COLOURS),
  };
}

/** Clears all, before another order is shown. */
export function clear() {
  letters.clear();
  journal.replaceChildren();
  chart.replaceChildren(chartTitle);
}

/**
 * @param {Workflow[]} flows  the checkout, and its dispatch if there is one
 * @param {Process[]} deaths
 */
export function show(flows, deaths) {
  const turns = flows.flatMap(turnsOf)
    .sort((a, b) => a.run.began_ms - b.run.began_ms);
  const over = flows.every(isOver);
  const from = Math.min(...flows.map((flow) => flow.created_ms));
  const to = over ? Math.max(...flows.map((flow) => flow.updated_ms)) :
    serverNow();
  const crashes = group(deaths.filter((death) =>
    death.atMs >= from && death.atMs <= to));

  for (const { run } of turns)
    if (!letters.has(run.pid))
      letters.set(run.pid, letters.size);
  draw(flows, turns, crashes, from, to, over);
  write(flows, turns, crashes);
}

/** @param {Workflow} flow @returns {Turn[]} */
function turnsOf(flow) {
  return flow.runs.map((run, index) => ({
    flow,
    run,
    index,
    replayed: flow.steps.filter((step) => step.run !== null &&
      step.run < index).length,
  }));
}

/**
 * @param {Process[]} deaths
 * @returns {Crash[]} the earliest first
 */
function group(deaths) {
  /** @type {Crash[]} */
  const crashes = [];

  for (const death of [...deaths].sort((a, b) => a.atMs - b.atMs)) {
    const last = crashes.at(-1);

    // A program that had restarted died of another crash.
    if (last !== undefined && death.atMs - last.atMs < TOGETHER_MS &&
        !last.dead.some((other) => other.program === death.program &&
          death.atMs - other.atMs > AT_ONCE_MS))
      last.dead.push(death);
    else
      crashes.push({ atMs: death.atMs, dead: [death] });
  }
  return crashes;
}


// The chart.

/**
 * @param {Workflow[]} flows
 * @param {Turn[]} turns
 * @param {Crash[]} crashes
 * @param {number} from
 * @param {number} to
 * @param {boolean} over
 */
function draw(flows, turns, crashes, from, to, over) {
  const width = Math.max(chart.parentElement?.clientWidth ?? 0, 240);
  const height = LANE.first + flows.length * LANE.height;
  const x = scale([from, to,
    ...turns.flatMap(({ run }) => [run.began_ms, run.ended_ms])],
    crashes.map((crash) => crash.atMs), 8, width - LANE.block - 8);

  chart.setAttribute("width", String(width));
  chart.setAttribute("height", String(height));
  chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
  chart.replaceChildren(chartTitle);
  set(chartTitle, `${turns.length} turns in ${letters.size} processes, ` +
    `cut by ${crashes.length} crashes`);

  flows.forEach((flow, lane) => {
    const y = LANE.first + lane * LANE.height;
    const mine = turns.filter((turn) => turn.flow === flow);
    const end = flow.status === "SUCCESS" && mine.length > 0 ?
      mine[mine.length - 1].run.ended_ms : to;

    shape("line", "wait", {
      x1: x(flow.created_ms), x2: x(end), y1: y + LANE.block / 2,
      y2: y + LANE.block / 2,
    });
    let last = -Infinity;
    for (const { run } of mine) {
      const { letter, colour } = letterOf(run.pid) ??
        { letter: "?", colour: "0" };
      const left = x(run.began_ms);

      shape("rect", "turn", {
        x: left, y, height: LANE.block, rx: 6,
        width: Math.max(x(run.ended_ms) - left, LANE.block - 4),
      }).dataset.colour = colour;
      if (left - last > 16)
        label(letter, left + LANE.block / 2 - 2, y + 18, "letter")
          .dataset.colour = colour;
      last = left;
    }
  });
  crashes.forEach((crash) => cut(x(crash.atMs), height));
  flows.forEach((flow, lane) => label(plain(flow.name), 8,
    LANE.first + lane * LANE.height - 8, "lane"));
  if (!over)
    shape("line", "now", { x1: x(to), x2: x(to), y1: 20, y2: height });
}

/**
 * Maps times to places in the chart; long waits are shortened.
 *
 * @param {number[]} times
 * @param {number[]} cuts
 * @param {number} left
 * @param {number} right
 * @returns {(ms: number) => number}
 */
function scale(times, cuts, left, right) {
  const marks = [...new Set([...times, ...cuts])].sort((a, b) => a - b);
  const isCut = (/** @type {number} */ i) => cuts.includes(marks[i]);
  const sums = [0];

  for (let i = 1; i < marks.length; i++)
    sums.push(sums[i - 1] + Math.max(isCut(i) || isCut(i - 1) ? CUT_MS : 0,
      Math.min(marks[i] - marks[i - 1], LONGEST_DRAWN_MS)));
  const all = Math.max(sums[sums.length - 1], 1);

  return (ms) => {
    const i = Math.max(marks.findLastIndex((mark) => mark <= ms), 0);

    return left + (right - left) *
      (sums[i] + Math.min(Math.max(ms - marks[i], 0), LONGEST_DRAWN_MS)) / all;
  };
}

/**
 * Draws a crash, as a jagged line from top to bottom.
 *
 * @param {number} x
 * @param {number} height
 */
function cut(x, height) {
  let path = `M${x} 20`;

  for (let y = 26, side = 1; y <= height; y += 6, side = -side)
    path += `L${x + 4 * side} ${y}`;
  shape("path", "cut-edge", { d: path });
  shape("path", "cut", { d: path });
  label("crash", Math.max(x, 22), 14, "cut-name");
}

/**
 * @param {string} tag
 * @param {string} className
 * @param {Record<string, string | number>} attributes
 */
function shape(tag, className, attributes) {
  const element = /** @type {SVGElement} */ (
    document.createElementNS(SVG, tag));

  element.setAttribute("class", className);
  for (const [name, value] of Object.entries(attributes))
    element.setAttribute(name, String(value));
  chart.append(element);
  return element;
}

/**
 * @param {string} text
 * @param {number} x
 * @param {number} y
 * @param {string} className
 */
function label(text, x, y, className) {
  const element = shape("text", className, { x, y });

  element.textContent = text;
  return element;
}


// The journal in words, newest turn first.

/**
 * @param {Workflow[]} flows
 * @param {Turn[]} turns
 * @param {Crash[]} crashes
 */
function write(flows, turns, crashes) {
  const items = [
    ...turns.map((turn) => ({ at: turn.run.began_ms, row: turnRow(turn) })),
    ...crashes.map((crash) => ({ at: crash.atMs, row: crashRow(crash) })),
  ].sort((a, b) => b.at - a.at).map((item) => item.row);

  for (const flow of flows) {
    const sentence = waiting(flow);

    if (sentence !== "")
      items.unshift(make("li", "waiting", make("strong", "",
        plain(flow.name)), ` ${sentence}`));
  }
  journal.replaceChildren(...items);
}

/** @param {Workflow} flow */
function waiting(flow) {
  if (flow.waits_for === null)
    return "";
  const { what, until_ms: until } = flow.waits_for;
  const end = until === null ? "" : ` until ${clock.format(until)}`;

  return what === "start" ? "waits for its first turn" :
    `is suspended and waits for a ${what}${end}: one row, no process`;
}

/** @param {Turn} turn */
function turnRow({ flow, run, index, replayed }) {
  const { letter, colour } = letterOf(run.pid) ?? { letter: "?", colour: "0" };
  const badge = make("span", "process", letter);
  const steps = flow.steps.filter((step) => step.run === index);

  badge.dataset.colour = colour;
  badge.setAttribute("aria-hidden", "true");
  return make("li", "turn",
    make("p", "turn-head", badge,
      make("strong", "", plain(flow.name)),
      make("span", "fine", `process ${letter}, pid ${run.pid}`),
      make("time", "fine", clock.format(run.began_ms))),
    make("ul", "steps",
      ...replayed > 0 ? [make("li", "replay", `replayed ${replayed} ` +
        `${replayed === 1 ? "step" : "steps"} from the journal`)] : [],
      ...steps.map((step) => make("li", step.error ? "step bad" : "step",
        make("code", "", step.name),
        make("span", "fine", duration(step.completed_ms - step.started_ms)))),
      make("li", "end", run.end === "finished" ? "finished" : "suspended")));
}

/** @param {Crash} crash */
function crashRow(crash) {
  const names = new Map();

  for (const { program, role } of crash.dead) {
    const name = role === "server" ? "PostgreSQL" : `${program} ${role}`;
    names.set(name, (names.get(name) ?? 0) + 1);
  }
  const dead = [...names].map(([name, times]) =>
    times > 1 ? `${times} × ${name}` : name).join(", ");

  return make("li", "crash", make("strong", "", "Crash"), ` ${dead} died `,
    make("time", "fine", clock.format(crash.atMs)));
}

/** @param {number} ms */
function duration(ms) {
  return ms < 1 ? "< 1 ms" : ms < 1000 ? `${Math.round(ms)} ms` :
    `${(ms / 1000).toFixed(1)} s`;
}
