/* SPDX-License-Identifier: MIT */
/*
 * Array literals: PostgreSQL reads our literals as they were meant (8.15.6), and
 * we read PostgreSQL's.
 *
 * Input: elements, one to a line; a line of one tilde is SQL's null.
 */
#include "fuzz.h"

#include <strings.h>

#include "base/array_literal.h"
#include "base/strbuf.h"

/* Reads an element as array_in does; *is_null tells the bare word NULL. */
static char *
read_element(struct arena *arena, const char **at, bool *is_null)
{
	char *text = arena_alloc(arena, strlen(*at) + 1);
	size_t len = 0;

	*is_null = false;
	if (**at != '"') {
		/* NULL is our only bare element. */
		len = strspn(*at, "NUL");
		memcpy(text, *at, len);
		*at += len;
		*is_null = strcmp(text, "NULL") == 0;
		return text;
	}
	for (++*at; **at != '"'; ++*at) {
		if (**at == '\\')
			++*at;
		require(**at != '\0', "quotes are closed");
		text[len++] = **at;
	}
	++*at;
	return text;
}

/* Requires that the literal's next element is this one. */
static void
expect_element(struct arena *arena, const char **at, const char *wanted)
{
	bool is_null;
	const char *text = read_element(arena, at, &is_null);

	require(is_null == (wanted == NULL),
	    "null is written as null, and text as text");
	require(is_null || strcmp(text, wanted) == 0,
	    "an element reads as it was added");
}

static void
expect_char(const char **at, char wanted)
{
	require(**at == wanted, "braces and commas are in their places");
	++*at;
}

static const char *
element_of(const char *line)
{
	return strcmp(line, "~") == 0 ? NULL : line;
}

static void
try_texts(struct arena *arena, struct strbuf *buf, struct input input)
{
	struct input again = input;
	const char *at;
	bool first = true;

	strbuf_reset(buf);
	while (input_has_more(&input))
		strbuf_add_element(buf, element_of(input_line(arena, &input)));
	at = strbuf_end_array(buf);
	require(strlen(at) == buf->len, "the literal has its stated length");
	expect_char(&at, '{');
	while (input_has_more(&again)) {
		if (!first)
			expect_char(&at, ',');
		first = false;
		expect_element(arena, &at,
		    element_of(input_line(arena, &again)));
	}
	expect_char(&at, '}');
	require(*at == '\0', "a literal ends with its closing brace");
}

/* Whether array_out quotes a text. */
static bool
is_quoted(const char *text)
{
	return *text == '\0' || strcasecmp(text, "NULL") == 0 ||
	    text[strcspn(text, "\"\\{}, \t\n\r\v\f")] != '\0';
}

/* Adds an element as array_out does. */
static void
write_element(struct strbuf *buf, const char *element)
{
	strbuf_add(buf, buf->len == 0 ? "{" : ",", 1);
	if (element == NULL || !is_quoted(element)) {
		strbuf_add_text(buf, element == NULL ? "NULL" : element);
		return;
	}
	strbuf_add(buf, "\"", 1);
	for (; *element != '\0'; element++) {
		if (*element == '"' || *element == '\\')
			strbuf_add(buf, "\\", 1);
		strbuf_add(buf, element, 1);
	}
	strbuf_add(buf, "\"", 1);
}

static void
try_reading(struct arena *arena, const char *literal, struct input input)
{
	struct array_elements elements = array_literal_read(arena, literal);
	const char *element;

	while (input_has_more(&input)) {
		const char *wanted = element_of(input_line(arena, &input));

		require(array_literal_next(&elements, &element),
		    "as many elements are read as the server wrote");
		require((element == NULL) == (wanted == NULL) &&
			(element == NULL || strcmp(element, wanted) == 0),
		    "an element reads as the server wrote it");
	}
	require(!array_literal_next(&elements, &element),
	    "no more elements are read than the server wrote");
}

/* Both our literals and the server's are read. */
static void
try_elements(struct arena *arena, struct strbuf *buf, struct input input)
{
	struct input again = input;

	try_reading(arena, buf->text, input);
	strbuf_reset(buf);
	while (input_has_more(&again))
		write_element(buf, element_of(input_line(arena, &again)));
	try_reading(arena, strbuf_end_array(buf), input);
}

/* Any text is read to its end. */
static void
try_anything(struct arena *arena, struct input input)
{
	struct array_elements elements = array_literal_read(arena,
	    input_take(arena, &input, '\0'));
	const char *element;

	while (array_literal_next(&elements, &element))
		;
	require(element == NULL, "after the last element there is none");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct strbuf buf;
	struct arena *arena = arena_new();

	try_texts(arena, &buf, input_of(data, size));
	try_elements(arena, &buf, input_of(data, size));
	try_anything(arena, input_of(data, size));
	if (size % 64 == 0)
		strbuf_free(&buf);
	arena_free(arena);
	return 0;
}
