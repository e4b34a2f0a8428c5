/* SPDX-License-Identifier: MIT */
/*
 * Numbers of JSON as text.
 */
#include "base/number.h"

#include <locale.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define DIGITS "0123456789"

static locale_t c_locale;

static void
make_c_locale(void)
{
	c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	if (c_locale == (locale_t)0)
		memory_die();
}

double
number_double(const char *text, char **end)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_c_locale);
	return strtod_l(text, end, c_locale);
}

static bool
skip_digits(const char **at)
{
	size_t len = strspn(*at, DIGITS);

	*at += len;
	return len > 0;
}

size_t
number_len(const char *text, bool *is_integer)
{
	const char *digits = text + (*text == '-'), *at = digits;

	*is_integer = true;
	if (!skip_digits(&at) || (*digits == '0' && at > digits + 1))
		return 0;
	if (*at == '.') {
		*is_integer = false;
		at++;
		if (!skip_digits(&at))
			return 0;
	}
	if (*at == 'e' || *at == 'E') {
		*is_integer = false;
		at += at[1] == '+' || at[1] == '-' ? 2 : 1;
		if (!skip_digits(&at))
			return 0;
	}
	return (size_t)(at - text);
}
