/* SPDX-License-Identifier: MIT */
/*
 * What an error of PostgreSQL means, decided once for every SQLSTATE
 * (PostgreSQL manual, appendix A).
 */
#ifndef DURABLE_SQLSTATE_H
#define DURABLE_SQLSTATE_H

#include <stddef.h>

/* What became of a statement. */
enum db_outcome {
	DB_DONE,
	DB_REFUSED, /* the statement's own error: its values, or its function's */
	DB_SCHEMA, /* an object or a privilege is missing, whatever the values */
	DB_RETRY,  /* a circumstance: deadlock, serialization, a time-out */
	DB_LOST    /* the connection is gone, or the server cannot serve */
};

/*
 * A decision; a state follows the first rule whose prefix it has.  Whatever the
 * state, an error of severity FATAL is DB_LOST, because it ends the session.
 */
struct sqlstate_rule {
	const char *prefix;   /* two to five characters */
	enum db_outcome step; /* of a statement that an author wrote */
	enum db_outcome own;  /* of one that the engine or its client wrote */
	const char *reason;
};

/*
 * The rule for a state of five characters.  NULL and "" are libpq's own
 * errors: the connection is gone.  The result is constant.
 */
const struct sqlstate_rule *sqlstate_rule(const char *sqlstate);

/* All rules in their order, *count of them; the last has the prefix "". */
const struct sqlstate_rule *sqlstate_rules(size_t *count);

#endif
