/* SPDX-License-Identifier: MIT */
/*
 * GET /healthz: this process answers.  GET /readyz: the database answers, has
 * what the web calls, and a daemon is connected to it that can run workflows.
 */
#include <stddef.h>

#include <durable/client.h>
#include "base/arena.h"
#include "fcgi/answer.h"
#include "fcgi/routes.h"
#include "fcgi/site.h"

/* Calls without effect what a checkout and a payment call. */
static const char ready_sql[] =
    "select durable.daemon_alive() from ("
    "select count(*) from durable.client_submit('{}', '{}', '{}', '{}', '', "
    "'{}', '{}', '{}', '{}', '{}')) as submitted, ("
    "select count(*) from durable.client_events('{}', '{}')) as events";

void
health_get(struct http_request *request, const struct site *site,
    const char *const segments[])
{
	(void)site;
	(void)segments;
	http_text(request, "ok\n");
}

void
health_get_ready(struct http_request *request, const struct site *site,
    const char *const segments[])
{
	struct client_answer answer = answer_query(request, site, ready_sql,
	    NULL, NULL);
	bool database = answer.outcome == CLIENT_ANSWERED;
	bool daemon = database && *answer.value == 't';

	(void)segments;
	if (!daemon) {
		http_header(request, "Retry-After", "1");
		request->problem = database
		    ? "no daemon is connected that can run workflows, so "
		      "orders wait until one is"
		    : "the database does not answer, or lacks what the web "
		      "calls";
	}
	http_answer(request, daemon ? 200 : 503, "application/json",
	    arena_printf(request->arena,
		"{ \"database\": %s, \"daemon\": %s }\n",
		database ? "true" : "false", daemon ? "true" : "false"));
}
