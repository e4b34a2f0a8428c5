/* SPDX-License-Identifier: MIT */
/*
 * The pauses between attempts that fail.
 */
#include "base/backoff.h"
#include "tests/unit/tap.h"

/* Whether a pause is between a half of so many milliseconds and all. */
static bool
pauses(struct backoff *backoff, int ms)
{
	int pause_ms = backoff_next_ms(backoff);

	if (pause_ms < ms / 2 || pause_ms > ms)
		diag("a pause of %d ms instead of %d", pause_ms, ms);
	return pause_ms >= ms / 2 && pause_ms <= ms;
}

int
main(void)
{
	struct backoff backoff = { .min_ms = 10, .max_ms = 70 };
	int i, first, others = 0;

	ok(pauses(&backoff, 10), "the first pause is the shortest");
	ok(pauses(&backoff, 20) && pauses(&backoff, 40),
	    "each pause is twice as long as the last one");
	ok(pauses(&backoff, 70), "no pause is longer than the limit");
	ok(pauses(&backoff, 70) && pauses(&backoff, 70),
	    "the longest pause is repeated");
	backoff_reset(&backoff);
	ok(pauses(&backoff, 10), "after a success the shortest pause is next");

	backoff = (struct backoff){ .min_ms = 1000000, .max_ms = 1000000 };
	first = backoff_next_ms(&backoff);
	for (i = 0; i < 100; i++)
		others += backoff_next_ms(&backoff) != first;
	ok(others > 0, "one half of a pause is left to chance");

	backoff = (struct backoff){ .min_ms = 0, .max_ms = 0 };
	is_int(backoff_next_ms(&backoff), 0,
	    "without a limit there is no pause");
	return done_testing();
}
