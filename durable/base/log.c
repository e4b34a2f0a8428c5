/* SPDX-License-Identifier: MIT */
/*
 * The log; log.h describes its lines.
 */
#include "base/log.h"

#include <sys/stat.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define LINE_LEN  2048
#define REPEAT_MS 10000

static const char *program = "durable";
static log_sink *sink;
static void *sink_arg;

void
log_open(const char *name)
{
	program = name;
}

void
log_to(log_sink *to, void *arg)
{
	sink = to;
	sink_arg = arg;
}

/* Gives a line to the sink, if there is one that takes it. */
static bool
sink_takes(enum log_level level, const char *text)
{
	char workflow[LINE_LEN];
	size_t len;

	if (sink == NULL)
		return false;
	if (strncmp(text, "wf=", 3) != 0)
		return sink(sink_arg, level, NULL, text);
	len = strcspn(text + 3, " ");
	snprintf(workflow, sizeof(workflow), "%.*s", (int)len, text + 3);
	text += 3 + len;
	return sink(sink_arg, level, workflow, text + (*text == ' '));
}

static const char *
level_name(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_ERROR:
		return "error: ";
	case LOG_LEVEL_WARNING:
		return "warning: ";
	case LOG_LEVEL_INFO:
		break;
	}
	return "";
}

/*
 * Writes a time in UTC.  gmtime(3) may allocate, and what ends a process logs
 * when that is not possible.  The days are counted from 1 March, so that the
 * leap day comes last (400 years have 146097 days).
 */
static int
put_time(char *line, size_t len, const struct timespec *now)
{
	long days = now->tv_sec / 86400 + 719468, s = now->tv_sec % 86400;
	long era = days / 146097, day = days % 146097;
	long year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
	long month;

	day -= 365 * year + year / 4 - year / 100;
	month = (5 * day + 2) / 153;
	day -= (153 * month + 2) / 5;
	year += era * 400 + (month >= 10);
	return snprintf(line, len, "%ld-%02ld-%02ldT%02ld:%02ld:%02ld.%03ldZ",
	    year, month < 10 ? month + 3 : month - 9, day + 1, s / 3600,
	    s / 60 % 60, s % 60, now->tv_nsec / 1000000);
}

/* Whether standard error is the stream that the journal gave. */
static bool
is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	struct stat found;
	char *colon;

	return stream != NULL && fstat(STDERR_FILENO, &found) == 0 &&
	    strtoull(stream, &colon, 10) == found.st_dev && *colon == ':' &&
	    strtoull(colon + 1, NULL, 10) == found.st_ino;
}

/* Writes the part of a line before the message; returns its length. */
static size_t
put_prefix(char *line, size_t len, enum log_level level)
{
	struct timespec now;
	int used;

	if (is_journal()) {
		used = snprintf(line, len, "<%d>", (int)level);
	} else {
		clock_gettime(CLOCK_REALTIME, &now);
		used = put_time(line, len, &now);
		used += snprintf(line + used, len - (size_t)used, " %s[%d]: %s",
		    program, (int)getpid(), level_name(level));
	}
	return used < 0 ? 0 : (size_t)used;
}

void
log_text(enum log_level level, const char *text)
{
	char line[LINE_LEN];
	const unsigned char *c;
	size_t used;

	if (sink_takes(level, text))
		return;
	used = put_prefix(line, sizeof(line), level);
	for (c = (const unsigned char *)text;
	     *c != '\0' && used < sizeof(line) - sizeof("\\x00\n"); c++) {
		if (*c < ' ' || *c == 0x7f)
			used += (size_t)snprintf(line + used,
			    sizeof(line) - used, "\\x%02x", (unsigned)*c);
		else
			line[used++] = (char)*c;
	}
	line[used++] = '\n';
	/* There is nowhere to report that the log itself cannot be written. */
	if (write(STDERR_FILENO, line, used) < 0)
		return;
}

static void __attribute__((format(printf, 2, 0)))
log_formatted(enum log_level level, const char *format, va_list args)
{
	char text[LINE_LEN];

	vsnprintf(text, sizeof(text), format, args);
	log_text(level, text);
}

void
log_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_formatted(LOG_LEVEL_ERROR, format, args);
	va_end(args);
}

void
log_warning(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_formatted(LOG_LEVEL_WARNING, format, args);
	va_end(args);
}

void
log_info(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_formatted(LOG_LEVEL_INFO, format, args);
	va_end(args);
}

bool
log_is_due(int64_t *last_ms)
{
	int64_t now_ms = clock_monotonic_ms();

	if (*last_ms != 0 && now_ms - *last_ms < REPEAT_MS)
		return false;
	*last_ms = now_ms;
	return true;
}
