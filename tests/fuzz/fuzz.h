/* SPDX-License-Identifier: MIT */
/*
 * Helpers of the harnesses: an input is read as fields, one to a line, so that
 * people can read and write the corpus; a broken rule ends the process.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

/* The harness, which libFuzzer calls for each input. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const char *at, *end;
};

static inline struct input
input_of(const uint8_t *data, size_t size)
{
	const char *at = (const char *)data;

	return (struct input){ at, at + size };
}

static inline bool
input_has_more(const struct input *input)
{
	return input->at < input->end;
}

/*
 * Returns the text up to the separator, or the rest, in the arena; a NUL ends
 * it, as it ends a text of the database.
 */
static inline char *
input_take(struct arena *arena, struct input *input, char separator)
{
	size_t left = (size_t)(input->end - input->at);
	const char *found = memchr(input->at, separator, left);
	size_t len = found == NULL ? left : (size_t)(found - input->at);
	char *text = arena_alloc(arena, len + 1);

	memcpy(text, input->at, len);
	input->at += found == NULL ? len : len + 1;
	return text;
}

static inline char *
input_line(struct arena *arena, struct input *input)
{
	return input_take(arena, input, '\n');
}

/* Ends the process unless the rule holds; libFuzzer then keeps the input. */
static inline void
require(bool holds, const char *rule)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz: broken rule: %s\n", rule);
	abort();
}

#endif
