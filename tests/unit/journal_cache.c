/* SPDX-License-Identifier: MIT */
/*
 * What a worker remembers of workflows.
 */
#include "base/arena.h"
#include "engine/journal_cache.h"
#include "engine/run.h"
#include "engine/turn_state.h"
#include "tests/unit/tap.h"

#include <string.h>

static const struct workflow_type type = { .name = "order", .version = "1" };
static struct turn turn;

/* A run of this id, with nothing in it. */
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

/* Keeps what it has recorded, as a turn does that has been committed. */
static int64_t
keep(struct journal_cache *cache, struct workflow *wf)
{
	journal_cache_begin(cache);
	wf->wait.cache_tag = journal_cache_tag(cache);
	journal_cache_keep(cache, wf);
	return wf->wait.cache_tag;
}

static bool
is_valid(struct journal_cache *cache, int64_t tag)
{
	struct cache_tag_range range = journal_cache_begin(cache);

	return tag >= range.from && tag < range.to;
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
	/* A call that waits has the second number, the first one later. */
	add(&wf, 2, "DBOS.sleep", "1234");
	tag = keep(cache, &wf);

	wf = loaded(cache, "w", tag);
	ok(wf.type == &type && wf.deadline_ms == 99 && !wf.begun,
	    "its type and its deadline");
	is_str(wf.input, "in", "its input");
	is_str(wf.serialization, "json", "and the format of that");
	is_int(wf.journal_len, 3, "its journal");
	ok(wf.journal[0].known && !wf.journal[1].known && wf.journal[2].known,
	    "with the gaps that it had");
	is_str(wf.journal[2].name, "DBOS.sleep", "a name");
	is_str(wf.journal[2].output, "1234", "an output");
	is_str(wf.journal[0].output, NULL, "or none");
	is_int(wf.journal[2].started_ms, 1002, "a time");

	add(&wf, 1, "DBOS.recv", "");
	run_add_entry(&wf, 3,
	    &(struct entry){ .name = "child", .error = "e", .child = "w-3" });
	is_int(loaded(cache, "w", tag).journal_len, 3,
	    "what a turn adds is no part of it");
	wf = loaded(cache, "w", keep(cache, &wf));
	is_int(wf.journal_len, 4, "until it is committed");
	ok(wf.journal[1].known && wf.journal[2].known, "in any order");
	is_str(wf.journal[1].output, "", "an empty text is a text");
	is_str(wf.journal[2].output, "1234", "what was there stays");
	is_str(wf.journal[3].error, "e", "an error");
	is_str(wf.journal[3].child, "w-3", "a child");
	is_str(wf.journal[3].serialization, NULL, "no format");
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
	    "each turn has its own tag");
	ok(is_valid(cache, first) && is_valid(cache, second), "that is valid");
	ok(!is_valid(cache, second + 1), "the next one is not yet");
	is_str(loaded(cache, "a", first).journal[0].name, "of a", "and finds");
	is_str(loaded(cache, "b", second).journal[0].name, "of b", "its own");
	ok(!journal_cache_load(cache,
	       &(struct workflow){ .id = "a", .cache_tag = second }),
	    "and nobody else's");
	a = loaded(cache, "a", first);
	journal_cache_keep(cache, &a);
	is_str(loaded(cache, "b", second).journal[0].name, "of b",
	    "also when another one is dropped");
	journal_cache_forget(cache);
	ok(!is_valid(cache, second), "what is forgotten has no valid tag");
	ok(journal_cache_tag(cache) > second, "and no tag is given twice");
}

/* Three workflows of one turn, as a timer group wakes them. */
static void
test_together(struct journal_cache *cache)
{
	static const char *const ids[] = { "a", "b", "c" };
	struct workflow wf, last;
	int64_t tag, next;
	int i;

	journal_cache_begin(cache);
	tag = journal_cache_tag(cache);
	is_int(journal_cache_tag(cache), tag, "a turn has one tag");
	for (i = 0; i < 3; i++) {
		wf = empty(ids[i], 0);
		wf.wait.cache_tag = tag;
		add(&wf, 0, ids[i], NULL);
		journal_cache_keep(cache, &wf);
	}
	ok(is_valid(cache, tag), "that is valid for all");
	for (i = 0; i < 3; i++)
		is_str(loaded(cache, ids[i], tag).journal[0].name, ids[i],
		    "in their order each finds what is his");
	for (i = 2; i >= 0; i--)
		is_str(loaded(cache, ids[i], tag).journal[0].name, ids[i],
		    "in any other order, too");

	wf = loaded(cache, "b", tag);
	last = loaded(cache, "c", tag);
	next = keep(cache, &wf);
	is_str(loaded(cache, "b", next).journal[0].name, "b",
	    "who is kept again is found under the new tag");
	journal_cache_keep(cache, &last);
	is_str(loaded(cache, "a", tag).journal[0].name, "a",
	    "and the others under theirs");
	journal_cache_forget(cache);
}

static void
test_tags_limit(struct journal_cache *cache)
{
	struct workflow wf = empty("old", 0);
	int64_t old = keep(cache, &wf);
	int n;

	for (n = 0; is_valid(cache, old) && n < 1 << 20; n++) {
		loaded(cache, "old", old);
		keep(cache, &(struct workflow){ .id = "new" });
	}
	is_int(n, 2048, "a tag is valid until so many have been given");
	journal_cache_forget(cache);
}

/* Keeps it until it gets no tag.  Returns how often it got one. */
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
	ok(n > 16 && n < 48, "forty-eight megabytes are enough");
	ok(is_valid(cache, first), "and what is remembered stays");

	again = loaded(cache, "long", first);
	is_int(keep(cache, &again), 0, "who is kept again gets no tag then");
	is_int(fill(cache, &wf), 1, "but leaves his place to another one");

	tag = first + 1;
	for (n = 0; is_valid(cache, tag) && n < 1 << 20; n++)
		keep(cache, &wf);
	ok(n > 1900 && n < 2048, "what nobody loads grows old");
	while (keep(cache, &wf) == 0 && n < 3 * 2048)
		n++;
	ok(n < 2 * 2048, "and makes room");

	journal_cache_forget(cache);
	journal_cache_begin(cache);
	wf.wait.cache_tag = tag = journal_cache_tag(cache);
	for (n = 0; n < 64; n++)
		journal_cache_keep(cache, &wf);
	ok(!is_valid(cache, tag),
	    "when one turn wants too much all is forgotten");
	journal_cache_forget(cache);

	tag = keep(cache, &wf);
	for (n = 0; is_valid(cache, tag) && n < 100; n++) {
		again = loaded(cache, "long", tag);
		tag = keep(cache, &again);
	}
	is_int(n, 100, "who is kept again needs no more memory");
	journal_cache_begin(cache);
	again = loaded(cache, "long", tag);
	journal_cache_forget(cache);
	journal_cache_keep(cache, &again);
	ok(true, "who was loaded before all was forgotten is gone");
}

int
main(void)
{
	struct journal_cache *cache = journal_cache_new(),
			     *other = journal_cache_new();
	struct workflow wf = empty("w", 0);

	turn.arena = arena_new();
	ok(keep(cache, &wf) != keep(other, &wf),
	    "two workers give different tags");
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
