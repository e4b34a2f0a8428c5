/* SPDX-License-Identifier: MIT */
/*
 * One run of one workflow: replays, records and suspends.
 */
#include "engine/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/fiber.h"
#include "base/memory.h"
#include "db/references.h"
#include "db/value.h"
#include "engine/turn_api.h"

/*
 * The limits of a workflow's history, because a turn loads it as a whole, and
 * where the log warns of them.
 */
#define STEPS_WARNED 10000
#define STEPS_MAX    50000
#define BYTES_WARNED (8 << 20)
#define BYTES_MAX    (32 << 20)

static size_t
bytes_of(const char *text)
{
	return text == NULL ? 0 : strlen(text);
}

void
run_add_entry(struct workflow *wf, int number, const struct entry *entry)
{
	struct entry *journal;
	int size = wf->journal_size, at;

	if (wf->journal_len == 0 && strcmp(entry->name, RUN_CONTINUE) == 0) {
		wf->first = wf->next = number + 1;
		return;
	}
	at = number - wf->first;
	if (at < 0 || at >= STEPS_MAX)
		return;
	while (size <= at)
		size = size * 2 + 16;
	if (size > wf->journal_size) {
		journal = arena_alloc(turn_arena(wf->turn),
		    (size_t)size * sizeof(*journal));
		if (wf->journal_len > 0)
			memcpy(journal, wf->journal,
			    (size_t)wf->journal_len * sizeof(*journal));
		wf->journal = journal;
		wf->journal_size = size;
	}
	wf->journal[at] = *entry;
	wf->journal[at].known = true;
	if (at >= wf->journal_len)
		wf->journal_len = at + 1;
	wf->bytes += sizeof(*entry) + bytes_of(entry->name) +
	    bytes_of(entry->output) + bytes_of(entry->error) +
	    bytes_of(entry->child);
}

void
run_add_message(struct workflow *wf, const struct message *message)
{
	struct message *messages;

	if (wf->messages_len == wf->messages_size) {
		wf->messages_size = wf->messages_size * 2 + 4;
		messages = arena_alloc(turn_arena(wf->turn),
		    (size_t)wf->messages_size * sizeof(*messages));
		if (wf->messages_len > 0)
			memcpy(messages, wf->messages,
			    (size_t)wf->messages_len * sizeof(*messages));
		wf->messages = messages;
	}
	wf->messages[wf->messages_len++] = *message;
}

int64_t
run_later(int64_t from_ms, int64_t after_ms)
{
	int64_t time_ms;

	return __builtin_add_overflow(from_ms, after_ms, &time_ms) ? INT64_MAX
								   : time_ms;
}

void
run_leave(struct workflow *wf, enum run_end end)
{
	wf->end = end;
	fiber_leave(wf->fiber);
}

void
run_pause(struct workflow *wf)
{
	fiber_pause(wf->fiber);
}

/* Cleans up instead of making the call of this number. */
static void __attribute__((noreturn)) cancel(struct workflow *wf, int number)
{
	wf->failure = run_clean_up(wf, number, NULL);
	run_leave(wf, wf->failure != NULL ? RUN_FAILED : RUN_CANCELLED);
}

bool
run_is_over(const struct workflow *wf)
{
	return !wf->cleaning &&
	    (wf->cancelled ||
		(wf->deadline_ms != 0 &&
		    turn_now_ms(wf->turn) >= wf->deadline_ms));
}

void
run_suspend(struct workflow *wf, const struct wait *wait)
{
	struct arena *arena = turn_arena(wf->turn);

	if (run_is_over(wf))
		cancel(wf, wf->next);

	wf->wait = *wait;
	/* The run's arena is reset when the run ends. */
	wf->wait.target = arena_strdup(arena, wait->target);
	wf->wait.key = arena_strdup(arena, wait->key);
	run_leave(wf, RUN_SUSPENDED);
}

static const char *
encode_error(struct workflow *wf, const char *name, const char *message)
{
	return value_encode_error(turn_arena(wf->turn), name, message,
	    wf->serialization);
}

void
run_fail(struct workflow *wf, const char *name, const char *message)
{
	wf->end = RUN_FAILED;
	wf->failure = encode_error(wf, name, message);
}

bool
run_is_marked(const struct workflow *wf, int number)
{
	int at = number - wf->first;

	return at < wf->journal_len && wf->journal[at].known &&
	    strcmp(wf->journal[at].name, RUN_CLEANUP) == 0;
}

void
run_end_failed(struct workflow *wf, const char *name, const char *message)
{
	const char *error = encode_error(wf, name, message);

	/* In a run that has left its journal no number is right. */
	if (!wf->cleaning &&
	    (!run_replaying(wf) || run_is_marked(wf, wf->next)))
		error = run_clean_up(wf, wf->next, error);
	wf->failure = error;
	run_leave(wf, RUN_FAILED);
}

void
run_raise(struct workflow *wf, const char *name, const char *message)
{
	struct wf_error *error;

	if (!wf->catching)
		run_end_failed(wf, name, message);
	wf->catching = false;
	error = arena_alloc(wf->arena, sizeof(*error));
	error->name = name;
	error->message = message;
	wf->error = error;
}

bool
run_knows(const struct workflow *wf, int number)
{
	int at = number - wf->first;

	return at >= 0 && at < wf->journal_len && wf->journal[at].known;
}

const struct entry *
run_lookup(struct workflow *wf, int number, const char *name)
{
	const struct entry *entry;
	if (!run_knows(wf, number))
		return NULL;
	entry = &wf->journal[number - wf->first];
	if (strcmp(entry->name, name) != 0)
		run_end_failed(wf, "DBOSUnexpectedStepError",
		    arena_printf(wf->arena,
			"step %d of workflow '%s' was recorded as '%s', but the "
			"function now calls '%s': a changed workflow needs a new "
			"version",
			number, wf->id, entry->name, name));
	return entry;
}

void
run_fail_step(struct workflow *wf, const char *name, const char *message)
{
	struct db_error error = { .outcome = DB_REFUSED, .own = DB_REFUSED };

	snprintf(error.message, sizeof(error.message), "%s", message);
	turn_undo(wf->turn, wf, &error);
	run_leave_step(wf,
	    value_encode_error(wf->arena, name, message, VALUE_PORTABLE));
}

void
run_leave_step(struct workflow *wf, const char *error)
{
	const struct step *step = wf->step;

	run_record_error(wf, step->number, step->name, error, step->started_ms);
	longjmp(wf->step_failed, 1);
}

void
run_refuse_in_step(struct workflow *wf, const char *call)
{
	if (wf->step != NULL)
		run_fail_step(wf, "DBOSInvalidStep",
		    arena_printf(wf->arena,
			"step '%s' calls '%s', but a step calls nothing of "
			"its workflow",
			wf->step->name, call));
}

json_object *
run_take(struct workflow *wf, json_object *value)
{
	/* json-c also returns NULL for a value that it cannot make. */
	if (value == NULL)
		memory_check();
	return references_take(&wf->references, wf->arena, value, false);
}

void
run_wait_for_turn(struct workflow *wf)
{
	/* The next run comes here again, and logs it then. */
	turn_unlog(wf->turn, wf->log_end);
	wf->wait = (struct wait){ .kind = WAIT_TIMER,
		.wake_ms = turn_now_ms(wf->turn) };
	run_leave(wf, RUN_SUSPENDED);
}

/*
 * Before a call that the journal does not have.  A run that has recorded nothing
 * in this turn might never come further.
 */
static void
begin_step(struct workflow *wf, int number)
{
	int steps = number - wf->first;

	if (steps >= STEPS_MAX - 1 || wf->bytes >= BYTES_MAX)
		run_end_failed(wf, "DBOSHistoryLimitExceeded",
		    arena_printf(wf->arena,
			"the history of workflow '%s' has %d step(s) and %zu "
			"bytes, and may have %d and %d: the workflow must end "
			"or call wf_continue before",
			wf->id, steps, wf->bytes, STEPS_MAX, BYTES_MAX));
	if (wf->has_gone_on && turn_is_over(wf->turn))
		run_wait_for_turn(wf);
}

/* Logs once that a workflow comes near the limits of its history. */
static void
warn_of_limits(struct workflow *wf, int number, size_t bytes_before)
{
	int steps = number + 1 - wf->first;

	/* At the first step the input may have done that. */
	if (steps == STEPS_WARNED ||
	    ((steps == 1 || bytes_before < BYTES_WARNED) &&
		wf->bytes >= BYTES_WARNED))
		turn_log(wf->turn, LOG_LEVEL_WARNING,
		    "wf=%s the history of workflow '%s' has %d step(s) and %zu "
		    "bytes; with %d or %d the workflow fails: let it end or "
		    "call wf_continue before",
		    wf->id, wf->type->name, steps, wf->bytes, STEPS_MAX,
		    BYTES_MAX);
}

const struct entry *
run_call(struct workflow *wf, const char *name, int *number)
{
	const struct entry *entry;

	run_refuse_in_step(wf, name);
	wf->error = NULL;
	*number = wf->next++;
	if (!wf->cleaning && run_is_marked(wf, *number))
		cancel(wf, *number);
	entry = run_lookup(wf, *number, name);
	if (entry == NULL && run_is_over(wf))
		cancel(wf, *number);
	if (entry == NULL)
		begin_step(wf, *number);
	return entry;
}

void
run_record(struct workflow *wf, int number, const struct entry *entry)
{
	struct arena *arena = turn_arena(wf->turn);
	struct entry kept = *entry;
	size_t bytes_before = wf->bytes;

	kept.name = arena_strdup(arena, entry->name);
	kept.output = arena_strdup(arena, entry->output);
	kept.error = arena_strdup(arena, entry->error);
	kept.child = arena_strdup(arena, entry->child);
	kept.serialization = entry->serialization == NULL
	    ? VALUE_PORTABLE
	    : arena_strdup(arena, entry->serialization);
	run_add_entry(wf, number, &kept);
	wf->held_ms = 0;
	wf->has_gone_on = true;
	turn_add_step(wf->turn, wf, number, &kept);
	warn_of_limits(wf, number, bytes_before);
	wf->log_end = turn_log_end(wf->turn);
}

void
run_record_output(struct workflow *wf, int number, const char *name,
    const char *output, int64_t started_ms)
{
	const struct entry entry = { .name = name,
		.output = output,
		.started_ms = started_ms,
		.completed_ms = turn_now_ms(wf->turn) };

	run_record(wf, number, &entry);
}

void
run_record_error(struct workflow *wf, int number, const char *name,
    const char *error, int64_t started_ms)
{
	const struct entry entry = { .name = name,
		.error = error,
		.started_ms = started_ms,
		.completed_ms = turn_now_ms(wf->turn) };

	run_record(wf, number, &entry);
}

int64_t
run_timeout(struct workflow *wf, int number, int64_t timeout_ms,
    int64_t *started_ms)
{
	static const char name[] = "DBOS.sleep";
	const struct entry *known = run_lookup(wf, number, name);
	int64_t wake_ms;

	if (known != NULL) {
		*started_ms = known->started_ms;
		return known->output == NULL ? 0
					     : strtoll(known->output, NULL, 10);
	}
	*started_ms = turn_now_ms(wf->turn);
	wake_ms = run_later(*started_ms, timeout_ms < 0 ? 0 : timeout_ms);
	run_record(wf, number,
	    &(struct entry){ .name = name,
		.output = wf_number(wf, wake_ms),
		.started_ms = *started_ms,
		.completed_ms = *started_ms });
	return wake_ms;
}

const char *
run_database_error(struct workflow *wf, const struct db_error *error)
{
	if (error->name != NULL)
		return value_encode_error(wf->arena, error->name,
		    error->message, VALUE_PORTABLE);
	return value_encode_error(wf->arena, "DatabaseError",
	    arena_printf(wf->arena, "%s (SQLSTATE %s)", error->message,
		error->sqlstate),
	    VALUE_PORTABLE);
}

/* A member of a stored error, or otherwise when it is missing. */
static const char *
error_member(struct workflow *wf, json_object *error, const char *name,
    const char *otherwise)
{
	json_object *member;

	if (!json_object_object_get_ex(error, name, &member) || member == NULL)
		return otherwise;
	return arena_strdup(wf->arena, json_object_get_string(member));
}

json_object *
run_answer(struct workflow *wf, const struct entry *entry)
{
	const char *text = entry->error != NULL ? entry->error : entry->output;
	json_object *value;

	if (!value_decode(wf->arena, text, entry->serialization, &value)) {
		run_raise(wf, "DBOSInvalidInput",
		    arena_printf(wf->arena,
			"cannot read the result of step '%s' in the format '%s'",
			entry->name,
			entry->serialization == NULL ? "unknown"
						     : entry->serialization));
		return NULL;
	}
	if (entry->error == NULL) {
		wf->catching = false;
		return value;
	}
	run_raise(wf, error_member(wf, value, "name", "Error"),
	    error_member(wf, value, "message", entry->error));
	return NULL;
}

json_object *
run_recorded(struct workflow *wf, int number)
{
	return run_answer(wf, &wf->journal[number - wf->first]);
}

bool
run_replaying(const struct workflow *wf)
{
	return wf->next - wf->first < wf->journal_len;
}

/* Calls the workflow function and keeps its output. */
static void
call(void *arg)
{
	struct workflow *wf = arg;
	json_object *input, *output;

	if (!value_decode_argument(wf->arena, wf->input, wf->serialization,
		&input))
		run_end_failed(wf, "DBOSInvalidInput",
		    arena_printf(wf->arena,
			"cannot read the input: its format is '%s'",
			wf->serialization == NULL ? "unknown"
						  : wf->serialization));
	output = run_take(wf, wf->type->function(wf, input));
	if (run_replaying(wf))
		run_end_failed(wf, "DBOSUnexpectedStepError",
		    arena_printf(wf->arena,
			"workflow '%s' returned before step %d, which is in its "
			"journal: a changed workflow needs a new version",
			wf->id, wf->next));
	wf->output = value_encode(turn_arena(wf->turn), output,
	    wf->serialization);
	if (wf->output == NULL)
		run_end_failed(wf, "DBOSInvalidOutput",
		    "the output is not valid JSON");
	wf->end = RUN_RETURNED;
}

/* A run begins at its top. */
static bool
begin(struct workflow *wf, struct fibers *fibers)
{
	wf->fiber = fiber_new(fibers, call, wf);
	if (wf->fiber == NULL)
		return false;
	wf->arena = fiber_arena(wf->fiber);
	return true;
}

bool
run_execute(struct workflow *wf, struct fibers *fibers)
{
	if (wf->fiber == NULL && !begin(wf, fibers))
		return false;
	wf->log_end = turn_log_end(wf->turn);
	fiber_resume(wf->fiber);
	if (wf->end != RUN_READY)
		run_drop(wf);
	return true;
}

void
run_drop(struct workflow *wf)
{
	if (wf->fiber == NULL)
		return;
	fiber_free(wf->fiber);
	wf->fiber = NULL;
	wf->arena = NULL;
}
