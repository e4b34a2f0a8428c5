/* SPDX-License-Identifier: MIT */
/*
 * The worker that is not on standby, as all processes see it.
 */
#include <sys/wait.h>

#include <time.h>
#include <unistd.h>

#include "duty.h"
#include "tap.h"

static bool
has_share(struct duty *duty, int slot, int part, int parts)
{
	struct duty_share share = duty_share(duty, slot);

	return share.part == part && share.parts == parts;
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
	struct duty_share share = { .parts = parts };
	int kind, times;

	for (kind = 0; kind < kinds; kind++) {
		times = 0;
		for (share.part = 0; share.part < parts; share.part++)
			times += duty_share_has(&share, kind, kinds);
		text[kind] = (char)('0' + times);
	}
	text[kinds] = '\0';
	return text;
}

static void
test_shares(void)
{
	struct duty *duty = duty_new(3);

	is_str(shares_of(1, 2), "11", "one worker's partition has every kind");
	is_str(shares_of(2, 5), "11111",
	    "two workers' partitions have each kind once");
	is_str(shares_of(4, 2), "22",
	    "four workers for two kinds have each kind twice");
	is_str(shares_of(3, 1), "3", "three workers for one kind all have it");
	ok(has_share(duty, 0, 0, 1) && has_share(duty, 2, 0, 1),
	    "without saturation every worker has all");
	duty_report(duty, true, 17);
	ok(has_share(duty, 0, 0, 2) && has_share(duty, 2, 1, 2),
	    "when saturated the workers that ask have a partition each");
	ok(has_share(duty, 1, 1, 3) && has_share(duty, 2, 2, 3),
	    "a third worker makes the partitions smaller");
	wait_ms(300);
	ok(has_share(duty, 1, 0, 1),
	    "a worker that does not ask loses its partition");
	ok(has_share(duty, 0, 0, 2),
	    "a worker that asks again has a partition again");
	wait_ms(800);
	duty_share(duty, 0);
	ok(!duty_is_crowded(duty) && has_share(duty, 1, 0, 1),
	    "after saturation one worker has all");
	duty_free(duty);
}

int
main(void)
{
	struct duty *duty = duty_new(2);
	struct duty_watch watch;
	pid_t other;
	int status;

	ok(duty_is_mine(duty, 0) && !duty_is_mine(duty, 1),
	    "the first worker is active at first");
	duty_hand_on(duty, 1);
	ok(duty_is_mine(duty, 0), "a worker on standby hands nothing on");
	duty_hand_on(duty, 0);
	ok(duty_is_mine(duty, 1), "the active worker hands on");
	duty_hand_on(duty, 1);
	ok(duty_is_mine(duty, 1), "an activity just received is not handed on");

	watch = duty_watch(duty);
	duty_begin(duty);
	ok(!duty_take_over(duty, &watch, 0),
	    "a turn that begins prevents a take-over");
	is_int((int)duty_due_ms(duty), 0,
	    "a turn that begins makes work due now");
	watch = duty_watch(duty);
	if ((other = fork()) == 0) {
		duty_report(duty, true, 17);
		_exit(0);
	}
	ok(waitpid(other, NULL, 0) == other && !duty_take_over(duty, &watch, 0),
	    "a turn that ends in any process prevents a take-over");
	ok(duty_is_crowded(duty) && duty_due_ms(duty) == 17,
	    "saturation and next due time are known to all processes");
	watch = duty_watch(duty);
	if ((other = fork()) == 0)
		_exit(!duty_take_over(duty, &watch, 0));
	ok(waitpid(other, &status, 0) == other && status == 0,
	    "without activity another process takes over");
	ok(!duty_take_over(duty, &watch, 1), "only one process takes over");
	duty_free(duty);
	test_shares();
	return done_testing();
}
