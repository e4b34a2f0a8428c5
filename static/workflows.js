// SPDX-License-Identifier: MIT
//
// The operators' view: lists workflows, shows one, and cancels, resumes and
// forks it.  The address names the one that is shown; the operators' token is
// in the tab's session storage.

import * as timeline from "./timeline.js";
import { get, make, set } from "./document.js";

/** @import { Workflow } from "./types.js" */

/**
 * @typedef {{ workflow_id: string, name: string, status: string,
 *     queue: string?, created_at: string, updated_at: string }} Row
 * @typedef {{ step: number, name: string, output: unknown, error: unknown,
 *     child_workflow_id: string?, started_at: string? }} Step
 * @typedef {{ workflow: Record<string, unknown>, steps: Step[],
 *     timeline: Workflow }} Whole
 */

const TOKEN_ITEM = "widget-store-operator";
const PAGE = 50;

/** The facts about a workflow, by their members. */
const FACTS = new Map([
  ["status", "Status"], ["name", "Name"], ["queue_name", "Queue"],
  ["queue_partition_key", "Partition"], ["priority", "Priority"],
  ["application_name", "Application"], ["application_version", "Version"],
  ["executor_id", "Executor"], ["parent_workflow_id", "Parent"],
  ["forked_from", "Forked from"], ["schedule_name", "Schedule"],
  ["deduplication_id", "Deduplication id"], ["attributes", "Attributes"],
  ["attempts", "Attempts"], ["created_at", "Created"],
  ["started_at", "Started"], ["updated_at", "Changed"],
  ["completed_at", "Completed"], ["delayed_until", "Delayed until"],
  ["deadline_at", "Deadline"],
]);

const ENDED = ["SUCCESS", "ERROR", "CANCELLED",
  "MAX_RECOVERY_ATTEMPTS_EXCEEDED"];

const time = new Intl.DateTimeFormat(undefined, {
  dateStyle: "medium", timeStyle: "medium",
});

const door = get("door", HTMLFormElement);
const token = get("token", HTMLInputElement);
const note = get("note");
const list = get("list");
const one = get("one");
const rows = get("rows");
const steps = get("steps");
const filters = get("filters", HTMLFormElement);
const step = get("step", HTMLInputElement);
const buttons = {
  newer: get("newer", HTMLButtonElement),
  older: get("older", HTMLButtonElement),
  cancel: get("cancel", HTMLButtonElement),
  resume: get("resume", HTMLButtonElement),
  fork: get("fork", HTMLButtonElement),
};

let page = 0;

/** How often the view was asked for; an earlier answer may come later. */
let asked = 0;

/** The id in the address, "" for the list. */
const chosen = () => decodeURIComponent(location.hash.slice(1));

/**
 * Asks the store; throws what to say when it does not answer with 200.
 *
 * @param {string} method
 * @param {string} path
 * @returns {Promise<any>}
 */
async function ask(method, path) {
  const response = await fetch(`operator/${path}`, {
    method,
    headers: {
      "Authorization": `Bearer ${sessionStorage.getItem(TOKEN_ITEM) ?? ""}`,
      "X-Requested-With": "fetch",
    },
  }).catch(() => {
    throw new Error("The store does not answer. Try again.");
  });
  const answer = await response.json().catch(() => ({}));

  if (response.status === 401) {
    sessionStorage.removeItem(TOKEN_ITEM);
    door.hidden = false;
    list.hidden = one.hidden = true;
  }
  if (response.status === 404 && answer.error === "Not found")
    throw new Error("This store shows no workflows: its web half runs " +
      "without --operator-token-file.");
  if (!response.ok)
    throw new Error(answer.error ?? `The store answered ${response.status}.`);
  return answer;
}

/**
 * Does something, and says why when it cannot be done.
 *
 * @param {() => Promise<void>} action
 */
async function attempt(action) {
  set(note, "");
  try {
    await action();
  } catch (error) {
    set(note, error instanceof Error ? error.message : String(error));
  }
}

async function show() {
  const id = chosen();
  const round = ++asked;
  const isLast = () => round === asked;

  await attempt(() => id === "" ? showList(isLast) : showOne(id, isLast));
}

/** @param {() => boolean} isLast */
async function showList(isLast) {
  const wanted = new URLSearchParams({ skip: String(page * PAGE) });

  for (const name of ["status", "name", "queue"]) {
    const field = filters.querySelector(`#${name}`);

    if (field instanceof HTMLInputElement ||
        field instanceof HTMLSelectElement)
      wanted.set(name, field.value);
  }
  /** @type {Row[]} */
  const found = await ask("GET", `workflows?${wanted}`);

  if (!isLast())
    return;
  one.hidden = true;
  list.hidden = false;
  rows.replaceChildren(...found.slice(0, PAGE).map(newRow));
  set(get("page"), `Page ${page + 1}`);
  buttons.newer.disabled = page === 0;
  buttons.older.disabled = found.length <= PAGE;
  set(note, found.length === 0 ? "No workflow passes these filters." : "");
}

/** @param {Row} row */
function newRow(row) {
  const head = make("th", "id", linkTo(row.workflow_id));

  head.scope = "row";
  return make("tr", "", head, make("td", "", row.name),
    make("td", "", row.status), make("td", "", row.queue ?? ""),
    make("td", "", when(row.created_at)), make("td", "", when(row.updated_at)));
}

/** @param {string} id */
function linkTo(id) {
  const link = make("a", "id", id);

  link.href = `#${encodeURIComponent(id)}`;
  return link;
}

/** @param {string} at */
const when = (at) => time.format(new Date(at));

/** @param {unknown} value */
const text = (value) => value === null || value === undefined ? "" :
  typeof value === "string" ? value : JSON.stringify(value, null, 2);

/**
 * @param {string} id
 * @param {() => boolean} isLast
 */
async function showOne(id, isLast) {
  /** @type {Whole} */
  const whole = await ask("GET", `workflow/${encodeURIComponent(id)}`);

  if (!isLast())
    return;
  const { workflow } = whole;
  const isOver = ENDED.includes(String(workflow.status));

  list.hidden = true;
  one.hidden = false;
  set(get("one-title"), id);
  get("facts").replaceChildren(...[...FACTS].flatMap(([member, name]) =>
    fact(member, name, workflow[member])));
  set(get("input"), text(workflow.input));
  set(get("output"), text(workflow.error ?? workflow.output));
  steps.replaceChildren(...whole.steps.map(stepRow));
  buttons.cancel.disabled = isOver;
  buttons.resume.disabled = workflow.status === "SUCCESS" ||
    workflow.status === "ERROR";
  timeline.clear();
  const hasTurns = whole.timeline.runs.length > 0;

  get("chart", SVGSVGElement).toggleAttribute("hidden", !hasTurns);
  set(get("turns-note"), hasTurns ?
    "A block is a turn; its colour and letter name the process." :
    "The daemon notes turns only with --machine-room.");
  if (hasTurns)
    timeline.show([whole.timeline], []);
}

/**
 * @param {string} member
 * @param {string} name
 * @param {unknown} value
 */
function fact(member, name, value) {
  if (value === null || value === undefined)
    return [];
  return [make("dt", "", name), make("dd", "",
    member.endsWith("_at") || member === "delayed_until" ?
      when(String(value)) :
      member === "parent_workflow_id" || member === "forked_from" ?
        linkTo(String(value)) : text(value))];
}

/** @param {Step} row */
function stepRow(row) {
  const result = make("td", "id");

  if (row.child_workflow_id === null)
    result.append(text(row.error ?? row.output));
  else
    result.append(linkTo(row.child_workflow_id));
  return make("tr", "", make("td", "", String(row.step)),
    make("td", "", row.name),
    make("td", "", row.started_at === null ? "" : when(row.started_at)),
    result);
}

/**
 * Acts on the workflow that is shown.
 *
 * @param {string} path  of the action, before the id
 * @param {(id: string) => void} done
 */
function act(path, done) {
  return attempt(async () => {
    const id = chosen();

    await ask("POST", `${path}/${encodeURIComponent(id)}` +
      (path === "fork" ? `/${nextFork}?step=${Number(step.value)}` : ""));
    done(id);
  });
}

/** The id of the next fork, so that a repeated request makes no second one. */
let nextFork = crypto.randomUUID();

door.addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN_ITEM, token.value);
  token.value = "";
  door.hidden = true;
  show();
});
filters.addEventListener("submit", (event) => {
  event.preventDefault();
  page = 0;
  show();
});
buttons.newer.addEventListener("click", () => {
  page--;
  show();
});
buttons.older.addEventListener("click", () => {
  page++;
  show();
});
buttons.cancel.addEventListener("click", () => act("cancel", show));
buttons.resume.addEventListener("click", () => act("resume", show));
buttons.fork.addEventListener("click", () => act("fork", () => {
  const id = nextFork;

  nextFork = crypto.randomUUID();
  location.hash = encodeURIComponent(id);
}));
window.addEventListener("hashchange", async () => {
  await show();
  if (!one.hidden)
    get("one-title").focus();
});

door.hidden = sessionStorage.getItem(TOKEN_ITEM) !== null;
if (door.hidden)
  show();
