/* SPDX-License-Identifier: MIT */
/*
 * Fibers: functions with a stack and an arena of their own, which one thread
 * runs in turns.  A fiber may pause in the middle, in any depth of calls, and
 * goes on there when it is resumed.
 */
#ifndef DURABLE_FIBER_H
#define DURABLE_FIBER_H

#include <stddef.h>

struct arena;
struct fiber;
struct fibers;

/* The length of a stack in bytes, behind a guard of the same length. */
#define FIBER_STACK_LEN ((size_t)256 * 1024)

/* Makes room for at most max fibers at a time, without any stack yet. */
struct fibers *fibers_new(size_t max);

/* Frees the stacks.  No fiber may be left.  NULL is fine. */
void fibers_free(struct fibers *fibers);

/*
 * Makes a fiber that is to call function(arg), which ends with fiber_leave.
 * Returns NULL when there are as many as there may be.  A function that needs
 * more stack meets the guard, and the process ends with SIGSEGV.
 */
struct fiber *
fiber_new(struct fibers *fibers, void (*function)(void *arg), void *arg);

/*
 * Frees a fiber, wherever it is paused, and resets its arena.  Its function does
 * not go on, so only what the arena owns is released.
 */
void fiber_free(struct fiber *fiber);

/* Gives back the idle stacks that were not needed since the last call. */
void fibers_trim(struct fibers *fibers);

/* Returns the arena of the fiber, which lives as long as the fiber. */
struct arena *fiber_arena(const struct fiber *fiber);

/*
 * Begins a fiber or lets it go on; returns when it pauses or leaves.  Is not
 * called by a fiber.
 */
void fiber_resume(struct fiber *fiber);

/* The fiber that calls this pauses here until it is resumed. */
void fiber_pause(struct fiber *fiber);

/* The fiber that calls this ends here; the caller of fiber_resume frees it. */
void fiber_leave(struct fiber *fiber) __attribute__((noreturn));

#endif
