/* SPDX-License-Identifier: MIT */
/*
 * Growing text, and array literals in it.
 */
#include "base/strbuf.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static void
reserve(struct strbuf *buf, size_t more)
{
	size_t size = buf->size == 0 ? 256 : buf->size;

	if (more >= SIZE_MAX / 2 - buf->len)
		abort();
	while (size < buf->len + more + 1)
		size *= 2;
	if (size == buf->size)
		return;
	buf->text = memory_resize(buf->text, size, 1);
	buf->size = size;
}

void
strbuf_reset(struct strbuf *buf)
{
	buf->len = 0;
	if (buf->text != NULL)
		buf->text[0] = '\0';
}

void
strbuf_free(struct strbuf *buf)
{
	free(buf->text);
	*buf = (struct strbuf){ 0 };
}

void
strbuf_add(struct strbuf *buf, const char *bytes, size_t len)
{
	reserve(buf, len);
	memcpy(buf->text + buf->len, bytes, len);
	buf->len += len;
	buf->text[buf->len] = '\0';
}

void
strbuf_add_text(struct strbuf *buf, const char *text)
{
	strbuf_add(buf, text, strlen(text));
}

void
strbuf_add_element(struct strbuf *buf, const char *element)
{
	size_t plain;

	strbuf_add(buf, buf->len == 0 ? "{" : ",", 1);
	if (element == NULL) {
		strbuf_add_text(buf, "NULL");
		return;
	}
	strbuf_add(buf, "\"", 1);
	for (;;) {
		plain = strcspn(element, "\"\\");
		strbuf_add(buf, element, plain);
		element += plain;
		if (*element == '\0')
			break;
		strbuf_add(buf, "\\", 1);
		strbuf_add(buf, element++, 1);
	}
	strbuf_add(buf, "\"", 1);
}

const char *
strbuf_end_array(struct strbuf *buf)
{
	if (buf->len == 0)
		strbuf_add(buf, "{", 1);
	strbuf_add(buf, "}", 1);
	return buf->text;
}
