/* SPDX-License-Identifier: MIT */
/*
 * Looks up the addresses of a host in a thread, because the name service may
 * take any time and libpq would wait for it.
 */
#ifndef DURABLE_LOOKUP_H
#define DURABLE_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>

/* More addresses of a name are not tried. */
#define LOOKUP_ADDRESSES    4

#define LOOKUP_ADDRESS_SIZE 64

struct name_lookup;

/*
 * Whether a host's name is to be looked up: not NULL, an address, the directory
 * of a socket or a list.
 */
bool lookup_is_needed(const char *name);

/*
 * Begins to look up a name, or joins the lookup of it that is under way: a name
 * service that does not answer keeps one thread a name.  Does not block.
 * Returns NULL when no thread can be started.  The caller ends the lookup.
 */
struct name_lookup *lookup_begin(const char *name);

/* A descriptor that is readable when the answer is there. */
int lookup_fd(const struct name_lookup *lookup);

/*
 * Returns the number of addresses; 0 while there is no answer, and when the
 * name has none.
 */
size_t lookup_count(const struct name_lookup *lookup);

/* Returns an address as text; it lives as long as the lookup. */
const char *lookup_address(const struct name_lookup *lookup, size_t i);

/* Returns why there is no address, a static text. */
const char *lookup_error(const struct name_lookup *lookup);

/* Leaves a lookup, which may be under way. */
void lookup_end(struct name_lookup *lookup);

#endif
