/* SPDX-License-Identifier: MIT */
/*
 * The write set: the rows that a turn writes when it ends, gathered by kind and
 * written with one statement per kind.  Private to the engine.
 */
#ifndef DURABLE_WRITE_SET_H
#define DURABLE_WRITE_SET_H

#include <stdbool.h>
#include <stddef.h>

struct db;
struct write_set;

/*
 * The kinds, in the order in which they are written: waits come before the rows
 * that may wake them.  A row's values are text, and the parameters of the
 * kind's SQL function in sql/durable/write.sql.
 */
enum write_set_kind {
	WRITE_ENDED,        /* id */
	WRITE_CONSUMED,     /* message id, number */
	WRITE_CHOSEN,       /* id */
	WRITE_EXTERNAL,     /* id, number, type, argument */
	WRITE_FORGOTTEN,    /* id; before the journal that wf_continue ends */
	WRITE_WAITS,        /* id, wake ms, type, kind, target, key,
				   held since ms, bytes */
	WRITE_WAIT_ITEMS,   /* id, number, kind, target, key */
	WRITE_TIMER_GROUPS, /* timer group, wake ms, size */
	WRITE_JOURNAL,      /* id, number, name, output, error, child,
				   serialization, started ms, completed ms */
	WRITE_CONTINUED,    /* id, number, input */
	WRITE_CLEANUPS,     /* id, may run */
	WRITE_MESSAGES,     /* destination, topic, message */
	WRITE_EVENTS,       /* id, number, key, value, serialization */
	WRITE_STREAMS,      /* id, number, key, value */
	WRITE_STATUSES,     /* id, status, begun, version, deadline,
				   output, error */
	WRITE_ATTRIBUTES,   /* id, attributes; a row that is still enqueued
				   would lose its wait by the trigger */
	WRITE_CONTROLS,     /* id, cancel or resume; behind the statuses, which
				   are of what happened before */
	WRITE_HINTS,        /* payload for dbos_workflow_events_channel */
	WRITE_STREAM_HINTS, /* payload for dbos_streams_channel */
	WRITE_DUE_HINTS,    /* payload for durable_due */
	WRITE_STEP_HINTS,   /* payload for durable_steps */
	WRITE_KINDS
};

/* The texts, the last parameters of some kinds, must outlive the write set. */
struct write_set *write_set_new(const char *application, const char *executor);
void write_set_free(struct write_set *write_set);

void write_set_reset(struct write_set *write_set);

/*
 * Adds a row with as many values as the kind has, which are copied; NULL is
 * SQL's null.  A column of nulls alone is passed as null.
 */
void write_set_add(struct write_set *write_set, enum write_set_kind kind,
    const char *const values[]);

/* The bytes of all rows. */
size_t write_set_bytes(const struct write_set *write_set);

/* Queues the statements of all kinds but the hints, which come last. */
void write_set_queue(struct write_set *write_set, struct db *db);

/*
 * Queues the hints: notifications for what waits elsewhere.  They
 * follow the commit, in a transaction of their own, because a commit that
 * notifies takes a lock of the whole cluster.
 */
void write_set_queue_hints(struct write_set *write_set, struct db *db);

#endif
