/* SPDX-License-Identifier: MIT */
/*
 * Files with a secret: a token, a key, a password.
 */
#ifndef DURABLE_SECRET_FILE_H
#define DURABLE_SECRET_FILE_H

#include <stdbool.h>
#include <stdio.h>

/*
 * Opens a file that holds a secret, for reading; the caller closes it.  Returns
 * NULL, with a line in the log that says what to do, when it cannot be read or
 * every user of the host may read it.
 */
FILE *secret_file_open(const char *path);

/* Whether every user of the host may read an open file. */
bool secret_file_is_public(FILE *file);

#endif
