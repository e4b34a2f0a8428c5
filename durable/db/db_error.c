/* SPDX-License-Identifier: MIT */
/*
 * What a failed statement or connection means.
 */
#include "db/db_private.h"

#include <stdio.h>
#include <string.h>

/* The SQLSTATE of a statement that is no statement. */
#define SYNTAX_ERROR "42601"

/*
 * Whether a prepared statement must be prepared anew: a table has changed since
 * (the function tells it, because this error shares its SQLSTATE and its
 * message is translated), or the session no longer has the statement.
 */
static bool
is_stale(const char *sqlstate, const char *function)
{
	return strcmp(sqlstate, "26000") == 0 ||
	    (strcmp(sqlstate, "0A000") == 0 && function != NULL &&
		strcmp(function, "RevalidateCachedQuery") == 0);
}

/* Whether a text has several commands: no change of the schema mends that. */
static bool
is_several(const char *sqlstate, const char *function)
{
	return strcmp(sqlstate, SYNTAX_ERROR) == 0 && function != NULL &&
	    strcmp(function, "exec_parse_message") == 0;
}

/*
 * Whether a commit failed because the notification queue is full.  The function
 * tells it, because limits of a value share its SQLSTATE.
 */
static bool
is_queue_full(const char *sqlstate, const char *function)
{
	return sqlstate != NULL && strcmp(sqlstate, "54000") == 0 &&
	    function != NULL && strcmp(function, "PreCommit_Notify") == 0;
}

void
db_error_clear(struct db *db)
{
	db->error = (struct db_error){ .outcome = DB_DONE, .own = DB_DONE };
}

/* Later errors follow from the first. */
void
db_error_note(struct db *db, const char *sqlstate, bool fatal,
    const char *message)
{
	struct db_error *error = &db->error;

	if (error->outcome != DB_DONE)
		return;
	error->outcome = fatal ? DB_LOST : sqlstate_rule(sqlstate)->step;
	error->own = fatal ? DB_LOST : sqlstate_rule(sqlstate)->own;
	snprintf(error->sqlstate, sizeof(error->sqlstate), "%s",
	    sqlstate == NULL ? "" : sqlstate);
	snprintf(error->message, sizeof(error->message), "%s", message);
	error->message[strcspn(error->message, "\n")] = '\0';
}

void
db_error_note_lost(struct db *db)
{
	const char *message = db->conn == NULL ? "no connection"
					       : PQerrorMessage(db->conn);

	db_error_note(db, NULL, true,
	    *message == '\0' ? "connection lost" : message);
}

/*
 * The session has forgotten a statement, so perhaps all.  When it knew it in
 * this transaction, a statement of the transaction deallocated it, and would do
 * so again.
 */
static void
note_deallocated(struct db *db, const struct prepared *statement)
{
	if (statement->alive >= db->idle_trip) {
		db->error.outcome = DB_REFUSED;
		db->error.stale = false;
	}
	prepared_drop_all(&db->prepared);
}

void
db_error_note_result(struct db *db, const PGresult *result,
    const struct expected *expected)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *primary = PQresultErrorField(result,
	    PG_DIAG_MESSAGE_PRIMARY);
	const char *severity = PQresultErrorField(result,
	    PG_DIAG_SEVERITY_NONLOCALIZED);
	const char *function = PQresultErrorField(result,
	    PG_DIAG_SOURCE_FUNCTION);

	if (db->error.outcome != DB_DONE)
		return;
	db_error_note(db, sqlstate,
	    severity != NULL && strcmp(severity, "ERROR") != 0,
	    primary == NULL ? PQresultErrorMessage(result) : primary);
	if (is_queue_full(sqlstate, function))
		db->error.outcome = db->error.own = DB_RETRY;
	if (expected == NULL)
		return;
	db->error.sql = expected->sql;
	if (sqlstate == NULL)
		return;
	if (is_several(sqlstate, function))
		db->error.outcome = db->error.own = DB_REFUSED;
	if (expected->statement == NULL || !is_stale(sqlstate, function))
		return;
	db->error.outcome = db->error.own = DB_RETRY;
	db->error.stale = true;
	if (function != NULL && strcmp(function, "FetchPreparedStatement") == 0)
		note_deallocated(db, expected->statement);
	else
		prepared_drop(expected->statement);
}

void
db_error_note_useless(struct db *db, const struct expected *expected,
    const char *message)
{
	if (db->error.outcome != DB_DONE)
		return;
	db_error_note(db, SYNTAX_ERROR, false, message);
	db->error.outcome = db->error.own = DB_REFUSED;
	db->error.sql = expected->sql;
}

const struct db_error *
db_last_error(const struct db *db)
{
	return &db->error;
}
