/* SPDX-License-Identifier: MIT */
/*
 * The worker that is not on standby, as all processes see it.
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
report_saturated(struct standby *standby)
{
	struct standby_member member = { .standby = standby };

	standby_tell(&member, true, true, 17);
}

static void
wait_ms(int ms)
{
	const struct timespec time = { .tv_nsec = ms * 1000000L };

	nanosleep(&time, NULL);
}

/* In how many of the partitions each kind is, a digit each. */
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

	is_str(shares_of(1, 2), "11", "one worker's partition has every kind");
	is_str(shares_of(2, 5), "11111",
	    "two workers' partitions have each kind once");
	is_str(shares_of(4, 2), "22",
	    "four workers for two kinds have each kind twice");
	is_str(shares_of(3, 1), "3", "three workers for one kind all have it");
	ok(has_partition(standby, 0, 0, 1) && has_partition(standby, 2, 0, 1),
	    "without saturation every worker has all");
	report_saturated(standby);
	ok(has_partition(standby, 0, 0, 2) && has_partition(standby, 2, 1, 2),
	    "when saturated the workers that ask have a partition each");
	ok(has_partition(standby, 1, 1, 3) && has_partition(standby, 2, 2, 3),
	    "a third worker makes the partitions smaller");
	wait_ms(300);
	ok(has_partition(standby, 1, 0, 1),
	    "a worker that does not ask loses its partition");
	ok(has_partition(standby, 0, 0, 2),
	    "a worker that asks again has a partition again");
	wait_ms(800);
	standby_partition(standby, 0);
	ok(!standby_is_saturated(standby) && has_partition(standby, 1, 0, 1),
	    "after saturation one worker has all");
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
	    "the first worker is active at first");
	standby_hand_on(standby, 1);
	ok(standby_is_mine(standby, 0), "a worker on standby hands nothing on");
	standby_hand_on(standby, 0);
	ok(standby_is_mine(standby, 1), "the active worker hands on");
	standby_hand_on(standby, 1);
	ok(standby_is_mine(standby, 1),
	    "an activity just received is not handed on");

	watch = standby_watch(standby);
	standby_begin(standby);
	ok(!standby_take_over(standby, &watch, 0),
	    "a turn that begins prevents a take-over");
	is_int((int)standby_due_ms(standby), 0,
	    "a turn that begins makes work due now");
	watch = standby_watch(standby);
	if ((other = fork()) == 0) {
		report_saturated(standby);
		_exit(0);
	}
	ok(waitpid(other, NULL, 0) == other &&
		!standby_take_over(standby, &watch, 0),
	    "a turn that ends in any process prevents a take-over");
	ok(standby_is_saturated(standby) && standby_due_ms(standby) == 17,
	    "saturation and next due time are known to all processes");
	watch = standby_watch(standby);
	if ((other = fork()) == 0)
		_exit(!standby_take_over(standby, &watch, 0));
	ok(waitpid(other, &status, 0) == other && status == 0,
	    "without activity another process takes over");
	ok(!standby_take_over(standby, &watch, 1),
	    "only one process takes over");
	standby_free(standby);
	test_shares();
	return done_testing();
}
