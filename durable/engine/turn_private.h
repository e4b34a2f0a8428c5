/* SPDX-License-Identifier: MIT */
/*
 * A turn from the inside: what turn.c (the transaction), turn_load.c (what it
 * takes), turn_runs.c (how its runs go on), turn_wait.c (what they wait for) and
 * turn_api.c (what they ask) share.
 */
#ifndef DURABLE_TURN_PRIVATE_H
#define DURABLE_TURN_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "db/db.h"
#include "engine/hold_off.h"
#include "engine/run.h"
#include "engine/turn.h"

struct batch;
struct fibers;
struct heartbeat;
struct write_set;

/*
 * A workflow that loads more than this is large, and a turn counts its bytes
 * (durable.is_large).
 */
#define TURN_LARGE_BYTES 8192

/*
 * When its runs have recorded and asked for so many bytes, a turn takes no
 * further step.
 */
#define TURN_MAX_BYTES   (8 << 20)

/* A line for the log, kept until the commit. */
struct line {
	struct line *next;
	enum log_level level;
	const char *text;
};

/*
 * From which time on a turn looks for what is due.  Reading also what is behind
 * that costs much while an old snapshot of another session keeps the index
 * entries of all that was due since.
 */
struct look {
	struct standby_partition partition; /* that from_ms is true of */
	int64_t from_ms;   /* behind it is nothing, as of the last turn */
	int64_t all_at_ms; /* when to look at everything, by our own clock */
	int64_t used_ms;   /* from where this turn looked; 0: everywhere */
	int64_t took_ms;   /* how long that took */
};

struct turn {
	const struct engine *engine;
	struct served *served;
	struct db *db;
	struct arena *arena;       /* of the turn */
	struct arena *batch_arena; /* of what the runs ask, and the answers */
	struct arena *read_arena;  /* of the answers that they read now */
	struct fibers *fibers;     /* of the runs */
	struct write_set *write_set;
	struct hold_off hold_off; /* steps that met a circumstance */
	int schema_patience_s;    /* how long they wait for the schema */
	int max_workflows; /* of a type or queue, that a turn takes now */
	char *crash_note;  /* see turn_new */
	struct heartbeat *heartbeat;

	struct workflow **runs;
	size_t count, size;
	struct batch *batch;      /* statements of the runs, to be executed */
	struct workflow *running; /* the run that is executing, or NULL */
	const struct db_error *step_error; /* see struct turn_plan */
	int step;
	bool alone;
	bool hints_steps;      /* to the step masters, behind the commit */
	bool has_statements;   /* of its runs */
	struct db_error error; /* why the turn is broken */
	char *session_state;   /* before any step; NULL: to be asked for */

	int64_t begun_ms;      /* the database's clock at the begin */
	int64_t begun_own_ms;  /* clock_monotonic_ms at the same time */
	int64_t until_ms;      /* clock: runs go on until then */
	int64_t trimmed_ms;    /* clock: when idle fibers were freed last */
	size_t steps;          /* that the runs have recorded */
	size_t asked_bytes;    /* of the parameters of their statements */
	int64_t message_bytes; /* of the messages that they asked for */
	int64_t due_ms;        /* when a workflow is due next; 0: unknown */
	size_t taken;          /* workflows that turn_take gave */
	bool full;             /* more may be due than it took */
	struct look look;
	bool saw_suspects;
	bool has_limits; /* a queue of this worker, when it last looked */
	struct line *lines, **last_line;
	struct turn_suspect *error_suspects;
	size_t error_suspects_count;
	struct durable_stats *stats; /* see turn_count_in; or NULL */
	int64_t expected_ms;         /* when this turn had work; 0: unknown */
};

/* turn_stats.c */

/* After the commit: counts the turn. */
void turn_stats_note(struct turn *turn);

/* turn_load.c */

/* After the commit: notes from where the next turn has to look. */
void turn_load_note_look(struct turn *turn);

/*
 * Begins the transaction, takes what the plan says and makes the turn's runs.
 * Returns false, and why in turn->error, when that failed.
 */
bool turn_load(struct turn *turn, const struct turn_plan *plan);

/* Adds an empty run, in the turn's arena. */
struct workflow *turn_load_add_run(struct turn *turn);

/* The array literal of the ids of all runs, in the turn's arena. */
const char *turn_list_ids(const struct turn *turn);

/* turn_wait.c */

/*
 * Makes a wait end with others of about the same time, so that they share a
 * turn.
 */
void turn_wait_round_up(const struct turn *turn, struct wait *wait);

/* Adds one wait to the write set. */
void turn_wait_add(struct turn *turn, const char *id,
    const struct workflow_type *type, const struct wait *wait);

/* Adds the waits of all suspended runs, and moves or leaves timer groups. */
void turn_wait_write(struct turn *turn);

/* Notes that a workflow is due at a time of the database's clock. */
void turn_wait_note_due(struct turn *turn, int64_t due_ms);

/* turn_error.c */

/* Whether what failed may succeed when there is less of it. */
bool turn_error_may_fit(const struct db_error *error);

/* Rolls back; returns what follows from the error. */
enum turn_outcome turn_error_abandon(struct turn *turn);

/* turn_runs.c */

/*
 * Runs all workflows.  The statements that they ask for are executed together in
 * a batch, and then the runs go on where they asked.  started_ms: when the turn
 * began to load.  Returns false, and why in turn->error, when the turn is broken.
 */
bool turn_runs_execute(struct turn *turn, const struct turn_plan *plan,
    int64_t started_ms);

/* The transaction has ended: frees the runs that it leaves in the middle. */
void turn_runs_drop(struct turn *turn);

/* turn_session.c */

/*
 * Asks for the state of the session, in one line a setting; and keeps that as
 * the one that every step has to leave behind, or forgets it.
 */
void turn_session_queue_state(struct turn *turn, const struct db_rows **state);
void turn_session_keep(struct turn *turn, const struct db_rows *state);
void turn_session_forget(struct turn *turn);

/*
 * Queues a statement that fails when the session's state is not the kept one.
 * The server fails it, because what a step has changed in the transaction, such
 * as a time-out, then ends at once.
 */
void turn_session_queue_check(struct turn *turn);

/*
 * Whether the turn's error is of this statement; makes it that of a step, which
 * says what differs when state, the one at that time, is not NULL.
 */
bool turn_session_blame(struct turn *turn, const struct db_rows *state);

/* turn_api.c */

/* Whether the runs have recorded and asked for TURN_MAX_BYTES. */
bool turn_is_large(const struct turn *turn);

/*
 * Executes the batch in one round trip, and gives the runs its answers.
 * Returns false, and why in turn->error, when that failed.
 */
bool turn_execute_batch(struct turn *turn);

#endif
