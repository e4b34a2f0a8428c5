/* SPDX-License-Identifier: MIT */
/*
 * Growing texts, and array literals for PostgreSQL.
 */
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "tests/unit/tap.h"

int
main(void)
{
	struct strbuf buf = { 0 };
	int i;

	is_str(strbuf_end_array(&buf), "{}", "an array without elements is {}");
	strbuf_reset(&buf);
	strbuf_add_element(&buf, "plain");
	strbuf_add_element(&buf, NULL);
	strbuf_add_element(&buf, "NULL");
	strbuf_add_element(&buf, "");
	strbuf_add_element(&buf, "a \"quote\", a \\ and {braces}");
	is_str(strbuf_end_array(&buf),
	    "{\"plain\",NULL,\"NULL\",\"\","
	    "\"a \\\"quote\\\", a \\\\ and {braces}\"}",
	    "array elements are quoted and escaped");
	strbuf_reset(&buf);
	is_str(buf.text, "", "a reset buffer is empty");
	for (i = 0; i < 1000; i++)
		strbuf_add_text(&buf, "0123456789");
	is_int((long long)buf.len, 10000, "a buffer grows");
	ok(strlen(buf.text) == buf.len, "a grown buffer is terminated");
	strbuf_free(&buf);
	ok(buf.text == NULL, "a freed buffer can be used again");
	return done_testing();
}
