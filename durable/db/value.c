/* SPDX-License-Identifier: MIT */
/*
 * Reads and writes values as the system database stores them.
 */
#include "db/value.h"

#include <string.h>

#include "base/arena.h"
#include "base/strbuf.h"
#include "db/jsontext.h"

#define SUPERJSON_MARK  "__dbos_serializer"
#define SUPERJSON_OPEN  "{\"json\":"
#define SUPERJSON_CLOSE ",\"" SUPERJSON_MARK "\":\"superjson\"}"
#define ARGUMENTS_OPEN  "{\"positionalArgs\":["
#define ARGUMENTS_CLOSE "]}"

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

/* Parses the whole text as one strict JSON value. */
static bool
parse(struct arena *arena, const char *text, json_object **value)
{
	bool parsed = jsontext_read(text, value);

	value_own(arena, *value);
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
 * without the object around it, because every run reads it.  False for other
 * inputs.
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
	return *argument == '\0' || parse(arena, argument, value);
}

/* The value, or NULL when it is of another type. */
static json_object *
of_type(json_object *value, enum json_type type)
{
	return json_object_is_type(value, type) ? value : NULL;
}

bool
value_decode_arguments(struct arena *arena, const char *text,
    const char *serialization, json_object **positional, json_object **named)
{
	json_object *arguments;

	*positional = *named = NULL;
	if (!value_decode(arena, text, serialization, &arguments))
		return false;
	if (is_superjson(serialization)) {
		*positional = of_type(arguments, json_type_array);
		return true;
	}
	json_object_object_get_ex(arguments, "positionalArgs", positional);
	json_object_object_get_ex(arguments, "namedArgs", named);
	*positional = of_type(*positional, json_type_array);
	*named = of_type(*named, json_type_object);
	return true;
}

bool
value_decode_argument(struct arena *arena, const char *text,
    const char *serialization, json_object **value)
{
	json_object *positional, *named;

	*value = NULL;
	if (value_known(serialization) && !is_superjson(serialization) &&
	    parse_plain_argument(arena, text, value))
		return true;
	if (!value_decode_arguments(arena, text, serialization, &positional,
		&named))
		return false;
	if (positional != NULL && json_object_array_length(positional) > 0)
		*value = json_object_array_get_idx(positional, 0);
	return true;
}

/* Returns buf's text in the arena, unless it is no JSON, and frees buf. */
static const char *
take_text(struct arena *arena, struct strbuf *buf, bool is_json)
{
	const char *text = is_json ? arena_strdup(arena, buf->text) : NULL;

	strbuf_free(buf);
	return text;
}

/* The text of a value between texts that put it into depth others. */
static const char *
write_between(struct arena *arena, const char *open, json_object *value,
    int depth, const char *close)
{
	struct strbuf buf = { 0 };
	bool is_json;

	strbuf_add_text(&buf, open);
	is_json = jsontext_write(&buf, value, depth);
	strbuf_add_text(&buf, close);
	return take_text(arena, &buf, is_json);
}

const char *
value_encode_arguments(struct arena *arena, json_object *positional,
    json_object *named)
{
	json_object *arguments = json_object_new_object();

	json_object_object_add(arguments, "positionalArgs",
	    positional == NULL ? json_object_new_array()
			       : json_object_get(positional));
	if (named != NULL)
		json_object_object_add(arguments, "namedArgs",
		    json_object_get(named));
	return value_encode(arena, value_own(arena, arguments), VALUE_PORTABLE);
}

const char *
value_encode_argument(struct arena *arena, json_object *value)
{
	return write_between(arena, ARGUMENTS_OPEN, value, 2, ARGUMENTS_CLOSE);
}

const char *
value_encode(struct arena *arena, json_object *value, const char *serialization)
{
	return is_superjson(serialization)
	    ? write_between(arena, SUPERJSON_OPEN, value, 1, SUPERJSON_CLOSE)
	    : write_between(arena, "", value, 0, "");
}

const char *
value_encode_text(struct arena *arena, const char *text)
{
	struct strbuf buf = { 0 };
	bool is_json = jsontext_write_string(&buf, text);

	return take_text(arena, &buf, is_json);
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
	bool wrapped = is_superjson(serialization), is_json;
	struct strbuf buf = { 0 };
	const char *text;

	strbuf_add_text(&buf, wrapped ? SUPERJSON_OPEN : "");
	strbuf_add_text(&buf, "{\"name\":");
	is_json = jsontext_write_string(&buf, name);
	strbuf_add_text(&buf, ",\"message\":");
	is_json = jsontext_write_string(&buf, message) && is_json;
	strbuf_add_text(&buf, "}");
	strbuf_add_text(&buf, wrapped ? SUPERJSON_CLOSE : "");
	text = take_text(arena, &buf, is_json);
	return text != NULL
	    ? text
	    : value_encode_error(arena, "Error",
		  "the error's text is not valid UTF-8", serialization);
}
