/* SPDX-License-Identifier: MIT */
/*
 * The log: one line an event, for any text.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "tests/unit/tap.h"

static char line[8192];

/* Logs a text and returns the line that came out. */
static const char *
logged(const char *text)
{
	int fds[2], saved = dup(STDERR_FILENO);
	ssize_t len;

	if (pipe(fds) != 0 || dup2(fds[1], STDERR_FILENO) < 0)
		abort();
	log_info("%s", text);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(fds[1]);
	len = read(fds[0], line, sizeof(line) - 1);
	close(fds[0]);
	line[len < 0 ? 0 : len] = '\0';
	return line;
}

int
main(void)
{
	char big[5000];

	memset(big, '\n', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	unsetenv("JOURNAL_STREAM");
	log_open("store");
	ok(strstr(logged("hello"), "Z store[") != NULL &&
		strstr(line, "]: hello\n") != NULL,
	    "a line has its time, program and process");
	setenv("JOURNAL_STREAM", "1:2", 1);
	is_str(logged("hello"), "<6>hello\n",
	    "under journald a line begins with its priority");
	is_str(logged("a\n<3>b\x1b[1m"), "<6>a\\x0a<3>b\\x1b[1m\n",
	    "no message can forge a line");
	logged(big);
	ok(strchr(line, '\n') == line + strlen(line) - 1,
	    "a long message is one line");
	return done_testing();
}
