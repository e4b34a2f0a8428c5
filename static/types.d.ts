// SPDX-License-Identifier: MIT
//
// The types of the page's modules.  Only tsc reads this file; no browser does.

export interface Product {
  name: string;
  description: string;
  /** How many widgets can be bought. */
  inventory: number;
  /** In dollars. */
  price: number;
}

export type OrderStatus = "cancelled" | "pending" | "dispatched" | "paid";

export interface Order {
  id: number;
  status: OrderStatus;
  /** When the status or the progress last changed. */
  updated: Date;
  /** How many of its DISPATCH_STEPS are done. */
  done: number;
}

export interface Payment {
  id: string;
  /** The id of its order; null until the checkout has made it. */
  order: string | null;
  /** The order's status. */
  status: OrderStatus | null;
  /** Until when the order can be paid. */
  expiresMs: number | null;
}

/** A process, living or dead. */
export interface Process {
  /** web, daemon or postgresql */
  program: string;
  /** master, worker or server */
  role: string;
  pid: number | null;
  /** When a living one started, or a dead one died. */
  atMs: number;
  /** How many processes in its place have died. */
  deaths: number;
}

export interface Room {
  /** The living ones. */
  processes: Process[];
  /** The latest dead ones, newest first. */
  deaths: Process[];
  totals: { orders: number; crashes: number; lost: number };
}

export interface Step {
  /** Its place in the journal. */
  function_id: number;
  name: string;
  started_ms: number;
  completed_ms: number;
  /** The workflow that it started. */
  child_id: string | null;
  error: boolean;
  /** Index of the run that executed it. */
  run: number | null;
}

/** One run of a workflow: what one process executed of it in one turn. */
export interface Run {
  pid: number;
  began_ms: number;
  ended_ms: number;
  end: "suspended" | "finished";
}

/** A workflow's journal, as the server writes it. */
export interface Workflow {
  workflow_id: string;
  name: string;
  status: string;
  created_ms: number;
  updated_ms: number;
  waits_for: { what: string; until_ms: number | null } | null;
  steps: Step[];
  runs: Run[];
  children: string[];
}

/**
 * The answer to a round.  A part that was not asked for, or does not exist, is
 * null.
 */
export interface View {
  product: Product;
  /** All customers', newest first: a page, and one more. */
  orders: Order[];
  order: Order | null;
  payment: Payment | null;
  room: Room | null;
  /** A checkout and its dispatch. */
  workflows: Workflow[] | null;
}

/** What to crash; "" is web and executor. */
export type Target = "web" | "executor" | "database" | "everything" | "";

/** For a request that is repeated until it is answered. */
export interface Patience {
  /** Ends the repetition. */
  signal: AbortSignal;
  /** Called after each attempt without an answer. */
  onWait: () => void;
}

/**
 * Why a request has no outcome: no answer came, the store is not ready, or the
 * answer is not one that the store gives.
 */
export type Trouble = "silent" | "busy" | "garbled";

/**
 * How the payment ended in this tab: as the customer settled it, or by its
 * time-out; null when it did not end here.
 */
export type Asked = "paid" | "failed" | "expired" | null;

/** An order of this browser, as the server last described it. */
export interface OwnOrder {
  id: number;
  payment: string;
  status: OrderStatus;
  done: number;
}

/** The open view. */
export interface Route {
  view: "store" | "payment" | "order" | "missing";
  /** The id of the payment or the order, "" in the store; in "missing", the id
   * that the address names. */
  id: string;
  /** Set in the order view that follows a payment. */
  asked: Asked;
}

/** A row of the list of orders. */
export interface OrderRow {
  item: HTMLLIElement;
  link: HTMLAnchorElement;
  badge: HTMLSpanElement;
  progress: HTMLProgressElement;
}

/** A run, and what the journal says about it. */
export interface Turn {
  flow: Workflow;
  run: Run;
  index: number;
  /** How many steps the run replayed from the journal. */
  replayed: number;
}

/** Processes that died together. */
export interface Crash {
  atMs: number;
  dead: Process[];
}
