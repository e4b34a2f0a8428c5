/* SPDX-License-Identifier: MIT */
/*
 * Connects to several hosts at once and keeps the one that is the primary.
 */
#include "db/connect.h"

#include <libpq-fe.h>

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "db/lookup.h"

/* How long after its refusal a host is asked again. */
#define AGAIN_MS 250

struct host {
	const char *name, *address, *port; /* NULL: conninfo's */
	struct name_lookup *lookup; /* of the name, whose addresses it owns */
	bool looks_up;              /* and has no answer yet */
	PGconn *conn;
	PostgresPollingStatusType state;
	int64_t again_ms;
};

/* hosts has room for all addresses of each name. */
struct search {
	const char *conninfo, *application_name;
	struct host *hosts;
	size_t count;
	int64_t until_ms;
};

/*
 * Begins a connection.  libpq uses the last value of a keyword, and none that
 * is NULL.  It expands conninfo in the place of dbname, so conninfo overrides
 * the defaults before it, and the single host after it overrides conninfo's
 * list.  wanted replaces target_session_attrs.
 */
static PGconn *
start_connection(const struct search *search, const struct host *host,
    const char *address, const char *wanted)
{
	const char *const keywords[] = { "connect_timeout", "keepalives_idle",
		"keepalives_interval", "keepalives_count", "tcp_user_timeout",
		"target_session_attrs", "dbname", "application_name",
		"client_encoding", "host", "hostaddr", "port",
		"target_session_attrs", NULL };
	const char *const values[] = { "5", "10", "5", "3", "10000",
		"read-write", search->conninfo, search->application_name,
		"UTF8", host->name, address, host->port, wanted, NULL };
	PGconn *conn = PQconnectStartParams(keywords, values, 1);

	if (conn == NULL)
		abort();
	return conn;
}

/*
 * Reads the options in conninfo, its service and the environment.  libpq
 * refuses the value before it connects, or looks a name up.
 */
static PQconninfoOption *
read_options(const struct search *search)
{
	const struct host none = { .name = NULL };
	PGconn *conn = start_connection(search, &none, NULL,
	    "none: options only");
	PQconninfoOption *options = PQconninfo(conn);

	PQfinish(conn);
	if (options == NULL)
		abort();
	return options;
}

/* Begins to connect to a host, at an address or where conninfo says. */
static void
ask_address(const struct search *search, struct host *host, const char *address)
{
	PQfinish(host->conn);
	host->conn = start_connection(search, host, address, NULL);
	host->state = PQstatus(host->conn) == CONNECTION_BAD
	    ? PGRES_POLLING_FAILED
	    : PGRES_POLLING_WRITING;
}

/* Gives a host whose name has no address a connection that says so. */
static void
ask_nowhere(const struct search *search, struct host *host)
{
	char reason[256];

	snprintf(reason, sizeof(reason), "%s: %s", host->name,
	    lookup_error(host->lookup));
	ask_address(search, host, reason);
}

/* Begins to connect to a host, or to look up its name. */
static void
ask_host(const struct search *search, struct host *host)
{
	if (host->address == NULL && lookup_is_needed(host->name)) {
		lookup_end(host->lookup);
		host->lookup = lookup_begin(host->name);
	}
	host->looks_up = host->address == NULL && host->lookup != NULL;
	if (host->looks_up)
		host->state = PGRES_POLLING_READING;
	else
		ask_address(search, host, host->address);
}

/* Takes the answer of a lookup: begins to connect to each address. */
static void
take_addresses(struct search *search, struct host *host)
{
	size_t found = lookup_count(host->lookup), i;

	host->looks_up = false;
	if (found == 0)
		ask_nowhere(search, host);
	for (i = 0; i < found; i++) {
		struct host *at = i == 0 ? host
					 : &search->hosts[search->count++];

		at->name = host->name;
		at->port = host->port;
		at->address = lookup_address(host->lookup, i);
		ask_address(search, at, at->address);
	}
}

/* Continues with a host if its socket is ready or its refusal is old enough. */
static void
advance(struct search *search, struct host *host, short ready)
{
	if (ready != 0 && host->looks_up)
		take_addresses(search, host);
	else if (ready != 0)
		host->state = PQconnectPoll(host->conn);
	else if (host->state == PGRES_POLLING_FAILED &&
	    clock_monotonic_ms() >= host->again_ms)
		ask_host(search, host);
	else
		return;
	if (host->state == PGRES_POLLING_FAILED)
		host->again_ms = clock_monotonic_ms() + AGAIN_MS;
}

/* Waits until a socket is ready, a host is to be asked again, or time is up. */
static void
wait_for_hosts(const struct search *search, struct pollfd *fds)
{
	int64_t until_ms = search->until_ms, left_ms;
	size_t i;

	for (i = 0; i < search->count; i++) {
		const struct host *host = &search->hosts[i];
		bool failed = host->state == PGRES_POLLING_FAILED;

		fds[i] = (struct pollfd){ .fd = failed ? -1
			    : host->looks_up           ? lookup_fd(host->lookup)
						       : PQsocket(host->conn),
			.events = host->state == PGRES_POLLING_READING
			    ? POLLIN
			    : POLLOUT };
		if (failed && host->again_ms < until_ms)
			until_ms = host->again_ms;
	}
	left_ms = until_ms - clock_monotonic_ms();
	if (poll(fds, search->count, left_ms < 0 ? 0 : (int)left_ms) < 0 &&
	    errno != EINTR)
		abort();
}

/* Returns the first host in a state, or NULL. */
static struct host *
find_host(const struct search *search, PostgresPollingStatusType state)
{
	size_t i;

	for (i = 0; i < search->count; i++)
		if (search->hosts[i].state == state)
			return &search->hosts[i];
	return NULL;
}

/* Whether a host may still accept before the time is up. */
static bool
is_open(const struct search *search)
{
	size_t i;

	for (i = 0; i < search->count; i++)
		if (search->hosts[i].state != PGRES_POLLING_FAILED)
			return clock_monotonic_ms() < search->until_ms;
	return false;
}

/* Returns the first host that accepts; NULL if all refuse or time is up. */
static struct host *
run(struct search *search)
{
	struct pollfd *fds = memory_new(
	    search->count * LOOKUP_ADDRESSES * sizeof(*fds));
	struct host *found;
	size_t i, count;

	while ((found = find_host(search, PGRES_POLLING_OK)) == NULL &&
	    is_open(search)) {
		wait_for_hosts(search, fds);
		/* A lookup adds hosts. */
		count = search->count;
		for (i = 0; i < count; i++)
			advance(search, &search->hosts[i], fds[i].revents);
	}
	free(fds);
	return found;
}

/* Returns the value of a connection's parameter; NULL when it is empty. */
static char *
parameter(const PQconninfoOption *option, const char *keyword)
{
	while (strcmp(option->keyword, keyword) != 0)
		option++;
	return option->val == NULL || *option->val == '\0' ? NULL : option->val;
}

/*
 * Cuts the next element off a list.  The last element stays and is returned
 * again, because libpq uses a single port for all hosts.
 */
static const char *
next_element(char **list)
{
	char *element = *list, *comma;

	if (element == NULL || (comma = strchr(element, ',')) == NULL)
		return element;
	*comma = '\0';
	*list = comma + 1;
	return element;
}

/* Counts a list's elements; 1 when one is empty, which is libpq's default. */
static size_t
count_elements(const char *list)
{
	size_t count = 1, len;

	if (list == NULL)
		return 1;
	for (;; list += len + 1, count++) {
		len = strcspn(list, ",");
		if (len == 0)
			return 1;
		if (list[len] == '\0')
			return count;
	}
}

/*
 * Begins to connect to the host of conninfo or, when it names several, to each
 * of them.
 */
static void
ask_all(struct search *search, PQconninfoOption *options)
{
	char *names = parameter(options, "host");
	char *addresses = parameter(options, "hostaddr");
	char *ports = parameter(options, "port");
	size_t i;

	search->count = count_elements(addresses == NULL ? names : addresses);
	search->hosts = memory_new(
	    search->count * LOOKUP_ADDRESSES * sizeof(*search->hosts));
	if (search->count == 1) {
		/* libpq reads all the rest in conninfo. */
		if (addresses == NULL && lookup_is_needed(names))
			search->hosts->name = names;
		ask_host(search, search->hosts);
		return;
	}
	for (i = 0; i < search->count; i++) {
		struct host *host = &search->hosts[i];

		host->name = next_element(&names);
		host->address = next_element(&addresses);
		host->port = next_element(&ports);
		ask_host(search, host);
	}
}

/* connect_timeout in ms, because libpq ignores it in PQconnectPoll. */
static int64_t
limit_ms(const PQconninfoOption *options)
{
	const char *timeout = parameter(options, "connect_timeout");
	long seconds = timeout == NULL ? 0 : strtol(timeout, NULL, 10);

	return seconds <= 0 || seconds > INT32_MAX / 1000 ? INT32_MAX
							  : seconds * 1000;
}

PGconn *
connect_open(const char *conninfo, const char *application_name)
{
	struct search search = { .conninfo = conninfo,
		.application_name = application_name };
	PQconninfoOption *options = read_options(&search);
	struct host *chosen;
	PGconn *conn;
	size_t i;

	search.until_ms = clock_monotonic_ms() + limit_ms(options);
	ask_all(&search, options);
	chosen = run(&search);
	/* A host that has refused says why. */
	if (chosen == NULL)
		chosen = find_host(&search, PGRES_POLLING_FAILED);
	if (chosen == NULL)
		chosen = search.hosts;
	if (chosen->looks_up)
		ask_nowhere(&search, chosen);
	conn = chosen->conn;
	chosen->conn = NULL;
	for (i = 0; i < search.count; i++) {
		PQfinish(search.hosts[i].conn);
		lookup_end(search.hosts[i].lookup);
	}
	PQconninfoFree(options);
	free(search.hosts);
	return conn;
}

bool
connect_alive(const PGconn *conn)
{
	const char *const keywords[] = { "host", "hostaddr", "port", "user",
		"dbname", "connect_timeout", NULL };
	const char *const values[] = { PQhost(conn), PQhostaddr(conn),
		PQport(conn), PQuser(conn), PQdb(conn), "2", NULL };

	return PQpingParams(keywords, values, 0) != PQPING_NO_RESPONSE;
}
