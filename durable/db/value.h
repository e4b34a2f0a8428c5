/* SPDX-License-Identifier: MIT */
/*
 * Values as the system database stores them: JSON text in a named format.  New
 * rows are portable_json, which is plain JSON; an answer to a row of another
 * DBOS SDK in js_superjson has that format, restricted to plain JSON; others
 * are refused.  A NULL value is JSON's null, as in json-c.
 */
#ifndef DURABLE_VALUE_H
#define DURABLE_VALUE_H

#include <stdbool.h>

#include <json-c/json_object.h>

struct arena;
struct deferred;

#define VALUE_PORTABLE  "portable_json"
#define VALUE_SUPERJSON "js_superjson"

/* Whether values in this format can be read and written. */
bool value_known(const char *serialization);

/*
 * Reads a stored value; text NULL is null.  The arena owns *value.  Returns
 * false when the format is unknown or the text is not JSON (RFC 8259), not
 * UTF-8, nested deeper than 64 levels, or has an integer beyond 64 bits, a half
 * of a surrogate pair, or \u0000 in a key.
 */
bool value_decode(struct arena *arena, const char *text,
    const char *serialization, json_object **value);

/*
 * Reads a workflow's stored arguments and sets *value to the first positional
 * one, or NULL without any.  Returns false as value_decode does.
 */
bool value_decode_argument(struct arena *arena, const char *text,
    const char *serialization, json_object **value);

/*
 * Reads a workflow's stored arguments: *positional is an array and *named an
 * object, or NULL where there are none.  Returns false as value_decode does.
 */
bool value_decode_arguments(struct arena *arena, const char *text,
    const char *serialization, json_object **positional, json_object **named);

/*
 * Return the stored form of arguments as value_encode does: of an array and an
 * object, each NULL for none, or of one argument.
 */
const char *value_encode_arguments(struct arena *arena, json_object *positional,
    json_object *named);
const char *value_encode_argument(struct arena *arena, json_object *value);

/*
 * Returns the value's text in the format, in the arena; NULL when it is no
 * JSON: a string that is not UTF-8, a number that is not finite.
 */
const char *value_encode(struct arena *arena, json_object *value,
    const char *serialization);

/* value_encode for a string of this text. */
const char *value_encode_text(struct arena *arena, const char *text);

/*
 * Returns a string value's text; NULL for another value, and for a string with
 * \u0000, which the text would end at.
 */
const char *value_text(json_object *value);

/* Returns an error's stored text, from which the SDKs restore the error. */
const char *value_encode_error(struct arena *arena, const char *name,
    const char *message, const char *serialization);

/* Ties a value, with a reference of it, to the arena and returns the value. */
json_object *value_own(struct arena *arena, json_object *value);

/*
 * Sets *value to the value that the arena got before this one; returns NULL
 * after the first.  Before NULL is the latest.
 */
const struct deferred *value_next_owned(const struct arena *arena,
    const struct deferred *deferred, json_object **value);

#endif
