/* SPDX-License-Identifier: MIT */
/*
 * The log: every text becomes one line, which cannot pass for another
 * program's.
 *
 * Input: e, w or i for the level, j for journald or another letter, then the
 * text.  The harness replaces write(2).
 */
#include "fuzz.h"

#include <unistd.h>

#include "base/log.h"

/* log.c calls it instead of write, by a macro of the build. */
ssize_t fuzz_write(int fd, const void *bytes, size_t len);

ssize_t
fuzz_write(int fd, const void *bytes, size_t len)
{
	const unsigned char *line = bytes;
	size_t i;

	require(fd == STDERR_FILENO, "the log goes to standard error");
	require(len > 0 && len <= 2048, "a line has at most 2048 bytes");
	require(line[len - 1] == '\n', "a line ends with a newline");
	for (i = 0; i < len - 1; i++)
		require(line[i] >= ' ' && line[i] != 0x7f,
		    "a line has no control character");
	return (ssize_t)len;
}

static void
try_text(enum log_level level, const char *text)
{
	log_text(level, text);
	switch (level) {
	case LOG_LEVEL_ERROR:
		log_error("wf=%s %s", text, text);
		break;
	case LOG_LEVEL_WARNING:
		log_warning("wf=%s %s", text, text);
		break;
	case LOG_LEVEL_INFO:
		log_info("wf=%s %s", text, text);
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new();
	struct input input = input_of(data, size);
	const char *how = input_line(arena, &input);
	const char *text = input_take(arena, &input, '\0');

	if (strchr(how, 'j') != NULL)
		setenv("JOURNAL_STREAM", "8:1", 1);
	else
		unsetenv("JOURNAL_STREAM");
	try_text(*how == 'e'  ? LOG_LEVEL_ERROR
		: *how == 'w' ? LOG_LEVEL_WARNING
			      : LOG_LEVEL_INFO,
	    text);
	arena_free(arena);
	return 0;
}
