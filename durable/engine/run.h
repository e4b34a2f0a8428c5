/* SPDX-License-Identifier: MIT */
/*
 * One run of one workflow inside a turn: replay, record, suspend.  Private to
 * the engine: workflow.c builds the authors' calls from it.
 */
#ifndef DURABLE_RUN_H
#define DURABLE_RUN_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>

#include <durable/workflow.h>

struct db_error;
struct cached_journal;
struct turn;

/* How a run ended. */
enum run_end {
	RUN_READY,     /* it is to be run: not yet, or an answer has come */
	RUN_RETURNED,  /* the function returned: SUCCESS */
	RUN_FAILED,    /* it failed: ERROR */
	RUN_CANCELLED, /* its deadline has passed */
	RUN_SUSPENDED, /* it waits */
	RUN_AGAIN,     /* a step failed and is recorded: run from the top */
	RUN_BROKEN     /* the turn's transaction is of no use any more */
};

/* A recorded step; the texts are the turn's arena's, or its cache's. */
struct entry {
	bool known;
	bool cached; /* the worker's cache has it */
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
	bool consumed;
};

enum wait_kind {
	WAIT_START,
	WAIT_MESSAGE,
	WAIT_EVENT,
	WAIT_RESULT,
	WAIT_TIMER,
	WAIT_HELD /* before a step that met a circumstance a moment ago */
};

struct wait {
	enum wait_kind kind;
	int64_t wake_ms;
	const char *target; /* of an event or a result */
	const char *key;    /* of an event; topic of a message; held: step */
	int64_t held_ms;    /* held: since when, on the database's clock */
	int64_t cache_tag;  /* under which the journal is kept, 0: not */
	const char *place;  /* of its row (ctid), or NULL: by its key */
};

struct workflow {
	struct turn *turn;
	struct workflow *creator; /* that started it in this turn, or NULL */
	struct arena *arena;      /* of this run */
	const struct workflow_type *type;
	const char *id;
	int64_t cache_tag; /* its journal was loaded from the cache, or 0 */
	struct cached_journal *cached; /* and is this one, or NULL */
	const char *wait_place;    /* of its row (ctid), or NULL: not known */
	const char *timer_group;   /* that has woken it, or NULL */
	int timer_group_size;      /* and how many it wakes at most */
	bool messages_unloaded;    /* its messages have not been looked for */
	const char *input;         /* stored arguments */
	const char *serialization; /* of input, output and error */
	bool begun;                /* taken from a queue by this turn */
	int64_t held_ms;           /* since when its next step is held, or 0 */
	int64_t deadline_ms;       /* 0: none */

	struct entry *journal; /* by function id */
	int journal_len, journal_size;
	struct message *messages; /* not consumed yet, oldest first */
	int messages_len, messages_size;

	int next; /* function id of the next call */
	bool catching;
	const char *step; /* name of the C step that it is in, or NULL */
	const struct wf_error *error; /* of the last call, in the run's arena */

	jmp_buf exit;
	enum run_end end;
	struct wait wait;    /* when suspended */
	const char *output;  /* in the turn's arena */
	const char *failure; /* stored error, in the turn's arena */
};

/* Adds a step that the database holds; texts are not copied. */
void run_add_entry(struct workflow *wf, int number, const struct entry *entry);

/* Adds a message that waits to be received; texts are not copied. */
void run_add_message(struct workflow *wf, const struct message *message);

/*
 * Runs the workflow from its top until it ends, waits or breaks; wf->end says
 * which.  The run's arena is empty afterwards.
 */
void run_execute(struct workflow *wf);

/* Ends the workflow with an error without running it. */
void run_fail(struct workflow *wf, const char *name, const char *message);

/*
 * Begins the call that follows in program order: checks the deadline, gives
 * it its function id and returns its journal entry, or NULL when it has not
 * been made before.  Ends the run when the recorded step has another name.
 */
const struct entry *
run_call(struct workflow *wf, const char *name, int *number);

/* The entry with this function id, or NULL; for the second id of a call. */
const struct entry *
run_lookup(struct workflow *wf, int number, const char *name);

/* Records a step in this run's journal and in the turn. */
void run_record(struct workflow *wf, int number, const struct entry *entry);

/* Records a call that gave a stored value, or failed, from then until now. */
void run_record_output(struct workflow *wf, int number, const char *name,
    const char *output, int64_t started_ms);
void run_record_error(struct workflow *wf, int number, const char *name,
    const char *error, int64_t started_ms);

/* The stored error of a statement that the database refused. */
const char *
run_database_error(struct workflow *wf, const struct db_error *error);

/*
 * What a recorded step gives its caller: its value, or its error, which fails
 * the workflow unless it is caught.
 */
json_object *run_answer(struct workflow *wf, const struct entry *entry);

/* The same of what has just been recorded, as the replay would give it. */
json_object *run_recorded(struct workflow *wf, int number);

/* Fails the call with an error that the journal does not hold. */
void run_raise(struct workflow *wf, const char *name, const char *message);

/*
 * The time that is so much later, or the last there is: what an author or
 * another program means by for ever.
 */
int64_t run_later(int64_t from_ms, int64_t after_ms);

/* Leave the run.  None of these returns. */
void run_suspend(struct workflow *wf, const struct wait *wait)
    __attribute__((noreturn));
void run_leave(struct workflow *wf, enum run_end end) __attribute__((noreturn));

/* Whether the call that comes next has been made before. */
bool run_replaying(const struct workflow *wf);

#endif
