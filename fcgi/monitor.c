/* SPDX-License-Identifier: MIT */
/*
 * GET /processes and GET /workflow/{id}: the machine room, if the program runs
 * with --machine-room.
 */
#include <stddef.h>

#include <durable/client.h>
#include "fcgi/answer.h"
#include "fcgi/routes.h"
#include "fcgi/site.h"

static void
answer_monitor(struct http_request *request, const struct site *site,
    const char *sql, const char *param)
{
	static const struct answer_texts texts = {
		.nothing = "Unknown workflow"
	};
	struct client_answer answer;

	if (!site->machine_room) {
		http_error(request, 404, "Not found");
		return;
	}
	answer = answer_query(request, site, sql, param, NULL);
	answer_with_json(request, &answer, &texts);
}

void
monitor_get_processes(struct http_request *request, const struct site *site,
    const char *const segments[])
{
	(void)segments;
	answer_monitor(request, site, "select store.processes_json()", NULL);
}

void
monitor_get_workflow(struct http_request *request, const struct site *site,
    const char *const segments[])
{
	answer_monitor(request, site, "select durable.workflow_json($1)",
	    segments[0]);
}
