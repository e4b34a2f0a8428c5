/* SPDX-License-Identifier: MIT */
/*
 * The table of SQLSTATEs and what an error with each of them means.
 */
#include "db/sqlstate.h"

#include <string.h>

/*
 * A longer prefix comes before its class, because the first match counts.  In
 * the engine's own statements DB_RETRY and DB_SCHEMA never end a workflow; a
 * step retries DB_RETRY without limit, DB_SCHEMA for a configured time.
 */
static const struct sqlstate_rule rules[] = {
	{ "08P01", DB_REFUSED, DB_REFUSED,
	    "the client broke the protocol: repeating does the same" },
	{ "08", DB_RETRY, DB_RETRY,
	    "a server behind this one (dblink, a foreign table) was lost" },
	{ "0A", DB_SCHEMA, DB_SCHEMA,
	    "the server cannot do that, with this schema or at all" },
	{ "0L", DB_SCHEMA, DB_SCHEMA, "a role may not grant what it grants" },
	{ "0P", DB_SCHEMA, DB_SCHEMA, "a role is missing" },
	{ "2200H", DB_RETRY, DB_RETRY,
	    "a sequence is exhausted, until an operator raises its limit" },
	{ "23502", DB_REFUSED, DB_SCHEMA,
	    "a step's value is missing; the engine's own tables have changed" },
	{ "25006", DB_LOST, DB_LOST,
	    "the server has become a standby: look for the primary" },
	{ "25P02", DB_RETRY, DB_RETRY,
	    "the transaction had failed before this statement" },
	{ "25P04", DB_RETRY, DB_RETRY, "the transaction lasted too long" },
	{ "26", DB_RETRY, DB_RETRY,
	    "the session forgot a prepared statement: it is prepared anew" },
	{ "28", DB_RETRY, DB_RETRY,
	    "a server behind this one refuses the login (ours: FATAL)" },
	{ "3D", DB_RETRY, DB_RETRY,
	    "a server behind this one lacks the database" },
	{ "3F", DB_SCHEMA, DB_SCHEMA, "a schema is missing" },
	{ "40", DB_RETRY, DB_RETRY, "deadlock or serialization failure" },
	{ "42", DB_SCHEMA, DB_SCHEMA,
	    "syntax, a missing object, a wrong type, a missing privilege" },
	{ "53", DB_RETRY, DB_RETRY, "the server is short of a resource" },
	{ "55000", DB_SCHEMA, DB_SCHEMA,
	    "an object is not ready, such as a view that is not populated" },
	{ "55006", DB_RETRY, DB_RETRY, "an object is in use" },
	{ "55P03", DB_RETRY, DB_RETRY, "a row or table is locked" },
	{ "57", DB_RETRY, DB_RETRY,
	    "a time-out or an operator's intervention" },
	{ "58", DB_RETRY, DB_RETRY, "the server's host failed: input, output" },
	{ "72", DB_RETRY, DB_RETRY, "the snapshot is too old" },
	{ "F0", DB_RETRY, DB_RETRY, "a file of the server's configuration" },
	{ "HV00N", DB_RETRY, DB_RETRY, "a foreign server does not answer" },
	{ "XX", DB_SCHEMA, DB_SCHEMA,
	    "an object vanished in the middle, or is corrupted" },
	{ "", DB_REFUSED, DB_REFUSED,
	    "the values, a constraint, or what the author's code raised" }
};

static const struct sqlstate_rule gone = { "", DB_LOST, DB_LOST,
	"the connection is gone" };

const struct sqlstate_rule *
sqlstate_rule(const char *sqlstate)
{
	const struct sqlstate_rule *rule = rules;

	if (sqlstate == NULL || *sqlstate == '\0')
		return &gone;
	while (strncmp(sqlstate, rule->prefix, strlen(rule->prefix)) != 0)
		rule++;
	return rule;
}

const struct sqlstate_rule *
sqlstate_rules(size_t *count)
{
	*count = sizeof(rules) / sizeof(rules[0]);
	return rules;
}
