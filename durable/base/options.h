/* SPDX-License-Identifier: MIT */
/*
 * Configuration: the same options on the command line (--name=value or
 * --name value) and in a file (name = value, # begins a comment), which
 * --config names.  The command line wins.  Passwords belong in the file, in
 * ~/.pgpass or in the environment, never on the command line.
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
	void *value;      /* where it goes; holds the default */
	int min, max;     /* of a number */
	const char *help; /* one line for --help */
};

/*
 * Reads the command line, and the file that --config names, into what defs
 * (ended by a NULL name) point to.  --help and --version print and exit 0; a
 * mistake is one sentence on standard error and exit 2.  Texts live as long
 * as the process.
 */
void options_read(int argc, char *argv[], const char *version,
    const struct option_def *defs);

#endif
