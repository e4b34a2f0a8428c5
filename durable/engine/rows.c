/* SPDX-License-Identifier: MIT */
/*
 * Makes JSON of what an author's statement returned.
 */
#include "engine/rows.h"

#include "base/arena.h"
#include "base/strbuf.h"
#include "db/db.h"
#include "db/value.h"

const char *
rows_value(struct arena *arena, const struct db_rows *rows, size_t row,
    int column)
{
	const char *value;

	if (db_row_count(rows) <= row ||
	    (value = db_value(rows, row, column)) == NULL)
		return NULL;
	switch (db_column_type(rows, column)) {
	case DB_TYPE_BOOLEAN:
		return *value == 't' ? "true" : "false";
	case DB_TYPE_NUMBER:
	case DB_TYPE_JSON:
		return value;
	case DB_TYPE_VOID:
		return NULL;
	case DB_TYPE_TEXT:
		break;
	}
	return value_encode_text(arena, value);
}

/* The name of each column with what stands before its value. */
static const char **
column_heads(struct arena *arena, const struct db_rows *rows, int columns)
{
	const char **heads = arena_alloc(arena,
	    ((size_t)columns + 1) * sizeof(*heads));
	int i;

	for (i = 0; i < columns; i++)
		heads[i] = arena_printf(arena, "%s%s:", i == 0 ? "" : ",",
		    value_encode_text(arena, db_column_name(rows, i)));
	return heads;
}

const char *
rows_all(struct arena *arena, const struct db_rows *rows)
{
	int columns = db_column_count(rows), i;
	const char *const *heads = column_heads(arena, rows, columns);
	struct strbuf text = { 0 };
	const char *value, *all;
	size_t row;

	for (row = 0; row < db_row_count(rows); row++) {
		strbuf_add_text(&text, row == 0 ? "[{" : "},{");
		for (i = 0; i < columns; i++) {
			value = rows_value(arena, rows, row, i);
			strbuf_add_text(&text, heads[i]);
			strbuf_add_text(&text, value == NULL ? "null" : value);
		}
	}
	strbuf_add_text(&text, row == 0 ? "[]" : "}]");
	all = arena_strdup(arena, text.text);
	strbuf_free(&text);
	return all;
}
