/* SPDX-License-Identifier: MIT */
/*
 * The steps that are not tried for a while, with a clock of the test's.
 */
#include "base/clock.h"
#include "engine/hold_off.h"
#include "tests/unit/tap.h"

static const char reserve[] = "reserve", create[] = "create";
static int64_t now_ms = 1;

int64_t
clock_monotonic_ms(void)
{
	return now_ms;
}

static bool
fails(struct hold_off *hold_off, const char *step, const char *message)
{
	struct db_error error = { .outcome = DB_RETRY };

	snprintf(error.message, sizeof(error.message), "%s", message);
	return hold_off_add(hold_off, step, &error);
}

/* For how long a step is not tried: the clock goes on until it may be. */
static int64_t
pause_of(struct hold_off *hold_off, const char *step)
{
	int64_t begin_ms = now_ms;

	while (hold_off_find(hold_off, step) != NULL)
		now_ms++;
	return now_ms - begin_ms;
}

static void
test_pauses(struct hold_off *hold_off)
{
	int i;

	ok(hold_off_find(hold_off, reserve) == NULL,
	    "a step that has not failed may be tried");
	ok(fails(hold_off, reserve, "locked"), "a step that fails is new");
	is_str(hold_off_find(hold_off, reserve)->error.message, "locked",
	    "a step that is held off has its error");
	ok(hold_off_find(hold_off, create) == NULL,
	    "another step may be tried");
	is_int(pause_of(hold_off, reserve), 1000,
	    "a step is not tried for a second");
	ok(!fails(hold_off, reserve, "missing"),
	    "a step that fails again is not new");
	is_str(hold_off_find(hold_off, reserve)->error.message, "missing",
	    "a step that fails again has the last error");
	is_int(pause_of(hold_off, reserve), 2000,
	    "a step that fails again is not tried for twice as long");
	for (i = 0; i < 10; i++) {
		fails(hold_off, reserve, "locked");
		pause_of(hold_off, reserve);
	}
	fails(hold_off, reserve, "locked");
	is_int(pause_of(hold_off, reserve), 16000,
	    "a step that always fails is tried after 16 s");
}

static void
test_mended(struct hold_off *hold_off)
{
	int64_t begin_ms = now_ms;

	fails(hold_off, reserve, "locked");
	fails(hold_off, create, "locked");
	hold_off_begin(hold_off);
	is_int(hold_off_take_mended(hold_off), -1,
	    "a step that the turn did not come to does not work again");
	hold_off_find(hold_off, reserve);
	is_int(hold_off_take_mended(hold_off), -1,
	    "a step that the turn did not try does not work again");
	pause_of(hold_off, reserve);
	is_int(hold_off_take_mended(hold_off), now_ms - begin_ms,
	    "a step that works again had failed for so long");
	is_int(hold_off_take_mended(hold_off), -1,
	    "a step that works again is told once");
	fails(hold_off, reserve, "locked");
	is_int(pause_of(hold_off, reserve), 1000,
	    "a step that worked again is not tried for a second");
	pause_of(hold_off, create);
	hold_off_begin(hold_off);
	is_int(hold_off_take_mended(hold_off), -1,
	    "a step that the last turn tried does not work again");
}

static void
test_many(struct hold_off *hold_off)
{
	char steps[HOLD_OFF_STEPS_MAX + 1][12];
	int i, held = 0;

	for (i = 0; i <= HOLD_OFF_STEPS_MAX; i++, now_ms++) {
		snprintf(steps[i], sizeof(steps[i]), "%d", i);
		fails(hold_off, steps[i], "locked");
	}
	for (i = 0; i <= HOLD_OFF_STEPS_MAX; i++)
		held += hold_off_find(hold_off, steps[i]) != NULL;
	is_int(held, HOLD_OFF_STEPS_MAX,
	    "so many steps are held off at a time");
	ok(hold_off_find(hold_off, steps[0]) == NULL &&
		hold_off_find(hold_off, steps[HOLD_OFF_STEPS_MAX]) != NULL,
	    "the step that is tried soonest makes room");
	snprintf(steps[HOLD_OFF_STEPS_MAX], sizeof(steps[0]), "other");
	ok(hold_off_find(hold_off, steps[HOLD_OFF_STEPS_MAX]) == NULL,
	    "another text in the same memory is another step");
}

int
main(void)
{
	static struct hold_off pauses, mended, many;

	test_pauses(&pauses);
	test_mended(&mended);
	test_many(&many);
	return done_testing();
}
