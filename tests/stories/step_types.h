/* SPDX-License-Identifier: MIT */
/*
 * Step functions, right and wrong, which write their effects into a file.
 */
#ifndef STORIES_STEP_TYPES_H
#define STORIES_STEP_TYPES_H

#include <durable/step.h>

/* The file to which the steps write: an effect outside the database. */
extern char effects[];

/* All types, ended by NULL, and some of them. */
extern const struct step_type *const step_types[];
extern const struct step_type echo_step, endless_step, meeting_step;

/* How often a step has taken an effect; *pid is the last one's process. */
int effects_of(const char *key, const char *what, int *pid);

/* Sleeps for so many milliseconds. */
void rest(int ms);

#endif
