/* SPDX-License-Identifier: MIT */
/*
 * What a turn is going to write.
 */
#include "outbox.h"

#include <stdlib.h>

#include "db.h"
#include "strbuf.h"

#define COLUMNS_MAX 9

enum tail { TAIL_NONE, TAIL_APPLICATION, TAIL_APPLICATION_EXECUTOR };

/* The statement of each kind: its columns as arrays, then the tail. */
static const struct {
	const char *sql;
	size_t columns;
	enum tail tail;
} kinds[OUTBOX_KINDS] = {
	[OUTBOX_OVER] = { "select durable.turn_over($1)", 1, TAIL_NONE },
	[OUTBOX_CONSUMED] = { "select durable.turn_consumed($1, $2)", 2,
	    TAIL_NONE },
	[OUTBOX_ALARMS] = { "select durable.turn_alarms($1, $2, $3, $4)", 4,
	    TAIL_NONE },
	[OUTBOX_WAITS] = { "select durable.turn_waits($1, $2, $3, $4, $5, $6, $7, $8, "
			   "$9)",
	    9, TAIL_NONE },
	[OUTBOX_JOURNAL] = { "select durable.turn_journal($1, $2, $3, $4, $5, $6, $7, $8, "
			     "$9, $10)",
	    9, TAIL_APPLICATION },
	[OUTBOX_MESSAGES] = { "select durable.turn_messages($1, $2, $3)", 3,
	    TAIL_NONE },
	[OUTBOX_EVENTS] = { "select durable.turn_events($1, $2, $3, $4, $5)", 5,
	    TAIL_NONE },
	[OUTBOX_STATUSES] = { "select durable.turn_statuses($1, $2, $3, $4, $5, $6, $7, $8, "
			      "$9)",
	    7, TAIL_APPLICATION_EXECUTOR },
	[OUTBOX_HINTS] = { "select pg_notify('dbos_workflow_events_channel', payload) "
			   "from unnest($1::text[]) as payload "
			   "where octet_length(payload) < 8000",
	    1, TAIL_NONE },
};

struct outbox {
	const char *application;
	const char *executor;
	struct strbuf columns[OUTBOX_KINDS][COLUMNS_MAX];
	size_t rows[OUTBOX_KINDS];
};

struct outbox *
outbox_new(const char *application, const char *executor)
{
	struct outbox *outbox = calloc(1, sizeof(*outbox));

	if (outbox == NULL)
		abort();
	outbox->application = application;
	outbox->executor = executor;
	return outbox;
}

void
outbox_free(struct outbox *outbox)
{
	int kind, column;

	if (outbox == NULL)
		return;
	for (kind = 0; kind < OUTBOX_KINDS; kind++)
		for (column = 0; column < COLUMNS_MAX; column++)
			strbuf_free(&outbox->columns[kind][column]);
	free(outbox);
}

void
outbox_reset(struct outbox *outbox)
{
	int kind, column;

	for (kind = 0; kind < OUTBOX_KINDS; kind++) {
		for (column = 0; column < COLUMNS_MAX; column++)
			strbuf_reset(&outbox->columns[kind][column]);
		outbox->rows[kind] = 0;
	}
}

/* Of a column without any value nothing is written: it is NULL as a whole. */
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
outbox_add(struct outbox *outbox, enum outbox_kind kind,
    const char *const values[])
{
	size_t column;

	for (column = 0; column < kinds[kind].columns; column++)
		add_value(&outbox->columns[kind][column], outbox->rows[kind],
		    values[column]);
	outbox->rows[kind]++;
}

static void
queue_kind(struct outbox *outbox, struct db *db, enum outbox_kind kind)
{
	const char *params[COLUMNS_MAX + 2];
	size_t nparams = 0, column;

	if (outbox->rows[kind] == 0)
		return;
	for (column = 0; column < kinds[kind].columns; column++) {
		struct strbuf *values = &outbox->columns[kind][column];

		params[nparams++] = values->len == 0 ? NULL
						     : strbuf_end_array(values);
	}
	if (kinds[kind].tail != TAIL_NONE)
		params[nparams++] = outbox->application;
	if (kinds[kind].tail == TAIL_APPLICATION_EXECUTOR)
		params[nparams++] = outbox->executor;
	db_queue(db, kinds[kind].sql, nparams, params);
}

void
outbox_queue(struct outbox *outbox, struct db *db)
{
	int kind;

	for (kind = 0; kind < OUTBOX_HINTS; kind++)
		queue_kind(outbox, db, (enum outbox_kind)kind);
}

void
outbox_queue_hints(struct outbox *outbox, struct db *db)
{
	queue_kind(outbox, db, OUTBOX_HINTS);
}
