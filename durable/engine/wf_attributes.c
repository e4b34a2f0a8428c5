/* SPDX-License-Identifier: MIT */
/*
 * The calls of a workflow's author for custom attributes, by which workflows are
 * found.
 */
#include <durable/workflow.h>
#include "db/value.h"
#include "engine/batch.h"
#include "engine/run.h"
#include "engine/turn_api.h"

/* The text of attributes, which are an object. */
static const char *
encode_attributes(struct workflow *wf, json_object *attributes)
{
	const char *text = json_object_is_type(attributes, json_type_object)
	    ? value_encode(wf->arena, attributes, VALUE_PORTABLE)
	    : NULL;

	if (text == NULL)
		wf_fail(wf, "DBOSInvalidInput",
		    "attributes of a workflow are not a valid JSON object");
	return text;
}

void
wf_set_attributes(struct workflow *wf, json_object *attributes)
{
	static const char name[] = "DBOS.setAttributes";
	int number;

	run_take(wf, attributes);
	if (run_call(wf, name, &number) == NULL) {
		turn_add_attributes(wf->turn, wf,
		    encode_attributes(wf, attributes));
		run_record_output(wf, number, name, NULL,
		    turn_now_ms(wf->turn));
	}
	run_recorded(wf, number);
}

json_object *
wf_find(struct workflow *wf, json_object *attributes, int most)
{
	static const char name[] = "DBOS.listWorkflows";
	const struct answer *answer;
	const char *params[2];
	int64_t started_ms = turn_now_ms(wf->turn);
	int number;

	run_take(wf, attributes);
	if (run_call(wf, name, &number) != NULL)
		return run_recorded(wf, number);
	params[0] = encode_attributes(wf, attributes);
	params[1] = wf_number(wf, most);
	answer = turn_ask_own(wf->turn, wf,
	    &(struct batch_statement){ .step = name,
		.number = number,
		.sql = "select durable.find_workflows($1, $2)",
		.nparams = 2,
		.params = params });
	if (answer->refused != NULL)
		run_record_error(wf, number, name,
		    run_database_error(wf, answer->refused), started_ms);
	else
		run_record_output(wf, number, name,
		    db_value(answer->rows, 0, 0), started_ms);
	return run_recorded(wf, number);
}
