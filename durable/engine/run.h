/* SPDX-License-Identifier: MIT */
/*
 * One run of one workflow in a turn: its state, and what the authors' calls
 * (workflow.c, wf_message.c, wf_child.c) use to replay, record and suspend.
 * Private to the engine.
 */
#ifndef DURABLE_RUN_H
#define DURABLE_RUN_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>

#include <durable/workflow.h>

/* The step by which a workflow goes on from its top with a new input. */
#define RUN_CONTINUE      "durable.continue"

/* The step that marks where a workflow stopped, and its clean-ups began. */
#define RUN_CLEANUP       "durable.cleanup"

/* The error of a statement that an author may not run. */
#define RUN_FORBIDDEN     "DBOSForbiddenStatement"

/* The topic of messages that are sent on none. */
#define RUN_DEFAULT_TOPIC "__null__topic__"

/* The longest wait: a hundred years, that is, for ever. */
#define RUN_FOR_EVER_MS   (INT64_C(100) * 365 * 24 * 3600 * 1000)

struct cleanup;
struct db_error;
struct db_rows;
struct fiber;
struct fibers;
struct references;
struct turn;
struct wf_item;

/* How a run ended. */
enum run_end {
	RUN_READY,     /* it has not: it begins, or goes on when answered */
	RUN_RETURNED,  /* the function returned: SUCCESS */
	RUN_FAILED,    /* the workflow failed: ERROR */
	RUN_CANCELLED, /* its deadline has passed */
	RUN_SUSPENDED, /* it waits */
	RUN_BROKEN     /* the turn's transaction has failed */
};

/* A recorded step; its texts are in the turn's arena. */
struct entry {
	bool known;
	const char *name;
	const char *output;
	const char *error;
	const char *serialization;
	const char *child;
	int64_t started_ms;
	int64_t completed_ms;
};

struct message {
	const char *id;
	const char *topic;
	const char *text;
	const char *serialization;
	const char *sent_ms;
	bool consumed;
};

enum wait_kind {
	WAIT_START,
	WAIT_MESSAGE,
	WAIT_EVENT,
	WAIT_RESULT,
	WAIT_STREAM,
	WAIT_TIMER,
	WAIT_HELD, /* before a step that recently met a circumstance */
	WAIT_STEP,
	WAIT_ANY /* the first of the items */
};

struct wait {
	enum wait_kind kind;
	int64_t wake_ms;
	const char *target; /* workflow of an event, a result or a stream */
	/* Of an event; a message's topic; a step's number; "offset:key". */
	const char *key;
	const struct wf_item *items; /* in the turn's arena */
	size_t items_count;
	int64_t held_ms; /* held: since when, by the database's clock */
	size_t bytes;    /* that the next turn loads of the workflow */
};

/* The database's answer to a statement that a run asked for. */
struct answer {
	const struct db_error *refused; /* the error, or NULL */
	const struct db_rows *rows;
	size_t row; /* number of the run's row, which may be missing */
};

/* A C step that is running, in the turn's arena. */
struct step {
	struct workflow *wf;
	const char *name;
	const char *key; /* that it is held off by: its type's and its name */
	int number;
	int64_t started_ms;
};

struct workflow {
	struct turn *turn;
	struct workflow *creator; /* its parent, if this turn created it */
	struct fiber *fiber;      /* of the run that has begun, else NULL */
	struct arena *arena;      /* of the fiber */
	const struct workflow_type *type;
	const char *id;
	const char *timer_group;   /* that woke it, or NULL */
	int timer_group_size;      /* how many the group wakes at most */
	bool begun;                /* taken from a queue by this turn */
	bool has_arguments;        /* the run has read positional and named */
	bool cancelled;            /* it may only clean up */
	const char *input;         /* stored arguments */
	const char *serialization; /* of input, output and error */
	json_object *positional, *named; /* of the input, or NULL */
	int64_t held_ms;     /* when its next step was held first, or 0 */
	int64_t deadline_ms; /* 0: none */

	struct entry *journal; /* by function id, from first on */
	int first;             /* function id after the last wf_continue */
	int journal_len, journal_size;
	size_t bytes;             /* of the input and the journal */
	struct message *messages; /* of each topic, oldest first */
	int messages_len, messages_size;
	bool has_unread;      /* that are not loaded; see turn_ask_messages */
	int64_t unread_bytes; /* of the first of them */
	const char *known_topic; /* of which all are loaded, or NULL */

	struct cleanup *cleanups; /* the latest first, in the run's arena */
	int next;                 /* function id of the next call */
	bool has_pushed;          /* the run has had a clean-up */
	bool cleaning;            /* clean-ups are running, or have run */
	bool has_gone_on;         /* the run has recorded a step */
	bool catching;
	bool has_external;   /* begun, and not ended */
	bool has_statements; /* in this turn */
	void *log_end; /* of the turn, when this run recorded or went on last */
	const struct step *step;       /* the C step that is running, or NULL */
	struct references *references; /* of the values in the run's arena */
	const struct wf_error *error; /* of the last call, in the run's arena */
	struct answer answer;         /* to what the run asked for last */

	/* Where a C step that fails leaves to, from any depth of calls. */
	jmp_buf step_failed;
	enum run_end end;
	struct wait wait;    /* when suspended */
	const char *output;  /* in the turn's arena */
	const char *failure; /* stored error, in the turn's arena */
};

/*
 * Adds a step that the database holds; texts are not copied.  wf_continue leaves
 * a journal that begins with its step: the run counts on from there.
 */
void run_add_entry(struct workflow *wf, int number, const struct entry *entry);

/* Adds a message that waits to be received; texts are not copied. */
void run_add_message(struct workflow *wf, const struct message *message);

/*
 * Runs the workflow from its top, or from where it is paused, until it pauses,
 * ends, waits or breaks, and sets wf->end.  Returns false, and does nothing, when
 * the run would need one more fiber than there may be.
 */
bool run_execute(struct workflow *wf, struct fibers *fibers);

/* Frees what a run has that will not go on.  Does nothing when it has ended. */
void run_drop(struct workflow *wf);

/* Ends the workflow with an error without running it. */
void run_fail(struct workflow *wf, const char *name, const char *message);

/*
 * Begins the next call: checks the deadline, sets *number to the call's
 * function id and returns its journal entry, or NULL for a new call.  Does not
 * return when the deadline has passed or the recorded step has another name,
 * nor in a C step, which it fails, nor for a new call when the history has
 * reached its limit or the turn is over.
 */
const struct entry *
run_call(struct workflow *wf, const char *name, int *number);

/* Whether the workflow may make no call any more but those of clean-ups. */
bool run_is_over(const struct workflow *wf);

/* Whether the journal has a step of this number. */
bool run_knows(const struct workflow *wf, int number);

/*
 * Whether there is an unread message on a topic, for the step of this number.
 * The topic outlives the turn.
 */
bool run_has_message(struct workflow *wf, const char *topic, int number);

/* Returns the entry of the second id of a call, checked by its name only. */
const struct entry *
run_lookup(struct workflow *wf, int number, const char *name);

/* Whether the step of this number marks the begin of clean-ups. */
bool run_is_marked(const struct workflow *wf, int number);

/*
 * Runs the clean-ups of a workflow that has come to the call of this number, which
 * it will not make: because it has failed with this stored error, or, NULL, was
 * cancelled.  Returns the error with which that began.
 */
const char *run_clean_up(struct workflow *wf, int number, const char *error);

/* Fails the C step that is running, if any: call is not allowed in it. */
void run_refuse_in_step(struct workflow *wf, const char *call);

/*
 * Fails the C step that is running: none of its statements takes effect.  Does
 * not return.
 */
void run_fail_step(struct workflow *wf, const char *name, const char *message)
    __attribute__((noreturn));

/* Records the error of the C step that is running, and leaves the step. */
void run_leave_step(struct workflow *wf, const char *error)
    __attribute__((noreturn));

/*
 * Ties a value that the author hands over to the run, with its reference if it
 * has one of its own, and returns the value.
 */
json_object *run_take(struct workflow *wf, json_object *value);

/*
 * Copies a step into this run's journal and the turn's write set.  Logs when the
 * history comes near its limits.
 */
void run_record(struct workflow *wf, int number, const struct entry *entry);

/* Record a call with a stored output or error, from started_ms until now. */
void run_record_output(struct workflow *wf, int number, const char *name,
    const char *output, int64_t started_ms);
void run_record_error(struct workflow *wf, int number, const char *name,
    const char *error, int64_t started_ms);

/* Returns the stored form of a database error, in the run's arena. */
const char *
run_database_error(struct workflow *wf, const struct db_error *error);

/*
 * Returns a recorded step's value, owned by the run.  For an error returns
 * NULL after wf_catch, else does not return: it fails the workflow.
 */
json_object *run_answer(struct workflow *wf, const struct entry *entry);

/* run_answer of the step just recorded, so that it acts as its replay. */
json_object *run_recorded(struct workflow *wf, int number);

/* Fails the call; returns after wf_catch only.  Records nothing. */
void run_raise(struct workflow *wf, const char *name, const char *message);

/*
 * Returns from_ms + after_ms, or the largest time if that overflows, so that a
 * huge time-out means for ever.
 */
int64_t run_later(int64_t from_ms, int64_t after_ms);

/*
 * Records the time-out of a waiting call under a function id of its own, as an
 * absolute time, when the call is first made.  Sets *started_ms to the time of
 * that first call; returns the time of the time-out.
 */
int64_t run_timeout(struct workflow *wf, int number, int64_t timeout_ms,
    int64_t *started_ms);

/* Pauses the run until run_execute is called again. */
void run_pause(struct workflow *wf);

/* Leaves the rest of the run to the next turn.  Does not return. */
void run_wait_for_turn(struct workflow *wf) __attribute__((noreturn));

/* Ends the workflow with an error, behind its clean-ups. */
void run_end_failed(struct workflow *wf, const char *name, const char *message)
    __attribute__((noreturn));

/*
 * End the run.  Neither returns.  A workflow that is cancelled or past its
 * deadline is not suspended, but cleans up.
 */
void run_suspend(struct workflow *wf, const struct wait *wait)
    __attribute__((noreturn));
void run_leave(struct workflow *wf, enum run_end end) __attribute__((noreturn));

/* Whether the journal has the next call. */
bool run_replaying(const struct workflow *wf);

#endif
