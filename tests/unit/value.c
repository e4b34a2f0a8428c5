/* SPDX-License-Identifier: MIT */
/*
 * Values in the formats of the DBOS SDKs: reading, writing, refusals.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json_object.h>

#include "base/arena.h"
#include "db/value.h"
#include "tests/unit/tap.h"

static struct arena *arena;

/* Reads a stored text and writes it as portable JSON; NULL if refused. */
static const char *
reads(const char *text, const char *serialization)
{
	json_object *value;

	if (!value_decode(arena, text, serialization, &value))
		return NULL;
	return value_encode(arena, value, VALUE_PORTABLE);
}

static const char *
argument(const char *text, const char *serialization)
{
	json_object *value;

	if (!value_decode_argument(arena, text, serialization, &value))
		return NULL;
	return value_encode(arena, value, VALUE_PORTABLE);
}

static void
test_portable(void)
{
	static const char *const same[] = { "null", "true", "false", "0", "-1",
		"999999999999999999", "-999999999999999999",
		"1000000000000000000", "9223372036854775807",
		"18446744073709551615", "-9223372036854775808", "1.50", "1e400",
		"\"\"", "\"a/b\"", "\"~\x7f\"", "[]", "{}",
		"[1,[2,{\"a\":null}]]", "\"\xc3\xa9\"", "{\"b\":1,\"a\":2}",
		"\"\\u0000\"", "\"\xf0\x9f\x98\x80\"",
		"[\"a\\u0000\",\"b:\"]" };
	size_t i, n = sizeof(same) / sizeof(same[0]), kept = 0;

	for (i = 0; i < n; i++) {
		const char *text = reads(same[i], VALUE_PORTABLE);

		if (text != NULL && strcmp(text, same[i]) == 0)
			kept++;
		else
			diag("%s became %s", same[i],
			    text == NULL ? "nothing" : text);
	}
	is_int((long long)kept, (long long)n, "JSON is written as it was read");
	is_str(reads(NULL, VALUE_PORTABLE), "null", "NULL reads as null");
	is_str(reads("\"\\u00e9\"", VALUE_PORTABLE), "\"\xc3\xa9\"",
	    "the escapes of other SDKs are read");
	is_str(reads("\"\\ud83d\\ude00\"", VALUE_PORTABLE),
	    "\"\xf0\x9f\x98\x80\"", "a surrogate pair is one character");
}

static void
test_refusals(void)
{
	static const char *const bad[] = { "", "nul", "[1", "[1] 2", "{\"a\":}",
		"NaN", "'a'", "\"\xff\"", "{\"a\":1,}", "[-01]", "1.", "1.e5",
		"\"\x01\"", "-\"", "\"", "\"a\"b\"", "\"\\\"", "-", "01", "--1",
		"1-", "truefalse", "18446744073709551616",
		"-9223372036854775809", "{\"a\\u0000b\":1}",
		"{\"a\":{\"\\u0000\" \n:1}}", "\"\\ud800\"", "[\"\\udc00\"]",
		"\"\\ud800\\ud800\"", "\"\\ud800a\"", "{\"\\udfff\":1}",
		"\"\xed\xa0\x80\"", "\"\xc0\xaf\"", "\"\xe0\x80\xaf\"",
		"\"\xf0\x80\x80\xaf\"", "\"\xf4\x90\x80\x80\"" };
	size_t i, n = sizeof(bad) / sizeof(bad[0]), refused = 0;
	char deep[201];

	for (i = 0; i < n; i++)
		if (reads(bad[i], VALUE_PORTABLE) == NULL)
			refused++;
		else
			diag("%s was read", bad[i]);
	is_int((long long)refused, (long long)n,
	    "a text that is not JSON is refused");
	memset(deep, '[', 100);
	memset(deep + 100, ']', 100);
	deep[200] = '\0';
	ok(reads(deep, VALUE_PORTABLE) == NULL,
	    "JSON nested too deeply is refused");
	ok(reads("1", "py_pickle") == NULL && reads("1", NULL) == NULL,
	    "a value in an unknown format is refused");
	ok(value_encode(arena, value_own(arena, json_object_new_double(NAN)),
	       VALUE_PORTABLE) == NULL,
	    "not-a-number is not written");
	ok(value_encode(arena, value_own(arena, json_object_new_string("\xff")),
	       VALUE_PORTABLE) == NULL,
	    "a text that is not UTF-8 is not written");
}

static const char *
text_of(const char *json)
{
	json_object *value;

	return value_decode(arena, json, VALUE_PORTABLE, &value)
	    ? value_text(value)
	    : "unreadable";
}

static void
test_texts(void)
{
	is_str(text_of("\"paid\""), "paid", "a string has a text");
	is_str(text_of("\"\""), "", "an empty string has an empty text");
	is_str(text_of("\"paid\\u0000refused\""), NULL,
	    "a string with \\u0000 has no text");
	is_str(text_of("1"), NULL, "a number has no text");
	is_str(text_of("null"), NULL, "null has no text");
}

static void
test_superjson(void)
{
	static const char paid[] =
	    "{\"json\":\"paid\",\"__dbos_serializer\":\"superjson\"}";

	is_str(reads(paid, VALUE_SUPERJSON), "\"paid\"",
	    "superjson is unwrapped");
	is_str(value_encode(arena,
		   value_own(arena, json_object_new_string("paid")),
		   VALUE_SUPERJSON),
	    paid, "superjson is wrapped as the SDK does");
	is_str(reads("{\"json\":[\"1970-01-01T00:00:00.000Z\"],\"meta\":"
		     "{\"values\":{\"0\":[\"Date\"]}},"
		     "\"__dbos_serializer\":\"superjson\"}",
		   VALUE_SUPERJSON),
	    "[\"1970-01-01T00:00:00.000Z\"]", "a superjson date reads as text");
	ok(reads("\"paid\"", VALUE_SUPERJSON) == NULL,
	    "unmarked superjson is refused, as by the SDK");
	ok(reads("[1]", VALUE_SUPERJSON) == NULL,
	    "an unmarked array is refused as superjson");
}

static void
test_arguments(void)
{
	is_str(argument("{\"positionalArgs\":[1,2],\"namedArgs\":{}}",
		   VALUE_PORTABLE),
	    "1", "the first argument is the input");
	is_str(argument("{\"positionalArgs\":[\"one\"]}", VALUE_PORTABLE),
	    "\"one\"", "positional arguments alone are read");
	is_str(argument("{\"positionalArgs\":[[1]]}", VALUE_PORTABLE), "[1]",
	    "an argument may be an array");
	ok(argument("{\"positionalArgs\":[1}", VALUE_PORTABLE) == NULL,
	    "arguments that are not JSON are refused");
	ok(argument("{\"positionalArgs\":[1]", VALUE_PORTABLE) == NULL &&
		argument("{\"positionalArgs\":[1]}]", VALUE_PORTABLE) == NULL,
	    "arguments cut short or with more text are refused");
	ok(argument("{\"positionalArgs\":[1]}", "pickle") == NULL,
	    "arguments in an unknown format are refused");
	is_str(argument("{\"positionalArgs\":[]}", VALUE_PORTABLE), "null",
	    "an empty list of arguments is null");
	is_str(argument("{\"namedArgs\":{\"a\":1}}", VALUE_PORTABLE), "null",
	    "named arguments alone are null");
	is_str(argument("[1]", VALUE_PORTABLE), "null",
	    "arguments of another shape are null");
	is_str(argument("{\"json\":[7],\"__dbos_serializer\":\"superjson\"}",
		   VALUE_SUPERJSON),
	    "7", "superjson's arguments are the bare array");
	is_str(value_encode_argument(arena, NULL),
	    "{\"positionalArgs\":[null]}",
	    "a missing argument is written as null");
	is_str(value_encode_error(arena, "E", "m", VALUE_PORTABLE),
	    "{\"name\":\"E\",\"message\":\"m\"}", "an error is written");
	is_str(value_encode_error(arena, "E", "\xff", "py_pickle"),
	    "{\"name\":\"Error\",\"message\":"
	    "\"the error's text is not valid UTF-8\"}",
	    "an error with a text that is not UTF-8 is written");
}

int
main(void)
{
	arena = arena_new();
	test_portable();
	test_refusals();
	test_texts();
	test_superjson();
	test_arguments();
	arena_free(arena);
	return done_testing();
}
