/* SPDX-License-Identifier: MIT */
/*
 * What a worker does after a crash and after a refused turn: it notes the
 * workflows that may have killed a process as suspects and runs just them; and
 * it runs the workflows of a refused turn one by one.
 */
#ifndef DURABLE_RECOVERY_H
#define DURABLE_RECOVERY_H

#include <stdbool.h>

#include "engine/turn.h"

struct engine;
struct prefork_worker;
struct recovery;
struct served;

/*
 * Makes the recovery of a worker; all arguments outlive it.  The first worker
 * of its slot recovers whatever is due, because it cannot know what an earlier
 * daemon died of.
 */
struct recovery *
recovery_new(const struct engine *engine, struct served *served, struct db *db,
    struct turn *turn, const struct prefork_worker *self);
void recovery_free(struct recovery *recovery);

/*
 * Whether the next turn has to be recovery_run instead of an ordinary one: the
 * crash note names workflows, or the worker has only just started.
 */
bool recovery_is_needed(struct recovery *recovery);

/*
 * Notes the workflows of the crash note, or without a note all that are due, as
 * suspects, in a transaction of its own, and has turns of just these.  If one of
 * these ends with its process or session, too, recovery_try_suspects runs its
 * workflows from then on.  A process that ended itself while it ran one workflow
 * counts as an attempt at that.
 */
enum turn_outcome recovery_run(struct recovery *recovery);

/*
 * After TURN_REFUSED: runs the suspects of the error one by one, so that only
 * one meets its error.  What is left after five seconds is due again.
 */
enum turn_outcome recovery_run_one_by_one(struct recovery *recovery);

/*
 * Runs a cohort of suspects, or one alone; sets *outcome.  Each attempt halves
 * the cohort, and after a process that ended itself it is one.  Gives the one up
 * after max_attempts; when its turn does not end, the next one waits for a pause
 * that was noted before.  Returns false when no suspect is due and free.
 */
bool
recovery_try_suspects(struct recovery *recovery, enum turn_outcome *outcome);

#endif
