/* SPDX-License-Identifier: MIT */
/*
 * What a turn is going to write: rows gathered by kind, then written with one
 * statement a kind.  Private to the engine.
 */
#ifndef DURABLE_OUTBOX_H
#define DURABLE_OUTBOX_H

#include <stdbool.h>

struct db;
struct outbox;

/*
 * The kinds, in the order in which they are written: waits come before what
 * may wake them.  A row's values, as text, are the parameters of the kind's
 * SQL function in sql/turn.sql.
 */
enum outbox_kind {
	OUTBOX_OVER,     /* id */
	OUTBOX_CONSUMED, /* message id, number */
	OUTBOX_WAITS,    /* id, wake ms, type, kind, target, key, tag, tid,
				   held ms */
	OUTBOX_ALARMS,   /* alarm, wake ms, size, tag */
	OUTBOX_JOURNAL,  /* id, number, name, output, error, child,
				   serialization, started ms, completed ms */
	OUTBOX_MESSAGES, /* destination, topic, message */
	OUTBOX_EVENTS,   /* id, number, key, value, serialization */
	OUTBOX_STATUSES, /* id, status, begun, version, deadline,
				   output, error */
	OUTBOX_HINTS,    /* payload for dbos_workflow_events_channel */
	OUTBOX_KINDS
};

/* The texts are what the last parameters of some kinds are. */
struct outbox *outbox_new(const char *application, const char *executor);
void outbox_free(struct outbox *outbox);

void outbox_reset(struct outbox *outbox);

/*
 * Adds a row: as many values as the kind has, copied; NULL is SQL's null.  A
 * column of nothing else is null as a whole.
 */
void outbox_add(struct outbox *outbox, enum outbox_kind kind,
    const char *const values[]);

/* Queues the statements of all kinds but the hints, which come last. */
void outbox_queue(struct outbox *outbox, struct db *db);

/*
 * Queues the hints: notifications to whoever waits for an event, after the
 * commit and in a transaction of their own, because a commit that notifies
 * holds a lock of the whole cluster.
 */
void outbox_queue_hints(struct outbox *outbox, struct db *db);

#endif
