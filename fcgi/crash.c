/* SPDX-License-Identifier: MIT */
/*
 * POST /crash_application: the demonstration's crash button.  A process that
 * it crashes dies without cleaning up.
 */
#include <stddef.h>
#include <unistd.h>

#include <durable/client.h>
#include "base/log.h"
#include "db/db.h"
#include "fcgi/answer.h"
#include "fcgi/routes.h"
#include "fcgi/site.h"

static const char ask_executor[] = "select store.crash_executor()";
static const char ask_database[] = "select store.crash_database()";

static bool
is_allowed(struct http_request *request, const struct site *site)
{
	if (!site->allow_crash)
		http_error(request, 404, "Not found");
	return site->allow_crash;
}

static void __attribute__((noreturn)) die(void)
{
	log_warning("the crash button was pressed: this worker ends, "
		    "the master starts another");
	_exit(1);
}

void
crash_web(struct http_request *request, const struct site *site,
    const char *const segments[])
{
	(void)segments;
	if (is_allowed(request, site))
		die();
}

void
crash_all(struct http_request *request, const struct site *site,
    const char *const segments[])
{
	(void)segments;
	if (!is_allowed(request, site))
		return;
	answer_query(request, site, ask_executor, NULL, NULL);
	die();
}

void
crash_executor(struct http_request *request, const struct site *site,
    const char *const segments[])
{
	struct client_answer answer;

	(void)segments;
	if (!is_allowed(request, site))
		return;
	answer = answer_query(request, site, ask_executor, NULL, NULL);
	answer_when_done(request, &answer);
}

/*
 * Uses a connection of its own, because a crash loses the connection, and the
 * courier would repeat the statement on the next one: an endless crash.
 */
static enum db_outcome
crash_server(const struct site *site)
{
	struct db *db = db_new(site->conninfo, "widget-store crash button");
	enum db_outcome outcome = DB_RETRY;

	if (db_connect(db, "set statement_timeout = '5s'")) {
		db_queue(db, ask_database, 0, NULL);
		outcome = db_finish(db);
	}
	db_free(db);
	return outcome;
}

void
crash_database(struct http_request *request, const struct site *site,
    const char *const segments[])
{
	(void)segments;
	if (!is_allowed(request, site))
		return;
	switch (crash_server(site)) {
	case DB_LOST:
		http_answer(request, 200, "application/json", "null");
		break;
	case DB_RETRY:
		http_try_again(request,
		    "The database is not available, try again");
		break;
	case DB_DONE:
	case DB_REFUSED:
	case DB_SCHEMA:
		http_error(request, 404,
		    "The database is not installed with --allow-crash");
		break;
	}
}

/* Ignores failures: a part that cannot be reached is down already. */
void
crash_everything(struct http_request *request, const struct site *site,
    const char *const segments[])
{
	(void)segments;
	if (!is_allowed(request, site))
		return;
	answer_query(request, site, ask_executor, NULL, NULL);
	crash_server(site);
	die();
}
