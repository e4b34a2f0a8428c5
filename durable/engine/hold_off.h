/* SPDX-License-Identifier: MIT */
/*
 * The steps of a worker that met a circumstance a moment ago: a row that
 * another session keeps locked, a function that a deployment has not created
 * yet.  A workflow that comes to such a step waits there, so that the other
 * workflows of its turn go on.  Private to the engine.
 */
#ifndef DURABLE_HOLD_OFF_H
#define DURABLE_HOLD_OFF_H

#include <stdbool.h>
#include <stdint.h>

#include "db/db.h"

#define HOLD_OFF_STEPS_MAX 64

/* A step that is not tried for now. */
struct held_step {
	char *step;            /* its statement or name; NULL: a free place */
	int64_t until_ms;      /* clock: tried again from then on */
	int64_t for_ms;        /* the pause, doubled at each failure */
	int64_t since_ms;      /* clock: of the first failure */
	bool tried;            /* in this turn */
	struct db_error error; /* the last failure */
};

/* A zeroed set is empty.  When it is full the step that is tried soonest goes. */
struct hold_off {
	struct held_step steps[HOLD_OFF_STEPS_MAX];
};

/* Empties the set, and frees what it has copied. */
void hold_off_clear(struct hold_off *hold_off);

/*
 * Notes that a step has failed with the error: it is not tried for a second,
 * then for twice as long each time, up to 16 s.  Copies the text.  Returns
 * whether the step was not in the set before.
 */
bool hold_off_add(struct hold_off *hold_off, const char *step,
    const struct db_error *error);

/*
 * The entry of a step that is not to be tried now, valid until the next call;
 * NULL when the step may be tried, which is noted as this turn's trial.
 */
const struct held_step *
hold_off_find(struct hold_off *hold_off, const char *step);

/* A turn begins: no step has been tried. */
void hold_off_begin(struct hold_off *hold_off);

/*
 * The turn has committed: takes one step that it tried, and that therefore
 * works again, out of the set.  Returns for how many milliseconds it had
 * failed, -1 when there is none left.
 */
int64_t hold_off_take_mended(struct hold_off *hold_off);

#endif
