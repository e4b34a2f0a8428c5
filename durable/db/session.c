/* SPDX-License-Identifier: MIT */
/*
 * Opens a connection, checks the schema, and logs each loss once.
 */
#include "db/session.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/strbuf.h"
#include "db/monitor.h"

#define PAUSE_MIN_MS       25
#define PAUSE_MAX_MS       250

/* After a connection that lasted this long, the next attempt has no pause. */
#define GOOD_CONNECTION_MS 1000

struct session {
	const struct session_options *options;
	struct db *db;
	struct arena *arena; /* of one session_open */
	struct backoff backoff;
	bool listening;
	bool complained; /* this series of failures has been logged */
	int64_t opened_ms;
};

struct session *
session_new(const struct session_options *options)
{
	struct session *session = memory_new(sizeof(*session));

	session->options = options;
	session->db = db_new(options->conninfo, options->application_name);
	session->arena = arena_new();
	session->backoff = (struct backoff){ .min_ms = PAUSE_MIN_MS,
		.max_ms = PAUSE_MAX_MS };
	return session;
}

void
session_free(struct session *session)
{
	if (session == NULL)
		return;
	if (session->options->member != NULL)
		monitor_leave(session->db, session->options->member);
	db_free(session->db);
	arena_free(session->arena);
	free(session);
}

struct db *
session_db(const struct session *session)
{
	return session->db;
}

/* Whether a number of the database's is the program's; logs if it is not. */
static bool
is_number(const char *what, const char *number, int wanted)
{
	if (number != NULL && strtol(number, NULL, 10) == wanted)
		return true;
	log_error("the database has %s %s and this program needs %d, so it "
		  "stops: install the newer of the two and run "
		  "durable-install or widget-store-install",
	    what, number == NULL ? "unknown" : number, wanted);
	return false;
}

/* Compares the numbers of the database with the program's. */
static enum session_state
check_schema(struct session *session)
{
	const struct db_error *error = db_last_error(session->db);
	const struct db_rows *rows;

	rows = db_query(session->db, session->arena,
	    "select durable.version(), durable.signatures()", 0, NULL);
	if (rows == NULL && error->outcome != DB_REFUSED &&
	    error->outcome != DB_SCHEMA)
		return SESSION_AWAY;
	if (rows == NULL) {
		log_error("the database has no schema for this program (%s), "
			  "so it stops: run durable-install or "
			  "widget-store-install",
		    error->message);
		return SESSION_REFUSED;
	}
	return is_number("version", db_value(rows, 0, 0), SCHEMA_VERSION) &&
		is_number("functions of number", db_value(rows, 0, 1),
		    SCHEMA_SIGNATURES)
	    ? SESSION_READY
	    : SESSION_REFUSED;
}

/* Connects; refuses a connection of a kind that cannot serve. */
static enum session_state
make_connection(struct session *session)
{
	const struct db_error *error = db_last_error(session->db);

	if (db_connect(session->db, session->options->setup))
		return SESSION_READY;
	if (error->name == NULL)
		return SESSION_AWAY;
	log_error("this program cannot use its connection, so it stops: %s; "
		  "connect it to PostgreSQL itself, or to a pool in session "
		  "mode",
	    error->message);
	return SESSION_REFUSED;
}

enum session_state
session_open(struct session *session)
{
	const struct session_options *options = session->options;
	enum session_state state;

	session->listening = false;
	arena_reset(session->arena);
	state = make_connection(session);
	if (state == SESSION_READY)
		state = check_schema(session);
	if (state == SESSION_READY && options->member != NULL &&
	    !monitor_enter(session->db, session->arena, options->member))
		state = SESSION_AWAY;
	switch (state) {
	case SESSION_READY:
		if (session->complained)
			log_info("the database is reachable again");
		session->complained = false;
		session->opened_ms = clock_monotonic_ms();
		break;
	case SESSION_AWAY:
		session_lose(session);
		break;
	case SESSION_REFUSED:
		session->complained = true;
		db_disconnect(session->db);
		break;
	}
	return state;
}

bool
session_is_open(const struct session *session)
{
	return db_connected(session->db);
}

void
session_lose(struct session *session)
{
	if (!session->complained)
		log_warning("cannot reach the database: %s; trying again "
			    "until it answers",
		    db_last_error(session->db)->message);
	session->complained = true;
	db_disconnect(session->db);
}

int
session_pause_ms(struct session *session)
{
	bool was_good = session->opened_ms != 0 &&
	    clock_monotonic_ms() - session->opened_ms >= GOOD_CONNECTION_MS;

	session->opened_ms = 0;
	if (!was_good)
		return backoff_next_ms(&session->backoff);
	backoff_reset(&session->backoff);
	return 0;
}

enum db_outcome
session_listen(struct session *session, bool listen)
{
	const char *const *statement = session->options->listen;
	enum db_outcome outcome;

	if (session->listening && !listen)
		db_queue(session->db, "unlisten *", 0, NULL);
	for (; listen && !session->listening && *statement != NULL; statement++)
		db_queue(session->db, *statement, 0, NULL);
	outcome = db_finish(session->db);
	if (outcome == DB_DONE)
		session->listening = listen;
	return outcome;
}

bool
session_is_listening(const struct session *session)
{
	return session->listening;
}

void
session_add_channels(const struct session *session, struct strbuf *channels)
{
	const char *const *statement = session->options->listen;

	for (; session->listening && *statement != NULL; statement++)
		strbuf_add_element(channels, *statement + strlen("listen "));
}
