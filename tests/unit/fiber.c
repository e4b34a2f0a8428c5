/* SPDX-License-Identifier: MIT */
/*
 * Fibers: each goes on where it paused, and what it leaves is given back.
 */
#include <sys/resource.h>
#include <sys/wait.h>

#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/fiber.h"
#include "tests/unit/tap.h"

#define MANY  300L
#define DEPTH 50

static int released;

static void
release(void *nothing)
{
	(void)nothing;
	released++;
}

/* A fiber that counts its steps. */
struct counter {
	struct fiber *fiber;
	int steps, wanted;
	bool done;
};

/* Pauses in the depth of its calls; returns the sum of all depths. */
static int
sum(struct counter *counter, int depth)
{
	char text[16];
	int below;

	snprintf(text, sizeof(text), "%d", depth);
	if (depth == 0) {
		for (; counter->steps < counter->wanted; counter->steps++)
			fiber_pause(counter->fiber);
		return 0;
	}
	below = sum(counter, depth - 1);
	return below + (int)strtol(text, NULL, 10);
}

static void
count(void *arg)
{
	struct counter *counter = arg;

	arena_defer(fiber_arena(counter->fiber), release, NULL);
	counter->done = sum(counter, DEPTH) == DEPTH * (DEPTH + 1) / 2;
}

static void
begin(struct fibers *fibers, struct counter *counter, int wanted)
{
	*counter = (struct counter){ .wanted = wanted };
	counter->fiber = fiber_new(fibers, count, counter);
}

static void
test_turns(struct fibers *fibers)
{
	static struct counter counters[MANY];
	int i, step, done = 0;

	for (i = 0; i < MANY; i++)
		begin(fibers, &counters[i], 3);
	for (step = 0; step < 3; step++)
		for (i = 0; i < MANY; i++)
			fiber_resume(counters[i].fiber);
	for (i = 0; i < MANY; i++)
		done += counters[i].steps == 2 && !counters[i].done;
	is_int(done, MANY, "fibers pause in turns");
	for (i = 0; i < MANY; i++)
		fiber_resume(counters[i].fiber);
	for (i = 0, done = 0; i < MANY; i++)
		done += counters[i].done;
	is_int(done, MANY, "fibers find their variables as they left them");
	is_int(released, 0, "a fiber that has left keeps its arena");
	for (i = 0; i < MANY; i++)
		fiber_free(counters[i].fiber);
	is_int(released, MANY, "a fiber that is freed resets its arena");
}

static void
test_dropped(struct fibers *fibers)
{
	struct counter counter;
	int i, done = 0;

	released = 0;
	for (i = 0; i < 2 * MANY; i++) {
		begin(fibers, &counter, i);
		fiber_resume(counter.fiber);
		fiber_free(counter.fiber);
		begin(fibers, &counter, 0);
		fiber_resume(counter.fiber);
		done += counter.done;
		fiber_free(counter.fiber);
	}
	is_int(done, 2 * MANY,
	    "a stack that was left in the middle is used again");
	is_int(released, 4 * MANY,
	    "a fiber that is freed in the middle resets its arena");
}

static void
test_limit(void)
{
	struct fibers *fibers = fibers_new(2);
	struct counter one, two, three;

	begin(fibers, &one, 1);
	begin(fibers, &two, 1);
	begin(fibers, &three, 1);
	ok(one.fiber != NULL && two.fiber != NULL && three.fiber == NULL,
	    "there are no more fibers than allowed");
	fiber_free(one.fiber);
	begin(fibers, &three, 0);
	ok(three.fiber != NULL, "a fiber that is freed makes room for another");
	fiber_resume(three.fiber);
	ok(three.done, "a fiber may be freed before it has begun");
	fiber_free(two.fiber);
	fiber_free(three.fiber);
	fibers_free(fibers);
}

/* Jumps out of calls, as a step that fails does. */
static void
jump(void *arg)
{
	struct counter *counter = arg;
	jmp_buf back;

	if (setjmp(back) == 0) {
		fiber_pause(counter->fiber);
		longjmp(back, 1);
	}
	fiber_pause(counter->fiber);
	counter->done = true;
	fiber_leave(counter->fiber);
}

static void
test_jump(struct fibers *fibers)
{
	struct counter one = { .wanted = 0 }, two = one;

	one.fiber = fiber_new(fibers, jump, &one);
	two.fiber = fiber_new(fibers, jump, &two);
	while (!one.done || !two.done) {
		fiber_resume(one.fiber);
		fiber_resume(two.fiber);
	}
	ok(one.done && two.done, "a fiber may jump on its own stack");
	fiber_free(one.fiber);
	fiber_free(two.fiber);
}

/* Kilobytes that the process has mapped. */
static long
mapped_kb(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	char pages[32] = "";

	if (file != NULL && fgets(pages, sizeof(pages), file) == NULL)
		pages[0] = '\0';
	if (file != NULL)
		fclose(file);
	return strtol(pages, NULL, 10) * (sysconf(_SC_PAGESIZE) / 1024);
}

static void
test_memory(void)
{
	struct fibers *fibers = fibers_new(MANY);
	static struct counter counters[MANY];
	long before_kb = mapped_kb(), most_kb;
	int i;

	for (i = 0; i < MANY; i++)
		begin(fibers, &counters[i], 1);
	most_kb = mapped_kb() - before_kb;
	ok(most_kb >= MANY * (long)(FIBER_STACK_LEN / 1024),
	    "each fiber has a stack of its own");
	for (i = 0; i < MANY; i++)
		fiber_free(counters[i].fiber);
	fibers_trim(fibers);
	ok(mapped_kb() - before_kb > most_kb - most_kb / 10,
	    "stacks that were in use since the last time are kept");
	fibers_trim(fibers);
	ok(mapped_kb() - before_kb < most_kb / 2,
	    "stacks that are not in use any more are given back");
	fibers_free(fibers);
	ok(mapped_kb() - before_kb < most_kb / 20, "no stack is left behind");
}

/* Recurses until the stack is used up. */
static int
descend(int depth)
{
	volatile char some[1024];

	some[0] = (char)depth;
	return depth == INT_MAX ? 0 : descend(depth + 1) + some[0];
}

static void
overflow(void *arg)
{
	(void)arg;
	descend(0);
}

/* AddressSanitizer would end the process in another way. */
static void
test_overflow(struct fibers *fibers)
{
	const struct rlimit no_core = { 0, 0 };
	int how = 0;
	pid_t pid = fork();

	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGSEGV, SIG_DFL);
		fiber_resume(fiber_new(fibers, overflow, NULL));
		_exit(0);
	}
	ok(waitpid(pid, &how, 0) == pid && WIFSIGNALED(how) &&
		WTERMSIG(how) == SIGSEGV,
	    "a stack that is too small ends the process with SIGSEGV");
}

int
main(void)
{
	struct fibers *fibers = fibers_new(MANY);

	test_turns(fibers);
	test_dropped(fibers);
	test_limit();
	test_jump(fibers);
	test_memory();
	test_overflow(fibers);
	fibers_free(fibers);
	return done_testing();
}
