/* SPDX-License-Identifier: MIT */
/*
 * The journal cache: the journals that a worker keeps from turn to turn.
 */
#include "base/arena.h"
#include "engine/journal_cache.h"
#include "engine/run.h"
#include "engine/turn_private.h"
#include "tests/unit/tap.h"

#include <string.h>

static const struct workflow_type type = { .name = "order", .version = "1" };
static struct turn turn;

/* A run of this id without a journal. */
static struct workflow
empty(const char *id, int64_t tag)
{
	return (struct workflow){ .turn = &turn, .id = id, .cache_tag = tag };
}

static struct workflow
loaded(struct journal_cache *cache, const char *id, int64_t tag)
{
	struct workflow wf = empty(id, tag);

	journal_cache_load(cache, &wf);
	return wf;
}

static void
add(struct workflow *wf, int number, const char *name, const char *output)
{
	run_add_entry(wf, number,
	    &(struct entry){ .name = name,
		.output = output,
		.serialization = "json",
		.started_ms = 1000 + number });
}

/* Caches a run's journal, as a committed turn does; returns its tag. */
static int64_t
keep(struct journal_cache *cache, struct workflow *wf)
{
	journal_cache_begin(cache);
	wf->wait.cache_tag = journal_cache_tag(cache);
	journal_cache_keep(cache, wf);
	return wf->wait.cache_tag;
}

static bool
is_cached(struct journal_cache *cache, const char *id, int64_t tag)
{
	struct workflow wf = empty(id, tag);

	return journal_cache_load(cache, &wf);
}

static void
test_journal(struct journal_cache *cache)
{
	struct workflow wf = empty("w", 0);
	int64_t tag;

	wf.type = &type;
	wf.input = "in";
	wf.serialization = "json";
	wf.deadline_ms = 99;
	add(&wf, 0, "first", NULL);
	/* A call that waits records its second number before its first. */
	add(&wf, 2, "DBOS.sleep", "1234");
	tag = keep(cache, &wf);

	wf = loaded(cache, "w", tag);
	ok(wf.type == &type && wf.deadline_ms == 99 && !wf.begun,
	    "a cached run keeps its type and deadline");
	is_str(wf.input, "in", "a cached run keeps its input");
	is_str(wf.serialization, "json",
	    "a cached run keeps its input's format");
	is_int(wf.journal_len, 3, "a cached run keeps its journal");
	ok(wf.journal[0].known && !wf.journal[1].known && wf.journal[2].known,
	    "a cached journal keeps its gaps");
	is_str(wf.journal[2].name, "DBOS.sleep",
	    "a cached entry keeps its name");
	is_str(wf.journal[2].output, "1234", "a cached entry keeps its output");
	is_str(wf.journal[0].output, NULL,
	    "a cached entry without an output has none");
	is_int(wf.journal[2].started_ms, 1002, "a cached entry keeps its time");

	add(&wf, 1, "DBOS.recv", "");
	run_add_entry(&wf, 3,
	    &(struct entry){ .name = "child", .error = "e", .child = "w-3" });
	is_int(loaded(cache, "w", tag).journal_len, 3,
	    "an uncommitted entry is not cached");
	wf = loaded(cache, "w", keep(cache, &wf));
	is_int(wf.journal_len, 4, "a committed entry is cached");
	ok(wf.journal[1].known && wf.journal[2].known,
	    "an entry that fills a gap is cached");
	is_str(wf.journal[1].output, "", "an empty output stays an empty text");
	is_str(wf.journal[2].output, "1234", "an earlier entry stays cached");
	is_str(wf.journal[3].error, "e", "a cached entry keeps its error");
	is_str(wf.journal[3].child, "w-3", "a cached entry keeps its child");
	is_str(wf.journal[3].serialization, NULL,
	    "a cached entry without a format has none");
}

static void
test_tags(struct journal_cache *cache)
{
	struct workflow a = empty("a", 0), b = empty("b", 0);
	int64_t first, second;

	add(&a, 0, "of a", NULL);
	add(&b, 0, "of b", NULL);
	first = keep(cache, &a);
	second = keep(cache, &b);
	ok(first != second && first != 0 && second != 0,
	    "each turn has a cache tag of its own");
	ok(is_cached(cache, "a", first) && is_cached(cache, "b", second),
	    "the cache tags of kept journals are valid");
	ok(!is_cached(cache, "a", 0), "a wait without a tag has no journal");
	is_str(loaded(cache, "a", first).journal[0].name, "of a",
	    "a cache tag finds its journal");
	is_str(loaded(cache, "b", second).journal[0].name, "of b",
	    "a second cache tag finds its own journal");
	ok(!is_cached(cache, "a", second),
	    "a cache tag does not find another workflow's journal");
	a = loaded(cache, "a", first);
	journal_cache_keep(cache, &a);
	is_str(loaded(cache, "b", second).journal[0].name, "of b",
	    "dropping a journal leaves the others");
	journal_cache_forget(cache);
	ok(!is_cached(cache, "b", second),
	    "an emptied cache has no valid cache tag");
	journal_cache_begin(cache);
	ok(journal_cache_tag(cache) > second, "no cache tag is given twice");
}

/* Three workflows of one turn, as of a timer group. */
static void
test_together(struct journal_cache *cache)
{
	static const char *const ids[] = { "a", "b", "c" };
	struct workflow wf, last;
	int64_t tag, next;
	int i;

	journal_cache_begin(cache);
	tag = journal_cache_tag(cache);
	is_int(journal_cache_tag(cache), tag, "a turn has one cache tag");
	for (i = 0; i < 3; i++) {
		wf = empty(ids[i], 0);
		wf.wait.cache_tag = tag;
		add(&wf, 0, ids[i], NULL);
		journal_cache_keep(cache, &wf);
	}
	ok(is_cached(cache, "a", tag) && is_cached(cache, "b", tag) &&
		is_cached(cache, "c", tag),
	    "a cache tag is valid for all workflows of its turn");
	for (i = 0; i < 3; i++)
		is_str(loaded(cache, ids[i], tag).journal[0].name, ids[i],
		    "each workflow of a cache tag finds its journal in order");
	for (i = 2; i >= 0; i--)
		is_str(loaded(cache, ids[i], tag).journal[0].name, ids[i],
		    "each workflow of a cache tag finds its journal in reverse");

	wf = loaded(cache, "b", tag);
	last = loaded(cache, "c", tag);
	next = keep(cache, &wf);
	is_str(loaded(cache, "b", next).journal[0].name, "b",
	    "a journal that is kept again has the new cache tag");
	journal_cache_keep(cache, &last);
	is_str(loaded(cache, "a", tag).journal[0].name, "a",
	    "keeping a journal again leaves the others their cache tag");
	journal_cache_forget(cache);
}

static void
test_tags_limit(struct journal_cache *cache)
{
	struct workflow wf = empty("old", 0);
	int64_t old = keep(cache, &wf);
	int n;

	for (n = 0; is_cached(cache, "old", old) && n < 1 << 20; n++)
		keep(cache, &(struct workflow){ .id = "new" });
	is_int(n, 2048, "a cache tag is valid until 2048 others were given");
	ok(!is_cached(cache, "old", old + n + 1),
	    "the next cache tag is not valid yet");
	journal_cache_forget(cache);
}

/* Caches a run until it gets no tag; returns how often it got one. */
static int
fill(struct journal_cache *cache, struct workflow *wf)
{
	int n = 0;

	while (keep(cache, wf) != 0 && n < 1000)
		n++;
	return n;
}

static void
test_memory_limit(struct journal_cache *cache)
{
	static char long_text[1 << 20];
	struct workflow wf = empty("long", 0), again;
	int64_t first, tag;
	int n;

	memset(long_text, 'x', sizeof(long_text) - 1);
	add(&wf, 0, "step", long_text);
	first = keep(cache, &wf);
	n = fill(cache, &wf);
	ok(n > 16 && n < 48, "the journal cache holds about 48 MB");
	ok(is_cached(cache, "long", first), "a full cache keeps its journals");

	again = loaded(cache, "long", first);
	is_int(keep(cache, &again), 0,
	    "a journal that is kept again in a full cache gets no tag");
	is_int(fill(cache, &wf), 1,
	    "a journal that left a full cache makes room for one");

	tag = first + 1;
	for (n = 0; is_cached(cache, "long", tag) && n < 1 << 20; n++)
		keep(cache, &wf);
	ok(n > 1900 && n < 2048, "a journal that no turn loads grows too old");
	while (keep(cache, &wf) == 0 && n < 3 * 2048)
		n++;
	ok(n < 2 * 2048, "a journal that grew too old makes room");

	journal_cache_forget(cache);
	journal_cache_begin(cache);
	wf.wait.cache_tag = tag = journal_cache_tag(cache);
	for (n = 0; n < 64; n++)
		journal_cache_keep(cache, &wf);
	ok(!is_cached(cache, "long", tag),
	    "a turn that exceeds the limit empties the cache");
	journal_cache_forget(cache);

	tag = keep(cache, &wf);
	for (n = 0; is_cached(cache, "long", tag) && n < 100; n++) {
		again = loaded(cache, "long", tag);
		tag = keep(cache, &again);
	}
	is_int(n, 100, "a journal that is kept again needs no more memory");
	journal_cache_begin(cache);
	again = loaded(cache, "long", tag);
	journal_cache_forget(cache);
	journal_cache_keep(cache, &again);
	ok(true, "keeping a journal that was loaded before is safe");
}

int
main(void)
{
	struct journal_cache *cache = journal_cache_new(),
			     *other = journal_cache_new();
	struct workflow wf = empty("w", 0);

	turn.arena = arena_new();
	ok(keep(cache, &wf) != keep(other, &wf),
	    "two workers give different cache tags");
	journal_cache_free(other);
	test_journal(cache);
	test_tags(cache);
	test_together(cache);
	test_tags_limit(cache);
	test_memory_limit(cache);
	journal_cache_free(cache);
	arena_free(turn.arena);
	return done_testing();
}
