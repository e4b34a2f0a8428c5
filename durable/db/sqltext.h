/* SPDX-License-Identifier: MIT */
/*
 * Tells by the first words of a statement what its sender may not do.
 */
#ifndef DURABLE_SQLTEXT_H
#define DURABLE_SQLTEXT_H

/*
 * Returns the name of the command, in capitals, when the statement is one that
 * controls the transaction or the session, or that a pipeline cannot run: these
 * are the engine's own.  Returns "" for a text without a statement (NULL, only
 * blanks and comments), and NULL for all other statements.  The result is
 * static.
 */
const char *sqltext_forbidden(const char *sql);

#endif
