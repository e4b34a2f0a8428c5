/* SPDX-License-Identifier: MIT */
/*
 * The courier's queries, such as the product's: equal ones are asked once.
 */
#include <string.h>

#include "base/log.h"
#include "client/courier.h"

static bool
same_text(const char *one, const char *other)
{
	return one == NULL || other == NULL ? one == other
					    : strcmp(one, other) == 0;
}

static bool
same_query(const struct call *one, const struct call *other)
{
	return strcmp(one->sql, other->sql) == 0 &&
	    same_text(one->params[0], other->params[0]) &&
	    same_text(one->params[1], other->params[1]);
}

/* Answers all equal queries.  asked comes last, because it may be freed. */
static void
answer_equals(struct courier *courier, struct call *asked,
    enum client_outcome outcome, const char *value)
{
	struct call *call, *next;

	TAILQ_REMOVE(&courier->queries, asked, link);
	for (call = TAILQ_FIRST(&courier->queries); call != NULL; call = next) {
		next = TAILQ_NEXT(call, link);
		if (!same_query(call, asked))
			continue;
		TAILQ_REMOVE(&courier->queries, call, link);
		courier_answer(call, outcome, value);
	}
	courier_answer(asked, outcome, value);
}

/* Counts the parameters of a query; it has at most two. */
static size_t
count_parameters(const char *sql)
{
	return strstr(sql, "$2") != NULL ? 2 : strstr(sql, "$1") != NULL;
}

/* Runs one query.  After DB_RETRY it is left for a later round trip. */
static enum db_outcome
ask_query(struct courier *courier, struct call *call)
{
	const struct db_rows *rows;
	const char *value;

	rows = db_query(courier->db, courier->arena, call->sql,
	    count_parameters(call->sql), call->params);
	if (rows != NULL) {
		value = db_row_count(rows) == 0 ? NULL : db_value(rows, 0, 0);
		answer_equals(courier, call,
		    value == NULL ? CLIENT_NOTHING : CLIENT_ANSWERED, value);
		courier_count_batch(courier, 1);
		return DB_DONE;
	}
	switch (db_last_error(courier->db)->own) {
	case DB_SCHEMA:
		courier_log_unready(courier);
		answer_equals(courier, call, CLIENT_UNAVAILABLE, NULL);
		return DB_DONE;
	case DB_LOST:
	case DB_RETRY:
		return db_last_error(courier->db)->own;
	case DB_DONE:
	case DB_REFUSED:
		break;
	}
	log_error("the database refused a query, so its callers are refused: "
		  "%s",
	    db_last_error(courier->db)->message);
	answer_equals(courier, call, CLIENT_REFUSED, NULL);
	return DB_DONE;
}

enum db_outcome
courier_query_all(struct courier *courier)
{
	enum db_outcome outcome = DB_DONE;
	struct call *call, *retried = NULL;

	while ((call = TAILQ_FIRST(&courier->queries)) != NULL &&
	    call != retried) {
		switch (ask_query(courier, call)) {
		case DB_LOST:
			return DB_LOST;
		case DB_RETRY:
			outcome = DB_RETRY;
			TAILQ_REMOVE(&courier->queries, call, link);
			TAILQ_INSERT_TAIL(&courier->queries, call, link);
			if (retried == NULL)
				retried = call;
			break;
		case DB_DONE:
		case DB_REFUSED:
		case DB_SCHEMA:
			break;
		}
	}
	return outcome;
}
