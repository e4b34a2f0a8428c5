/* SPDX-License-Identifier: MIT */
/*
 * The log: one line an event, for any text.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "tests/unit/tap.h"

static char line[8192];
static bool journal; /* standard error is the journal's */

/* Logs a text and returns the line that came out. */
static const char *
logged(const char *text)
{
	int fds[2], saved = dup(STDERR_FILENO);
	struct stat stream;
	char name[64];
	ssize_t len;

	if (pipe(fds) != 0 || dup2(fds[1], STDERR_FILENO) < 0 ||
	    fstat(fds[1], &stream) != 0)
		abort();
	if (journal) {
		snprintf(name, sizeof(name), "%llu:%llu",
		    (unsigned long long)stream.st_dev,
		    (unsigned long long)stream.st_ino);
		setenv("JOURNAL_STREAM", name, 1);
	}
	log_info("%s", text);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(fds[1]);
	len = read(fds[0], line, sizeof(line) - 1);
	close(fds[0]);
	line[len < 0 ? 0 : len] = '\0';
	return line;
}

/* Whether a line has the time at which it was logged, in UTC. */
static bool
has_time(void)
{
	char before[sizeof("2026-01-01T00:00:00")], after[sizeof(before)];
	time_t now = time(NULL);

	strftime(before, sizeof(before), "%FT%T", gmtime(&now));
	logged("hello");
	now = time(NULL);
	strftime(after, sizeof(after), "%FT%T", gmtime(&now));
	return strncmp(before, line, strlen(before)) <= 0 &&
	    strncmp(line, after, strlen(after)) <= 0;
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
	ok(has_time(), "the time of a line is UTC");
	setenv("JOURNAL_STREAM", "1:2", 1);
	ok(strstr(logged("hello"), "]: hello\n") != NULL,
	    "a line has no priority when standard error is another stream");
	journal = true;
	is_str(logged("hello"), "<6>hello\n",
	    "under journald a line begins with its priority");
	is_str(logged("a\n<3>b\x1b[1m"), "<6>a\\x0a<3>b\\x1b[1m\n",
	    "no message can forge a line");
	logged(big);
	ok(strchr(line, '\n') == line + strlen(line) - 1,
	    "a long message is one line");
	return done_testing();
}
