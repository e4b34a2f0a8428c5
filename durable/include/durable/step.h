/* SPDX-License-Identifier: MIT */
/*
 * External steps: steps of a workflow with an effect outside the database, such
 * as an HTTP call; and the wait for the first of several things.
 *
 * An external step is a C function that the daemon runs in a process of its own,
 * outside the turn and outside any transaction, while its workflow waits.  Its
 * record is made exactly once, but its effect happens at least once: a process,
 * a host or a database may die between the effect and the record, and then the
 * step is run again.  So the function hands step_key to what it calls, which is
 * to ignore what it has done for that key, or does what may be done twice.
 *
 * A workflow that ends, is cancelled, or calls wf_continue stops the steps that
 * it has begun and that have not ended: the next step_beat returns false, and
 * then the process is ended.
 */
#ifndef DURABLE_STEP_H
#define DURABLE_STEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <json-c/json_object.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct step_call;
struct workflow;

/*
 * The function of an external step, in a process that runs one step at a time
 * and keeps its static variables from one to the next.  It may block, and may
 * use any library and any number of threads, but no call of a workflow and no
 * connection of the engine.  argument is owned by the call; NULL for none or
 * null.  Returns the result, or what step_error returns.
 *
 * A function that crashes, hangs, or takes too much memory ends its process
 * only, and that attempt has failed.  Processes that it leaves behind are ended
 * with its own process.
 */
typedef json_object *
external_function(struct step_call *call, json_object *argument);

/*
 * An external step with its name and what follows a failure.  A number that is 0
 * has the default.  The n-th failure is followed by a pause of first_delay_ms
 * times factor to the power of n-1, at most max_delay_ms, of which a random part
 * of up to jitter (0 to 1) is left out.  When max_attempts have failed the step
 * has failed: with the error of the attempt if there may be only one, else with
 * DBOSMaxStepRetriesError, which names the last error.
 *
 * An attempt that is lost with its daemon or its host is no failure; the step is
 * run again.
 */
struct step_type {
	const char *name; /* the step's, also in the journal */
	external_function *function;
	int max_attempts;       /* 1 */
	int first_delay_ms;     /* 1000 */
	double factor;          /* 2 */
	int max_delay_ms;       /* 3600000 */
	double jitter;          /* 0 */
	int attempt_timeout_ms; /* 60000; counts from the last step_beat */
	/* Names of errors that are not tried again, ended by NULL; or NULL. */
	const char *const *final_errors;
};

/*
 * The idempotency key of the step: the same text at every attempt and for ever,
 * and no other step's.  It has the id of the workflow, which clients choose.
 */
const char *step_key(const struct step_call *call);

/* The number of this attempt, from 1. */
int step_attempt(const struct step_call *call);

/* What an earlier attempt has last said to step_beat; NULL for nothing. */
json_object *step_progress(const struct step_call *call);

/*
 * Fails the attempt: return step_error(call, "Refused", "status %d", status);
 * Returns NULL.  The last error counts.  step_final_error is for an error that
 * no later attempt can mend.
 */
json_object *step_error(struct step_call *call, const char *name,
    const char *format, ...) __attribute__((format(printf, 3, 4)));
json_object *step_final_error(struct step_call *call, const char *name,
    const char *format, ...) __attribute__((format(printf, 3, 4)));

/*
 * Says that a long step goes on: the time-out of the attempt begins anew.
 * progress, JSON to which this takes a reference of its own, or NULL for no
 * news, is for the next attempt in case that this one fails; it is kept within
 * about a second.  Returns false when the step is to stop, because its workflow
 * has ended or was cancelled, its time is over, or the daemon stops: what it
 * returns then hardly matters, and a moment later SIGTERM comes.
 */
bool step_beat(struct step_call *call, json_object *progress);

/*
 * Runs an external step with an argument (NULL is null) and waits for its end.
 * Returns its result, owned by the run; an error fails the call.  The type is
 * one of engine.steps, of this or another daemon of the application.
 */
json_object *wf_step(struct workflow *wf, const struct step_type *type,
    json_object *argument);

/*
 * The two parts of wf_step, to have several steps run at the same time:
 * wf_step_begin returns at once, with a handle for wf_step_result.  A workflow
 * that ends without the result stops the step.  What the workflow logs between
 * the last recorded call and the wait may be logged more than once.
 */
int wf_step_begin(struct workflow *wf, const struct step_type *type,
    json_object *argument);
json_object *wf_step_result(struct workflow *wf, int handle);

enum wf_item_kind {
	WF_ITEM_MESSAGE, /* for wf_recv; topic NULL is the default topic */
	WF_ITEM_RESULT,  /* for wf_result */
	WF_ITEM_STEP     /* for wf_step_result */
};

/* One of the things that wf_select waits for. */
struct wf_item {
	enum wf_item_kind kind;
	int step;          /* the handle of a step */
	const char *topic; /* of a message */
	const char *id;    /* of the workflow of a result */
};

/*
 * Waits for the first of items, for at most timeout_ms milliseconds.  Returns
 * the index of one that is there, the lowest when there are several, or -1 when
 * the time is over.  The call for that item then returns at once.  Which one it
 * was is recorded, under two step numbers, as with wf_recv.  A workflow that
 * does not exist is an item that is there: wf_result says so.
 */
int wf_select(struct workflow *wf, const struct wf_item items[], size_t count,
    int64_t timeout_ms);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
