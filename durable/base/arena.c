/* SPDX-License-Identifier: MIT */
/*
 * Arenas: a list of memory blocks, and a list of clean-ups for the end.
 */
#include "base/arena.h"

#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define BLOCK_LEN 4096

struct block {
	struct block *next;
	size_t used;
	size_t len;
	alignas(max_align_t) unsigned char bytes[];
};

struct deferred {
	struct deferred *next;
	void (*release)(void *);
	void *resource;
};

/* The newest block comes first; the last one lives as long as the arena. */
struct arena {
	struct block *blocks;
	struct deferred *deferred;
};

static struct block *
block_new(size_t len, struct block *next)
{
	struct block *block;

	if (len > SIZE_MAX - sizeof(*block) ||
	    (block = malloc(sizeof(*block) + len)) == NULL)
		memory_die();
	block->next = next;
	block->used = 0;
	block->len = len;
	return block;
}

struct arena *
arena_new(void)
{
	struct arena *arena = memory_new(sizeof(*arena));

	arena->blocks = block_new(BLOCK_LEN, NULL);
	return arena;
}

void
arena_reset(struct arena *arena)
{
	/* A clean-up may defer another or allocate, so read the list afresh. */
	while (arena->deferred != NULL) {
		struct deferred *last = arena->deferred;

		arena->deferred = last->next;
		last->release(last->resource);
	}
	while (arena->blocks->next != NULL) {
		struct block *block = arena->blocks;

		arena->blocks = block->next;
		free(block);
	}
	arena->blocks->used = 0;
}

void
arena_free(struct arena *arena)
{
	if (arena == NULL)
		return;
	arena_reset(arena);
	free(arena->blocks);
	free(arena);
}

void *
arena_alloc(struct arena *arena, size_t len)
{
	const size_t align = alignof(max_align_t);
	struct block *block = arena->blocks;
	void *memory;

	if (len > SIZE_MAX - align)
		abort();
	len = (len + align - 1) / align * align;
	if (block->len - block->used < len) {
		block = block_new(len > BLOCK_LEN ? len : BLOCK_LEN, block);
		arena->blocks = block;
	}
	memory = block->bytes + block->used;
	block->used += len;
	return memset(memory, 0, len);
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

/* Without printf, because a turn formats several numbers for each step. */
char *
arena_number(struct arena *arena, int64_t number)
{
	char digits[sizeof("-9223372036854775808")];
	char *at = digits + sizeof(digits) - 1;
	uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;

	*at = '\0';
	do
		*--at = (char)('0' + rest % 10);
	while ((rest /= 10) > 0);
	if (number < 0)
		*--at = '-';
	return arena_strdup(arena, at);
}

char *
arena_vprintf(struct arena *arena, const char *format, va_list args)
{
	char most[128];
	va_list again;
	char *text;
	int len;

	va_copy(again, args);
	len = vsnprintf(most, sizeof(most), format, again);
	va_end(again);
	if (len < 0)
		abort();
	if ((size_t)len < sizeof(most))
		return arena_strdup(arena, most);
	text = arena_alloc(arena, (size_t)len + 1);
	if (vsnprintf(text, (size_t)len + 1, format, args) != len)
		abort();
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
	struct deferred *deferred = arena_alloc(arena, sizeof(*deferred));

	deferred->next = arena->deferred;
	deferred->release = release;
	deferred->resource = resource;
	arena->deferred = deferred;
}

const struct deferred *
arena_deferred_before(const struct arena *arena,
    const struct deferred *deferred, void (*release)(void *), void **resource)
{
	deferred = deferred == NULL ? arena->deferred : deferred->next;
	while (deferred != NULL && deferred->release != release)
		deferred = deferred->next;
	if (deferred != NULL)
		*resource = deferred->resource;
	return deferred;
}
