/* SPDX-License-Identifier: MIT */
/*
 * Takes the references of values that an author hands over.
 */
#ifndef DURABLE_REFERENCES_H
#define DURABLE_REFERENCES_H

#include <stdbool.h>

#include <json-c/json_object.h>

struct arena;

/*
 * What an arena holds of values, which is read when an author hands one over.
 * It begins as NULL with an empty arena.
 */
struct references;

/*
 * Ties a value to the arena, with the reference that an author hands over, and
 * returns the value.  An author may also hand over a value without a reference
 * of its own: one that the arena has, or a part of one.  Then the arena takes
 * none.  grows: the author may add parts to the value later.
 */
json_object *references_take(struct references **references,
    struct arena *arena, json_object *value, bool grows);

#endif
