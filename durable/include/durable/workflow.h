/* SPDX-License-Identifier: MIT */
/*
 * Workflows, as their authors write them.
 *
 * A workflow is a C function that survives: when its process dies, or when it
 * has to wait, it is run again from its top, and every call below that has
 * been answered before returns the recorded answer (it is replayed) until the
 * function is where it was.  Each call takes effect exactly once.
 *
 * For that to be true, a workflow function
 *  - does everything that others can see in a step, and decides only by what
 *    the calls below returned: no clock, no random number, no global state;
 *  - holds nothing on its frame that wants releasing: a call that has to wait,
 *    be it for the answer of a statement, does not return (it ends the run by
 *    longjmp).  What the calls return lives in the run's arena and needs no
 *    release; so does what the function allocates with wf_arena;
 *  - does not compute for long between two calls: the server ends a
 *    transaction that is idle for a second, and the workflows of a turn (some
 *    hundred) share one;
 *  - changes only under a new version in its struct workflow_type; runs that
 *    have begun go on with the version they began with.
 *
 * A replayed call that is not the recorded one (another step name) fails
 * the workflow with an error that names both.
 */
#ifndef DURABLE_WORKFLOW_H
#define DURABLE_WORKFLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <json-c/json_object.h>

struct arena;
struct step;
struct workflow;

/*
 * The workflow itself.  input is the first argument it was started with, NULL
 * for none or null.  What it returns is recorded as its output; the reference
 * goes to the engine.
 */
typedef json_object *workflow_function(struct workflow *wf, json_object *input);

/*
 * A workflow function under its name.  Of several types with the same name
 * the last registered one runs new workflows; the others finish what began
 * with their version.  The version is the application_version of the system
 * database: any text without '@'.
 */
struct workflow_type {
	const char *name;
	const char *version;
	workflow_function *function;
};

/* Why a step or a child failed. */
struct wf_error {
	const char *name;
	const char *message;
};

/* The id of this workflow, in its arena. */
const char *wf_id(const struct workflow *wf);

/* The memory of this run: freed when the run ends or waits. */
struct arena *wf_arena(struct workflow *wf);

/*
 * Ties a value that the function has made to the run, which releases it even
 * when a call does not return; returns it.
 */
json_object *wf_own(struct workflow *wf, json_object *value);

/* A number as text in the arena, for a parameter. */
const char *wf_number(struct workflow *wf, int64_t number);

/*
 * Logs a line with the workflow's id when what was done so far has committed:
 * once, not again when the line is replayed (but for a line right before
 * wf_result, which waits without leaving a trace in the journal).
 */
void wf_log(struct workflow *wf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * Ends the workflow with status ERROR and this error.  Does not return.
 */
void wf_fail(struct workflow *wf, const char *name, const char *format, ...)
    __attribute__((noreturn, format(printf, 3, 4)));

/*
 * Lets the next call that fails return NULL (0, false) instead of failing the
 * workflow; wf_error then tells why.
 */
void wf_catch(struct workflow *wf);

/*
 * The error of the last call, made after wf_catch, in the run's arena; NULL
 * when it went well.
 */
const struct wf_error *wf_error(const struct workflow *wf);

/*
 * Runs an SQL statement as the step name, exactly once: what it changes and
 * its journal row commit together.  params holds nparams texts, NULL for SQL's
 * null; sql must be a string constant.  Returns the first column of the first
 * row: boolean, integers and json as such, else as a string; NULL for no row
 * and SQL's null.  A statement that raises an error fails the step.
 */
json_object *wf_sql(struct workflow *wf, const char *name, const char *sql,
    size_t nparams, const char *const params[]);

/* The same for a boolean or an integer; null is false or 0. */
bool wf_sql_bool(struct workflow *wf, const char *name, const char *sql,
    size_t nparams, const char *const params[]);
int64_t wf_sql_int64(struct workflow *wf, const char *name, const char *sql,
    size_t nparams, const char *const params[]);

/* The same for a statement whose result is of no interest. */
void wf_sql_void(struct workflow *wf, const char *name, const char *sql,
    size_t nparams, const char *const params[]);

/*
 * The same steps, in batches: the statement's parameters are arrays, each with
 * one element for every workflow that comes to this step in the same turn,
 * and it returns a row for every element, in their order (none for void).
 * One execution then does for many what would else be as many statements.
 * Equal elements may occur.  At least one parameter.
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
 * Runs a C function as the step name: all its statements, and the step's
 * journal row, commit together.  It talks to the database by step_sql alone
 * and may be run again after a failure, so it changes nothing else but its
 * own variables.  What it returns is the step's result, and the reference goes
 * to the engine: json_object_get what a call returned before returning it.
 */
typedef json_object *step_function(struct step *step, void *arg);
json_object *wf_transaction(struct workflow *wf, const char *name,
    step_function *function, void *arg);

/*
 * Runs a statement of such a step; result as of wf_sql.  Does not return when
 * the statement fails: the step has failed then.
 */
json_object *step_sql(struct step *step, const char *sql, size_t nparams,
    const char *const params[]);

/* Fails the step: none of its statements takes effect.  Does not return. */
void step_fail(struct step *step, const char *name, const char *format, ...)
    __attribute__((noreturn, format(printf, 3, 4)));

/*
 * Sets an event of this workflow to a value (NULL is null), for anybody to
 * wait for; the last value stands.  Takes the reference.
 */
void wf_set_event(struct workflow *wf, const char *key, json_object *value);

/*
 * Waits for an event of another workflow, at most timeout_ms milliseconds.
 * Returns its value, NULL when the time is over (or the value is null).
 * Does not return when there is nothing yet: see wf_recv.
 */
json_object *wf_get_event(struct workflow *wf, const char *id, const char *key,
    int64_t timeout_ms);

/*
 * Sends a message to another workflow on a topic (NULL: the default topic).
 * Fails when there is no such workflow.  Takes the reference.
 */
void wf_send(struct workflow *wf, const char *id, const char *topic,
    json_object *message);

/*
 * Waits for the next message sent to this workflow on topic, for at most
 * timeout_ms milliseconds; the wait outlives crashes and restarts.
 * Returns the message, in the run's arena, or NULL when the time is over.
 * Does not return when there is nothing yet: the run ends here, and a later
 * run comes back to this line.
 */
json_object *
wf_recv(struct workflow *wf, const char *topic, int64_t timeout_ms);

/* The same when the message is a string; NULL also when it is none. */
const char *
wf_recv_string(struct workflow *wf, const char *topic, int64_t timeout_ms);

/*
 * Sleeps duration_ms milliseconds by the database's clock, through crashes
 * and restarts; or up to 15 more, at most a 32nd of them, as workflows that wake
 * at about the same time share a turn.
 */
void wf_sleep(struct workflow *wf, int64_t duration_ms);

/*
 * Starts a child workflow of this type with an input (NULL is null), whose
 * reference it takes, and goes on.  id NULL means <parent>-<step number>: give
 * one where somebody else can choose ids and may have chosen that.
 * An id that is known is not started again; one that another kind of
 * workflow has fails the call.  Returns the child's id.
 */
const char *wf_start(struct workflow *wf, const struct workflow_type *type,
    const char *id, json_object *input);

/*
 * Waits for the end of a child, without limit, and returns its output; fails
 * with the child's error, or when it was cancelled.
 */
json_object *wf_result(struct workflow *wf, const char *id);

#endif
