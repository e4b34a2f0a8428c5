/* SPDX-License-Identifier: MIT */
/*
 * What follows the end of an attempt at an external step, by its type.  Private
 * to the engine.
 */
#ifndef DURABLE_STEP_POLICY_H
#define DURABLE_STEP_POLICY_H

#include <stdbool.h>
#include <stdint.h>

struct arena;
struct step_outcome;
struct step_task;
struct step_type;

struct step_verdict {
	int64_t delay_ms;  /* before the next attempt; -1: the step has ended */
	int failures;      /* that this attempt adds: 0 or 1 */
	const char *error; /* stored, in the arena; NULL: it has a result */
};

/* Whether the numbers of a type make sense; if not, says of which that is so. */
bool step_policy_is_sensible(const struct step_type *type, const char **what);

/*
 * Decides.  random is the part of the jitter, from 0 to 1, that this failure
 * has.  Texts are in the arena.
 */
struct step_verdict
step_policy_decide(struct arena *arena, const struct step_task *task,
    const struct step_outcome *outcome, double random);

#endif
