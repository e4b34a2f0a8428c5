/* SPDX-License-Identifier: MIT */
/*
 * Statements that no workflow should run, and what each kind comes to.
 */
#include "tests/stories/torture.h"

#include <stdio.h>
#include <string.h>

/* Statements, which the generator makes, in one of four ways. */

enum way { WAY_SQL, WAY_VOID, WAY_BATCH, WAY_STEP, WAYS };

static json_object *
statement_in_step(struct step *step, void *arg)
{
	step_sql(step, "insert into test.notes values ('in a step')", 0, NULL);
	return json_object_get(step_sql(step, arg, 0, NULL));
}

static json_object *
statement(struct workflow *wf, json_object *input)
{
	const char *const params[] = { wf_id(wf) };
	const char *sql = deed_text(input, "sql");
	const struct wf_error *error;

	if (deed_number(input, "note"))
		wf_sql_void(wf, "note", "insert into test.notes values ($1)", 1,
		    params);
	if (deed_number(input, "caught"))
		wf_catch(wf);
	switch (deed_number(input, "way")) {
	case WAY_SQL:
		wf_sql(wf, "sql", sql, 0, NULL);
		break;
	case WAY_VOID:
		wf_sql_void(wf, "void", sql, 0, NULL);
		break;
	case WAY_BATCH:
		wf_batch(wf, "batch", sql, 1, params);
		break;
	default:
		wf_transaction(wf, "step", statement_in_step, (void *)sql);
		break;
	}
	error = wf_error(wf);
	return error == NULL ? NULL
			     : json_object_new_string(wf_printf(wf, "%s: %s",
				   error->name, error->message));
}

/* A statement, that is caught or not, in one of the ways. */
static void
put_statement(struct chance *chance, struct deed *deed, enum way way,
    const char *sql)
{
	unsigned caught = chance_below(chance, 2);

	deed_put_text(deed, "sql", sql);
	deed_put_number(deed, "way", way);
	deed_put_number(deed, "note", chance_below(chance, 2));
	deed_put_number(deed, "caught", caught);
	if (caught && strcmp(deed->status, "ERROR") == 0)
		deed->status = "SUCCESS";
}

/* "select <expression>" in any way. */
static void
put_select(struct chance *chance, struct deed *deed, const char *expression)
{
	enum way way = (enum way)chance_below(chance, WAYS);
	char sql[400];

	snprintf(sql, sizeof(sql), "select %s%s", expression,
	    way == WAY_BATCH ? " from unnest($1::text[]) as u" : "");
	put_statement(chance, deed, way, sql);
}

static void
make_control(struct chance *chance, struct deed *deed)
{
	static const char *const blanks[] = { "", " ", "\n\t", ";", "-- none\n",
		"/* a /* b */ c */", "(" };
	static const char *const commands[] = { "begin", "commit", "rollback",
		"abort", "end", "start transaction", "savepoint s",
		"release step", "rollback to step", "set search_path = nowhere",
		"set local role postgres", "reset all", "discard all",
		"listen durable_due", "unlisten *", "prepare p as select 1",
		"deallocate all", "declare c cursor with hold for select 1",
		"copy test.notes to stdout", "copy test.notes from stdin",
		"create temp table t (n int)", "vacuum", "checkpoint",
		"load 'plpgsql'", "", "select pg_advisory_lock(1)",
		"select pg_advisory_unlock_all()",
		"select pg_try_advisory_lock_shared(1, 2)" };
	char sql[200];
	const char *command = chance_of(chance,
	    sizeof(commands) / sizeof(*commands), commands);
	size_t i;

	snprintf(sql, sizeof(sql), "%s%s%s", chance_of(chance, 7, blanks),
	    chance_of(chance, 7, blanks), command);
	for (i = strlen(sql) - strlen(command); sql[i] != '\0'; i++)
		if (sql[i] >= 'a' && sql[i] <= 'z' && chance_below(chance, 2))
			sql[i] = (char)(sql[i] - 'a' + 'A');
	put_statement(chance, deed, (enum way)chance_below(chance, WAYS), sql);
}

/* All that turn_session.c compares: each has its turn. */
static const char *const settings[] = { "'role', 'widget_store_web'",
	"'session_authorization', 'widget_store_web'",
	"'search_path', 'nowhere'", "'transaction_read_only', 'on'",
	"'default_transaction_isolation', 'serializable'",
	"'default_transaction_read_only', 'on'", "'statement_timeout', '1ms'",
	"'lock_timeout', '1ms'", "'idle_in_transaction_session_timeout', '1ms'",
	"'synchronous_commit', 'off'", "'session_replication_role', 'replica'",
	"'row_security', 'off'", "'application_name', 'psql'",
	"'client_encoding', 'LATIN1'", "'datestyle', 'German'",
	"'intervalstyle', 'iso_8601'", "'timezone', 'Asia/Tokyo'",
	"'bytea_output', 'escape'", "'work_mem', '64kB'", "'jit', 'off'",
	"'plan_cache_mode', 'force_generic_plan'", "'enable_seqscan', 'off'",
	"'enable_hashjoin', 'off'", "'enable_sort', 'off'" };

#define SETTINGS ((int)(sizeof(settings) / sizeof(settings[0])))

static void
make_setting(struct chance *chance, struct deed *deed)
{
	static int next;
	char expression[200];

	snprintf(expression, sizeof(expression), "set_config(%s, %s)::text",
	    settings[next++ % SETTINGS],
	    chance_below(chance, 2) ? "true" : "false");
	put_select(chance, deed, expression);
}

static void
make_temporary(struct chance *chance, struct deed *deed)
{
	if (chance_below(chance, 4) == 0)
		put_statement(chance, deed, WAY_SQL,
		    "select 1 as n into temp accounts");
	else
		put_select(chance, deed, "torture.make_table()");
}

const char *const leftovers[] = { "cursor", "lock", "prepared statement",
	"setting", "channel", "no channel", NULL };

static void
make_leftover(struct chance *chance, struct deed *deed)
{
	char expression[100];

	snprintf(expression, sizeof(expression), "torture.leave('%s')",
	    chance_of(chance, 6, leftovers));
	put_select(chance, deed, expression);
}

static void
make_deallocate(struct chance *chance, struct deed *deed)
{
	put_select(chance, deed, "torture.deallocate()");
}

static void
put_raise(struct chance *chance, struct deed *deed, size_t count,
    const char *const states[])
{
	char expression[100];

	snprintf(expression, sizeof(expression), "torture.raise('%s')",
	    chance_of(chance, count, states));
	put_select(chance, deed, expression);
}

static void
make_refused(struct chance *chance, struct deed *deed)
{
	static const char *const states[] = { "P0001", "23505", "23503",
		"23514", "22012", "21000", "38000", "44000", "09000", "ZZ999" };

	put_raise(chance, deed, sizeof(states) / sizeof(*states), states);
}

static void
make_schema(struct chance *chance, struct deed *deed)
{
	static const char *const states[] = { "42P01", "42501", "42883",
		"0A000", "3F000", "XX000", "55000", "42601" };

	put_raise(chance, deed, sizeof(states) / sizeof(*states), states);
}

static void
make_circumstance(struct chance *chance, struct deed *deed)
{
	static const char *const states[] = { "40001", "40P01", "55P03",
		"53100", "57014", "58030", "08006", "2200H" };

	put_raise(chance, deed, sizeof(states) / sizeof(*states), states);
}

static void
make_wrong_batch(struct chance *chance, struct deed *deed)
{
	static const char *const batches[] = {
		"select u from unnest($1::text[]) as u where false",
		"select u from unnest($1::text[]) as u, generate_series(1, 2)",
	};

	put_statement(chance, deed, WAY_BATCH, chance_of(chance, 2, batches));
}

static void
make_two_commands(struct chance *chance, struct deed *deed)
{
	put_statement(chance, deed, (enum way)chance_below(chance, WAYS),
	    "select 1; commit");
}

static void
make_large_answer(struct chance *chance, struct deed *deed)
{
	static const char *const answers[] = { "select repeat('x', 2000000)",
		"select g from generate_series(1, 50000) as g" };

	put_statement(chance, deed,
	    chance_below(chance, 2) ? WAY_SQL : WAY_STEP,
	    chance_of(chance, 2, answers));
}

static void
make_slow(struct chance *chance, struct deed *deed)
{
	put_statement(chance, deed,
	    chance_below(chance, 2) ? WAY_SQL : WAY_STEP,
	    "select pg_sleep(1.2)");
}

static void
make_locked(struct chance *chance, struct deed *deed)
{
	static const char update[] = "update torture.locked set n = n + 1";

	put_statement(chance, deed,
	    chance_below(chance, 2) ? WAY_SQL : WAY_STEP, update);
}

const struct kind statement_kinds[] = {
	{ "controls", "statements that control the session are refused",
	    statement, 16, "ERROR", "DBOSForbiddenStatement", make_control },
	{ "settings", "a step that changes a setting or role is refused",
	    statement, SETTINGS, "ERROR", "DBOSForbiddenStatement",
	    make_setting },
	{ "temporaries", "a step that makes a temporary table is refused",
	    statement, 4, "ERROR", "DBOSForbiddenStatement", make_temporary },
	{ "leftovers", "what else a step leaves in the session harms none",
	    statement, 6, "SUCCESS", NULL, make_leftover },
	{ "deallocates", "a step that deallocates statements ends alone",
	    statement, 1, "any", NULL, make_deallocate },
	{ "refused", "an error that a statement raises is its workflow's",
	    statement, 10, "ERROR", "DatabaseError", make_refused },
	{ "schema", "what the schema lacks for long is its workflow's error",
	    statement, 4, "ERROR", "DatabaseError", make_schema },
	{ "circumstance", "a circumstance holds only its workflow", statement,
	    4, "held", NULL, make_circumstance },
	{ "wrong_batch", "a batch with wrong rows is refused", statement, 3,
	    "ERROR", "DBOSInvalidBatch", make_wrong_batch },
	{ "two_commands", "two commands in a text are refused", statement, 3,
	    "ERROR", "SQLSTATE 42601", make_two_commands },
	{ "large_answer", "a large answer is read", statement, 2, "SUCCESS",
	    NULL, make_large_answer },
	{ "slow", "a statement of more than a second ends", statement, 1,
	    "SUCCESS", NULL, make_slow },
	{ "locked", "a step behind a locked row goes on when it is free",
	    statement, 2, "SUCCESS", NULL, make_locked },
};

const size_t statement_kinds_count = sizeof(statement_kinds) /
    sizeof(statement_kinds[0]);
