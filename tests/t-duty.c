/* SPDX-License-Identifier: MIT */
/*
 * Who is on duty, as all processes see it.
 */
#include <sys/wait.h>

#include <unistd.h>

#include "duty.h"
#include "tap.h"

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
	return done_testing();
}
