/* SPDX-License-Identifier: MIT */
/*
 * An arena in which every piece is an allocation of its own, so that the
 * address sanitizer sees its end and its release.
 */
#include "base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A piece of memory, or a clean-up; latest first. */
struct deferred {
	struct deferred *next;
	void (*release)(void *);
	void *resource;
};

struct arena {
	struct deferred *pieces;
};

static void
add_piece(struct arena *arena, void (*release)(void *), void *resource)
{
	struct deferred *piece = malloc(sizeof(*piece));

	if (piece == NULL)
		abort();
	*piece = (struct deferred){ arena->pieces, release, resource };
	arena->pieces = piece;
}

struct arena *
arena_new(void)
{
	struct arena *arena = calloc(1, sizeof(*arena));

	if (arena == NULL)
		abort();
	return arena;
}

void
arena_reset(struct arena *arena)
{
	struct deferred *last;

	while ((last = arena->pieces) != NULL) {
		arena->pieces = last->next;
		last->release(last->resource);
		free(last);
	}
}

void
arena_free(struct arena *arena)
{
	if (arena == NULL)
		return;
	arena_reset(arena);
	free(arena);
}

void *
arena_alloc(struct arena *arena, size_t len)
{
	void *memory = calloc(1, len == 0 ? 1 : len);

	if (memory == NULL)
		abort();
	add_piece(arena, free, memory);
	return memory;
}

char *
arena_strdup(struct arena *arena, const char *text)
{
	size_t len;

	if (text == NULL)
		return NULL;
	len = strlen(text) + 1;
	return memcpy(arena_alloc(arena, len), text, len);
}

char *
arena_number(struct arena *arena, int64_t number)
{
	return arena_printf(arena, "%lld", (long long)number);
}

char *
arena_vprintf(struct arena *arena, const char *format, va_list args)
{
	char *text;

	if (vasprintf(&text, format, args) < 0)
		abort();
	add_piece(arena, free, text);
	return text;
}

char *
arena_printf(struct arena *arena, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = arena_vprintf(arena, format, args);
	va_end(args);
	return text;
}

void
arena_defer(struct arena *arena, void (*release)(void *), void *resource)
{
	add_piece(arena, release, resource);
}

const struct deferred *
arena_deferred_before(const struct arena *arena,
    const struct deferred *deferred, void (*release)(void *), void **resource)
{
	deferred = deferred == NULL ? arena->pieces : deferred->next;
	while (deferred != NULL && deferred->release != release)
		deferred = deferred->next;
	if (deferred != NULL)
		*resource = deferred->resource;
	return deferred;
}
