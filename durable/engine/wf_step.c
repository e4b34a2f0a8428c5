/* SPDX-License-Identifier: MIT */
/*
 * The calls of a workflow's author for external steps.  A step master writes the
 * end of a step into the journal, where the run finds it.
 */
#include <string.h>

#include <durable/step.h>
#include "base/arena.h"
#include "db/value.h"
#include "engine/run.h"
#include "engine/turn_api.h"

static void
begin_external(struct workflow *wf, int number, const char *name,
    json_object *argument)
{
	const char *text = value_encode(wf->arena, argument, VALUE_PORTABLE);

	if (text == NULL)
		wf_fail(wf, "DBOSInvalidInput",
		    "the argument of step '%s' is not valid JSON", name);
	turn_add_external(wf->turn, wf, number, name, text);
}

int
wf_step_begin(struct workflow *wf, const struct step_type *type,
    json_object *argument)
{
	int number;

	run_take(wf, argument);
	/* It may have begun, and what undoes it is still to be registered. */
	if (run_is_over(wf) && !run_knows(wf, wf->next)) {
		wf->has_external = true;
		return wf->next++;
	}
	if (run_call(wf, type->name, &number) == NULL) {
		/* With a later step in the journal, this one was begun. */
		if (!run_replaying(wf))
			begin_external(wf, number, type->name, argument);
		wf->has_external = true;
	}
	wf->catching = false;
	return number;
}

/* Waits for a step that was begun; returns when the journal has it. */
static json_object *
wait_for_result(struct workflow *wf, int number)
{
	if (!run_knows(wf, number))
		run_suspend(wf,
		    &(struct wait){ .kind = WAIT_STEP,
			.wake_ms = run_later(turn_now_ms(wf->turn),
			    RUN_FOR_EVER_MS),
			.key = arena_number(wf->arena, number) });
	return run_recorded(wf, number);
}

json_object *
wf_step_result(struct workflow *wf, int handle)
{
	run_refuse_in_step(wf, "wf_step_result");
	wf->error = NULL;
	if (handle < wf->first || handle >= wf->next)
		wf_fail(wf, "DBOSInvalidInput",
		    "%d is no handle of a step that the workflow has begun",
		    handle);
	return wait_for_result(wf, handle);
}

json_object *
wf_step(struct workflow *wf, const struct step_type *type,
    json_object *argument)
{
	bool catching = wf->catching;
	int number = wf_step_begin(wf, type, argument);

	wf->catching = catching;
	return wait_for_result(wf, number);
}
