/* SPDX-License-Identifier: MIT */
/*
 * UTF-8, RFC 3629.
 */
#ifndef DURABLE_UTF8_H
#define DURABLE_UTF8_H

#include <stddef.h>

/*
 * The length of the character beyond ASCII at the beginning of a text that ends
 * with a NUL byte; 0: there is none.
 */
size_t utf8_len(const char *text);

#endif
