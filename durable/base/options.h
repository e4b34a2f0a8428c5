/* SPDX-License-Identifier: MIT */
/*
 * Configuration: the same options on the command line (--name=value or
 * --name value) and in a file (name = value, # begins a comment), which
 * --config names.  The command line wins.  Passwords belong in the file, in
 * ~/.pgpass or in the environment, never on the command line.  A file with a
 * password that every user may read is refused.
 */
#ifndef DURABLE_OPTIONS_H
#define DURABLE_OPTIONS_H

#include <stdbool.h>

enum option_type {
	OPTION_TEXT,   /* const char *; the default may be NULL */
	OPTION_NUMBER, /* int, between min and max */
	OPTION_YES_NO  /* bool; --name alone means yes */
};

struct option_def {
	const char *name;
	enum option_type type;
	void *value;      /* the variable it sets; holds the default */
	int min, max;     /* range of a number */
	const char *help; /* one line for --help */
};

/*
 * Sets the variables of defs (ended by a NULL name) from the command line and
 * the file that --config names.  Does not return after --help and --version,
 * which print and exit 0, or after a mistake, which prints one sentence to
 * standard error and exits 2.  Texts live as long as the process.
 */
void options_read(int argc, char *argv[], const char *version,
    const struct option_def *defs);

/*
 * Does so again, from the defaults and with the same argv and defs, which have
 * to be there still; then calls apply(arg), which takes what the values name,
 * such as files.  After a mistake, or when apply returns false, all variables
 * have their values of before, and the log says in one line what is wrong.
 * Returns whether the values are new; then texts of before are freed.
 */
bool options_read_again(bool (*apply)(void *arg), void *arg);

#endif
