/* SPDX-License-Identifier: MIT */
/*
 * Counts the references that an arena holds of each value: for itself, and by
 * the values that have the value as a part.  A value that has more references
 * than these was handed over with one of its own.
 */
#include "db/references.h"

#include <stdint.h>
#include <string.h>

#include <json-c/json_object_iterator.h>

#include "base/arena.h"
#include "base/memory.h"
#include "db/value.h"

struct held {
	json_object *value; /* NULL: a free place */
	uint32_t count;
};

/* A value that may get more parts. */
struct growing {
	struct growing *next;
	json_object *value;
};

struct references {
	struct arena *arena;
	struct held *held; /* open addressing */
	size_t held_count, held_size;
	const struct deferred *counted; /* the latest value that is counted */
	struct growing *growing;
};

/* How struct json_object begins: json-c has no function for the count. */
struct head {
	enum json_type type;
	uint32_t references;
};

static uint32_t
count_of(const json_object *value)
{
	struct head head;

	memcpy(&head, value, sizeof(head));
	return head.references;
}

/* Whether the json-c that the program runs with has values of that form. */
static bool
can_count(void)
{
	static int known = -1;
	json_object *value;

	if (known >= 0)
		return known;
	value = json_object_new_boolean(true);
	if (value == NULL)
		memory_die();
	known = count_of(value) == 1 && count_of(json_object_get(value)) == 2;
	json_object_put(value);
	known = known && count_of(value) == 1;
	json_object_put(value);
	return known;
}

/* The place of a value, or the free place for it. */
static struct held *
place_of(const struct references *references, const json_object *value)
{
	size_t at = (uintptr_t)value / 16;

	while (references->held[at % references->held_size].value != NULL &&
	    references->held[at % references->held_size].value != value)
		at++;
	return &references->held[at % references->held_size];
}

/* How many references of a value are counted in the table. */
static uint32_t
counted(const struct references *references, const json_object *value)
{
	return references->held_size == 0 ? 0
					  : place_of(references, value)->count;
}

/* Makes the table larger while it is more than half full. */
static void
grow(struct references *references)
{
	struct held *old = references->held;
	size_t size = references->held_size, i;

	if (references->held_count * 2 < size)
		return;
	references->held_size = size * 2 + 32;
	references->held = arena_alloc(references->arena,
	    references->held_size * sizeof(*old));
	for (i = 0; i < size; i++)
		if (old[i].value != NULL)
			*place_of(references, old[i].value) = old[i];
}

static bool
is_container(const json_object *value)
{
	return json_object_is_type(value, json_type_array) ||
	    json_object_is_type(value, json_type_object);
}

/* Calls each(arg, part) for the parts of a value until it returns true. */
static bool
any_part(json_object *whole, bool (*each)(void *arg, json_object *part),
    void *arg)
{
	size_t i;

	if (json_object_is_type(whole, json_type_array)) {
		for (i = 0; i < json_object_array_length(whole); i++)
			if (each(arg, json_object_array_get_idx(whole, i)))
				return true;
	} else if (json_object_is_type(whole, json_type_object)) {
		struct json_object_iterator at = json_object_iter_begin(whole),
					    end = json_object_iter_end(whole);

		for (; !json_object_iter_equal(&at, &end);
		     json_object_iter_next(&at))
			if (each(arg, json_object_iter_peek_value(&at)))
				return true;
	}
	return false;
}

/* Whether the parts of a value are counted anew each time. */
static bool
is_growing(const struct references *references, const json_object *value)
{
	const struct growing *growing = references->growing;

	while (growing != NULL && growing->value != value)
		growing = growing->next;
	return growing != NULL;
}

/* Counts a reference of a value; of its parts when it is the value's first. */
static bool
count(void *arg, json_object *value)
{
	struct references *references = arg;
	struct held *held;

	if (value == NULL)
		return false;
	grow(references);
	held = place_of(references, value);
	if (held->count++ > 0)
		return false;
	held->value = value;
	references->held_count++;
	return is_container(value) && !is_growing(references, value) &&
	    any_part(value, count, references);
}

/* Counts the values that the arena has got since the last time. */
static void
count_new(struct references *references)
{
	const struct deferred *first = NULL, *next = NULL;
	json_object *value;

	while ((next = value_next_owned(references->arena, next, &value)) !=
		NULL &&
	    next != references->counted) {
		if (first == NULL)
			first = next;
		count(references, value);
	}
	if (first != NULL)
		references->counted = first;
}

/* A value that is looked for in those that grow. */
struct lookup {
	const struct references *references;
	json_object *value;
	uint32_t found;
};

/* Searches a part, unless its own parts are counted in the table. */
static bool
look_at_part(void *arg, json_object *part)
{
	struct lookup *lookup = arg;

	lookup->found += part == lookup->value;
	return counted(lookup->references, part) == 0 &&
	    any_part(part, look_at_part, lookup);
}

/* How many references of a value the arena holds. */
static uint32_t
count_held(const struct references *references, json_object *value)
{
	struct lookup lookup = { .references = references,
		.value = value,
		.found = counted(references, value) };
	const struct growing *growing = references->growing;

	for (; growing != NULL; growing = growing->next)
		any_part(growing->value, look_at_part, &lookup);
	return lookup.found;
}

json_object *
references_take(struct references **at, struct arena *arena, json_object *value,
    bool grows)
{
	struct references *references = *at;
	uint32_t held;

	if (value == NULL)
		return NULL;
	if (references == NULL) {
		references = *at = arena_alloc(arena, sizeof(*references));
		references->arena = arena;
	}
	count_new(references);
	held = count_held(references, value);
	if (held == 0 || (can_count() && count_of(value) > held))
		value_own(arena, value);
	if (grows && held == 0 && is_container(value)) {
		struct growing *growing = arena_alloc(arena, sizeof(*growing));

		*growing = (struct growing){ references->growing, value };
		references->growing = growing;
	}
	return value;
}
