/* SPDX-License-Identifier: MIT */
/*
 * JSON as text.  json-c keeps the values, but neither reads nor writes them: its
 * tokener accepts more than JSON, and both report success when they have no
 * memory and cut the text.  Here a value is conveyed as it is, or the process
 * ends (base/memory.h).
 */
#ifndef DURABLE_JSONTEXT_H
#define DURABLE_JSONTEXT_H

#include <stdbool.h>

#include <json-c/json_object.h>

struct strbuf;

/* Values that lie in so many others are refused. */
#define JSONTEXT_DEPTH 64

/*
 * Reads a text, all of it, as one value.  The caller owns *value, NULL for null.
 * Returns false when the text is not JSON (RFC 8259), not UTF-8, too deep, or
 * has an integer beyond 64 bits, half of a surrogate pair, or \u0000 in a key.
 */
bool jsontext_read(const char *text, json_object **value);

/*
 * Appends a value that lies in depth others.  Returns false, with a part of it
 * in buf, when it is no JSON: too deep, a string that is not UTF-8, a number
 * that is not finite.
 */
bool jsontext_write(struct strbuf *buf, json_object *value, int depth);

/* Appends a text as a string; false as jsontext_write. */
bool jsontext_write_string(struct strbuf *buf, const char *text);

#endif
