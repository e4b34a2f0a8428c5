/* SPDX-License-Identifier: MIT */
/*
 * Fibers.  A stack is mapped and entered, by swapcontext(3), when it is first
 * needed; from then on setjmp and longjmp change between the stacks, because
 * swapcontext makes a system call each time.  Idle stacks are kept while as many
 * are in use now and then.
 */

/* Its longjmp ends a process that jumps to another stack. */
#undef _FORTIFY_SOURCE

#include "base/fiber.h"

#include <sys/mman.h>

#include <setjmp.h>
#include <stdlib.h>
#include <ucontext.h>

#include "base/arena.h"
#include "base/memory.h"

#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define SANITIZED
#endif

/*
 * As long as a stack, so that a function with a large variable does not reach
 * beyond it into the next mapping.
 */
#define GUARD_LEN FIBER_STACK_LEN

struct fiber {
	struct fiber *next; /* that is idle, too */
	struct fibers *fibers;
	unsigned char *mapping; /* the guard, and behind it the stack */
	struct arena *arena;
	void (*function)(void *arg);
	void *arg;
	jmp_buf top, paused; /* on its stack */
	jmp_buf *at;         /* where it begins or goes on */
	void *sanitizer;     /* what AddressSanitizer keeps of it then */
};

struct fibers {
	size_t count, most, max; /* in use: now, since fibers_trim, ever */
	struct fiber *idle;
	size_t idle_count;
	jmp_buf caller;    /* of fiber_resume */
	void *sanitizer;   /* what AddressSanitizer keeps of the caller */
	const void *stack; /* of the caller; only AddressSanitizer asks */
	size_t stack_len;
};

/* A fiber whose stack is entered first: makecontext passes no pointers. */
static _Thread_local struct fiber *entered;
static _Thread_local ucontext_t entered_from;

/* AddressSanitizer has to know which stack is in use, and keeps *state of it. */
static void
begin_switch(void **state, const void *stack, size_t len)
{
#ifdef SANITIZED
	__sanitizer_start_switch_fiber(state, stack, len);
#else
	(void)state, (void)stack, (void)len;
#endif
}

static void
end_switch(void *state, const void **left, size_t *left_len)
{
#ifdef SANITIZED
	__sanitizer_finish_switch_fiber(state, left, left_len);
#else
	(void)state, (void)left, (void)left_len;
#endif
}

/* A fiber may have been freed while functions on its stack had variables. */
static void
forget_variables(const void *stack)
{
#ifdef SANITIZED
	ASAN_UNPOISON_MEMORY_REGION(stack, FIBER_STACK_LEN);
#else
	(void)stack;
#endif
}

static void *
stack_of(const struct fiber *fiber)
{
	return fiber->mapping + GUARD_LEN;
}

struct fibers *
fibers_new(size_t max)
{
	struct fibers *fibers = memory_new(sizeof(*fibers));

	fibers->max = max;
	return fibers;
}

/*
 * The first function on a stack, which never returns, so that its frame is
 * always there to be jumped to.  Each fiber on the stack begins behind setjmp.
 */
static void
enter(void)
{
	struct fiber *fiber = entered;

	end_switch(NULL, &fiber->fibers->stack, &fiber->fibers->stack_len);
	if (setjmp(fiber->top) == 0) {
		begin_switch(&fiber->sanitizer, fiber->fibers->stack,
		    fiber->fibers->stack_len);
		setcontext(&entered_from);
	}
	end_switch(fiber->sanitizer, &fiber->fibers->stack,
	    &fiber->fibers->stack_len);
	fiber->function(fiber->arg);
	fiber_leave(fiber);
}

/* Enters a new stack and comes back. */
static void
prepare(struct fiber *fiber)
{
	void *sanitizer = NULL;
	ucontext_t context;

	if (getcontext(&context) != 0)
		abort();
	context.uc_stack.ss_sp = stack_of(fiber);
	context.uc_stack.ss_size = FIBER_STACK_LEN;
	context.uc_link = NULL;
	makecontext(&context, enter, 0);
	entered = fiber;
	begin_switch(&sanitizer, stack_of(fiber), FIBER_STACK_LEN);
	if (swapcontext(&entered_from, &context) != 0)
		abort();
	end_switch(sanitizer, NULL, NULL);
}

static struct fiber *
map(struct fibers *fibers)
{
	struct fiber *fiber = memory_new(sizeof(*fiber));

	fiber->fibers = fibers;
	fiber->arena = arena_new();
	fiber->mapping = mmap(NULL, GUARD_LEN + FIBER_STACK_LEN, PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (fiber->mapping == MAP_FAILED ||
	    mprotect(stack_of(fiber), FIBER_STACK_LEN,
		PROT_READ | PROT_WRITE) != 0)
		abort();
	prepare(fiber);
	return fiber;
}

static void
unmap(struct fiber *fiber)
{
	munmap(fiber->mapping, GUARD_LEN + FIBER_STACK_LEN);
	arena_free(fiber->arena);
	free(fiber);
}

void
fibers_free(struct fibers *fibers)
{
	struct fiber *fiber;

	if (fibers == NULL)
		return;
	while ((fiber = fibers->idle) != NULL) {
		fibers->idle = fiber->next;
		unmap(fiber);
	}
	free(fibers);
}

struct fiber *
fiber_new(struct fibers *fibers, void (*function)(void *arg), void *arg)
{
	struct fiber *fiber = fibers->idle;

	if (fibers->count == fibers->max)
		return NULL;
	if (fiber == NULL) {
		fiber = map(fibers);
	} else {
		fibers->idle = fiber->next;
		fibers->idle_count--;
	}
	fibers->count++;
	if (fibers->most < fibers->count)
		fibers->most = fibers->count;
	fiber->function = function;
	fiber->arg = arg;
	fiber->at = &fiber->top;
	return fiber;
}

void
fiber_free(struct fiber *fiber)
{
	struct fibers *fibers = fiber->fibers;

	forget_variables(stack_of(fiber));
	arena_reset(fiber->arena);
	fiber->next = fibers->idle;
	fibers->idle = fiber;
	fibers->idle_count++;
	fibers->count--;
}

void
fibers_trim(struct fibers *fibers)
{
	while (fibers->idle_count > fibers->most) {
		struct fiber *fiber = fibers->idle;

		fibers->idle = fiber->next;
		fibers->idle_count--;
		unmap(fiber);
	}
	fibers->most = fibers->count;
}

struct arena *
fiber_arena(const struct fiber *fiber)
{
	return fiber->arena;
}

void
fiber_resume(struct fiber *fiber)
{
	struct fibers *fibers = fiber->fibers;

	begin_switch(&fibers->sanitizer, stack_of(fiber), FIBER_STACK_LEN);
	if (setjmp(fibers->caller) == 0)
		longjmp(*fiber->at, 1);
	end_switch(fibers->sanitizer, NULL, NULL);
}

void
fiber_pause(struct fiber *fiber)
{
	struct fibers *fibers = fiber->fibers;

	begin_switch(&fiber->sanitizer, fibers->stack, fibers->stack_len);
	fiber->at = &fiber->paused;
	if (setjmp(fiber->paused) == 0)
		longjmp(fibers->caller, 1);
	end_switch(fiber->sanitizer, &fibers->stack, &fibers->stack_len);
}

void
fiber_leave(struct fiber *fiber)
{
	begin_switch(&fiber->sanitizer, fiber->fibers->stack,
	    fiber->fibers->stack_len);
	longjmp(fiber->fibers->caller, 1);
}
