/* SPDX-License-Identifier: MIT */
/*
 * Values as the system database stores them.
 */
#include "value.h"

#include <string.h>

#include <json-c/json_tokener.h>

#include "arena.h"

#define DEPTH_MAX      64
#define SUPERJSON_MARK "__dbos_serializer"
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

/*
 * Whether the text has a number that is none: json-c reads NaN and Infinity
 * even when it is strict.  Outside strings JSON has no such capitals.
 */
static bool
has_no_number(const char *text)
{
	bool quoted = false;

	for (; *text != '\0'; text++) {
		if (quoted && *text == '\\' && text[1] != '\0')
			text++;
		else if (*text == '"')
			quoted = !quoted;
		else if (!quoted && (*text == 'N' || *text == 'I'))
			return true;
	}
	return false;
}

/* Parses the whole text as one strict JSON value. */
static bool
parse(struct arena *arena, const char *text, json_object **value)
{
	struct json_tokener *tokener = json_tokener_new_ex(DEPTH_MAX);
	/* The terminating NUL lets the tokener finish a bare number. */
	int len = (int)strlen(text) + 1;
	bool parsed;

	if (tokener == NULL)
		return false;
	json_tokener_set_flags(tokener,
	    JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	*value = value_own(arena, json_tokener_parse_ex(tokener, text, len));
	parsed = json_tokener_get_error(tokener) == json_tokener_success &&
	    !has_no_number(text);
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
	/* What superjson's "meta" adds, dates and the like, reads as text. */
	return json_object_object_get_ex(*value, SUPERJSON_MARK, &mark) &&
	    json_object_object_get_ex(*value, "json", value);
}

bool
value_decode_argument(struct arena *arena, const char *text,
    const char *serialization, json_object **value)
{
	json_object *arguments;

	*value = NULL;
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

/* Wraps a value whose reference it takes. */
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
	 * json-c writes NaN and any bytes; what does not parse again strictly
	 * is no JSON and would be found out only by a later reader.
	 */
	return parse(arena, text, &again) ? text : NULL;
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
