// SPDX-License-Identifier: MIT
//
// What the page's modules work with.  Read by tsc alone: no browser loads it.

export interface Product {
  name: string;
  description: string;
  /** How many can be bought. */
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
  /** Steps towards dispatch, of DISPATCH_STEPS. */
  done: number;
}

export interface Payment {
  id: string;
  /** Null as long as there is none. */
  order: string | null;
  /** Of the order. */
  status: OrderStatus | null;
  /** Until when it can be paid. */
  expiresMs: number | null;
}

/** A process that lives, or one that has died. */
export interface Process {
  /** web, daemon or postgresql */
  program: string;
  /** master, worker or server */
  role: string;
  pid: number | null;
  /** Since when it lives, or when it died. */
  atMs: number;
  /** How often one in its place has died. */
  deaths: number;
}

export interface Room {
  /** That live. */
  processes: Process[];
  /** The last ones, newest first. */
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

/** What one process did of a workflow without a break. */
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
 * What a view shows.  What was not asked for, and what does not exist, is
 * null.
 */
export interface View {
  product: Product;
  /** Of everybody, newest first: a page, and one more. */
  orders: Order[];
  order: Order | null;
  payment: Payment | null;
  room: Room | null;
  /** A checkout and its dispatch. */
  workflows: Workflow[] | null;
}

/** What to crash; "" is web and executor. */
export type Target = "web" | "executor" | "database" | "everything" | "";

/** What accompanies a request that is repeated. */
export interface Patience {
  /** Ends it: nobody waits for it any more. */
  signal: AbortSignal;
  /** Called after each attempt without answer. */
  onWait: () => void;
}

/**
 * Why nothing is known: nobody answered, the store is not ready, or what came
 * is nothing that a store says.
 */
export type Trouble = "silent" | "busy" | "garbled";

/**
 * How the payment of an order ended here: as the customer settled it, or by
 * its time-out.
 */
export type Asked = "paid" | "failed" | "expired" | null;

/** An order of this browser, as last heard of. */
export interface OwnOrder {
  id: number;
  payment: string;
  status: OrderStatus;
  done: number;
}

/** The open view. */
export interface Route {
  view: "store" | "payment" | "order" | "missing";
  /** Of the payment or the order, "" in the store; in "missing", whatever the
   * address asks for. */
  id: string;
  /** In the order view that follows a payment. */
  asked: Asked;
}

/** A row of the list of orders. */
export interface OrderRow {
  item: HTMLLIElement;
  link: HTMLAnchorElement;
  badge: HTMLSpanElement;
  progress: HTMLProgressElement;
}

/** A run, with what the journal says of it. */
export interface Turn {
  flow: Workflow;
  run: Run;
  index: number;
  /** How many steps came from the journal. */
  replayed: number;
}

/** Processes that died together. */
export interface Crash {
  atMs: number;
  dead: Process[];
}
