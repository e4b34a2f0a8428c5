/* SPDX-License-Identifier: MIT */
/*
 * A step process as its step master sees it.  The process is started when it is
 * first needed, and again after its death; it has no session.  Private to the
 * engine.
 */
#ifndef DURABLE_STEP_PROCESS_H
#define DURABLE_STEP_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/strbuf.h"

struct arena;
struct engine;
struct step_flag;
struct step_process;
struct step_type;

/* An attempt at an external step; a NULL text is none. */
struct step_task {
	const struct step_type *type;
	size_t type_index; /* in engine.steps */
	const char *id;    /* of the workflow */
	int number, attempt, failures;
	const char *argument, *progress; /* JSON */
};

enum step_state { STEP_IDLE, STEP_RUNNING, STEP_ENDED };

/* Why a step is to stop. */
enum step_stop {
	STEP_GOES_ON,
	STEP_IS_LATE,     /* its attempt takes too long */
	STEP_IS_LOST,     /* it is not this master's any more */
	STEP_IS_SENT_BACK /* the daemon stops */
};

/* How an attempt has ended; its texts are the process's. */
struct step_outcome {
	const char *result; /* JSON; NULL: it has failed */
	const char *error_name, *error_message;
	bool is_final;  /* the function's word */
	bool sent_back; /* it has not failed, and is to be run again */
};

struct step_process {
	const struct engine *engine;
	struct step_flag *flag; /* shared with the process */
	pid_t pid;              /* 0: there is none */
	int fd;
	struct strbuf in, out; /* received; to be sent from out_at on */
	size_t out_at;
	unsigned steps; /* that it has run */

	enum step_state state;
	struct arena *arena; /* of the task and its outcome */
	struct step_task task;
	struct step_outcome outcome;
	struct strbuf progress; /* that the step has said last */
	bool has_progress;      /* and that is not noted yet */
	bool is_logged;         /* how the attempt has ended */
	enum step_stop stop;
	bool signalled;  /* perhaps behind the end of the step */
	int64_t late_ms; /* clock: when the attempt has taken too long */
	int64_t term_ms, kill_ms; /* clock: when to signal; 0: not */
};

/* Makes count of them, without a process yet. */
struct step_process *
step_processes_new(const struct engine *engine, size_t count);

/* Kills the processes and frees all. */
void step_processes_free(struct step_process *processes, size_t count);

/*
 * Hands a task, which is copied, to an idle process.  When no process can be
 * started, the task has ended and is sent back.
 */
void
step_process_give(struct step_process *process, const struct step_task *task);

/* Sends and receives what the socket is ready for, without blocking. */
void step_process_talk(struct step_process *process);

/* Whether the process has not yet read all of its task. */
bool step_process_is_sending(const struct step_process *process);

/* Stops a running step: by the flag, then SIGTERM, then SIGKILL. */
void step_process_stop(struct step_process *process, enum step_stop why);

/*
 * Does what is due by the clock.  Returns when it has to be called next, by
 * clock_monotonic_ms; INT64_MAX: never.
 */
int64_t step_process_heed_clock(struct step_process *process);

/* After SIGCHLD: if the process has died, ends its step, and its group. */
void step_process_bury(struct step_process *process);

/* The end of its task is settled: the process is idle. */
void step_process_settled(struct step_process *process);

#endif
