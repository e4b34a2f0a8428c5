/* SPDX-License-Identifier: MIT */
/*
 * What follows the end of an attempt at an external step.
 */
#include <string.h>

#include <durable/step.h>
#include "base/arena.h"
#include "engine/step_policy.h"
#include "engine/step_process.h"
#include "tests/unit/tap.h"

static const char *const final_errors[] = { "Gone", NULL };

static struct arena *arena;

/* The verdict on an attempt behind so many failures. */
static struct step_verdict
decide(const struct step_type *type, int failures, const char *error,
    double random)
{
	const struct step_task task = { .type = type,
		.id = "id",
		.failures = failures };
	const struct step_outcome outcome = { .result = error == NULL ? "1"
								      : NULL,
		.error_name = error,
		.error_message = "why" };

	return step_policy_decide(arena, &task, &outcome, random);
}

static void
test_delays(void)
{
	const struct step_type type = { .name = "step",
		.max_attempts = 9,
		.first_delay_ms = 100,
		.factor = 3,
		.max_delay_ms = 1000,
		.jitter = 0.5,
		.final_errors = final_errors };
	const struct step_type plain = { .name = "step", .max_attempts = 99 };

	is_int(decide(&type, 0, "Error", 0).delay_ms, 100, "the first delay");
	is_int(decide(&type, 2, "Error", 0).delay_ms, 900,
	    "the third is longer by the factor twice");
	is_int(decide(&type, 3, "Error", 0).delay_ms, 1000,
	    "no delay is longer than the longest");
	is_int(decide(&type, 3, "Error", 1).delay_ms, 500,
	    "the jitter leaves out a part");
	is_int(decide(&type, 3, "Error", 0).failures, 1, "a failure counts");
	is_int(decide(&type, 0, "Gone", 0).delay_ms, -1,
	    "a final error is not tried again");
	is_int(decide(&type, 8, "Error", 0).delay_ms, -1,
	    "nor is the last attempt");
	is_int(decide(&plain, 1, "Error", 1).delay_ms, 2000,
	    "a second, doubled, is the default");
	is_int(decide(&plain, 90, "Error", 0).delay_ms, 3600000,
	    "with an hour at most");
}

static void
test_ends(void)
{
	const struct step_type once = { .name = "step" };
	const struct step_type twice = { .name = "step", .max_attempts = 2 };
	const struct step_task task = { .type = &once, .id = "id" };
	const struct step_outcome back = { .sent_back = true };
	struct step_verdict verdict = decide(&once, 0, NULL, 0);

	ok(verdict.delay_ms == -1 && verdict.error == NULL,
	    "a result ends the step");
	is_str(decide(&once, 0, "Error", 0).error,
	    "{\"name\":\"Error\",\"message\":\"why\"}",
	    "the only attempt's error is the step's");
	ok(strstr(decide(&twice, 1, "Error", 0).error,
	       "\"DBOSMaxStepRetriesError\"") != NULL,
	    "the last of several fails with the error of DBOS");
	ok(strstr(decide(&once, 0, "\xff", 0).error, "not valid UTF-8") != NULL,
	    "an error that is not UTF-8 is replaced");
	verdict = step_policy_decide(arena, &task, &back, 0);
	ok(verdict.delay_ms >= 0 && verdict.failures == 0,
	    "what is sent back is run again, and counts as no failure");
}

static void
test_types(void)
{
	const struct step_type good = { .name = "step" };
	const struct step_type shrinking = { .name = "step", .factor = 0.5 };
	const struct step_type wild = { .name = "step", .jitter = 2 };
	const char *what;

	ok(step_policy_is_sensible(&good, &what), "zeros are the defaults");
	ok(!step_policy_is_sensible(&shrinking, &what) &&
		strcmp(what, "factor") == 0,
	    "a factor below 1 is refused by its name");
	ok(!step_policy_is_sensible(&wild, &what) &&
		strcmp(what, "jitter") == 0,
	    "so is a jitter beyond 1");
}

int
main(void)
{
	arena = arena_new();
	test_delays();
	test_ends();
	test_types();
	arena_free(arena);
	return done_testing();
}
