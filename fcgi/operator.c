/* SPDX-License-Identifier: MIT */
/*
 * /operator/: any workflow, for the store's operators, by a token.  All of
 * it is 404 without --operator-token-file.
 */
#include <stddef.h>
#include <string.h>

#include "base/arena.h"
#include "db/db.h"
#include "fcgi/answer.h"
#include "fcgi/routes.h"
#include "fcgi/site.h"

/* Rows of a list, and how far back it goes. */
#define STEP_MAX 1000000000LL
#define SKIP_MAX 100000LL

/* Whether both are the same, in a time that says nothing about the token. */
static bool
is_token(const char *given, const char *token)
{
	size_t len = strlen(token), i;
	unsigned char differs = strlen(given) != len;

	for (i = 0; i < len && given[i] != '\0'; i++)
		differs |= (unsigned char)(given[i] ^ token[i]);
	return differs == 0;
}

static bool
has_token(struct http_request *request, const struct site *site)
{
	static const char scheme[] = "Bearer ";
	const char *given = request->authorization;

	if (site->operator_token == NULL) {
		http_error(request, 404, "Not found");
		return false;
	}
	if (given != NULL && strncmp(given, scheme, sizeof(scheme) - 1) == 0 &&
	    is_token(given + sizeof(scheme) - 1, site->operator_token))
		return true;
	http_header(request, "WWW-Authenticate", "Bearer");
	http_error(request, 401, "The operators' token is needed");
	return false;
}

/*
 * Answers with the JSON that a query returns.  It has a connection of its own,
 * because the role of the web may not read workflows.
 */
static void
answer_from_database(struct http_request *request, const struct site *site,
    const char *sql, size_t nparams, const char *const params[])
{
	struct db *db = db_new(site->operator_conninfo,
	    "widget-store operator");
	const struct db_rows *rows = NULL;

	if (!db_connect(db, "set statement_timeout = '5s'"))
		http_try_again(request,
		    "The database is not available, try again");
	else if ((rows = db_query(db, request->arena, sql, nparams, params)) ==
	    NULL)
		http_error(request,
		    db_last_error(db)->outcome == DB_LOST ? 503 : 409,
		    arena_printf(request->arena, "The database refused: %s",
			db_last_error(db)->message));
	else if (db_value(rows, 0, 0) == NULL)
		http_error(request, 404, "Unknown workflow");
	else
		http_answer(request, 200, "application/json",
		    db_value(rows, 0, 0));
	db_free(db);
}

/* Takes a parameter of the query that is empty, or an id; else answers 400. */
static bool
take_id(struct http_request *request, const char *name, const char **value)
{
	*value = http_parameter(request, name);
	if (*value == NULL || **value == '\0') {
		*value = NULL;
		return true;
	}
	if (route_is_id(*value))
		return true;
	http_error(request, 400,
	    arena_printf(request->arena,
		"%s is 1 to 256 characters of A-Z a-z 0-9 . _ ~ : -", name));
	return false;
}

/* As take_id, for a number from 0 to max. */
static bool
take_number(struct http_request *request, const char *name, long long max,
    const char **value)
{
	*value = http_parameter(request, name);
	if (*value == NULL || http_is_number(*value, 0, max))
		return true;
	http_error(request, 400,
	    arena_printf(request->arena, "%s is a number", name));
	return false;
}

void
operator_get_workflows(struct http_request *request, const struct site *site,
    const char *const segments[])
{
	const char *params[4];

	(void)segments;
	if (has_token(request, site) &&
	    take_id(request, "status", &params[0]) &&
	    take_id(request, "name", &params[1]) &&
	    take_id(request, "queue", &params[2]) &&
	    take_number(request, "skip", SKIP_MAX, &params[3]))
		answer_from_database(request, site,
		    "select durable.operator_list_json($1, $2, $3, $4)", 4,
		    params);
}

void
operator_get_workflow(struct http_request *request, const struct site *site,
    const char *const segments[])
{
	if (has_token(request, site))
		answer_from_database(request, site,
		    "select durable.operator_workflow_json($1)", 1, segments);
}

/* Late payments, which an operator has to give back. */
void
operator_get_refunds(struct http_request *request, const struct site *site,
    const char *const segments[])
{
	(void)segments;
	if (has_token(request, site))
		answer_from_database(request, site,
		    "select store.refunds_json()", 0, NULL);
}

void
operator_cancel(struct http_request *request, const struct site *site,
    const char *const segments[])
{
	if (has_token(request, site))
		answer_from_database(request, site,
		    "select to_json(durable.cancel_workflow($1))", 1, segments);
}

void
operator_resume(struct http_request *request, const struct site *site,
    const char *const segments[])
{
	if (has_token(request, site))
		answer_from_database(request, site,
		    "select to_json(durable.resume_workflow($1))", 1, segments);
}

void
operator_fork(struct http_request *request, const struct site *site,
    const char *const segments[])
{
	const char *params[] = { segments[0], segments[1], NULL };

	if (has_token(request, site) &&
	    take_number(request, "step", STEP_MAX, &params[2]))
		answer_from_database(request, site,
		    "select to_json(durable.fork_workflow($1, "
		    "coalesce($3::int, 0), $2))",
		    3, params);
}
