/* SPDX-License-Identifier: MIT */
/*
 * What a worker remembers: of each workflow one text, with its journal in the
 * order in which it was recorded.
 */
#include "cache.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "log.h"
#include "run.h"
#include "strbuf.h"

/* How many tags are valid at a time, and how many a turn may give. */
#define TAGS       65536L

/* With so much memory in journals no tag is given. */
#define FULL_BYTES (48 << 20)

/* When one turn has brought them to this, all is forgotten. */
#define BYTES_MAX  (64 << 20)

struct remembered {
	const struct workflow_type *type;
	int64_t deadline_ms;
	struct strbuf texts; /* id, input, its format; then the journal */
};

/*
 * A ring: a new tag takes the place of the one that was given 2 * TAGS before,
 * and that has been void since the turn before this one.
 */
struct cache {
	int64_t first_tag; /* since all was forgotten */
	int64_t next_tag;
	int64_t begun_tag; /* the first of this turn */
	size_t bytes;
	struct remembered *ring[2 * TAGS];
};

struct cache *
cache_new(void)
{
	struct cache *cache = calloc(1, sizeof(*cache));
	uint32_t start;

	/* No two workers give the same tag, but for a chance. */
	if (cache == NULL ||
	    getrandom(&start, sizeof(start), 0) != sizeof(start))
		abort();
	cache->next_tag = ((int64_t)start << 30) + 1;
	cache->first_tag = cache->begun_tag = cache->next_tag;
	return cache;
}

void
cache_free(struct cache *cache)
{
	if (cache == NULL)
		return;
	cache_forget(cache);
	free(cache);
}

struct tag_range
cache_begin(struct cache *cache)
{
	struct tag_range range = { .from = cache->next_tag - TAGS,
		.to = cache->next_tag };

	if (range.from < cache->first_tag)
		range.from = cache->first_tag;
	cache->begun_tag = cache->next_tag;
	return range;
}

static struct remembered **
place_of(struct cache *cache, int64_t tag)
{
	return &cache->ring[tag % (2 * TAGS)];
}

/* Takes a journal, if there is one, from its place. */
static struct remembered *
take(struct cache *cache, int64_t tag)
{
	struct remembered **place = place_of(cache, tag), *of = *place;

	if (of != NULL)
		cache->bytes -= of->texts.size;
	*place = NULL;
	return of;
}

static void
drop(struct remembered *of)
{
	if (of == NULL)
		return;
	strbuf_free(&of->texts);
	free(of);
}

int64_t
cache_new_tag(struct cache *cache)
{
	int64_t tag = cache->next_tag;

	if (tag - cache->begun_tag == TAGS)
		return 0;
	/* Also one that is not given, so that what nobody loads grows old. */
	cache->next_tag++;
	drop(take(cache, tag));
	return cache->bytes >= FULL_BYTES ? 0 : tag;
}

static void
put_number(struct strbuf *texts, int64_t number)
{
	strbuf_add(texts, (const char *)&number, sizeof(number));
}

static int64_t
take_number(const char **at)
{
	int64_t number;

	memcpy(&number, *at, sizeof(number));
	*at += sizeof(number);
	return number;
}

/* The byte before it tells a text from NULL. */
static void
put_text(struct strbuf *texts, const char *text)
{
	strbuf_add(texts, text == NULL ? "-" : "+", 1);
	if (text != NULL)
		strbuf_add(texts, text, strlen(text) + 1);
}

static const char *
take_text(const char **at)
{
	const char *text = *at + 1;

	if (**at == '-') {
		*at = text;
		return NULL;
	}
	*at = text + strlen(text) + 1;
	return text;
}

static void
put_entry(struct strbuf *texts, int number, const struct entry *entry)
{
	put_number(texts, number);
	put_number(texts, entry->started_ms);
	put_text(texts, entry->name);
	put_text(texts, entry->output);
	put_text(texts, entry->error);
	put_text(texts, entry->serialization);
	put_text(texts, entry->child);
}

static void
take_entry(struct workflow *wf, const char **at)
{
	struct entry entry = { .remembered = true };
	int number = (int)take_number(at);

	entry.started_ms = take_number(at);
	entry.name = take_text(at);
	entry.output = take_text(at);
	entry.error = take_text(at);
	entry.serialization = take_text(at);
	entry.child = take_text(at);
	run_add_entry(wf, number, &entry);
}

void
cache_load(struct cache *cache, struct workflow *wf)
{
	const struct remembered *of = *place_of(cache, wf->tag);
	const char *at, *end;

	at = of == NULL ? NULL : of->texts.text;
	if (at == NULL || strcmp(take_text(&at), wf->id) != 0) {
		log_error("wf=%s is not what its tag stands for", wf->id);
		abort();
	}
	end = of->texts.text + of->texts.len;
	wf->type = of->type;
	wf->deadline_ms = of->deadline_ms;
	wf->input = take_text(&at);
	wf->serialization = take_text(&at);
	while (at < end)
		take_entry(wf, &at);
}

static struct remembered *
remember(const struct workflow *wf)
{
	struct remembered *of = calloc(1, sizeof(*of));

	if (of == NULL)
		abort();
	of->type = wf->type;
	of->deadline_ms = wf->deadline_ms;
	put_text(&of->texts, wf->id);
	put_text(&of->texts, wf->input);
	put_text(&of->texts, wf->serialization);
	return of;
}

void
cache_keep(struct cache *cache, const struct workflow *wf)
{
	struct remembered *of = wf->tag == 0 ? NULL : take(cache, wf->tag);
	int i;

	if (wf->wait.tag < cache->first_tag) {
		drop(of);
		return;
	}
	if (of == NULL)
		of = remember(wf);
	for (i = 0; i < wf->journal_len && of->texts.len < BYTES_MAX; i++)
		if (wf->journal[i].known && !wf->journal[i].remembered)
			put_entry(&of->texts, i, &wf->journal[i]);
	*place_of(cache, wf->wait.tag) = of;
	cache->bytes += of->texts.size;
	if (cache->bytes >= BYTES_MAX)
		cache_forget(cache);
}

void
cache_forget(struct cache *cache)
{
	int64_t i;

	cache->first_tag = cache->next_tag;
	if (cache->bytes == 0)
		return;
	for (i = 0; cache->bytes > 0 && i < 2 * TAGS; i++)
		drop(take(cache, i));
	/* Many small pieces, between which others live. */
	malloc_trim(0);
}
