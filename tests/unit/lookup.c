/* SPDX-License-Identifier: MIT */
/*
 * Lookups of names.  The name service is this program's own: "held" has no
 * answer until it is released.
 */
#include "db/lookup.h"

#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/tap.h"

#define WAIT_MS 30000

static sem_t release;
static atomic_int calls;

/* The addresses 10.0.0.1, 10.0.0.2 and so on; more than a lookup keeps. */
static struct addrinfo infos[LOOKUP_ADDRESSES + 1];
static struct sockaddr_in addresses[LOOKUP_ADDRESSES + 1];

static void
make_addresses(void)
{
	size_t i, count = sizeof(infos) / sizeof(infos[0]);

	for (i = 0; i < count; i++) {
		addresses[i].sin_family = AF_INET;
		addresses[i].sin_addr.s_addr = htonl(0x0a000001 + (uint32_t)i);
		infos[i].ai_addr = (struct sockaddr *)&addresses[i];
		infos[i].ai_addrlen = sizeof(addresses[i]);
		infos[i].ai_next = i + 1 < count ? &infos[i + 1] : NULL;
	}
}

int
getaddrinfo(const char *restrict name, const char *restrict service,
    const struct addrinfo *restrict hints, struct addrinfo **restrict found)
{
	(void)service;
	(void)hints;
	calls++;
	if (strcmp(name, "held") == 0 && sem_wait(&release) != 0)
		abort();
	if (strcmp(name, "gone") == 0)
		return EAI_NONAME;
	*found = infos;
	return 0;
}

void
freeaddrinfo(struct addrinfo *freed)
{
	(void)freed;
}

static bool
is_answered(const struct name_lookup *lookup, int timeout_ms)
{
	struct pollfd fd = { .fd = lookup_fd(lookup), .events = POLLIN };

	return poll(&fd, 1, timeout_ms) == 1;
}

static void
test_needed(void)
{
	ok(lookup_is_needed("db1") && lookup_is_needed("db1.example"),
	    "a name is looked up");
	ok(!lookup_is_needed("127.0.0.1") && !lookup_is_needed("::1") &&
		!lookup_is_needed("fe80::1%eth0"),
	    "an address is not");
	ok(!lookup_is_needed(NULL) && !lookup_is_needed("") &&
		!lookup_is_needed("/run/postgresql") &&
		!lookup_is_needed("@socket") && !lookup_is_needed("a,,b"),
	    "nor is what libpq takes for a socket, a list or its default");
}

static void
test_held(void)
{
	struct name_lookup *lookup = lookup_begin("held"), *joined, *next;

	ok(lookup != NULL && !is_answered(lookup, 0) &&
		lookup_count(lookup) == 0,
	    "a lookup does not wait for its answer");
	is_str(lookup_error(lookup), "the name service does not answer",
	    "meanwhile it says why it has none");
	joined = lookup_begin("held");
	ok(joined == lookup, "a second lookup of the name joins it");
	lookup_end(joined);
	sem_post(&release);
	ok(is_answered(lookup, WAIT_MS), "it tells when there is an answer");
	ok(calls == 1, "the two have asked once");
	is_int((int)lookup_count(lookup), LOOKUP_ADDRESSES,
	    "the first addresses are kept");
	is_str(lookup_address(lookup, 0), "10.0.0.1", "in their order");
	is_str(lookup_address(lookup, LOOKUP_ADDRESSES - 1), "10.0.0.4",
	    "to the last one");
	sem_post(&release);
	next = lookup_begin("held");
	ok(next != lookup && is_answered(next, WAIT_MS) && calls == 2,
	    "a lookup behind the answer asks anew");
	lookup_end(next);
	lookup_end(lookup);
}

static void
test_gone(void)
{
	struct name_lookup *lookup = lookup_begin("gone");

	ok(is_answered(lookup, WAIT_MS) && lookup_count(lookup) == 0,
	    "a name that does not exist has no address");
	is_str(lookup_error(lookup), gai_strerror(EAI_NONAME),
	    "and the name service's reason");
	lookup_end(lookup);
	lookup_end(NULL);
}

static void
test_left(void)
{
	struct name_lookup *lookup = lookup_begin("held"), *joined;

	lookup_end(lookup);
	joined = lookup_begin("held");
	ok(!is_answered(joined, 0), "a lookup that was left goes on");
	sem_post(&release);
	ok(is_answered(joined, WAIT_MS), "for the next caller");
	lookup_end(joined);
}

int
main(void)
{
	if (sem_init(&release, 0, 0) != 0)
		abort();
	make_addresses();
	test_needed();
	test_held();
	test_gone();
	test_left();
	return done_testing();
}
