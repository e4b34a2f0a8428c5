/* SPDX-License-Identifier: MIT */
/*
 * Gathers the rows that a turn writes and queues one statement per kind.
 */
#include "engine/write_set.h"

#include <stdlib.h>

#include "base/memory.h"
#include "base/strbuf.h"
#include "db/db.h"

#define COLUMNS_MAX 9

enum tail { TAIL_NONE, TAIL_APPLICATION, TAIL_APPLICATION_EXECUTOR };

/* The statement of each kind: its columns as arrays, then the tail. */
static const struct {
	const char *sql;
	size_t columns;
	enum tail tail;
} kinds[WRITE_KINDS] = {
	[WRITE_ENDED] = { "select durable.turn_end_waits($1)", 1, TAIL_NONE },
	[WRITE_CONSUMED] = { "select durable.turn_consumed($1, $2)", 2,
	    TAIL_NONE },
	[WRITE_CHOSEN] = { "select durable.turn_chosen($1)", 1, TAIL_NONE },
	[WRITE_EXTERNAL] = { "select durable.turn_external($1, $2, $3, $4, $5)",
	    4, TAIL_APPLICATION },
	[WRITE_WAIT_ITEMS] = { "select durable.turn_wait_items($1, $2, $3, $4, $5)",
	    5, TAIL_NONE },
	[WRITE_FORGOTTEN] = { "select durable.turn_forget($1)", 1, TAIL_NONE },
	[WRITE_STEP_HINTS] = { "select durable.hint('durable_steps', $1)", 1,
	    TAIL_NONE },
	[WRITE_TIMER_GROUPS] = { "select durable.turn_timer_groups($1, $2, $3)",
	    3, TAIL_NONE },
	[WRITE_WAITS] = { "select durable.turn_waits($1, $2, $3, $4, $5, $6, $7, $8)",
	    8, TAIL_NONE },
	[WRITE_JOURNAL] = { "select durable.turn_journal($1, $2, $3, $4, $5, $6, $7, $8, "
			    "$9, $10)",
	    9, TAIL_APPLICATION },
	[WRITE_CONTINUED] = { "select durable.turn_continue($1, $2, $3)", 3,
	    TAIL_NONE },
	[WRITE_CLEANUPS] = { "select durable.turn_cleanups($1, $2)", 2,
	    TAIL_NONE },
	[WRITE_MESSAGES] = { "select durable.turn_messages($1, $2, $3)", 3,
	    TAIL_NONE },
	[WRITE_EVENTS] = { "select durable.turn_events($1, $2, $3, $4, $5)", 5,
	    TAIL_NONE },
	[WRITE_STREAMS] = { "select durable.turn_streams($1, $2, $3, $4)", 4,
	    TAIL_NONE },
	[WRITE_ATTRIBUTES] = { "select durable.turn_attributes($1, $2)", 2,
	    TAIL_NONE },
	[WRITE_STATUSES] = { "select durable.turn_statuses($1, $2, $3, $4, $5, $6, $7, $8, "
			     "$9)",
	    7, TAIL_APPLICATION_EXECUTOR },
	[WRITE_CONTROLS] = { "select durable.turn_control($1, $2)", 2,
	    TAIL_NONE },
	[WRITE_HINTS] = { "select durable.hint('dbos_workflow_events_channel', $1)",
	    1, TAIL_NONE },
	[WRITE_STREAM_HINTS] = { "select durable.hint('dbos_streams_channel', $1)",
	    1, TAIL_NONE },
	[WRITE_DUE_HINTS] = { "select durable.hint('durable_due', $1)", 1,
	    TAIL_NONE },
};

struct write_set {
	const char *application;
	const char *executor;
	struct strbuf columns[WRITE_KINDS][COLUMNS_MAX];
	size_t rows[WRITE_KINDS];
	size_t bytes; /* of all columns */
};

struct write_set *
write_set_new(const char *application, const char *executor)
{
	struct write_set *write_set = memory_new(sizeof(*write_set));

	write_set->application = application;
	write_set->executor = executor;
	return write_set;
}

void
write_set_free(struct write_set *write_set)
{
	int kind, column;

	if (write_set == NULL)
		return;
	for (kind = 0; kind < WRITE_KINDS; kind++)
		for (column = 0; column < COLUMNS_MAX; column++)
			strbuf_free(&write_set->columns[kind][column]);
	free(write_set);
}

void
write_set_reset(struct write_set *write_set)
{
	int kind, column;

	for (kind = 0; kind < WRITE_KINDS; kind++) {
		for (column = 0; column < COLUMNS_MAX; column++)
			strbuf_reset(&write_set->columns[kind][column]);
		write_set->rows[kind] = 0;
	}
	write_set->bytes = 0;
}

/* A column stays empty, and is NULL as a whole, until it gets a value. */
static void
add_value(struct strbuf *column, size_t rows, const char *value)
{
	size_t row;

	if (column->len == 0) {
		if (value == NULL)
			return;
		for (row = 0; row < rows; row++)
			strbuf_add_element(column, NULL);
	}
	strbuf_add_element(column, value);
}

void
write_set_add(struct write_set *write_set, enum write_set_kind kind,
    const char *const values[])
{
	size_t column;

	for (column = 0; column < kinds[kind].columns; column++) {
		struct strbuf *texts = &write_set->columns[kind][column];
		size_t before = texts->len;

		add_value(texts, write_set->rows[kind], values[column]);
		write_set->bytes += texts->len - before;
	}
	write_set->rows[kind]++;
}

size_t
write_set_bytes(const struct write_set *write_set)
{
	return write_set->bytes;
}

static void
queue_kind(struct write_set *write_set, struct db *db, enum write_set_kind kind)
{
	const char *params[COLUMNS_MAX + 2];
	size_t nparams = 0, column;

	if (write_set->rows[kind] == 0)
		return;
	for (column = 0; column < kinds[kind].columns; column++) {
		struct strbuf *values = &write_set->columns[kind][column];

		params[nparams++] = values->len == 0 ? NULL
						     : strbuf_end_array(values);
	}
	if (kinds[kind].tail != TAIL_NONE)
		params[nparams++] = write_set->application;
	if (kinds[kind].tail == TAIL_APPLICATION_EXECUTOR)
		params[nparams++] = write_set->executor;
	db_queue(db, kinds[kind].sql, nparams, params);
}

void
write_set_queue(struct write_set *write_set, struct db *db)
{
	int kind;

	for (kind = 0; kind < WRITE_HINTS; kind++)
		queue_kind(write_set, db, (enum write_set_kind)kind);
}

void
write_set_queue_hints(struct write_set *write_set, struct db *db)
{
	int kind;

	for (kind = WRITE_HINTS; kind < WRITE_KINDS; kind++)
		queue_kind(write_set, db, (enum write_set_kind)kind);
}
