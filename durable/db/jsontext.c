/* SPDX-License-Identifier: MIT */
/*
 * Reads and writes JSON.
 */
#include "db/jsontext.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/linkhash.h>

#include "base/memory.h"
#include "base/number.h"
#include "base/strbuf.h"
#include "base/utf8.h"

#define BLANKS  " \t\r\n"

/* What stands behind a backslash, and what it means. */
#define ESCAPES "\"\\/bfnrt"
#define ESCAPED "\"\\/\b\f\n\r\t"

struct reader {
	const char *at;
	struct strbuf text; /* of the string or number that was read last */
};

static bool read_value(struct reader *reader, int depth, json_object **value);

/* A value that json-c has made, unless it had no memory. */
static json_object *
made(json_object *value)
{
	if (value == NULL)
		memory_die();
	return value;
}

/* How many bytes of a text, of max, a string may have as they are. */
static size_t
plain_len(const char *text, size_t max)
{
	size_t plain = 0, len;

	while (plain < max) {
		unsigned char byte = (unsigned char)text[plain];

		if (byte < ' ' || byte == '"' || byte == '\\')
			break;
		len = byte < 0x80 ? 1 : utf8_len(text + plain);
		if (len == 0)
			break;
		plain += len;
	}
	return plain;
}

/* Reads four digits behind \u; -1: they are none. */
static long
read_unit(struct reader *reader)
{
	char digits[5] = "";
	size_t i;

	for (i = 0; i < 4; i++) {
		if (!isxdigit((unsigned char)reader->at[i]))
			return -1;
		digits[i] = reader->at[i];
	}
	reader->at += 4;
	return strtol(digits, NULL, 16);
}

static void
add_character(struct strbuf *buf, long code)
{
	char bytes[4];
	size_t len = code < 0x80 ? 1
	    : code < 0x800       ? 2
	    : code < 0x10000     ? 3
				 : 4;
	size_t i;

	for (i = len - 1; i > 0; i--, code >>= 6)
		bytes[i] = (char)(0x80 | (code & 0x3f));
	bytes[0] = (char)(len == 1 ? code : (0xf00 >> len & 0xff) | code);
	strbuf_add(buf, bytes, len);
}

/* Behind \u; half of a surrogate pair is no character. */
static bool
read_escaped_character(struct reader *reader)
{
	long code = read_unit(reader), second;

	if (code < 0 || (code >= 0xdc00 && code <= 0xdfff))
		return false;
	if (code >= 0xd800 && code <= 0xdbff) {
		if (strncmp(reader->at, "\\u", 2) != 0)
			return false;
		reader->at += 2;
		second = read_unit(reader);
		if (second < 0xdc00 || second > 0xdfff)
			return false;
		code = 0x10000 + (code - 0xd800) * 0x400 + second - 0xdc00;
	}
	add_character(&reader->text, code);
	return true;
}

/* Moves behind a character, if it stands here. */
static bool
take_byte(struct reader *reader, char wanted)
{
	if (*reader->at != wanted)
		return false;
	reader->at++;
	return true;
}

/* Reads a string, at its quote, into the reader's text. */
static bool
read_string(struct reader *reader)
{
	const char *escape;
	size_t len;

	strbuf_reset(&reader->text);
	strbuf_add(&reader->text, "", 0);
	reader->at++;
	for (;;) {
		len = plain_len(reader->at, SIZE_MAX);
		strbuf_add(&reader->text, reader->at, len);
		reader->at += len;
		if (!take_byte(reader, '\\'))
			break;
		if (take_byte(reader, 'u')) {
			if (!read_escaped_character(reader))
				return false;
			continue;
		}
		if (*reader->at == '\0' ||
		    (escape = strchr(ESCAPES, *reader->at)) == NULL)
			return false;
		strbuf_add(&reader->text, &ESCAPED[escape - ESCAPES], 1);
		reader->at++;
	}
	return take_byte(reader, '"');
}

static json_object *
make_integer(const char *text)
{
	uint64_t number;

	errno = 0;
	if (*text == '-') {
		int64_t negative = strtoll(text, NULL, 10);

		return errno != 0 ? NULL
				  : made(json_object_new_int64(negative));
	}
	number = strtoull(text, NULL, 10);
	if (errno != 0)
		return NULL;
	return made(number <= INT64_MAX ? json_object_new_int64((int64_t)number)
					: json_object_new_uint64(number));
}

static bool
read_number(struct reader *reader, json_object **value)
{
	bool is_integer;
	size_t len = number_len(reader->at, &is_integer);

	if (len == 0)
		return false;
	strbuf_reset(&reader->text);
	strbuf_add(&reader->text, reader->at, len);
	reader->at += len;
	*value = is_integer
	    ? make_integer(reader->text.text)
	    : made(json_object_new_double_s(number_double(reader->text.text,
						NULL),
		  reader->text.text));
	return *value != NULL;
}

static void
skip_blanks(struct reader *reader)
{
	reader->at += strspn(reader->at, BLANKS);
}

/* Moves behind a character and blanks, if it stands here. */
static bool
take(struct reader *reader, char wanted)
{
	if (!take_byte(reader, wanted))
		return false;
	skip_blanks(reader);
	return true;
}

static bool
read_item(struct reader *reader, int depth, json_object *array)
{
	json_object *item;

	if (!read_value(reader, depth, &item))
		return false;
	if (json_object_array_add(array, item) != 0)
		memory_die();
	return true;
}

static bool
read_member(struct reader *reader, int depth, json_object *object)
{
	json_object *member = NULL;
	char *key;
	bool read;

	if (*reader->at != '"' || !read_string(reader) ||
	    strlen(reader->text.text) != reader->text.len)
		return false;
	key = memory_text(reader->text.text);
	skip_blanks(reader);
	read = take(reader, ':') && read_value(reader, depth, &member);
	if (read && json_object_object_add(object, key, member) != 0)
		memory_die();
	free(key);
	return read;
}

/* Reads what stands between brackets into value, which lies in depth others. */
static bool
read_members(struct reader *reader, int depth, json_object *value,
    bool (*read_one)(struct reader *, int, json_object *), char end)
{
	reader->at++;
	skip_blanks(reader);
	if (*reader->at != end) {
		do {
			if (!read_one(reader, depth + 1, value))
				return false;
		} while (take(reader, ','));
	}
	return take_byte(reader, end);
}

static bool
take_word(struct reader *reader, const char *word)
{
	if (strncmp(reader->at, word, strlen(word)) != 0)
		return false;
	reader->at += strlen(word);
	return true;
}

/* Reads a value at its first byte, but no brackets. */
static bool
read_scalar(struct reader *reader, json_object **value)
{
	if (*reader->at == '"') {
		if (!read_string(reader))
			return false;
		*value = made(json_object_new_string_len(reader->text.text,
		    (int)reader->text.len));
		return true;
	}
	if (*reader->at == '-' || isdigit((unsigned char)*reader->at))
		return read_number(reader, value);
	if (take_word(reader, "true"))
		*value = made(json_object_new_boolean(true));
	else if (take_word(reader, "false"))
		*value = made(json_object_new_boolean(false));
	else
		return take_word(reader, "null");
	return true;
}

/* Reads a value that lies in depth others, and the blanks behind it. */
static bool
read_value(struct reader *reader, int depth, json_object **value)
{
	bool read;

	*value = NULL;
	if (depth >= JSONTEXT_DEPTH)
		return false;
	if (*reader->at == '[') {
		*value = made(json_object_new_array());
		read = read_members(reader, depth, *value, read_item, ']');
	} else if (*reader->at == '{') {
		*value = made(json_object_new_object());
		read = read_members(reader, depth, *value, read_member, '}');
	} else {
		read = read_scalar(reader, value);
	}
	if (!read) {
		json_object_put(*value);
		*value = NULL;
	}
	skip_blanks(reader);
	return read;
}

bool
jsontext_read(const char *text, json_object **value)
{
	struct reader reader = { .at = text };
	bool read;

	skip_blanks(&reader);
	read = read_value(&reader, 0, value) && *reader.at == '\0';
	if (!read) {
		json_object_put(*value);
		*value = NULL;
	}
	strbuf_free(&reader.text);
	return read;
}

static void
write_escape(struct strbuf *buf, char c)
{
	const char *escaped = c == '\0' ? NULL : strchr(ESCAPED, c);
	char text[8];

	if (escaped != NULL)
		snprintf(text, sizeof(text), "\\%c",
		    ESCAPES[escaped - ESCAPED]);
	else
		snprintf(text, sizeof(text), "\\u%04x", (unsigned)c);
	strbuf_add_text(buf, text);
}

static bool
write_text(struct strbuf *buf, const char *text, size_t len)
{
	size_t plain;

	strbuf_add(buf, "\"", 1);
	while (len > 0) {
		plain = plain_len(text, len);
		strbuf_add(buf, text, plain);
		text += plain;
		len -= plain;
		if (len == 0)
			break;
		if ((unsigned char)*text >= 0x80)
			return false;
		write_escape(buf, *text++);
		len--;
	}
	strbuf_add(buf, "\"", 1);
	return true;
}

bool
jsontext_write_string(struct strbuf *buf, const char *text)
{
	return write_text(buf, text, strlen(text));
}

static void
write_integer(struct strbuf *buf, json_object *value)
{
	int64_t number = json_object_get_int64(value);
	char text[32];

	/* json-c gives the greatest of the type for what is greater. */
	if (number == INT64_MAX)
		snprintf(text, sizeof(text), "%llu",
		    (unsigned long long)json_object_get_uint64(value));
	else
		snprintf(text, sizeof(text), "%lld", (long long)number);
	strbuf_add_text(buf, text);
}

/*
 * json-c has the text that a number was read from, or makes the shortest; that
 * text may be cut off, for want of memory.
 */
static bool
write_double(struct strbuf *buf, json_object *value)
{
	const char *text = json_object_to_json_string_ext(value,
	    JSON_C_TO_STRING_PLAIN);
	double number = json_object_get_double(value);
	bool is_integer;
	char *end;

	if (number != number)
		return false;
	if (text == NULL)
		memory_die();
	if (number_len(text, &is_integer) != strlen(text))
		return false;
	if (number_double(text, &end) != number)
		memory_die();
	strbuf_add_text(buf, text);
	return true;
}

static bool
write_array(struct strbuf *buf, json_object *value, int depth)
{
	size_t count = json_object_array_length(value), i;

	strbuf_add(buf, "[", 1);
	for (i = 0; i < count; i++) {
		if (i > 0)
			strbuf_add(buf, ",", 1);
		if (!jsontext_write(buf, json_object_array_get_idx(value, i),
			depth + 1))
			return false;
	}
	strbuf_add(buf, "]", 1);
	return true;
}

static bool
write_object(struct strbuf *buf, json_object *value, int depth)
{
	bool first = true;

	strbuf_add(buf, "{", 1);
	json_object_object_foreach(value, key, member)
	{
		if (!first)
			strbuf_add(buf, ",", 1);
		first = false;
		if (!jsontext_write_string(buf, key))
			return false;
		strbuf_add(buf, ":", 1);
		if (!jsontext_write(buf, member, depth + 1))
			return false;
	}
	strbuf_add(buf, "}", 1);
	return true;
}

bool
jsontext_write(struct strbuf *buf, json_object *value, int depth)
{
	if (depth >= JSONTEXT_DEPTH)
		return false;
	switch (json_object_get_type(value)) {
	case json_type_null:
		strbuf_add_text(buf, "null");
		return true;
	case json_type_boolean:
		strbuf_add_text(buf,
		    json_object_get_boolean(value) ? "true" : "false");
		return true;
	case json_type_int:
		write_integer(buf, value);
		return true;
	case json_type_double:
		return write_double(buf, value);
	case json_type_string:
		return write_text(buf, json_object_get_string(value),
		    (size_t)json_object_get_string_len(value));
	case json_type_array:
		return write_array(buf, value, depth);
	case json_type_object:
		return write_object(buf, value, depth);
	}
	return false;
}
