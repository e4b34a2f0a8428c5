/* SPDX-License-Identifier: MIT */
/*
 * What a worker remembers: of each workflow one text, with its journal in the
 * order in which it was recorded.
 */
#include "engine/journal_cache.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>

#include "base/strbuf.h"
#include "engine/run.h"

/* How many tags are valid at a time. */
#define TAGS       2048L

/* With so much memory in journals a turn gets no tag. */
#define FULL_BYTES (48 << 20)

/* When one turn has brought them to this, all is forgotten. */
#define BYTES_MAX  (64 << 20)

struct cached_journal {
	TAILQ_ENTRY(cached_journal) others;
	const struct workflow_type *type;
	int64_t deadline_ms;
	struct strbuf texts; /* id, input, its format; then the journal */
};

/* What a turn left, in the order in which it ran. */
struct cached_turn {
	TAILQ_HEAD(journals, cached_journal) journals;
	struct cached_journal *next; /* that is likely to be asked for */
};

/*
 * A ring: a new tag takes the place of the one that was given TAGS + 1 before,
 * and that is void in this turn.
 */
struct journal_cache {
	int64_t first_tag; /* since all was forgotten */
	int64_t next_tag;
	int64_t begun_tag; /* this turn's, if it asks for one */
	int64_t tag;       /* what it got */
	size_t bytes;
	struct cached_turn ring[TAGS + 1];
};

static struct cached_turn *
cached_turn_of(struct journal_cache *cache, int64_t tag)
{
	return &cache->ring[tag % (TAGS + 1)];
}

struct journal_cache *
journal_cache_new(void)
{
	struct journal_cache *cache = calloc(1, sizeof(*cache));
	uint32_t start;
	int64_t i;

	/* No two workers give the same tag, but for a chance. */
	if (cache == NULL ||
	    getrandom(&start, sizeof(start), 0) != sizeof(start))
		abort();
	cache->next_tag = ((int64_t)start << 30) + 1;
	cache->first_tag = cache->begun_tag = cache->next_tag;
	for (i = 0; i <= TAGS; i++)
		TAILQ_INIT(&cache->ring[i].journals);
	return cache;
}

void
journal_cache_free(struct journal_cache *cache)
{
	if (cache == NULL)
		return;
	journal_cache_forget(cache);
	free(cache);
}

void
journal_cache_begin(struct journal_cache *cache)
{
	cache->begun_tag = cache->next_tag;
}

/* Whether what the ring has at a tag's place was kept under this tag. */
static bool
is_valid(const struct journal_cache *cache, int64_t tag)
{
	return tag >= cache->first_tag && tag >= cache->next_tag - TAGS &&
	    tag < cache->next_tag;
}

/* Takes a journal out of what is kept under its tag. */
static void
take_journal(struct journal_cache *cache, int64_t tag,
    struct cached_journal *of)
{
	struct cached_turn *kept = cached_turn_of(cache, tag);

	if (kept->next == of)
		kept->next = NULL;
	TAILQ_REMOVE(&kept->journals, of, others);
	cache->bytes -= of->texts.size;
}

static void
drop_journal(struct cached_journal *of)
{
	strbuf_free(&of->texts);
	free(of);
}

static void
drop_turn(struct journal_cache *cache, int64_t tag)
{
	struct cached_turn *kept = cached_turn_of(cache, tag);
	struct cached_journal *of;

	while ((of = TAILQ_FIRST(&kept->journals)) != NULL) {
		take_journal(cache, tag, of);
		drop_journal(of);
	}
}

int64_t
journal_cache_tag(struct journal_cache *cache)
{
	if (cache->next_tag == cache->begun_tag) {
		/* Even if the turn gets tag 0, so that unused journals age. */
		drop_turn(cache, cache->next_tag++);
		cache->tag = cache->bytes >= FULL_BYTES ? 0 : cache->begun_tag;
	}
	return cache->tag;
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
	struct entry entry = { .cached = true };
	int number = (int)take_number(at);

	entry.started_ms = take_number(at);
	entry.name = take_text(at);
	entry.output = take_text(at);
	entry.error = take_text(at);
	entry.serialization = take_text(at);
	entry.child = take_text(at);
	run_add_entry(wf, number, &entry);
}

/* Where a turn has left this journal: they are asked for in its order. */
static struct cached_journal *
find_journal(struct journal_cache *cache, int64_t tag, const char *id)
{
	struct cached_turn *kept = cached_turn_of(cache, tag);
	struct cached_journal *first = TAILQ_FIRST(&kept->journals), *of;

	if (kept->next == NULL)
		kept->next = first;
	of = kept->next;
	while (of != NULL && strcmp(of->texts.text + 1, id) != 0) {
		of = TAILQ_NEXT(of, others);
		if (of == NULL)
			of = first;
		if (of == kept->next)
			return NULL;
	}
	if (of != NULL)
		kept->next = TAILQ_NEXT(of, others);
	return of;
}

bool
journal_cache_load(struct journal_cache *cache, struct workflow *wf)
{
	struct cached_journal *of = is_valid(cache, wf->cache_tag)
	    ? find_journal(cache, wf->cache_tag, wf->id)
	    : NULL;
	const char *at, *end;

	if (of == NULL)
		return false;
	at = of->texts.text;
	end = at + of->texts.len;
	take_text(&at);
	wf->cached = of;
	wf->type = of->type;
	wf->deadline_ms = of->deadline_ms;
	wf->input = take_text(&at);
	wf->serialization = take_text(&at);
	while (at < end)
		take_entry(wf, &at);
	return true;
}

static struct cached_journal *
new_journal(const struct workflow *wf)
{
	struct cached_journal *of = calloc(1, sizeof(*of));

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
journal_cache_keep(struct journal_cache *cache, const struct workflow *wf)
{
	/* Else all has been forgotten since it was loaded. */
	struct cached_journal *of = wf->cache_tag < cache->first_tag
	    ? NULL
	    : wf->cached;
	int i;

	if (of != NULL)
		take_journal(cache, wf->cache_tag, of);
	if (wf->wait.cache_tag < cache->first_tag) {
		if (of != NULL)
			drop_journal(of);
		return;
	}
	if (of == NULL)
		of = new_journal(wf);
	for (i = 0; i < wf->journal_len && of->texts.len < BYTES_MAX; i++)
		if (wf->journal[i].known && !wf->journal[i].cached)
			put_entry(&of->texts, i, &wf->journal[i]);
	TAILQ_INSERT_TAIL(&cached_turn_of(cache, wf->wait.cache_tag)->journals,
	    of, others);
	cache->bytes += of->texts.size;
	if (cache->bytes >= BYTES_MAX)
		journal_cache_forget(cache);
}

void
journal_cache_forget(struct journal_cache *cache)
{
	int64_t i;

	cache->first_tag = cache->next_tag;
	if (cache->bytes == 0)
		return;
	for (i = 0; i <= TAGS; i++)
		drop_turn(cache, i);
	/* Many small pieces, between which others live. */
	malloc_trim(0);
}
