/* SPDX-License-Identifier: MIT */
/*
 * The calls of a workflow's author that change a workflow under its version:
 * patches, which the journal marks as the DBOS SDKs do.
 */
#include <string.h>

#include <durable/workflow.h>
#include "base/arena.h"
#include "engine/run.h"
#include "engine/turn_api.h"

/* Whether the next step in the journal is the patch's mark. */
static bool
is_marked(const struct workflow *wf, const char *mark)
{
	const struct entry *next;

	if (!run_replaying(wf))
		return false;
	next = &wf->journal[wf->next - wf->first];
	return next->known && strcmp(next->name, mark) == 0;
}

static const char *
mark_of(struct workflow *wf, const char *name)
{
	return arena_printf(wf->arena, "DBOS.patch-%s", name);
}

bool
wf_patch(struct workflow *wf, const char *name)
{
	const char *mark = mark_of(wf, name);
	int number;

	run_refuse_in_step(wf, mark);
	/* The run has passed here before there was a patch. */
	if (run_replaying(wf) && !is_marked(wf, mark))
		return false;
	if (run_call(wf, mark, &number) == NULL)
		run_record_output(wf, number, mark, NULL,
		    turn_now_ms(wf->turn));
	return true;
}

void
wf_deprecate_patch(struct workflow *wf, const char *name)
{
	const char *mark = mark_of(wf, name);
	int number;

	run_refuse_in_step(wf, mark);
	if (is_marked(wf, mark))
		run_call(wf, mark, &number);
}
