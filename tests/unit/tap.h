/* SPDX-License-Identifier: MIT */
/*
 * TAP from C: the title of each assertion is a promise of the product.
 *
 * A test program calls plan first, or done_testing last, and returns what
 * done_testing returns.
 */
#ifndef TESTS_TAP_H
#define TESTS_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int tap_planned, tap_run, tap_failed;

/* Announces how many assertions there will be. */
static inline void
plan(int count)
{
	tap_planned = count;
	printf("1..%d\n", count);
}

/* Prints a comment line into the log, to explain a failure. */
__attribute__((format(printf, 1, 2))) static inline void
diag(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("# ");
	vprintf(format, args);
	printf("\n");
	va_end(args);
}

/* Asserts that passed is true; returns it. */
static inline bool
ok(bool passed, const char *title)
{
	tap_failed += passed ? 0 : 1;
	printf("%sok %d - %s\n", passed ? "" : "not ", ++tap_run, title);
	fflush(stdout);
	return passed;
}

/* Asserts that two numbers are equal. */
static inline bool
is_int(long long got, long long wanted, const char *title)
{
	if (!ok(got == wanted, title))
		diag("got %lld, wanted %lld", got, wanted);
	return got == wanted;
}

/* Asserts that two texts are equal, or both NULL. */
static inline bool
is_str(const char *got, const char *wanted, const char *title)
{
	bool same = got == wanted;

	if (got != NULL && wanted != NULL)
		same = strcmp(got, wanted) == 0;
	if (!ok(same, title))
		diag("got '%s', wanted '%s'", got == NULL ? "NULL" : got,
		    wanted == NULL ? "NULL" : wanted);
	return same;
}

/* Closes the test; returns the exit status of the program. */
static inline int
done_testing(void)
{
	if (tap_planned == 0)
		printf("1..%d\n", tap_run);
	if (tap_planned != 0 && tap_planned != tap_run)
		return 1;
	return tap_failed == 0 ? 0 : 1;
}

#endif
