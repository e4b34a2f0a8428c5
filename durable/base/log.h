/* SPDX-License-Identifier: MIT */
/*
 * The log: one line per event, on standard error.
 *
 * When standard error is the journal's ($JOURNAL_STREAM names it) a line begins
 * with its priority as <N>, see sd-daemon(3); elsewhere with the time, the program and its
 * process id.  Control characters in a message are escaped, so that no
 * message can forge a line.  A line is one write(2).  Safe in threads, and
 * where a signal has interrupted malloc, because it allocates nothing.
 */
#ifndef DURABLE_LOG_H
#define DURABLE_LOG_H

#include <stdbool.h>
#include <stdint.h>

/* Syslog's numbers, RFC 5424 section 6.2.1. */
enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_INFO = 6
};

/* Names the program in every later line; name must outlive the process. */
void log_open(const char *name);

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_text(enum log_level level, const char *text);

/*
 * Takes a line instead of standard error: workflow is the id that it begins
 * with, as wf=ID, or NULL.  Returns false when standard error shall have it.
 */
typedef bool log_sink(void *arg, enum log_level level, const char *workflow,
    const char *text);

/* Lets sink have the later lines of this process; NULL: standard error. */
void log_to(log_sink *sink, void *arg);

/*
 * Whether a line that repeats is to be logged again: *last_ms, at first 0, is
 * ten seconds ago or more (clock_monotonic_ms).  If so, sets it to now.
 */
bool log_is_due(int64_t *last_ms);

#endif
