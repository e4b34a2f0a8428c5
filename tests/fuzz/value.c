/* SPDX-License-Identifier: MIT */
/*
 * Stored values: a value that is read can be written and reads the same again;
 * written values are JSON by RFC 8259, not only to json-c.
 *
 * Input: p for portable_json, s for js_superjson, another letter for an unknown
 * format; then the text.
 */
#include "fuzz.h"

#include "db/value.h"

#define DIGITS "0123456789"

/* RFC 8259, for texts that json-c has not nested too deeply. */

static bool is_value(const char **at);

static void
skip_blanks(const char **at)
{
	*at += strspn(*at, " \t\r\n");
}

static bool
is_char(const char **at, char wanted)
{
	if (**at != wanted)
		return false;
	++*at;
	return true;
}

static bool
is_word(const char **at, const char *word)
{
	if (strncmp(*at, word, strlen(word)) != 0)
		return false;
	*at += strlen(word);
	return true;
}

static bool
is_digits(const char **at)
{
	size_t len = strspn(*at, DIGITS);

	*at += len;
	return len > 0;
}

static bool
is_number(const char **at)
{
	is_char(at, '-');
	if (!is_char(at, '0') && !is_digits(at))
		return false;
	if (is_char(at, '.') && !is_digits(at))
		return false;
	if (is_char(at, 'e') || is_char(at, 'E')) {
		if (!is_char(at, '+'))
			is_char(at, '-');
		return is_digits(at);
	}
	return true;
}

static bool
is_string(const char **at)
{
	if (!is_char(at, '"'))
		return false;
	while (**at != '"') {
		if ((unsigned char)**at < ' ')
			return false;
		if (!is_char(at, '\\')) {
			++*at;
			continue;
		}
		if (is_char(at, 'u')) {
			if (strspn(*at, DIGITS "abcdefABCDEF") < 4)
				return false;
			*at += 4;
		} else if (**at == '\0' ||
		    strchr("\"\\/bfnrt", *(*at)++) == NULL) {
			return false;
		}
	}
	return is_char(at, '"');
}

static bool
is_member(const char **at)
{
	skip_blanks(at);
	if (!is_string(at))
		return false;
	skip_blanks(at);
	return is_char(at, ':') && is_value(at);
}

/* Whether items up to the closing bracket follow. */
static bool
is_list(const char **at, bool (*is_item)(const char **), char end)
{
	skip_blanks(at);
	if (is_char(at, end))
		return true;
	do {
		if (!is_item(at))
			return false;
	} while (is_char(at, ','));
	return is_char(at, end);
}

static bool
is_value(const char **at)
{
	bool is;

	skip_blanks(at);
	switch (**at) {
	case '{':
		++*at;
		is = is_list(at, is_member, '}');
		break;
	case '[':
		++*at;
		is = is_list(at, is_value, ']');
		break;
	case '"':
		is = is_string(at);
		break;
	default:
		is = is_word(at, "null") || is_word(at, "true") ||
		    is_word(at, "false") || is_number(at);
		break;
	}
	skip_blanks(at);
	return is;
}

static bool
is_json(const char *text)
{
	return is_value(&text) && *text == '\0';
}

static const char *
format_named(char letter)
{
	switch (letter) {
	case 'p':
		return VALUE_PORTABLE;
	case 's':
		return VALUE_SUPERJSON;
	case 'n':
		return NULL;
	default:
		return "py_pickle";
	}
}

static void
try_value(struct arena *arena, const char *text, const char *format)
{
	json_object *value, *again;
	const char *written;

	if (!value_decode(arena, text, format, &value))
		return;
	require(value_known(format), "an unknown format is not read");
	require(is_json(text), "a value that is read is JSON");
	written = value_encode(arena, value, format);
	require(written != NULL, "a value that was read can be written");
	require(is_json(written), "a written value is JSON");
	require(value_decode(arena, written, format, &again),
	    "a written value can be read");
	require(json_object_equal(value, again),
	    "a written value reads the same");
	require(strcmp(written, value_encode(arena, again, format)) == 0,
	    "a value that is read again is written the same");
}

static void
try_argument(struct arena *arena, const char *text, const char *format)
{
	json_object *argument, *value, *again;
	const char *written;
	bool reads = value_decode_argument(arena, text, format, &argument);

	require(reads == value_decode(arena, text, format, &value),
	    "an argument is read when its text is a value");
	if (!reads)
		return;
	/* May fail, because it is nested two deeper within the arguments. */
	written = value_encode_argument(arena, argument);
	if (written == NULL)
		return;
	require(is_json(written), "written arguments are JSON");
	require(value_decode_argument(arena, written, VALUE_PORTABLE, &again) &&
		json_object_equal(argument, again),
	    "a written argument reads the same");
}

static void
try_error(struct arena *arena, const char *text, const char *format)
{
	const char *written = value_encode_error(arena, text, text, format);
	json_object *value;

	require(is_json(written), "a written error is JSON");
	require(value_decode(arena, written,
		    value_known(format) ? format : VALUE_PORTABLE, &value) &&
		json_object_is_type(value, json_type_object),
	    "a written error reads as an object");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new();
	struct input input = input_of(data, size);
	const char *format, *text;

	if (size > 0) {
		format = format_named(*input.at++);
		text = input_take(arena, &input, '\0');
		try_value(arena, text, format);
		try_argument(arena, text, format);
		try_error(arena, text, format);
	}
	arena_free(arena);
	return 0;
}
