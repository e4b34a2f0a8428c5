/* SPDX-License-Identifier: MIT */
/*
 * Who is on standby, as all processes see it.
 */
#include <sys/wait.h>

#include <time.h>
#include <unistd.h>

#include "base/standby.h"
#include "tests/unit/tap.h"

static bool
has_partition(struct standby *standby, int slot, int part, int parts)
{
	struct standby_partition partition = standby_partition(standby, slot);

	return partition.part == part && partition.parts == parts;
}

static void
wait_ms(int ms)
{
	const struct timespec time = { .tv_nsec = ms * 1000000L };

	nanosleep(&time, NULL);
}

/* How often each kind is in one of so many shares. */
static const char *
shares_of(int parts, int kinds)
{
	static char text[32];
	struct standby_partition partition = { .parts = parts };
	int kind, times;

	for (kind = 0; kind < kinds; kind++) {
		times = 0;
		for (partition.part = 0; partition.part < parts;
		     partition.part++)
			times += standby_partition_has(&partition, kind, kinds);
		text[kind] = (char)('0' + times);
	}
	text[kinds] = '\0';
	return text;
}

static void
test_shares(void)
{
	struct standby *standby = standby_new(3);

	is_str(shares_of(1, 2), "11", "one worker does all");
	is_str(shares_of(2, 5), "11111", "of two each kind is one's");
	is_str(shares_of(4, 2), "22", "or two have the same");
	is_str(shares_of(3, 1), "3", "when there is but one all have it");
	ok(has_partition(standby, 0, 0, 1) && has_partition(standby, 2, 0, 1),
	    "who can do it all does");
	standby_report(standby, true, 17);
	ok(has_partition(standby, 0, 0, 2) && has_partition(standby, 2, 1, 2),
	    "when it is saturated those who ask have a share each");
	ok(has_partition(standby, 1, 1, 3) && has_partition(standby, 2, 2, 3),
	    "one more, and the shares are smaller");
	wait_ms(300);
	ok(has_partition(standby, 1, 0, 1), "who is frozen has none");
	ok(has_partition(standby, 0, 0, 2), "who wakes up has one again");
	wait_ms(800);
	standby_partition(standby, 0);
	ok(!standby_is_saturated(standby) && has_partition(standby, 1, 0, 1),
	    "after the crowd one does it all");
	standby_free(standby);
}

int
main(void)
{
	struct standby *standby = standby_new(2);
	struct standby_watch watch;
	pid_t other;
	int status;

	ok(standby_is_mine(standby, 0) && !standby_is_mine(standby, 1),
	    "at first it is the first one's duty");
	standby_hand_on(standby, 1);
	ok(standby_is_mine(standby, 0), "nobody hands on what is not his");
	standby_hand_on(standby, 0);
	ok(standby_is_mine(standby, 1), "who has it does");
	standby_hand_on(standby, 1);
	ok(standby_is_mine(standby, 1), "but not at once again");

	watch = standby_watch(standby);
	standby_begin(standby);
	ok(!standby_take_over(standby, &watch, 0), "who begins keeps it");
	is_int((int)standby_due_ms(standby), 0, "and may find something to do");
	watch = standby_watch(standby);
	if ((other = fork()) == 0) {
		standby_report(standby, true, 17);
		_exit(0);
	}
	ok(waitpid(other, NULL, 0) == other &&
		!standby_take_over(standby, &watch, 0),
	    "who ends, too, in whichever process");
	ok(standby_is_saturated(standby) && standby_due_ms(standby) == 17,
	    "what it reports is known");
	watch = standby_watch(standby);
	if ((other = fork()) == 0)
		_exit(!standby_take_over(standby, &watch, 0));
	ok(waitpid(other, &status, 0) == other && status == 0,
	    "without a sign another one takes it over");
	ok(!standby_take_over(standby, &watch, 1), "but only one");
	standby_free(standby);
	test_shares();
	return done_testing();
}
