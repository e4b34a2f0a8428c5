/* SPDX-License-Identifier: MIT */
/*
 * When a step is tried again, and with which error it ends.
 */
#include "engine/step_policy.h"

#include <string.h>

#include <durable/step.h>

#include "base/arena.h"
#include "db/value.h"
#include "engine/step_process.h"

#define FIRST_DELAY_MS 1000
#define FACTOR         2
#define MAX_DELAY_MS   3600000

/* When no process could be started, or the daemon stops. */
#define SENT_BACK_MS   100

bool
step_policy_is_sensible(const struct step_type *type, const char **what)
{
	*what = type->max_attempts < 0                  ? "max_attempts"
	    : type->first_delay_ms < 0                  ? "first_delay_ms"
	    : type->factor != 0 && !(type->factor >= 1) ? "factor"
	    : type->max_delay_ms < 0                    ? "max_delay_ms"
	    : !(type->jitter >= 0 && type->jitter <= 1) ? "jitter"
	    : type->attempt_timeout_ms < 0              ? "attempt_timeout_ms"
							: NULL;
	return *what == NULL;
}

static int64_t
delay_ms(const struct step_type *type, int failures, double random)
{
	double delay = type->first_delay_ms > 0 ? type->first_delay_ms
						: FIRST_DELAY_MS;
	double factor = type->factor > 0 ? type->factor : FACTOR;
	double max = type->max_delay_ms > 0 ? type->max_delay_ms : MAX_DELAY_MS;

	while (--failures > 0 && delay < max)
		delay *= factor;
	if (delay > max)
		delay = max;
	return (int64_t)(delay * (1 - type->jitter * random));
}

static bool
is_final(const struct step_type *type, const struct step_outcome *outcome)
{
	const char *const *name = type->final_errors;

	for (; name != NULL && *name != NULL; name++)
		if (strcmp(*name, outcome->error_name) == 0)
			return true;
	return outcome->is_final;
}

struct step_verdict
step_policy_decide(struct arena *arena, const struct step_task *task,
    const struct step_outcome *outcome, double random)
{
	const struct step_type *type = task->type;
	int max_attempts = type->max_attempts > 0 ? type->max_attempts : 1;
	struct step_verdict verdict = { .delay_ms = -1, .failures = 1 };

	if (outcome->sent_back)
		return (struct step_verdict){ .delay_ms = SENT_BACK_MS };
	if (outcome->result != NULL)
		return (struct step_verdict){ .delay_ms = -1 };
	verdict.error = value_encode_error(arena, outcome->error_name,
	    outcome->error_message, VALUE_PORTABLE);
	if (is_final(type, outcome) || max_attempts == 1)
		return verdict;
	if (task->failures + 1 < max_attempts)
		verdict.delay_ms = delay_ms(type, task->failures + 1, random);
	else
		verdict.error = value_encode_error(arena,
		    "DBOSMaxStepRetriesError",
		    arena_printf(arena,
			"step '%s' has failed %d times, at last with %s: %s",
			type->name, max_attempts, outcome->error_name,
			outcome->error_message),
		    VALUE_PORTABLE);
	return verdict;
}
