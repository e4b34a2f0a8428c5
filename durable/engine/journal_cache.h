/* SPDX-License-Identifier: MIT */
/*
 * The journals that a worker remembers, of workflows that it ran last and that
 * go on soon: their next turn need not read them.  Private to the engine.
 *
 * A turn has a tag, under which the journals that it leaves are remembered and
 * which it writes with the workflows' waits.  Every turn that leaves a wait
 * writes its own tag or none, and no tag is given twice: so the tag of a wait
 * says which commit the journal is of, and that no worker has run the workflow
 * since.  That holds as long as every commit is known to have happened or not:
 * with a new session all is to be forgotten.
 */
#ifndef DURABLE_JOURNAL_CACHE_H
#define DURABLE_JOURNAL_CACHE_H

#include <stdbool.h>
#include <stdint.h>

struct journal_cache;
struct workflow;

/* Makes an empty cache.  The caller frees it with journal_cache_free. */
struct journal_cache *journal_cache_new(void);
void journal_cache_free(struct journal_cache *cache);

/* A turn begins: journal_cache_tag gives a new tag, once. */
void journal_cache_begin(struct journal_cache *cache);

/* The turn's tag; 0 when memory is full. */
int64_t journal_cache_tag(struct journal_cache *cache);

/*
 * Loads the journal that is kept under wf->cache_tag, and what else a run
 * begins with, into a run that has an id and that tag.  The texts are the
 * cache's until the turn has been committed.  Returns false when the cache has
 * none: another worker has run the workflow since, or it was dropped.
 */
bool journal_cache_load(struct journal_cache *cache, struct workflow *wf);

/*
 * After the commit: keeps the journal of a suspended workflow under the tag of
 * its wait, or drops what there is of one that has none.
 */
void journal_cache_keep(struct journal_cache *cache, const struct workflow *wf);

/* Forgets all; the tags are void. */
void journal_cache_forget(struct journal_cache *cache);

#endif
