/* SPDX-License-Identifier: MIT */
/*
 * The calls of a workflow's author that cancel and resume workflows.  They take
 * effect when the turn has written what its runs did, so that it makes no
 * difference whether the other workflow is in the same turn.
 */
#include <string.h>

#include <durable/workflow.h>
#include "base/arena.h"
#include "db/value.h"
#include "engine/batch.h"
#include "engine/run.h"
#include "engine/turn_api.h"

/* The run goes no further in this turn when it may be cancelled itself. */
static void
cancel(struct workflow *wf, const char *id, enum turn_control control)
{
	static const char name[] = "DBOS.cancelWorkflow";
	const struct entry *entry;
	int number;

	entry = run_call(wf, name, &number);
	if (entry == NULL) {
		turn_add_control(wf->turn, id, control);
		run_record_output(wf, number, name, NULL,
		    turn_now_ms(wf->turn));
		if (control == TURN_CANCEL_FAMILY || strcmp(id, wf->id) == 0)
			run_wait_for_turn(wf);
	}
	run_recorded(wf, number);
}

void
wf_cancel(struct workflow *wf, const char *id)
{
	cancel(wf, id, TURN_CANCEL);
}

void
wf_cancel_family(struct workflow *wf, const char *id)
{
	cancel(wf, id, TURN_CANCEL_FAMILY);
}

/* Whether there is such a workflow; or why that could not be found out. */
static bool
is_known(struct workflow *wf, int number, const char *name, const char *id,
    const struct db_error **refused)
{
	const char *const params[] = { id };
	const struct answer *answer = turn_ask_own(wf->turn, wf,
	    &(struct batch_statement){ .step = name,
		.number = number,
		.sql = "select durable.turn_known($1)",
		.arrays = 1,
		.nparams = 1,
		.params = params });

	*refused = answer->refused;
	return answer->refused == NULL &&
	    *db_value(answer->rows, answer->row, 0) == 't';
}

void
wf_resume(struct workflow *wf, const char *id)
{
	static const char name[] = "DBOS.resumeWorkflow";
	const struct db_error *refused;
	const struct entry *entry;
	int64_t started_ms;
	int number;

	entry = run_call(wf, name, &number);
	if (entry != NULL) {
		run_answer(wf, entry);
		return;
	}
	started_ms = turn_now_ms(wf->turn);
	id = arena_strdup(wf->arena, id);
	if (is_known(wf, number, name, id, &refused)) {
		turn_add_control(wf->turn, id, TURN_RESUME);
		run_record_output(wf, number, name, NULL, started_ms);
	} else {
		run_record_error(wf, number, name,
		    refused != NULL
			? run_database_error(wf, refused)
			: value_encode_error(wf->arena,
			      "DBOSNonExistentWorkflowError",
			      arena_printf(wf->arena,
				  "there is no workflow '%s' to resume", id),
			      VALUE_PORTABLE),
		    started_ms);
	}
	run_recorded(wf, number);
}
