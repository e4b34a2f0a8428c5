/* SPDX-License-Identifier: MIT */
/*
 * The calls with which an author writes a workflow.
 *
 * A workflow is a C function that survives crashes: after its process died, or
 * when a wait ends, the engine runs it again from its top, and each call below
 * that was made before returns its recorded result (it is replayed) until the
 * function is where it was.  Each call takes effect exactly once.
 *
 * For that to be true, a workflow function
 *  - does all that is visible outside it in steps, and decides only by results
 *    of the calls below: no clock and no random number but those of wf_now_ms,
 *    wf_uuid and wf_random, no global state;
 *  - holds no resource that it must release itself across a call: a call that
 *    has to wait does not return, and any call may be the last of a turn.  The
 *    run's arena owns what the calls return and what wf_alloc allocates;
 *  - keeps nothing in static variables across a call: other workflows go on
 *    during it, in the same thread;
 *  - has a stack of 256 KiB, which the calls below use, too: a function that needs
 *    more crashes its process;
 *  - does not compute for long between two calls, because the server ends a
 *    transaction that is idle for a second, and the workflows of a turn (up to
 *    some hundred) share one;
 *  - ends before its history is too long: with 50,000 steps (wf_recv and
 *    wf_get_event are two each), or when its input and the results of its steps
 *    have 32 MiB together, it fails with DBOSHistoryLimitExceeded, which
 *    wf_catch does not catch.  The log warns at 10,000 steps and at 8 MiB.  A
 *    workflow that goes on for ever calls wf_continue now and then;
 *  - changes only under a new version in its struct workflow_type, or behind
 *    wf_patch; workflows that have begun go on with the version they began
 *    with.
 *
 * When a replayed call has another step name than the recorded one, the
 * workflow fails with an error that names both.
 */
#ifndef DURABLE_WORKFLOW_H
#define DURABLE_WORKFLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <json-c/json_object.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct arena;
struct step;
struct workflow;

/*
 * A value that a workflow or step function returns or passes to a call goes to
 * the engine with its reference.  It may also be one that the run owns, or a
 * part of one: then json_object_get, which makes a reference, is not needed.
 */

/*
 * The function of a workflow.  input is its first argument, owned by the run;
 * NULL for none or null; wf_argument and wf_named return the others.  The engine
 * records the result as the workflow's output.
 */
typedef json_object *workflow_function(struct workflow *wf, json_object *input);

/*
 * A workflow function with its name and version.  Of several types with the
 * same name the last in engine.types runs new workflows; the others finish the
 * workflows of their version.  The version is any text without '@'; it is the
 * application_version of the system database, where versions of different
 * applications should differ.
 *
 * Of several daemons with different versions those with the latest one take the
 * new workflows: the version that was registered last, when a daemon with it
 * first started, or that a DBOS client has made the latest.  The other daemons
 * know that within five seconds.  The view durable.versions says which versions
 * have workflows still.
 */
struct workflow_type {
	const char *name;
	const char *version;
	workflow_function *function;
	/*
	 * Types that its function starts, ended by NULL; may be NULL.  An engine
	 * that serves this type and not all of them does not start.
	 */
	const struct workflow_type *const *children;
};

/* The error of a step or a child. */
struct wf_error {
	const char *name;
	const char *message;
};

/* Returns the id of this workflow, valid for this run. */
const char *wf_id(const struct workflow *wf);

/*
 * The arguments with which the workflow was started: how many have a place, the
 * one at place i, from 0, and the one with a name.  The values are the run's;
 * NULL is no such argument, or null.  Only the portable format has names.
 */
size_t wf_arguments(struct workflow *wf);
json_object *wf_argument(struct workflow *wf, size_t i);
json_object *wf_named(struct workflow *wf, const char *name);

/* Returns len zeroed bytes, which are freed when the run ends or waits. */
void *wf_alloc(struct workflow *wf, size_t len);

/* Formats as printf(3); the text is in the run's arena. */
const char *wf_printf(struct workflow *wf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * Gives a value that the function has made to the run, which releases it even
 * when a call does not return.  The function may still add parts to it.
 * Returns the value.
 */
json_object *wf_own(struct workflow *wf, json_object *value);

/*
 * Make a string or an integer that the run owns.  Without memory they end the
 * process, and another one goes on, where json-c returns NULL, which is null.
 */
json_object *wf_string(struct workflow *wf, const char *text);
json_object *wf_int64(struct workflow *wf, int64_t number);

/* Returns the number in decimal, in the run's arena, for a parameter. */
const char *wf_number(struct workflow *wf, int64_t number);

/*
 * Logs a line with the workflow's id after the turn has committed, and not
 * again in a replay; only a line right before wf_result is logged once a run,
 * because that call records nothing until the child has ended.
 */
void wf_log(struct workflow *wf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Ends the workflow with status ERROR and this error.  Does not return. */
void wf_fail(struct workflow *wf, const char *name, const char *format, ...)
    __attribute__((noreturn, format(printf, 3, 4)));

/*
 * If the next call fails, lets it return NULL (0, false) instead of failing the
 * workflow; wf_error then returns the error.
 */
void wf_catch(struct workflow *wf);

/*
 * Returns the error of the last call, which followed wf_catch, in the run's
 * arena; NULL when the call succeeded.
 */
const struct wf_error *wf_error(const struct workflow *wf);

/*
 * Runs an SQL statement as the step name, exactly once: its changes and its
 * journal row commit together.  params has nparams texts, at most ten; NULL is
 * SQL's null.  Returns the first column of the first row, owned by the run:
 * booleans, integers and JSON as such, other types as strings; NULL for no row
 * and for SQL's null.  An error fails the step.
 *
 * The workflows of a turn share a transaction and a session.  So a statement
 * that controls one of these (begin, commit, savepoint, set, listen, prepare,
 * declare, create temporary and the like), copy, pg_advisory_lock, and a text
 * without a statement fail the step with the error DBOSForbiddenStatement,
 * unsent.  So does a statement whose function changes a setting, as set_config
 * does, or the role, or makes a temporary table; it has no effect.  Other things
 * that a function leaves in the session, such as a lock or a cursor with hold,
 * end within seconds.  What it changes for the transaction under a setting's
 * name of its own is seen by the other workflows of the turn.
 */
json_object *wf_sql(struct workflow *wf, const char *name, const char *sql,
    size_t nparams, const char *const params[]);

/*
 * wf_sql that returns all rows and columns: an array of objects, whose members
 * have the columns' names, or an empty array.  The array is one result of the
 * workflow's history, so a statement that may return much needs a limit.
 */
json_object *wf_sql_rows(struct workflow *wf, const char *name, const char *sql,
    size_t nparams, const char *const params[]);

/* wf_sql for a boolean or an integer; no row and null are false or 0. */
bool wf_sql_bool(struct workflow *wf, const char *name, const char *sql,
    size_t nparams, const char *const params[]);
int64_t wf_sql_int64(struct workflow *wf, const char *name, const char *sql,
    size_t nparams, const char *const params[]);

/* wf_sql without a result: the run need not wait for the answer. */
void wf_sql_void(struct workflow *wf, const char *name, const char *sql,
    size_t nparams, const char *const params[]);

/*
 * The wf_sql calls, but one execution of the statement serves all workflows
 * that come to this step in the same batch of a turn: its parameters, at least
 * one, are arrays with one element per workflow.  It returns one row per
 * element, in their order; with another number of rows it has no effect and
 * fails the step of all these workflows with the error DBOSInvalidBatch.  The
 * rows of void are not looked at.  Elements may be equal.
 */
json_object *wf_batch(struct workflow *wf, const char *name, const char *sql,
    size_t nparams, const char *const params[]);
bool wf_batch_bool(struct workflow *wf, const char *name, const char *sql,
    size_t nparams, const char *const params[]);
int64_t wf_batch_int64(struct workflow *wf, const char *name, const char *sql,
    size_t nparams, const char *const params[]);
void wf_batch_void(struct workflow *wf, const char *name, const char *sql,
    size_t nparams, const char *const params[]);

/*
 * Runs a C function as the step name: all its statements and the step's journal
 * row commit together.  It uses the database by step_sql alone and may run
 * again after a failure, so it changes only its own variables, and holds nothing
 * that it must release itself when a statement fails: step_sql does not return
 * then.  A call of the workflow in it, such as wf_sleep, fails the step with the
 * error DBOSInvalidStep, which names both; none of its statements takes effect.
 */
typedef json_object *step_function(struct step *step, void *arg);
json_object *wf_transaction(struct workflow *wf, const char *name,
    step_function *function, void *arg);

/*
 * Runs a statement of such a step and returns what wf_sql does.  Does not
 * return when the statement fails: it fails the step.
 */
json_object *step_sql(struct step *step, const char *sql, size_t nparams,
    const char *const params[]);

/* Fails the step: none of its statements takes effect.  Does not return. */
void step_fail(struct step *step, const char *name, const char *format, ...)
    __attribute__((noreturn, format(printf, 3, 4)));

/*
 * Steps that return what is new in each run, and in a replay what they have
 * returned before: the time of the database, in milliseconds since the epoch; a
 * UUID of version 4 in lower case, in the run's arena; a random number from 0 to
 * below 1, a multiple of 2^-53.
 */
int64_t wf_now_ms(struct workflow *wf);
const char *wf_uuid(struct workflow *wf);
double wf_random(struct workflow *wf);

/*
 * Returns whether the run is to take the changed path of its function: true, and
 * records that as a step, unless the run was behind this call before the change.
 *
 *	if (wf_patch(wf, "gift"))
 *		wrap(wf);
 *
 * When all workflows that began without the patch have ended, wf_deprecate_patch
 * with the same name takes the place of the call and of the condition; when all
 * that began with wf_patch have ended, too, it may go.
 */
bool wf_patch(struct workflow *wf, const char *name);
void wf_deprecate_patch(struct workflow *wf, const char *name);

/*
 * Sets an event of this workflow to a value (NULL is null); clients and other
 * workflows can wait for it.  A later value replaces it.
 */
void wf_set_event(struct workflow *wf, const char *key, json_object *value);

/*
 * Waits for an event of another workflow, for at most timeout_ms milliseconds.
 * Returns its value, owned by the run; NULL when the time is over or the value
 * is null.  Does not return while the event is not set: see wf_recv.
 */
json_object *wf_get_event(struct workflow *wf, const char *id, const char *key,
    int64_t timeout_ms);

/*
 * Append a value (NULL is null) to a stream of this workflow, which has a key,
 * and end the stream.  Clients and other workflows read it from its first value
 * on, while it is written and later.
 */
void wf_write_stream(struct workflow *wf, const char *key, json_object *value);
void wf_close_stream(struct workflow *wf, const char *key);

/* What wf_read_stream has found. */
enum wf_stream {
	WF_STREAM_VALUE, /* the value */
	WF_STREAM_END,   /* none will come: the stream or its workflow ended */
	WF_STREAM_LATE   /* none came in time */
};

/*
 * Waits for the value at an offset, from 0, of a stream of a workflow, for at
 * most timeout_ms milliseconds.  Sets *value to it, owned by the run, or to NULL;
 * *value is NULL, too, when the call has failed because there is no such
 * workflow (see wf_catch).  Does not return while there is no value: see
 * wf_recv.
 */
enum wf_stream wf_read_stream(struct workflow *wf, const char *id,
    const char *key, int offset, int64_t timeout_ms, json_object **value);

/*
 * Sends a message to another workflow on a topic (NULL: the default topic).
 * Fails when there is no such workflow.
 */
void wf_send(struct workflow *wf, const char *id, const char *topic,
    json_object *message);

/*
 * Waits for the next message sent to this workflow on topic, for at most
 * timeout_ms milliseconds; the wait outlives crashes and restarts.
 * Returns the message, owned by the run, or NULL when the time is over.  Does
 * not return while there is no message: the run ends here, and a later run
 * replays the workflow up to this line.
 *
 * This call and the others that return stored JSON fail with DBOSInvalidInput
 * when it cannot be read: nested deeper than 64 levels, an integer beyond 64
 * bits, half of a surrogate pair, or \u0000 in a key.
 */
json_object *
wf_recv(struct workflow *wf, const char *topic, int64_t timeout_ms);

/*
 * wf_recv of a string; returns NULL also for a message of another type, and
 * for a string with \u0000, which a text would end at.
 */
const char *
wf_recv_string(struct workflow *wf, const char *topic, int64_t timeout_ms);

/*
 * Sleeps for duration_ms milliseconds of the database's clock, through crashes
 * and restarts.  Sleeps up to 15 ms longer, at most a 32nd of the duration, so
 * that workflows that wake at about the same time share a turn.
 */
void wf_sleep(struct workflow *wf, int64_t duration_ms);

/*
 * Starts a child workflow of this type with an input (NULL is null) and does
 * not wait for the child.  id NULL means <parent>-<step number>: pass another
 * where a client could have chosen that.
 * A type that the engine does not have fails the workflow with
 * DBOSNotRegisteredError.
 * A child with a known id is not started again; if that id is a workflow's of
 * another type, the call fails.  Returns the child's id.
 */
const char *wf_start(struct workflow *wf, const struct workflow_type *type,
    const char *id, json_object *input);

/* How wf_start_with starts a workflow; what is NULL or 0 has its default. */
struct wf_start_options {
	const char *id; /* of the workflow; see wf_start */
	/*
	 * The queue that the workflow waits in; NULL: it runs at once, and may
	 * have a deadline and attributes, but none of the options marked q.
	 */
	const char *queue;
	int priority;     /* q: in the queue, from 0, the lowest number first */
	int64_t delay_ms; /* q: how long the queue keeps it back */
	/*
	 * q: the call fails while the queue has another one with this id, or
	 * returns that one's id if join_duplicate
	 */
	const char *deduplication_id;
	bool join_duplicate;
	const char *partition_key; /* q: in a queue with partitions */
	const char *application;   /* q: that runs it; default: this one */
	const char *version; /* q: default: the type's; of another application
				its latest */
	const char *class_name, *config_name; /* q: of an SDK's function */
	/*
	 * How long it may take, from the time when it leaves its queue; or until
	 * when, in milliseconds since the epoch, INT64_MAX for no limit.  By
	 * default it has the deadline of the workflow that starts it.
	 */
	int64_t timeout_ms, deadline_ms;
	json_object *attributes; /* an object, to find it by; see wf_find */
};

/*
 * wf_start with several arguments, an array and an object (NULL: none) by which
 * wf_argument and wf_named find them, and with options (NULL: none).  A type
 * without a function names a workflow of another program, such as one of the
 * DBOS SDKs; it needs a queue of that program.  Returns the workflow's id.
 * Fails with DBOSQueueDuplicatedError for a deduplication id that is taken.
 */
const char *wf_start_with(struct workflow *wf, const struct workflow_type *type,
    json_object *positional, json_object *named,
    const struct wf_start_options *options);

/*
 * Lets the workflow go on from its top with another input (NULL is null) and an
 * empty journal, in one commit with the steps before: so a workflow can go on for
 * ever, and what a turn loads of it stays small.  The id, the version, the
 * deadline, the events, the messages and the children stay, and step numbers
 * count on, so that the ids of children do not repeat.  Does not return.
 */
void
wf_continue(struct workflow *wf, json_object *input) __attribute__((noreturn));

/*
 * What undoes a part of a workflow; it makes calls as the workflow does.  arg is
 * that of wf_push_cleanup.
 */
typedef void wf_cleanup(struct workflow *wf, void *arg);

/*
 * Registers a clean-up, and takes the latest one back, running it if execute.
 * When the workflow is cancelled (by a tool, a client or another workflow), has
 * passed its deadline or fails, the clean-ups that it has left run, the latest
 * first, instead of what follows the call that it has come to.  Then it ends: as
 * CANCELLED, which a cancelled one is all the time, or with its error.  They are
 * not stopped by a cancellation or the deadline.  One that fails ends the
 * workflow with its error.  arg may point into the stack of the workflow's
 * function.
 *
 *	book_car(wf);
 *	wf_push_cleanup(wf, return_car, NULL);
 *	book_hotel(wf);
 *	wf_pop_cleanup(wf, false);
 */
void wf_push_cleanup(struct workflow *wf, wf_cleanup *function, void *arg);
void wf_pop_cleanup(struct workflow *wf, bool execute);

/*
 * Adds the members of an object to the attributes of this workflow, by which
 * wf_find and the tools of DBOS find it.  A later value of a member replaces the
 * one before.
 */
void wf_set_attributes(struct workflow *wf, json_object *attributes);

/*
 * Returns the ids of the workflows that have all these attributes (an object,
 * whose members may be parts of larger values: see PostgreSQL's @>), of all
 * applications, the oldest first, and as many as most at most: an array of
 * strings, owned by the run.  Attributes that this turn sets are not seen yet.
 */
json_object *wf_find(struct workflow *wf, json_object *attributes, int most);

/*
 * Waits without limit for the end of a child, or of another workflow.  Returns
 * its output, owned by the run, or NULL for null; fails when it failed or was
 * cancelled, when there is no such workflow (yet), or when it is the caller.
 */
json_object *wf_result(struct workflow *wf, const char *id);

/*
 * wf_result for at most timeout_ms milliseconds.  Returns whether the workflow
 * has ended; sets *result to its output, or to NULL.
 */
bool wf_result_within(struct workflow *wf, const char *id, int64_t timeout_ms,
    json_object **result);

/*
 * Cancels a workflow, which may be the caller; one that has ended stays as it
 * is, and so does its child.  It takes no step after this one has committed; the
 * same turn may still have run it.
 */
void wf_cancel(struct workflow *wf, const char *id);

/*
 * wf_cancel of a workflow and of all that it and its children have started,
 * which of these have ended or not.
 */
void wf_cancel_family(struct workflow *wf, const char *id);

/*
 * Lets a cancelled workflow, or one that was ended after too many attempts, go
 * on where it was, without its deadline; one that has ended by itself stays as
 * it is.  Fails when there is no such workflow.
 */
void wf_resume(struct workflow *wf, const char *id);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
