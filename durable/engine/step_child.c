/* SPDX-License-Identifier: MIT */
/*
 * A step process: runs external steps, one at a time, and has the calls of their
 * author.
 */
#include "engine/step_child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <durable/engine.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/memory.h"
#include "db/references.h"
#include "db/value.h"

/* Beats that follow each other sooner say nothing new. */
#define BEAT_PAUSE_MS 20

/* The socket's number in the process. */
#define CHILD_FD      3

/* One attempt at a step; its texts are in the arena. */
struct step_call {
	struct arena *arena;
	struct references *references;
	const char *key;
	int attempt;
	json_object *progress;
	const char *error_name, *error_message;
	bool is_final;
	const struct step_flag *flag;
	int64_t beaten_ms;
};

/* Reads or ends the process, because the master is gone. */
static void
read_all(void *bytes, size_t len)
{
	char *at = bytes;
	ssize_t got;

	while (len > 0) {
		got = read(CHILD_FD, at, len);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			_exit(0);
		at += got;
		len -= (size_t)got;
	}
}

static void
write_all(const void *bytes, size_t len)
{
	const char *at = bytes;
	ssize_t put;

	while (len > 0) {
		put = write(CHILD_FD, at, len);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			_exit(0);
		at += put;
		len -= (size_t)put;
	}
}

/* Sends a frame of one text, or of two. */
static void
send_frame(enum step_frame_kind kind, const char *text, const char *more)
{
	size_t len = strlen(text) + 1;
	size_t more_len = more == NULL ? 0 : strlen(more) + 1;
	struct step_frame frame = { .kind = kind,
		.len = (uint32_t)(len + more_len) };

	write_all(&frame, sizeof(frame));
	write_all(text, len);
	if (more != NULL)
		write_all(more, more_len);
}

const char *
step_key(const struct step_call *call)
{
	return call->key;
}

int
step_attempt(const struct step_call *call)
{
	return call->attempt;
}

json_object *
step_progress(const struct step_call *call)
{
	return call->progress;
}

static void __attribute__((format(printf, 4, 0)))
set_error(struct step_call *call, bool is_final, const char *name,
    const char *format, va_list args)
{
	call->error_name = arena_strdup(call->arena, name);
	call->error_message = arena_vprintf(call->arena, format, args);
	call->is_final = is_final;
}

json_object *
step_error(struct step_call *call, const char *name, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	set_error(call, false, name, format, args);
	va_end(args);
	return NULL;
}

json_object *
step_final_error(struct step_call *call, const char *name, const char *format,
    ...)
{
	va_list args;

	va_start(args, format);
	set_error(call, true, name, format, args);
	va_end(args);
	return NULL;
}

bool
step_beat(struct step_call *call, json_object *progress)
{
	int64_t now_ms = clock_monotonic_ms();
	const char *text = "";
	struct arena *arena;

	if (now_ms - call->beaten_ms < BEAT_PAUSE_MS)
		return !atomic_load(&call->flag->stop);
	call->beaten_ms = now_ms;
	arena = arena_new();
	if (progress != NULL)
		text = value_encode(arena, progress, VALUE_PORTABLE);
	if (text != NULL && strlen(text) < STEP_BYTES_MAX)
		send_frame(STEP_FRAME_BEAT, text, NULL);
	arena_free(arena);
	return !atomic_load(&call->flag->stop);
}

/* The text at *at, or NULL when it is empty; moves *at behind it. */
static const char *
next_text(const char **at)
{
	const char *text = *at;

	*at += strlen(text) + 1;
	return *text == '\0' ? NULL : text;
}

/* Sends how the function has ended. */
static void
answer(struct step_call *call, json_object *value)
{
	const char *text = NULL;

	if (call->error_name == NULL) {
		text = value_encode(call->arena, value, VALUE_PORTABLE);
		if (text == NULL)
			step_final_error(call, "DBOSInvalidOutput",
			    "the result is not valid JSON");
		else if (strlen(text) >= STEP_BYTES_MAX)
			step_final_error(call, "DBOSInvalidOutput",
			    "the result has %zu bytes, and may have %d",
			    strlen(text), STEP_BYTES_MAX - 1);
	}
	if (call->error_name != NULL)
		send_frame(call->is_final ? STEP_FRAME_FINAL : STEP_FRAME_ERROR,
		    call->error_name, call->error_message);
	else if (text != NULL)
		send_frame(STEP_FRAME_RESULT, text, NULL);
}

/* Runs the step of a frame of kind STEP_FRAME_RUN. */
static void
run_frame(const struct engine *engine, struct step_call *call, const char *text)
{
	const struct step_type *type =
	    engine->steps[strtol(next_text(&text), NULL, 10)];
	json_object *argument, *value = NULL;
	bool is_read;

	call->attempt = (int)strtol(next_text(&text), NULL, 10);
	call->key = next_text(&text);
	is_read = value_decode(call->arena, next_text(&text), VALUE_PORTABLE,
	    &argument);
	if (is_read &&
	    value_decode(call->arena, next_text(&text), VALUE_PORTABLE,
		&call->progress)) {
		failpoint("step-run", -1);
		value = references_take(&call->references, call->arena,
		    type->function(call, argument), false);
		failpoint("step-ran", -1);
	} else {
		step_final_error(call, "DBOSInvalidInput",
		    "cannot read the argument");
	}
	answer(call, value);
}

/* What the master has set for itself, and what it alone uses. */
static void
leave_master(const struct engine *engine, int fd)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGCHLD };
	sigset_t none;
	size_t i;

	if (dup2(fd, CHILD_FD) < 0 || close_range(CHILD_FD + 1, ~0U, 0) != 0)
		_exit(1);
	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	memory_limit(engine->memory_limit_mb);
}

void
step_child_run(const struct engine *engine, int fd,
    const struct step_flag *flag)
{
	struct arena *arena = arena_new();

	leave_master(engine, fd);
	for (;;) {
		struct step_call call = { .arena = arena, .flag = flag };
		struct step_frame frame;
		char *text;

		read_all(&frame, sizeof(frame));
		text = arena_alloc(arena, frame.len);
		read_all(text, frame.len);
		run_frame(engine, &call, text);
		arena_reset(arena);
	}
}
