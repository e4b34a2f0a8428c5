/* SPDX-License-Identifier: MIT */
/*
 * Clean-ups: what a workflow that is cancelled, is past its deadline or fails
 * undoes before it ends.
 *
 * A step, RUN_CLEANUP, marks in the journal where the workflow was stopped.  Each
 * later run replays the function up to the mark, which registers the clean-ups
 * again, and then runs these instead of what follows.  Their steps have numbers
 * behind all that were recorded before the mark, which has the first of them.
 */
#include <stdlib.h>
#include <string.h>

#include <durable/workflow.h>
#include "base/arena.h"
#include "engine/run.h"
#include "engine/turn_api.h"

struct cleanup {
	wf_cleanup *function;
	void *arg;
	struct cleanup *below;
};

void
wf_push_cleanup(struct workflow *wf, wf_cleanup *function, void *arg)
{
	struct cleanup *cleanup = arena_alloc(wf->arena, sizeof(*cleanup));

	run_refuse_in_step(wf, "wf_push_cleanup");
	cleanup->function = function;
	cleanup->arg = arg;
	cleanup->below = wf->cleanups;
	wf->cleanups = cleanup;
	wf->has_pushed = true;
}

void
wf_pop_cleanup(struct workflow *wf, bool execute)
{
	struct cleanup *cleanup = wf->cleanups;

	run_refuse_in_step(wf, "wf_pop_cleanup");
	if (cleanup == NULL)
		wf_fail(wf, "DBOSInvalidStep",
		    "wf_pop_cleanup without a clean-up");
	wf->cleanups = cleanup->below;
	if (execute)
		cleanup->function(wf, cleanup->arg);
}

/* Records where the workflow was stopped, and the error if that did it. */
static const struct entry *
add_mark(struct workflow *wf, int number, const char *error)
{
	int recorded = wf->first + wf->journal_len;
	int from = recorded > number ? recorded : number + 1;
	int64_t now_ms = turn_now_ms(wf->turn);

	run_record(wf, number,
	    &(struct entry){ .name = RUN_CLEANUP,
		.output = wf_number(wf, from),
		.error = error,
		.started_ms = now_ms,
		.completed_ms = now_ms });
	return run_lookup(wf, number, RUN_CLEANUP);
}

const char *
run_clean_up(struct workflow *wf, int number, const char *error)
{
	const struct entry *mark;

	wf->cleaning = true;
	if (!run_is_marked(wf, number) && wf->cleanups == NULL)
		return error;
	mark = run_is_marked(wf, number) ? run_lookup(wf, number, RUN_CLEANUP)
					 : add_mark(wf, number, error);
	error = mark->error;
	wf->next = (int)strtol(mark->output, NULL, 10);
	wf->catching = false;
	while (wf->cleanups != NULL)
		wf_pop_cleanup(wf, true);
	return error;
}
