/* SPDX-License-Identifier: MIT */
/*
 * The turn: one transaction in which many workflows go on, each up to its
 * next wait.  docs/design.md says why.  Private to the engine.
 *
 * Invariants: the status rows of all workflows of the turn are locked from
 * turn_begin to the end of the transaction; whatever a run records is written
 * by turn_commit or not at all.
 */
#ifndef DURABLE_TURN_H
#define DURABLE_TURN_H

#include <stdbool.h>
#include <stdint.h>

#include "db.h"
#include "duty.h"
#include "log.h"
#include "prefork.h"
#include "round.h"
#include "run.h"

#define TURN_IN_HAND_SIZE PREFORK_LEGACY_SIZE

struct engine;
struct turn;

enum turn_outcome {
	TURN_COMMITTED,
	TURN_REFUSED, /* rolled back: what one of turn_culprits meets */
	TURN_RETRY,   /* rolled back: a circumstance */
	TURN_LOST     /* the connection is gone */
};

/* Which workflows a turn takes, and how it runs them. */
struct turn_plan {
	const char *only;        /* text[] of ids, or NULL: what is due */
	struct duty_share share; /* of what is due, all when it is empty */
	bool again;              /* with any, another turn follows at once */
	bool alone;              /* one workflow, its steps in savepoints */
	const char *condemned;   /* fail them with this error instead */
	bool put_off;            /* let them wait for a second instead */
};

/*
 * A worker makes one and uses it for all its turns.  While a turn has workflows
 * in hand, and after TURN_LOST, their ids are in in_hand, which is of
 * TURN_IN_HAND_SIZE bytes and outlives it: as an array literal, or as "?" when
 * they are too long.  Else it is empty.
 */
struct turn *
turn_new(const struct engine *engine, struct db *db, char *in_hand);
void turn_free(struct turn *turn);

/*
 * Of workflows that go on within this time, turns remember the journal
 * (cache.h).  turn_forget forgets it, as is required before each new session:
 * its server may not have what the last one said to have committed.
 */
#define TURN_SOON_MS 2000
void turn_forget(struct turn *turn);

/* Takes, runs, writes and commits. */
enum turn_outcome turn_run(struct turn *turn, const struct turn_plan *plan);

/*
 * After TURN_REFUSED: the ids of the workflows one of which is at fault, or met
 * what somebody keeps locked (DB_RETRY), count of them, valid until the next
 * turn.
 */
const char *const *turn_culprits(const struct turn *turn, size_t *count);

/* What it takes, as array literals: the types and the queues. */
const char *turn_types(const struct turn *turn);
const char *turn_queues(const struct turn *turn);

/* After any other outcome than TURN_COMMITTED: what went wrong. */
const struct db_error *turn_error(const struct turn *turn);

/* Whether the turn saw suspects, which run alone. */
bool turn_saw_suspects(const struct turn *turn);

/*
 * Whether the turn found workflows to run, and more of a kind than it takes; for
 * who looks again at once: as many as it takes of one kind, or of all together.
 */
bool turn_took_any(const struct turn *turn);
bool turn_was_full(const struct turn *turn);

/*
 * Milliseconds from now until something is due for sure, as far as the turn
 * could see; at most limit_ms, 0 when there may be more at once.
 */
int turn_due_in_ms(const struct turn *turn, int limit_ms);

/* For the runs. */

/* The database's time now, in milliseconds since the epoch. */
int64_t turn_now_ms(const struct turn *turn);

struct arena *turn_arena(struct turn *turn);

/*
 * Before a step, which is known by its statement (or, of a C step, its name):
 * when it met a circumstance a moment ago, the run ends here and the workflow
 * waits for a while.  Returns NULL when the step may be tried; or the error
 * that is the step's own now, because the workflow has waited for the schema
 * as long as the engine is patient.
 */
const struct db_error *
turn_hold_off(struct turn *turn, struct workflow *wf, const char *step);

/* Lets a statement be sent with the next round trip; nobody wants its answer. */
void turn_tell(struct turn *turn, struct workflow *wf,
    const struct statement *statement);

/*
 * The same with an answer: the run ends here, asked->take gets the answer when
 * the round trip has been made, and the run begins again from its top.
 */
void turn_ask(struct turn *turn, struct workflow *wf,
    const struct statement *statement, const struct asked *asked)
    __attribute__((noreturn));

/*
 * Makes a statement's round trip at once; the rows are the run's.
 * When the statement is refused in a turn of one, what was done since
 * turn_savepoint is undone, *refused says why and NULL is returned.  In all
 * other cases of failure the turn breaks and the run ends.
 */
const struct db_rows *turn_query(struct turn *turn, struct workflow *wf,
    const char *sql, size_t nparams, const char *const params[],
    const struct db_error **refused);

/*
 * Around a step: its savepoint in a turn of one, nothing in a turn of many.
 * turn_undo undoes the step because of error, which breaks a turn of many.
 */
void turn_savepoint(struct turn *turn);
void turn_release(struct turn *turn);
void
turn_undo(struct turn *turn, struct workflow *wf, const struct db_error *error);

bool turn_is_alone(const struct turn *turn);

/* What a run wants written by the turn. */
void turn_add_step(struct turn *turn, const struct workflow *wf, int number,
    const struct entry *entry);
void turn_add_event(struct turn *turn, const struct workflow *wf, int number,
    const char *key, const char *value);
void turn_add_message(struct turn *turn, const char *id, const char *topic,
    const char *text);
void
turn_add_consumed(struct turn *turn, const struct message *message, int number);

/*
 * Logs a line when the turn has committed; a turn that is rolled back has not
 * happened.
 */
void turn_log(struct turn *turn, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

struct child {
	const struct workflow_type *type;
	const char *id;
	const char *input; /* stored arguments, portable */
};

/*
 * Asks for the insertion of a child of the workflow, asked->child.  The answer
 * is "created", "exists" or "conflict".
 */
void turn_start_child(struct turn *turn, struct workflow *wf,
    const struct asked *asked) __attribute__((noreturn));

/*
 * Lets a new child run in this turn; a turn of one, or one that has grown
 * enough, leaves it to the next.  Its texts are in the turn's arena.
 */
void turn_add_child(struct turn *turn, struct workflow *parent,
    const struct child *child);

#endif
