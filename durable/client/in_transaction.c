/* SPDX-License-Identifier: MIT */
/*
 * Workflows and messages in a transaction of the caller's own: the outbox that
 * programs otherwise write by hand.
 */
#include "client/control.h"

#include <string.h>

#include <libpq-fe.h>

#include "base/memory.h"

/* What a statement came to, with its first value. */
static struct client_answer
answer_of(const PGconn *conn, const PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	if (PQresultStatus(result) == PGRES_TUPLES_OK)
		return (struct client_answer){ CLIENT_ANSWERED,
			*PQgetvalue(result, 0, 0) == '\0'
			    ? NULL
			    : memory_text(PQgetvalue(result, 0, 0)) };
	if (state == NULL)
		return (struct client_answer){ .outcome = PQstatus(conn) ==
				CONNECTION_OK
			    ? CLIENT_REFUSED
			    : CLIENT_UNAVAILABLE };
	if (strcmp(state, "23505") == 0)
		return (struct client_answer){ .outcome = CLIENT_CONFLICT };
	if (strcmp(state, "23503") == 0)
		return (struct client_answer){ .outcome = CLIENT_UNKNOWN };
	return (struct client_answer){ .outcome = CLIENT_REFUSED };
}

static struct client_answer
execute(PGconn *conn, const char *sql, int params_len,
    const char *const *params)
{
	PGresult *result = PQexecParams(conn, sql, params_len, NULL, params,
	    NULL, NULL, 0);
	struct client_answer answer = answer_of(conn, result);

	PQclear(result);
	return answer;
}

struct client_answer
client_enqueue_in(struct pg_conn *conn, const struct client_enqueue *enqueue)
{
	json_object *options = control_options(enqueue);
	const char *const params[] = { json_object_to_json_string_ext(options,
	    JSON_C_TO_STRING_PLAIN) };
	struct client_answer answer = execute(conn, control_enqueue_sql, 1,
	    params);

	json_object_put(options);
	return answer;
}

struct client_answer
client_send_in(struct pg_conn *conn, const char *id, const char *topic,
    const char *message, const char *key)
{
	const char *const params[] = { id, message, topic, key };

	return execute(conn,
	    "select durable.send_message($1, $2::json, $3, $4)", 4, params);
}
