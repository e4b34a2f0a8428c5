/* SPDX-License-Identifier: MIT */
/*
 * Decides for each SQLSTATE (PostgreSQL's manual, appendix A) whether a
 * statement that failed is repeated, held, or fails its workflow.
 */
#ifndef DURABLE_SQLSTATE_H
#define DURABLE_SQLSTATE_H

#include <stddef.h>

/* The outcome of a statement. */
enum db_outcome {
	DB_DONE,
	DB_REFUSED, /* the statement's own error: its values, or its function's */
	DB_SCHEMA, /* an object or a privilege is missing, whatever the values */
	DB_RETRY,  /* a circumstance: deadlock, serialization, a time-out */
	DB_LOST    /* the connection is gone, or the server cannot serve */
};

/*
 * The first rule with a prefix of the SQLSTATE decides.  An error of severity
 * FATAL is always DB_LOST, because it ends the session.
 */
struct sqlstate_rule {
	const char *prefix;   /* two to five characters */
	enum db_outcome step; /* of a workflow's step */
	enum db_outcome own;  /* of a statement of the engine or client */
	const char *reason;
};

/*
 * Returns the rule for a SQLSTATE of five characters.  NULL and "" stand for
 * libpq's own errors: the connection is gone.  The result is static.
 */
const struct sqlstate_rule *sqlstate_rule(const char *sqlstate);

/* Returns all rules, *count of them, in order; the last has the prefix "". */
const struct sqlstate_rule *sqlstate_rules(size_t *count);

#endif
