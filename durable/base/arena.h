/* SPDX-License-Identifier: MIT */
/*
 * Memory that lives as long as a request or a run, and is freed in one go.
 *
 * Allocation never fails: it ends the process, which is restarted and loses
 * nothing.  Foreign resources (a PGresult, a json_object) are tied to an
 * arena with arena_defer and released with it, latest first.
 */
#ifndef DURABLE_ARENA_H
#define DURABLE_ARENA_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

struct arena;

/* Makes an empty arena.  The caller frees it with arena_free. */
struct arena *arena_new(void);

/* Releases what was deferred, latest first, and all memory.  NULL is fine. */
void arena_free(struct arena *arena);

/*
 * Like arena_free, but keeps the arena and its first block for the next use:
 * what a worker calls between two runs.
 */
void arena_reset(struct arena *arena);

/* Returns len zeroed bytes, aligned for any type, owned by the arena. */
void *arena_alloc(struct arena *arena, size_t len);

/* Copies text into the arena.  NULL in, NULL out. */
char *arena_strdup(struct arena *arena, const char *text);

/* The number in decimal. */
char *arena_number(struct arena *arena, int64_t number);

/* Formats as printf(3) into the arena. */
char *arena_printf(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *arena, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

/* Calls release(resource) when the arena is freed or reset. */
void arena_defer(struct arena *arena, void (*release)(void *), void *resource);

#endif
