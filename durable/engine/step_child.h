/* SPDX-License-Identifier: MIT */
/*
 * A step process from the inside, and what it and its step master say to each
 * other over a socket: frames, each a header and as many bytes.  Private to the
 * engine.
 */
#ifndef DURABLE_STEP_CHILD_H
#define DURABLE_STEP_CHILD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct engine;

/* The longest result or progress. */
#define STEP_BYTES_MAX (8 << 20)

enum step_frame_kind {
	/* To the process: index of the type, attempt, key, argument, progress. */
	STEP_FRAME_RUN,
	/* To the master. */
	STEP_FRAME_RESULT, /* JSON */
	STEP_FRAME_ERROR,  /* name, message */
	STEP_FRAME_FINAL,  /* the same, of an error that is not tried again */
	STEP_FRAME_BEAT    /* progress, JSON; empty: none */
};

/* The bytes behind it are texts, each with its NUL. */
struct step_frame {
	uint32_t kind, len;
};

/* What a process shares with its master: whether its step is to stop. */
struct step_flag {
	atomic_bool stop;
};

/*
 * Runs steps until the master is gone.  Called in a new process, which closes
 * all other files than fd and the standard ones.
 */
void step_child_run(const struct engine *engine, int fd,
    const struct step_flag *flag) __attribute__((noreturn));

#endif
