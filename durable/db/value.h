/* SPDX-License-Identifier: MIT */
/*
 * Values as the system database stores them: JSON text in a named format.
 *
 * We write portable_json, which is plain JSON, and answer a row of another
 * DBOS SDK in the row's own format where we can: js_superjson, restricted to
 * what JSON can say.  Other formats are refused.  NULL is JSON's null, in
 * json-c as here.
 */
#ifndef DURABLE_VALUE_H
#define DURABLE_VALUE_H

#include <stdbool.h>

#include <json-c/json_object.h>

struct arena;

#define VALUE_PORTABLE  "portable_json"
#define VALUE_SUPERJSON "js_superjson"

/* Whether values in this format can be read and written. */
bool value_known(const char *serialization);

/*
 * Reads a stored value; text NULL is null.  The value belongs to the arena.
 * Returns false when the text is not JSON (RFC 8259), not UTF-8, nested deeper
 * than 64 or has an integer of more than 64 bits, or the format is unknown.
 */
bool value_decode(struct arena *arena, const char *text,
    const char *serialization, json_object **value);

/*
 * Reads a workflow's stored arguments and returns the first positional one,
 * or null when there is none.  Same answer as value_decode.
 */
bool value_decode_argument(struct arena *arena, const char *text,
    const char *serialization, json_object **value);

/* Stored arguments that consist of one positional one. */
const char *value_encode_argument(struct arena *arena, json_object *value);

/*
 * The value's text in the format, in the arena; NULL when it cannot be
 * stored: text that is not UTF-8, a number that is not finite.
 */
const char *value_encode(struct arena *arena, json_object *value,
    const char *serialization);

/* An error's stored text: the SDKs revive it by name and message. */
const char *value_encode_error(struct arena *arena, const char *name,
    const char *message, const char *serialization);

/* Ties a value to the arena and returns it. */
json_object *value_own(struct arena *arena, json_object *value);

#endif
