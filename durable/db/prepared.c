/* SPDX-License-Identifier: MIT */
#include "db/prepared.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* FNV-1a. */
static struct prepared **
bucket_of(struct prepared_table *table, const char *sql)
{
	uint32_t hash = 2166136261;

	for (; *sql != '\0'; sql++)
		hash = (hash ^ (unsigned char)*sql) * 16777619;
	return &table->buckets[hash % PREPARED_MAX];
}

/*
 * Frees the place of a statement for another one.  In a pipeline that fails
 * the server keeps the old one, whose name is not used again.
 */
static void
evict(struct prepared_table *table, struct prepared *statement,
    char replaced[PREPARED_NAME_SIZE])
{
	struct prepared **link = bucket_of(table, statement->sql);

	while (*link != statement)
		link = &(*link)->next;
	*link = statement->next;
	if (statement->state == PREPARED)
		prepared_name(table, statement, replaced);
	free(statement->sql);
	statement->sql = NULL;
	prepared_drop(statement);
}

/*
 * A place for one more statement: that of the one whose last use is longest
 * ago, when there is no free one.  NULL when this round trip uses all.
 */
static struct prepared *
free_place(struct prepared_table *table, unsigned long trip,
    char replaced[PREPARED_NAME_SIZE])
{
	struct prepared *oldest = &table->statements[0];
	size_t i;

	if (table->count < PREPARED_MAX)
		return &table->statements[table->count++];
	for (i = 1; i < PREPARED_MAX; i++)
		if (table->statements[i].trip < oldest->trip)
			oldest = &table->statements[i];
	if (oldest->trip == trip)
		return NULL;
	evict(table, oldest, replaced);
	return oldest;
}

struct prepared *
prepared_find(struct prepared_table *table, const char *sql, unsigned long trip,
    char replaced[PREPARED_NAME_SIZE])
{
	struct prepared **bucket = bucket_of(table, sql), *statement;

	replaced[0] = '\0';
	for (statement = *bucket; statement != NULL;
	     statement = statement->next)
		if (strcmp(statement->sql, sql) == 0)
			break;
	if (statement == NULL) {
		statement = free_place(table, trip, replaced);
		if (statement == NULL)
			return NULL;
		statement->sql = memory_text(sql);
		statement->next = *bucket;
		*bucket = statement;
	}
	statement->trip = trip;
	return statement;
}

void
prepared_name(const struct prepared_table *table,
    const struct prepared *statement, char name[PREPARED_NAME_SIZE])
{
	snprintf(name, PREPARED_NAME_SIZE, "s%d_%u",
	    (int)(statement - table->statements), statement->version);
}

void
prepared_drop(struct prepared *statement)
{
	statement->state = UNPREPARED;
	statement->version++;
}

void
prepared_drop_all(struct prepared_table *table)
{
	size_t i;

	for (i = 0; i < table->count; i++)
		if (table->statements[i].state == PREPARED)
			prepared_drop(&table->statements[i]);
}

void
prepared_clear(struct prepared_table *table)
{
	size_t i;

	for (i = 0; i < table->count; i++)
		free(table->statements[i].sql);
	memset(table, 0, sizeof(*table));
}
