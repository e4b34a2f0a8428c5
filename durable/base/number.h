/* SPDX-License-Identifier: MIT */
/*
 * Numbers of JSON as text, RFC 8259 section 6.
 */
#ifndef DURABLE_NUMBER_H
#define DURABLE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>

/* The length of the number that a text begins with; 0: there is none. */
size_t number_len(const char *text, bool *is_integer);

/* strtod(3), with a point whatever the locale of the program is. */
double number_double(const char *text, char **end);

#endif
