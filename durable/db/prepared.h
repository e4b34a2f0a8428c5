/* SPDX-License-Identifier: MIT */
/*
 * The prepared statements of one connection, by their texts.  This is only the
 * book of them: db.c sends what the server must be told.
 */
#ifndef DURABLE_PREPARED_H
#define DURABLE_PREPARED_H

#include <stddef.h>

#define PREPARED_MAX       256 /* at a time; a power of two */
#define PREPARED_NAME_SIZE 32

enum prepared_state { UNPREPARED, PREPARING, PREPARED };

struct prepared {
	struct prepared *next; /* of the same bucket */
	char *sql;
	enum prepared_state state;
	unsigned version;    /* of its name, which is used once */
	unsigned long trip;  /* the last that used it */
	unsigned long alive; /* the last that the server knew it in */
};

/* Zeroed, it is empty. */
struct prepared_table {
	struct prepared statements[PREPARED_MAX];
	struct prepared *buckets[PREPARED_MAX]; /* by the text's hash */
	size_t count;
};

/*
 * Finds or adds a statement by its text, because an author may change the text
 * in a buffer, and notes that the round trip uses it.  When all places are
 * taken, a new statement replaces the one whose last use is longest ago.  Sets
 * replaced to the name of that one if the server has it, else to "".  Returns
 * NULL when this round trip uses all places.
 */
struct prepared *prepared_find(struct prepared_table *table, const char *sql,
    unsigned long trip, char replaced[PREPARED_NAME_SIZE]);

void prepared_name(const struct prepared_table *table,
    const struct prepared *statement, char name[PREPARED_NAME_SIZE]);

/*
 * Lets a statement be prepared anew at its next use.  Its name is not used
 * again, because the server may still have it.
 */
void prepared_drop(struct prepared *statement);

/* Drops all that are PREPARED. */
void prepared_drop_all(struct prepared_table *table);

/* Frees the texts, and leaves the table empty. */
void prepared_clear(struct prepared_table *table);

#endif
