/* SPDX-License-Identifier: MIT */
/*
 * Values that an author hands over, with a reference or without: each is freed
 * once, with its arena.
 */
#include <stdlib.h>
#include <string.h>

#include <json-c/json_object.h>

#include "base/arena.h"
#include "db/references.h"
#include "db/value.h"
#include "tests/unit/tap.h"

static struct arena *arena;
static struct references *references;
static int freed;

static void
note_freed(json_object *value, void *arg)
{
	(void)value, (void)arg;
	freed++;
}

/* A value that tells when it is freed. */
static json_object *
watched(json_object *value)
{
	json_object_set_userdata(value, NULL, note_freed);
	return value;
}

static json_object *
take(json_object *value)
{
	return references_take(&references, arena, value, false);
}

static json_object *
take_growing(json_object *value)
{
	return references_take(&references, arena, value, true);
}

/* Ends the run: all its values are freed, and each only once. */
static void
expect_freed(int wanted, const char *title)
{
	arena_reset(arena);
	references = NULL;
	is_int(freed, wanted, title);
	freed = 0;
}

static void
test_own(void)
{
	json_object *value = watched(json_object_new_int(1));

	take(value);
	expect_freed(1, "a value that is handed over is freed");
	value = take(watched(json_object_new_int(1)));
	take(value);
	take(value);
	expect_freed(1, "a value that is handed over twice is freed once");
	value = take(watched(json_object_new_int(1)));
	take(json_object_get(value));
	take(json_object_get(value));
	take(value);
	expect_freed(1,
	    "a value that is handed over with references is freed once");
	ok(take(NULL) == NULL, "null may be handed over");
}

static void
test_borrowed(void)
{
	json_object *value;
	bool read = value_decode(arena, "{\"a\":[1.50]}", VALUE_PORTABLE,
	    &value);

	ok(read, "a value is read");
	watched(value);
	watched(json_object_object_get(value, "a"));
	take(value);
	take(json_object_object_get(value, "a"));
	take(json_object_array_get_idx(json_object_object_get(value, "a"), 0));
	expect_freed(2, "a value that was read is freed once");

	value = value_own(arena, watched(json_object_new_int(1)));
	take(json_object_get(value));
	expect_freed(1, "a value that was read may have a second reference");
}

static void
test_parts(void)
{
	json_object *whole = take_growing(watched(json_object_new_array()));
	json_object *part = watched(json_object_new_int(1)), *other;

	take(NULL);
	json_object_array_add(whole, part);
	take(part);
	part = watched(json_object_new_object());
	json_object_array_add(whole, part);
	take(part);
	take(json_object_get(part));
	take(whole);
	expect_freed(3, "parts of a value that grows are freed once");

	whole = watched(json_object_new_object());
	part = take(watched(json_object_new_int(1)));
	json_object_object_add(whole, "part", json_object_get(part));
	other = watched(json_object_new_array());
	json_object_array_add(other, json_object_get(part));
	take(other);
	take(whole);
	take(part);
	take(json_object_get(part));
	take(whole);
	expect_freed(3, "a value in two others is freed once");

	whole = take_growing(watched(json_object_new_array()));
	part = value_own(arena, watched(json_object_new_object()));
	json_object_array_add(whole, json_object_get(part));
	take(part);
	take(json_object_get(part));
	other = take_growing(watched(json_object_new_array()));
	json_object_array_add(other, json_object_get(part));
	json_object_array_add(whole, json_object_get(other));
	take(part);
	take(other);
	take(json_object_get(whole));
	expect_freed(3, "a value that was read may be in those that grow");
}

static void
test_constant(void)
{
	json_object *constant = watched(json_object_new_string("constant"));
	int run, i;

	for (run = 0; run < 3; run++) {
		for (i = 0; i < 3; i++)
			take(json_object_get(constant));
		expect_freed(0, "a constant outlives the run");
	}
	ok(json_object_put(constant) == 1, "a constant keeps its reference");
	freed = 0;
}

/* A run that makes and hands over many values. */
static void
test_many(void)
{
	int i, count = 100000;

	for (i = 0; i < count; i++)
		take(watched(json_object_new_int(i)));
	expect_freed(count, "many values are freed");
}

int
main(void)
{
	arena = arena_new();
	test_own();
	test_borrowed();
	test_parts();
	test_constant();
	test_many();
	arena_free(arena);
	return done_testing();
}
