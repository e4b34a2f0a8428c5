/* SPDX-License-Identifier: MIT */
/*
 * Reads the first words of a statement as PostgreSQL's lexer does (PostgreSQL's
 * manual, 4.1).
 */
#include "db/sqltext.h"

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

/* CREATE is not among them: see creates_temporary. */
static const char *const commands[] = { "ABORT", "BEGIN", "CHECKPOINT", "CLOSE",
	"COMMIT", "COPY", "DEALLOCATE", "DECLARE", "DISCARD", "END", "EXECUTE",
	"FETCH", "LISTEN", "LOAD", "MOVE", "PREPARE", "RELEASE", "RESET",
	"ROLLBACK", "SAVEPOINT", "SET", "START", "UNLISTEN", "VACUUM" };

/*
 * Functions that lock for the session, or give its locks back.  A text that
 * names one anywhere is taken to call it.
 */
static const char *const functions[] = { "pg_advisory_lock",
	"pg_try_advisory_lock", "pg_advisory_unlock" };

/* Returns the text behind a comment, which may have comments in it. */
static const char *
skip_comment(const char *at)
{
	int depth = 0;

	do {
		if (strncmp(at, "/*", 2) == 0) {
			depth++;
			at += 2;
		} else if (strncmp(at, "*/", 2) == 0) {
			depth--;
			at += 2;
		} else {
			at++;
		}
	} while (depth > 0 && *at != '\0');
	return at;
}

/*
 * Returns the text from its next word on.  A parenthesis may precede a query,
 * and an empty command, which the server skips, any command.
 */
static const char *
skip_to_word(const char *at)
{
	for (;;) {
		at += strspn(at, " \t\n\r\f\v(;");
		if (strncmp(at, "--", 2) == 0)
			at += strcspn(at, "\n\r");
		else if (strncmp(at, "/*", 2) == 0)
			at = skip_comment(at);
		else
			return at;
	}
}

/* Whether a character goes on with a word. */
static bool
is_in_word(char character)
{
	return isalnum((unsigned char)character) || character == '_' ||
	    character == '$' || (unsigned char)character >= 0x80;
}

/* Moves *at behind the next word, if it is this one. */
static bool
takes(const char **at, const char *word)
{
	const char *found = skip_to_word(*at);
	size_t len = strlen(word);

	if (strncasecmp(found, word, len) != 0 || is_in_word(found[len]))
		return false;
	*at = found + len;
	return true;
}

/* A temporary object is the session's, and hides others of its name. */
static bool
creates_temporary(const char *at)
{
	if (!takes(&at, "CREATE"))
		return false;
	if (takes(&at, "OR") && !takes(&at, "REPLACE"))
		return false;
	if (!takes(&at, "LOCAL"))
		takes(&at, "GLOBAL");
	return takes(&at, "TEMPORARY") || takes(&at, "TEMP");
}

const char *
sqltext_forbidden(const char *sql)
{
	size_t i;

	if (sql == NULL || *skip_to_word(sql) == '\0')
		return "";
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (takes(&sql, commands[i]))
			return commands[i];
	for (i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		if (strcasestr(sql, functions[i]) != NULL)
			return functions[i];
	return creates_temporary(sql) ? "CREATE TEMPORARY" : NULL;
}
