/* SPDX-License-Identifier: MIT */
/*
 * What a step may not change in the session, because the other workflows of
 * its turn, and of later turns, use it: by the server's word, whatever function
 * changed it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/turn_private.h"

/*
 * The settings that decide as which role, on what, for how long and how safely
 * the statements of others run, what they return, or how they are planned.  Few,
 * because each turn looks at them.
 */
#define SETTINGS(OF) \
	OF("role") \
	OF("session_authorization") \
	OF("search_path") \
	OF("transaction_read_only") \
	OF("default_transaction_isolation") \
	OF("default_transaction_read_only") \
	OF("statement_timeout") \
	OF("lock_timeout") \
	OF("idle_in_transaction_session_timeout") \
	OF("synchronous_commit") \
	OF("session_replication_role") \
	OF("row_security") \
	OF("application_name") \
	OF("client_encoding") \
	OF("datestyle") \
	OF("intervalstyle") \
	OF("timezone") \
	OF("bytea_output") \
	OF("work_mem") \
	OF("jit") \
	OF("plan_cache_mode") \
	OF("enable_seqscan") \
	OF("enable_hashjoin") \
	OF("enable_sort")

#define VALUE(name) "pg_catalog.current_setting('" name "'), "
#define NAME(name)  name,

#define TEMPORARY   "pg_catalog.pg_my_temp_schema() <> 0"

#define STATE       "pg_catalog.concat_ws(e'\\n', " SETTINGS(VALUE) TEMPORARY ")"

static const char state_sql[] = "select " STATE;

/* Fails with a division by zero when the state is another. */
static const char check_sql[] =
    "select /* has a step changed the session? */ 1 / (" STATE
    " = $1)::pg_catalog.int4";

/* What the lines of the state are about. */
static const char *const names[] = { SETTINGS(NAME) "temporary objects" };

void
turn_session_queue_state(struct turn *turn, const struct db_rows **state)
{
	db_queue_rows(turn->db, turn->arena, state_sql, 0, NULL, state);
}

static const char *
text_of(const struct db_rows *state)
{
	const char *text = db_value(state, 0, 0);

	return text == NULL ? "" : text;
}

void
turn_session_keep(struct turn *turn, const struct db_rows *state)
{
	turn_session_forget(turn);
	turn->session_state = strdup(text_of(state));
	if (turn->session_state == NULL)
		abort();
}

void
turn_session_forget(struct turn *turn)
{
	free(turn->session_state);
	turn->session_state = NULL;
}

void
turn_session_queue_check(struct turn *turn)
{
	const char *const param = turn->session_state;

	db_queue(turn->db, check_sql, 1, &param);
}

/* What differs between two states. */
static const char *
difference(const char *before, const char *now)
{
	size_t i, len;

	for (i = 0; i < sizeof(names) / sizeof(names[0]) - 1; i++) {
		len = strcspn(before, "\n");
		if (strcspn(now, "\n") != len || strncmp(before, now, len) != 0)
			break;
		before += len + 1;
		now += len + 1;
	}
	return names[i];
}

bool
turn_session_blame(struct turn *turn, const struct db_rows *state)
{
	const char *sql = turn->error.sql;
	bool is_gone = strcmp(turn->error.sqlstate, "26000") == 0;

	if (turn->error.outcome != DB_REFUSED || sql == NULL ||
	    (strcmp(sql, check_sql) != 0 && strcmp(sql, state_sql) != 0))
		return false;
	turn->error.name = RUN_FORBIDDEN;
	snprintf(turn->error.message, sizeof(turn->error.message),
	    "a statement has changed the session, which the workflows of a "
	    "turn share: %s",
	    is_gone ? "its prepared statements"
		: state == NULL
		? "see the workflow's own error"
		: difference(turn->session_state, text_of(state)));
	/* A configuration that was loaded again may have: read it anew. */
	if (!turn->alone)
		turn_session_forget(turn);
	return true;
}
