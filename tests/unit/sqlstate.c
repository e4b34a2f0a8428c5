/* SPDX-License-Identifier: MIT */
/*
 * What an error of PostgreSQL means; with --list, a line for each rule, for
 * sqlstate.tap: a state that follows it, and its outcomes.
 */
#include "db/sqlstate.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/tap.h"

static const char *const outcomes[] = { [DB_DONE] = "done",
	[DB_REFUSED] = "refused",
	[DB_SCHEMA] = "schema",
	[DB_RETRY] = "retry",
	[DB_LOST] = "lost" };

/* A state that begins with the prefix; of the last rule, an author's own. */
static void
make_state(char state[6], const char *prefix)
{
	snprintf(state, 6, "%s%s", *prefix == '\0' ? "P0001" : prefix,
	    "00000" + strlen(prefix));
}

static void
list(void)
{
	const struct sqlstate_rule *rules;
	size_t count, i;
	char state[6];

	rules = sqlstate_rules(&count);
	for (i = 0; i < count; i++) {
		make_state(state, rules[i].prefix);
		printf("%s %s %s\n", state, outcomes[rules[i].step],
		    outcomes[rules[i].own]);
	}
}

static void
every_rule_is_reached(void)
{
	const struct sqlstate_rule *rules;
	size_t count, i;
	char state[6], title[160];

	rules = sqlstate_rules(&count);
	for (i = 0; i < count; i++) {
		make_state(state, rules[i].prefix);
		snprintf(title, sizeof(title), "%s follows the rule '%s': %s",
		    state, rules[i].prefix, rules[i].reason);
		ok(sqlstate_rule(state) == &rules[i], title);
	}
}

static void
lost_without_state(void)
{
	ok(sqlstate_rule(NULL)->step == DB_LOST &&
		sqlstate_rule("")->own == DB_LOST,
	    "an error without a SQLSTATE means that the connection is gone");
}

int
main(int argc, char *argv[])
{
	if (argc > 1 && strcmp(argv[1], "--list") == 0) {
		list();
		return 0;
	}
	every_rule_is_reached();
	lost_without_state();
	return done_testing();
}
