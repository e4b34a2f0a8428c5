/* SPDX-License-Identifier: MIT */
/*
 * An agent: takes a question, thinks, uses a tool, until it has an answer, and
 * waits for the next question, for ever.  Its memory is the table
 *
 *	talk (agent text, at bigserial, role text, content text)
 *
 * and its journal stays small, because it goes on from its top with each
 * question.  The model is a function of SQL here, so that the example runs
 * anywhere: model(question, found) and
 * calculate(expression) return texts.
 *
 *	select dbos.enqueue_workflow('agent', 'agents', array['0'::json],
 *	    workflow_id => 'ada');
 *	select dbos.send_message('ada', '"What is 6 * 7?"', 'question');
 */
#include <string.h>

#include <durable/engine.h>

#define WEEK_MS  (INT64_C(7) * 24 * 3600 * 1000)
#define THOUGHTS 5 /* at most, about one question */

static void
remember(struct workflow *wf, const char *role, const char *content)
{
	const char *const params[] = { wf_id(wf), role, content };

	wf_sql_void(wf, "remember",
	    "insert into talk (agent, role, content) values ($1, $2, $3)", 3,
	    params);
}

/* What the model says: "answer: ..." or "calculate: ..." for the tool. */
static const char *
think(struct workflow *wf, const char *question, const char *found)
{
	const char *const params[] = { question, found };

	return json_object_get_string(
	    wf_sql(wf, "think", "select model($1, $2)", 2, params));
}

/* The tool calculates; what is wrong is what it found, too. */
static const char *
use_tool(struct workflow *wf, const char *what)
{
	const char *const params[] = { what };
	json_object *found;

	wf_catch(wf);
	found = wf_sql(wf, "calculate", "select calculate($1)", 1, params);
	return wf_error(wf) != NULL ? wf_error(wf)->message
				    : json_object_get_string(found);
}

static const char *
answer(struct workflow *wf, const char *question)
{
	const char *thought, *found = "";
	int i;

	for (i = 0; i < THOUGHTS; i++) {
		thought = think(wf, question, found);
		remember(wf, "model", thought);
		if (strncmp(thought, "answer: ", 8) == 0)
			return thought + 8;
		found = use_tool(wf, thought + strlen("calculate: "));
		remember(wf, "tool", found);
	}
	return "I do not know.";
}

/* input: how many questions were answered before. */
static json_object *
agent(struct workflow *wf, json_object *input)
{
	int64_t answered = json_object_get_int64(input);
	const char *question = wf_recv_string(wf, "question", WEEK_MS);

	if (question == NULL)
		return wf_int64(wf, answered);
	remember(wf, "user", question);
	wf_set_event(wf, wf_printf(wf, "answer-%lld", (long long)answered),
	    wf_string(wf, answer(wf, question)));
	wf_continue(wf, wf_int64(wf, answered + 1));
}

int
main(void)
{
	static const struct workflow_type agent_type = { .name = "agent",
		.version = "1",
		.function = agent };
	static const struct workflow_type *const types[] = { &agent_type,
		NULL };
	static const char *const queues[] = { "agents", DURABLE_INTERNAL_QUEUE,
		NULL };
	static const struct engine engine = { .conninfo = "",
		.application = "agents",
		.executor = "here",
		.types = types,
		.queues = queues,
		.turn_size = 64,
		.turn_limit_s = 30,
		.max_attempts = 10 };

	return durable_run(&engine, 1);
}
