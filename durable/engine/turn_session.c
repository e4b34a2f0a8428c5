/* SPDX-License-Identifier: MIT */
/*
 * What a step may not change in the session, because the other workflows of
 * its turn, and of later turns, use it: by the server's word, whatever function
 * changed it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/memory.h"
#include "engine/turn_private.h"

/*
 * The settings that decide as which role, on what, for how long and how safely
 * the statements of others run, what they return, or how they are planned.  Few,
 * because each turn looks at them.
 */
#define STATE \
	"pg_catalog.concat_ws(e'\\n', " \
	"pg_catalog.current_setting('role'), " \
	"pg_catalog.current_setting('session_authorization'), " \
	"pg_catalog.current_setting('search_path'), " \
	"pg_catalog.current_setting('transaction_read_only'), " \
	"pg_catalog.current_setting('default_transaction_isolation'), " \
	"pg_catalog.current_setting('default_transaction_read_only'), " \
	"pg_catalog.current_setting('statement_timeout'), " \
	"pg_catalog.current_setting('lock_timeout'), " \
	"pg_catalog.current_setting('idle_in_transaction_session_timeout'), " \
	"pg_catalog.current_setting('synchronous_commit'), " \
	"pg_catalog.current_setting('session_replication_role'), " \
	"pg_catalog.current_setting('row_security'), " \
	"pg_catalog.current_setting('application_name'), " \
	"pg_catalog.current_setting('client_encoding'), " \
	"pg_catalog.current_setting('datestyle'), " \
	"pg_catalog.current_setting('intervalstyle'), " \
	"pg_catalog.current_setting('timezone'), " \
	"pg_catalog.current_setting('bytea_output'), " \
	"pg_catalog.current_setting('work_mem'), " \
	"pg_catalog.current_setting('jit'), " \
	"pg_catalog.current_setting('plan_cache_mode'), " \
	"pg_catalog.current_setting('enable_seqscan'), " \
	"pg_catalog.current_setting('enable_hashjoin'), " \
	"pg_catalog.current_setting('enable_sort'), " \
	"pg_catalog.pg_my_temp_schema() <> 0)"

static const char state_sql[] = "select " STATE;

/* Fails with a division by zero when the state is another. */
static const char check_sql[] =
    "select /* has a step changed the session? */ 1 / (" STATE
    " = $1)::pg_catalog.int4";

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
	turn->session_state = memory_text(text_of(state));
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

/*
 * What differs between the state now and the kept one: the name, in state_sql,
 * of the first line that does.
 */
static const char *
difference(struct turn *turn, const char *now)
{
	static const char mark[] = "pg_catalog.current_setting('";
	const char *before = turn->session_state, *name = state_sql;
	size_t len;

	while ((name = strstr(name, mark)) != NULL) {
		name += strlen(mark);
		len = strcspn(before, "\n");
		if (strcspn(now, "\n") != len || strncmp(before, now, len) != 0)
			return arena_printf(turn->arena, "%.*s",
			    (int)strcspn(name, "'"), name);
		before += len + 1;
		now += len + 1;
	}
	return "temporary objects";
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
	    is_gone             ? "its prepared statements"
		: state == NULL ? "see the workflow's own error"
				: difference(turn, text_of(state)));
	/* A configuration that was loaded again may have: read it anew. */
	if (!turn->alone)
		turn_session_forget(turn);
	return true;
}
