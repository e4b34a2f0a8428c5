/* SPDX-License-Identifier: MIT */
/*
 * What an author's statement returned, as stored JSON.  Private to the engine.
 */
#ifndef DURABLE_ROWS_H
#define DURABLE_ROWS_H

#include <stddef.h>

struct arena;
struct db_rows;

/*
 * Returns a value as JSON, in the arena or owned by rows: booleans, integers and
 * JSON as such, other types as strings; NULL for null and for no such row.
 */
const char *rows_value(struct arena *arena, const struct db_rows *rows,
    size_t row, int column);

/*
 * Returns all rows, in the arena: an array of objects, whose members have the
 * columns' names and are in their order.  Of columns with the same name the last
 * one counts.
 */
const char *rows_all(struct arena *arena, const struct db_rows *rows);

#endif
