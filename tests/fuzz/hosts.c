/* SPDX-License-Identifier: MIT */
/*
 * Lists of hosts, as a configuration has them: the program connects to each
 * host by itself, with its own address and port, and to no other.
 *
 * Input: host, hostaddr, port and connect_timeout, one to a line; an empty line
 * is a missing option.  The harness replaces libpq; every connection fails.
 */
#include "fuzz.h"

#include <libpq-fe.h>

#include "db/connect.h"
#include "db/lookup.h"

#define LISTS 3

/* A connection that has failed. */
struct pg_conn {
	char nothing;
};

static PQconninfoOption options[LISTS + 2] = { { .keyword = "host" },
	{ .keyword = "hostaddr" }, { .keyword = "port" },
	{ .keyword = "connect_timeout" } };
static char *lists[LISTS]; /* as they were given */
static size_t asked;       /* hosts tried, so far */

/* The n-th of a list's elements, or its last one; sets its length. */
static const char *
element(const char *list, size_t n, size_t *len)
{
	for (; n > 0 && strchr(list, ',') != NULL; n--)
		list = strchr(list, ',') + 1;
	*len = strcspn(list, ",");
	return list;
}

static void
expect_element(const char *got, const char *list)
{
	const char *wanted;
	size_t len;

	if (list == NULL) {
		require(got == NULL, "a missing option is not passed");
		return;
	}
	wanted = element(list, asked, &len);
	require(got != NULL && strlen(got) == len &&
		memcmp(got, wanted, len) == 0,
	    "each host gets its own part of the lists");
}

static const char *
value_of(const char *const *keywords, const char *const *values,
    const char *keyword)
{
	while (strcmp(*keywords, keyword) != 0)
		keywords++, values++;
	return *values;
}

PGconn *
PQconnectStartParams(const char *const *keywords, const char *const *values,
    int expand_dbname)
{
	const char *got[LISTS];
	bool one = false;
	size_t i;

	require(expand_dbname == 1, "the connection string is expanded");
	for (i = 0; i < LISTS; i++) {
		got[i] = value_of(keywords, values, options[i].keyword);
		one = one || got[i] != NULL;
	}
	for (i = 0; one && i < LISTS; i++)
		expect_element(got[i], lists[i]);
	asked += one;
	return calloc(1, sizeof(PGconn));
}

PQconninfoOption *
PQconninfo(PGconn *conn)
{
	(void)conn;
	return options;
}

void
PQconninfoFree(PQconninfoOption *freed)
{
	require(freed == options,
	    "only the options that were returned are freed");
}

void
PQfinish(PGconn *conn)
{
	free(conn);
}

ConnStatusType
PQstatus(const PGconn *conn)
{
	require(conn != NULL, "PQstatus gets a connection");
	return CONNECTION_BAD;
}

/* No name is looked up. */
bool
lookup_is_needed(const char *name)
{
	(void)name;
	return false;
}

struct name_lookup *
lookup_begin(const char *name)
{
	(void)name;
	abort();
}

void
lookup_end(struct name_lookup *lookup)
{
	(void)lookup;
}

int
lookup_fd(const struct name_lookup *lookup)
{
	(void)lookup;
	abort();
}

size_t
lookup_count(const struct name_lookup *lookup)
{
	(void)lookup;
	abort();
}

const char *
lookup_address(const struct name_lookup *lookup, size_t i)
{
	(void)lookup;
	(void)i;
	abort();
}

const char *
lookup_error(const struct name_lookup *lookup)
{
	(void)lookup;
	abort();
}

/* How many hosts a list has; an empty element makes it one for libpq. */
static size_t
count(const char *list)
{
	size_t n = 0, len;

	if (list == NULL)
		return 1;
	for (;; n++, list += len + 1) {
		len = strcspn(list, ",");
		if (len == 0)
			return 1;
		if (list[len] == '\0')
			return n + 1;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new();
	struct input input = input_of(data, size);
	size_t i, wanted;

	asked = 0;
	for (i = 0; i <= LISTS; i++) {
		char *line = input_line(arena, &input);

		options[i].val = *line == '\0' ? NULL : line;
		if (i < LISTS)
			lists[i] = arena_strdup(arena, options[i].val);
	}
	PQfinish(connect_open("", "fuzz"));
	wanted = count(lists[lists[1] == NULL ? 0 : 1]);
	require(asked == (wanted == 1 ? 0 : wanted),
	    "every host of the list is tried");
	arena_free(arena);
	return 0;
}
