/* SPDX-License-Identifier: MIT */
/*
 * Memory that lives as long as a request or a run, and is freed in one go.
 * Allocation never fails: without memory the process aborts, its master starts
 * another, and no committed work is lost.  arena_defer ties a foreign resource
 * (a PGresult, a json_object) to an arena, which releases it, latest first.
 */
#ifndef DURABLE_ARENA_H
#define DURABLE_ARENA_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct deferred;

/* Makes an empty arena.  The caller frees it with arena_free. */
struct arena *arena_new(void);

/* Calls the deferred clean-ups, latest first, and frees all.  NULL is fine. */
void arena_free(struct arena *arena);

/*
 * Like arena_free, but keeps the arena and its first block, so that a worker
 * uses one arena for all its runs.
 */
void arena_reset(struct arena *arena);

/* Returns len zeroed bytes, aligned for any type, owned by the arena. */
void *arena_alloc(struct arena *arena, size_t len);

/* Copies text into the arena.  NULL in, NULL out. */
char *arena_strdup(struct arena *arena, const char *text);

/* Returns the number in decimal, in the arena. */
char *arena_number(struct arena *arena, int64_t number);

/* Formats as printf(3); the text is in the arena. */
char *arena_printf(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *arena, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

/* Calls release(resource) when the arena is freed or reset. */
void arena_defer(struct arena *arena, void (*release)(void *), void *resource);

/*
 * Returns the clean-up by release that was deferred before this one, or NULL,
 * and sets *resource; before NULL is the latest.
 */
const struct deferred *arena_deferred_before(const struct arena *arena,
    const struct deferred *deferred, void (*release)(void *), void **resource);

#endif
