/* SPDX-License-Identifier: MIT */
/*
 * Who is on duty, as all processes see it.
 */
#include <sys/wait.h>

#include <time.h>
#include <unistd.h>

#include "base/standby.h"
#include "tests/unit/tap.h"

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

/* How often each kind is in one of so many shares. */
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

	is_str(shares_of(1, 2), "11", "one worker does all");
	is_str(shares_of(2, 5), "11111", "of two each kind is one's");
	is_str(shares_of(4, 2), "22", "or two have the same");
	is_str(shares_of(3, 1), "3", "when there is but one all have it");
	ok(has_share(duty, 0, 0, 1) && has_share(duty, 2, 0, 1),
	    "who can do it all does");
	duty_report(duty, true, 17);
	ok(has_share(duty, 0, 0, 2) && has_share(duty, 2, 1, 2),
	    "when it is crowded those who ask have a share each");
	ok(has_share(duty, 1, 1, 3) && has_share(duty, 2, 2, 3),
	    "one more, and the shares are smaller");
	wait_ms(300);
	ok(has_share(duty, 1, 0, 1), "who is frozen has none");
	ok(has_share(duty, 0, 0, 2), "who wakes up has one again");
	wait_ms(800);
	duty_share(duty, 0);
	ok(!duty_is_crowded(duty) && has_share(duty, 1, 0, 1),
	    "after the crowd one does it all");
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
	    "at first it is the first one's duty");
	duty_hand_on(duty, 1);
	ok(duty_is_mine(duty, 0), "nobody hands on what is not his");
	duty_hand_on(duty, 0);
	ok(duty_is_mine(duty, 1), "who has it does");
	duty_hand_on(duty, 1);
	ok(duty_is_mine(duty, 1), "but not at once again");

	watch = duty_watch(duty);
	duty_begin(duty);
	ok(!duty_take_over(duty, &watch, 0), "who begins keeps it");
	is_int((int)duty_due_ms(duty), 0, "and may find something to do");
	watch = duty_watch(duty);
	if ((other = fork()) == 0) {
		duty_report(duty, true, 17);
		_exit(0);
	}
	ok(waitpid(other, NULL, 0) == other && !duty_take_over(duty, &watch, 0),
	    "who ends, too, in whichever process");
	ok(duty_is_crowded(duty) && duty_due_ms(duty) == 17,
	    "what it reports is known");
	watch = duty_watch(duty);
	if ((other = fork()) == 0)
		_exit(!duty_take_over(duty, &watch, 0));
	ok(waitpid(other, &status, 0) == other && status == 0,
	    "without a sign another one takes it over");
	ok(!duty_take_over(duty, &watch, 1), "but only one");
	duty_free(duty);
	test_shares();
	return done_testing();
}
