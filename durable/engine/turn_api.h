/* SPDX-License-Identifier: MIT */
/*
 * The turn, as its runs see it: what a run may ask of the transaction that it
 * is a part of.
 *
 * Invariants: the status rows of all workflows of the turn are locked until
 * the end of the transaction; what a run records is written at the end of the
 * turn or not at all.
 */
#ifndef DURABLE_TURN_API_H
#define DURABLE_TURN_API_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "db/db.h"
#include "engine/batch.h"
#include "engine/run.h"

struct turn;

/* The database's time now, in milliseconds since the epoch. */
int64_t turn_now_ms(const struct turn *turn);

/* The arena of the turn, for texts that outlive a run. */
struct arena *turn_arena(struct turn *turn);

/* Whether the run is the only one, and its steps are in savepoints. */
bool turn_is_alone(const struct turn *turn);

/*
 * Before a step, which is known by its statement (or, of a C step, its name):
 * when it met a circumstance a moment ago, the run ends here and the workflow
 * waits for a while.  Returns NULL when the step may be tried; or the step's
 * error, when the workflow has waited for the schema for schema_patience_s.
 */
const struct db_error *
turn_hold_off(struct turn *turn, struct workflow *wf, const char *step);

/*
 * The error that the step of this number meets instead of its statement,
 * because it met that in a turn that was rolled back; NULL for none.
 */
const struct db_error *
turn_step_error(const struct turn *turn, int number, const char *sql);

/*
 * Whether the turn has lasted long enough: runs that have gone on in it are to
 * wait for the next one.
 */
bool turn_is_over(const struct turn *turn);

/*
 * Adds a statement to the turn's batch; its answer is thrown away.  When the
 * batch is long, the run pauses until it has been executed.
 */
void turn_tell(struct turn *turn, struct workflow *wf,
    const struct batch_statement *statement);

/*
 * Adds a statement with an answer, and returns the answer, valid until the run
 * asks again; the run pauses until the turn has executed the batch.  Other runs
 * go on meanwhile, or the turn ends and this does not return.
 */
const struct answer *turn_ask(struct turn *turn, struct workflow *wf,
    const struct batch_statement *statement);

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
 * Begin and end a C step: with a savepoint in a turn of one; in a turn of many
 * they do nothing.  turn_undo undoes the step because of the error; it breaks a
 * turn of many.
 */
void turn_savepoint(struct turn *turn);
void turn_release(struct turn *turn);
void
turn_undo(struct turn *turn, struct workflow *wf, const struct db_error *error);

/* Add a row to what the turn writes at its end; the texts are copied. */
void turn_add_step(struct turn *turn, const struct workflow *wf, int number,
    const struct entry *entry);
void turn_add_continue(struct turn *turn, const struct workflow *wf, int number,
    const char *input);
void turn_add_event(struct turn *turn, const struct workflow *wf, int number,
    const char *key, const char *value);
void turn_add_stream(struct turn *turn, const struct workflow *wf, int number,
    const char *key, const char *value);
void turn_add_attributes(struct turn *turn, const struct workflow *wf,
    const char *attributes);
void turn_add_external(struct turn *turn, const struct workflow *wf, int number,
    const char *type, const char *argument);
void turn_add_message(struct turn *turn, const char *id, const char *topic,
    const char *text);
void
turn_add_consumed(struct turn *turn, const struct message *message, int number);

/* The workflow waits for the first of several items no more. */
void turn_add_chosen(struct turn *turn, const struct workflow *wf);

/*
 * Asks for the next unread messages of the workflow on a topic: those behind the
 * last one (NULL: the first ones), for the step of this number.  A turn that has
 * asked for many leaves that to the next one.
 */
const struct answer *turn_ask_messages(struct turn *turn, struct workflow *wf,
    const char *topic, const struct message *last, int number);

/*
 * Logs a line when the turn has committed; a turn that is rolled back logs
 * nothing.
 */
void turn_log(struct turn *turn, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * Where the log of the turn ends now; turn_unlog takes back what was logged
 * since then.
 */
void *turn_log_end(const struct turn *turn);
void turn_unlog(struct turn *turn, void *end);

struct child {
	const struct workflow_type *type;
	const char *version; /* NULL: the latest, of a type in a queue */
	const char *id;
	const char *input;   /* stored arguments, portable */
	int64_t deadline_ms; /* 0: none */
	const char *options; /* of durable.turn_start_with, or NULL */
};

/*
 * Asks for the insertion of a child of the workflow, as the step of this number.
 * The answer is "created", "exists" or "conflict", or with options "duplicated".
 */
const struct answer *turn_start_child(struct turn *turn, struct workflow *wf,
    const struct child *child, int number);

/*
 * Adds a statement of the engine's own for a call of the workflow, and returns
 * its answer as turn_ask does.  A function that is missing in the database is
 * waited for without limit.
 */
const struct answer *turn_ask_own(struct turn *turn, struct workflow *wf,
    const struct batch_statement *statement);

/* Whether the engine has this type. */
bool turn_serves(const struct turn *turn, const struct workflow_type *type);

/* Tells the workers of all daemons, after the commit, that something is due. */
void turn_hint_due(struct turn *turn);

/* Lets the turn cancel or resume (again enqueue) a workflow when it ends. */
enum turn_control { TURN_CANCEL, TURN_CANCEL_FAMILY, TURN_RESUME };
void
turn_add_control(struct turn *turn, const char *id, enum turn_control control);

/*
 * Lets a new child run in this turn; a turn of one, or one that has grown
 * enough, leaves it to the next.  Its texts are in the turn's arena.
 */
void turn_add_child(struct turn *turn, struct workflow *parent,
    const struct child *child);

#endif
