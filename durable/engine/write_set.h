/* SPDX-License-Identifier: MIT */
/*
 * What a turn is going to write: rows gathered by kind, then written with one
 * statement a kind.  Private to the engine.
 */
#ifndef DURABLE_WRITE_SET_H
#define DURABLE_WRITE_SET_H

#include <stdbool.h>

struct db;
struct write_set;

/*
 * The kinds, in the order in which they are written: waits come before what
 * may wake them.  A row's values, as text, are the parameters of the kind's
 * SQL function in sql/durable/write.sql.
 */
enum write_set_kind {
	WRITE_ENDED,        /* id */
	WRITE_CONSUMED,     /* message id, number */
	WRITE_WAITS,        /* id, wake ms, type, kind, target, key,
				   cache tag, place, held since ms */
	WRITE_TIMER_GROUPS, /* timer group, wake ms, size, cache tag */
	WRITE_JOURNAL,      /* id, number, name, output, error, child,
				   serialization, started ms, completed ms */
	WRITE_MESSAGES,     /* destination, topic, message */
	WRITE_EVENTS,       /* id, number, key, value, serialization */
	WRITE_STATUSES,     /* id, status, begun, version, deadline,
				   output, error */
	WRITE_HINTS,        /* payload for dbos_workflow_events_channel */
	WRITE_KINDS
};

/* The texts are what the last parameters of some kinds are. */
struct write_set *write_set_new(const char *application, const char *executor);
void write_set_free(struct write_set *write_set);

void write_set_reset(struct write_set *write_set);

/*
 * Adds a row: as many values as the kind has, copied; NULL is SQL's null.  A
 * column of nothing else is null as a whole.
 */
void write_set_add(struct write_set *write_set, enum write_set_kind kind,
    const char *const values[]);

/* Queues the statements of all kinds but the hints, which come last. */
void write_set_queue(struct write_set *write_set, struct db *db);

/*
 * Queues the hints: notifications to whoever waits for an event, after the
 * commit and in a transaction of their own, because a commit that notifies
 * holds a lock of the whole cluster.
 */
void write_set_queue_hints(struct write_set *write_set, struct db *db);

#endif
