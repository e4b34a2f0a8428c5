/* SPDX-License-Identifier: MIT */
/*
 * The token of the store's operators.
 */
#ifndef FCGI_OPERATOR_TOKEN_H
#define FCGI_OPERATOR_TOKEN_H

/*
 * Reads the token: the first line of a file, 16 to 256 characters of A-Z a-z 0-9
 * . _ ~ : and -, for the caller to free(3).  Returns NULL, and logs why, when the
 * file cannot be read, every user of the host may read it, or it has no such line.
 */
char *operator_token_read(const char *path);

#endif
