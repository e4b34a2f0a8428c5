/* SPDX-License-Identifier: MIT */
/*
 * Reads and writes values as the system database stores them.
 */
#include "db/value.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json_tokener.h>

#include "base/arena.h"

#define DEPTH_MAX       64
#define DIGITS          "0123456789"
#define SUPERJSON_MARK  "__dbos_serializer"
#define ARGUMENTS_OPEN  "{\"positionalArgs\":["
#define ARGUMENTS_CLOSE "]}"
#define TO_STRING_FLAGS \
	(JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

static void
release(void *value)
{
	json_object_put(value);
}

json_object *
value_own(struct arena *arena, json_object *value)
{
	if (value != NULL)
		arena_defer(arena, release, value);
	return value;
}

const struct deferred *
value_next_owned(const struct arena *arena, const struct deferred *deferred,
    json_object **value)
{
	void *resource = NULL;

	deferred = arena_deferred_before(arena, deferred, release, &resource);
	*value = resource;
	return deferred;
}

static bool
is_superjson(const char *serialization)
{
	return serialization != NULL &&
	    strcmp(serialization, VALUE_SUPERJSON) == 0;
}

bool
value_known(const char *serialization)
{
	return is_superjson(serialization) ||
	    (serialization != NULL &&
		strcmp(serialization, VALUE_PORTABLE) == 0);
}

/* Moves *at behind a character of UTF-8 (RFC 3629) beyond ASCII. */
static bool
skip_character(const char **at)
{
	const unsigned char *byte = (const unsigned char *)*at;
	size_t len = byte[0] >= 0xf0 ? 4 : byte[0] >= 0xe0 ? 3 : 2, i;

	for (i = 1; i < len; i++)
		if ((byte[i] & 0xc0) != 0x80)
			return false;
	*at += len;
	return byte[0] >= 0xc2 && byte[0] <= 0xf4 &&
	    (byte[0] != 0xe0 || byte[1] >= 0xa0) &&
	    (byte[0] != 0xed || byte[1] < 0xa0) &&
	    (byte[0] != 0xf0 || byte[1] >= 0x90) &&
	    (byte[0] != 0xf4 || byte[1] < 0x90);
}

/* The number of an escape \uXXXX, and -1 for another text. */
static long
escaped_unit(const char *text)
{
	char digits[5] = "";

	if (text[0] != '\\' || text[1] != 'u')
		return -1;
	memcpy(digits, text + 2, 4);
	return strtol(digits, NULL, 16);
}

/* Moves *at behind an escape; false for half of a surrogate pair. */
static bool
skip_escape(const char **at, bool *has_nul)
{
	long unit = escaped_unit(*at), second;

	*at += unit < 0 ? 2 : 6;
	*has_nul = *has_nul || unit == 0;
	if (unit < 0xd800 || unit > 0xdfff)
		return true;
	second = escaped_unit(*at);
	*at += 6;
	return unit < 0xdc00 && second >= 0xdc00 && second <= 0xdfff;
}

/*
 * Moves *at behind a string.  False when it has a control character or what is
 * no character, or is a key with \u0000, which json-c would cut there.
 */
static bool
skip_string(const char **at)
{
	bool has_nul = false;

	++*at;
	while (**at != '"') {
		if ((unsigned char)**at < ' ')
			return false;
		if (**at == '\\') {
			if (!skip_escape(at, &has_nul))
				return false;
		} else if ((unsigned char)**at < 0x80) {
			++*at;
		} else if (!skip_character(at)) {
			return false;
		}
	}
	++*at;
	return !has_nul || (*at)[strspn(*at, " \t\r\n")] != ':';
}

/* Whether the digits make an integer that json-c can hold. */
static bool
is_held(const char *number)
{
	errno = 0;
	if (*number == '-')
		strtoll(number, NULL, 10);
	else
		strtoull(number, NULL, 10);
	return errno == 0;
}

/* Moves *at behind a number; false when it is invalid or does not fit. */
static bool
skip_number(const char **at)
{
	const char *number = *at;
	size_t digits;

	*at += *number == '-';
	digits = strspn(*at, DIGITS);
	if (digits == 0 || (digits > 1 && **at == '0'))
		return false;
	*at += digits;
	if (strspn(*at, ".eE") == 0)
		return is_held(number);
	if (**at == '.' && strspn(*at + 1, DIGITS) == 0)
		return false;
	*at += strspn(*at, ".eE+-" DIGITS);
	return true;
}

/*
 * Whether a text that json-c has accepted is JSON by RFC 8259.  Even in strict
 * mode json-c accepts NaN, Infinity, -01, 1. and control characters in strings,
 * and changes an integer that it cannot hold to the nearest it can, and half of
 * a surrogate pair to another character.
 */
static bool
is_strict(const char *text)
{
	while (*text != '\0') {
		if (*text == '"') {
			if (!skip_string(&text))
				return false;
		} else if (*text == '-' || isdigit((unsigned char)*text)) {
			if (!skip_number(&text))
				return false;
		} else if (*text == 'N' || *text == 'I') {
			return false;
		} else {
			text++;
		}
	}
	return true;
}

/* Whether the text is an integer of at most 18 digits. */
static bool
is_short_integer(const char *text)
{
	size_t digits;

	if (strcmp(text, "0") == 0)
		return true;
	text += *text == '-';
	digits = strspn(text, DIGITS);
	return *text != '0' && digits > 0 && digits <= 18 &&
	    text[digits] == '\0';
}

/* Whether the text is a string of printable ASCII without escapes. */
static bool
is_plain_string(const char *text, size_t len)
{
	size_t i;

	if (len < 2 || text[0] != '"' || text[len - 1] != '"')
		return false;
	for (i = 1; i < len - 1; i++)
		if (text[i] < ' ' || text[i] > '~' || text[i] == '"' ||
		    text[i] == '\\')
			return false;
	return true;
}

/*
 * Parses the values that most steps return, without a tokener, because every
 * replay reads them and a tokener sets up a locale.  NULL for other values.
 */
static json_object *
parse_plain(const char *text)
{
	size_t len = strlen(text);

	if (is_plain_string(text, len))
		return json_object_new_string_len(text + 1, (int)len - 2);
	if (is_short_integer(text))
		return json_object_new_int64(strtoll(text, NULL, 10));
	if (strcmp(text, "true") == 0)
		return json_object_new_boolean(true);
	return strcmp(text, "false") == 0 ? json_object_new_boolean(false)
					  : NULL;
}

/* Parses the whole text as one strict JSON value. */
static bool
parse(struct arena *arena, const char *text, json_object **value)
{
	struct json_tokener *tokener;
	bool parsed;
	int len;

	*value = value_own(arena, parse_plain(text));
	if (*value != NULL)
		return true;
	tokener = json_tokener_new_ex(DEPTH_MAX);
	/* With the NUL, because the tokener needs a byte after a bare number. */
	len = (int)strlen(text) + 1;
	json_tokener_set_flags(tokener,
	    JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	*value = value_own(arena, json_tokener_parse_ex(tokener, text, len));
	parsed = json_tokener_get_error(tokener) == json_tokener_success &&
	    is_strict(text);
	json_tokener_free(tokener);
	return parsed;
}

bool
value_decode(struct arena *arena, const char *text, const char *serialization,
    json_object **value)
{
	json_object *mark;

	*value = NULL;
	if (!value_known(serialization))
		return false;
	if (text == NULL)
		return true;
	if (!parse(arena, text, value))
		return false;
	if (!is_superjson(serialization))
		return true;
	/* Ignores superjson's "meta", so a date is a string. */
	return json_object_object_get_ex(*value, SUPERJSON_MARK, &mark) &&
	    json_object_object_get_ex(*value, "json", value);
}

/*
 * Parses the input that our clients write, with one plain argument or none,
 * without a tokener, because every run reads it.  False for other inputs.
 */
static bool
parse_plain_argument(struct arena *arena, const char *text, json_object **value)
{
	const size_t open = strlen(ARGUMENTS_OPEN);
	char *argument;
	size_t len;

	if (text == NULL || strncmp(text, ARGUMENTS_OPEN, open) != 0)
		return false;
	len = strcspn(text + open, "]");
	if (strcmp(text + open + len, ARGUMENTS_CLOSE) != 0)
		return false;
	argument = memcpy(arena_alloc(arena, len + 1), text + open, len);
	*value = value_own(arena, parse_plain(argument));
	return *value != NULL || *argument == '\0';
}

bool
value_decode_argument(struct arena *arena, const char *text,
    const char *serialization, json_object **value)
{
	json_object *arguments;

	*value = NULL;
	if (value_known(serialization) && !is_superjson(serialization) &&
	    parse_plain_argument(arena, text, value))
		return true;
	if (!value_decode(arena, text, serialization, &arguments))
		return false;
	if (!is_superjson(serialization) &&
	    !json_object_object_get_ex(arguments, "positionalArgs", &arguments))
		return true;
	if (json_object_is_type(arguments, json_type_array) &&
	    json_object_array_length(arguments) > 0)
		*value = json_object_array_get_idx(arguments, 0);
	return true;
}

/* Puts a value into the format's wrapper, if any, and takes its reference. */
static json_object *
wrap(json_object *value, const char *serialization)
{
	json_object *wrapper;

	if (!is_superjson(serialization))
		return value;
	wrapper = json_object_new_object();
	json_object_object_add(wrapper, "json", value);
	json_object_object_add(wrapper, SUPERJSON_MARK,
	    json_object_new_string("superjson"));
	return wrapper;
}

const char *
value_encode_argument(struct arena *arena, json_object *value)
{
	json_object *arguments = json_object_new_object();
	json_object *positional = json_object_new_array();

	json_object_array_add(positional, json_object_get(value));
	json_object_object_add(arguments, "positionalArgs", positional);
	return value_encode(arena, value_own(arena, arguments), VALUE_PORTABLE);
}

const char *
value_encode(struct arena *arena, json_object *value, const char *serialization)
{
	json_object *wrapped, *again;
	const char *text;

	wrapped = value_own(arena, wrap(json_object_get(value), serialization));
	text = arena_strdup(arena,
	    json_object_to_json_string_ext(wrapped, TO_STRING_FLAGS));
	/*
	 * json-c writes NaN and any bytes, so parse the text strictly now: a
	 * later reader could not repair it.
	 */
	return parse(arena, text, &again) ? text : NULL;
}

const char *
value_text(json_object *value)
{
	const char *text;

	if (!json_object_is_type(value, json_type_string))
		return NULL;
	text = json_object_get_string(value);
	return strlen(text) == (size_t)json_object_get_string_len(value) ? text
									 : NULL;
}

const char *
value_encode_error(struct arena *arena, const char *name, const char *message,
    const char *serialization)
{
	json_object *error = json_object_new_object();
	const char *text;

	json_object_object_add(error, "name", json_object_new_string(name));
	json_object_object_add(error, "message",
	    json_object_new_string(message));
	text = value_encode(arena, value_own(arena, error),
	    value_known(serialization) ? serialization : VALUE_PORTABLE);
	return text != NULL
	    ? text
	    : value_encode_error(arena, "Error",
		  "the error's text is not valid UTF-8", serialization);
}
