/* SPDX-License-Identifier: MIT */
/*
 * What a step master says to the database and hands to its processes.
 */
#include "engine/step_trip.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <durable/engine.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "db/session.h"
#include "engine/run.h"
#include "engine/step_policy.h"
#include "engine/step_process.h"

/* When to look again at steps that another master is about to take. */
#define LOCKED_MS 10

/* The columns of statements about some of the processes' steps. */
struct step_columns {
	struct strbuf ids, numbers, attempts;
};

static void
add_step(struct step_columns *columns, struct arena *arena,
    const struct step_task *task)
{
	strbuf_add_element(&columns->ids, task->id);
	strbuf_add_element(&columns->numbers,
	    arena_number(arena, task->number));
	strbuf_add_element(&columns->attempts,
	    arena_number(arena, task->attempt));
}

static void
free_columns(struct step_columns *columns)
{
	strbuf_free(&columns->ids);
	strbuf_free(&columns->numbers);
	strbuf_free(&columns->attempts);
}

size_t
step_trip_count(const struct step_trip *trip, enum step_state state)
{
	size_t count = 0, i;

	for (i = 0; i < trip->count; i++)
		count += trip->processes[i].state == state;
	return count;
}

/* A new session: a new number, for which it asks as the former one. */
static bool
become_owner(struct step_trip *trip)
{
	struct step_columns columns = { 0 };
	const struct db_rows *rows;
	struct strbuf failures = { 0 };
	const char *params[5];
	size_t i;

	for (i = 0; i < trip->count; i++) {
		const struct step_task *task = &trip->processes[i].task;

		if (trip->processes[i].state == STEP_IDLE)
			continue;
		add_step(&columns, trip->arena, task);
		strbuf_add_element(&failures,
		    arena_number(trip->arena, task->failures));
	}
	params[0] = trip->number;
	params[1] = strbuf_end_array(&columns.ids);
	params[2] = strbuf_end_array(&columns.numbers);
	params[3] = strbuf_end_array(&columns.attempts);
	params[4] = strbuf_end_array(&failures);
	rows = db_query(trip->db, trip->arena,
	    "select durable.step_register($1, $2, $3, $4, $5)", 5, params);
	free_columns(&columns);
	strbuf_free(&failures);
	if (rows == NULL)
		return false;
	snprintf(trip->number_text, sizeof(trip->number_text), "%s",
	    db_value(rows, 0, 0));
	trip->number = trip->number_text;
	return true;
}

/* Returns false when the database is of no use to this program. */
bool
step_trip_connect(struct step_trip *trip)
{
	arena_reset(trip->arena);
	switch (session_open(trip->session)) {
	case SESSION_READY:
		if (!become_owner(trip) ||
		    session_listen(trip->session, true) != DB_DONE) {
			session_lose(trip->session);
			break;
		}
		/* Notifications before that were not heard. */
		trip->more = trip->may_be_lost = true;
		break;
	case SESSION_AWAY:
		break;
	case SESSION_REFUSED:
		return false;
	}
	return true;
}

/* Says why an attempt has failed, and what follows. */
static void
log_failure(const struct step_task *task, const struct step_outcome *outcome,
    const struct step_verdict *verdict)
{
	if (verdict->delay_ms >= 0)
		log_info("wf=%s step=%s attempt %d has failed and is repeated "
			 "in %lld ms: %s: %s",
		    task->id, task->type->name, task->attempt,
		    (long long)verdict->delay_ms, outcome->error_name,
		    outcome->error_message);
	else
		log_warning("wf=%s step=%s has failed at attempt %d: %s: %s",
		    task->id, task->type->name, task->attempt,
		    outcome->error_name, outcome->error_message);
}

static void
note_due(struct step_trip *trip, int64_t in_ms)
{
	int64_t due_ms = run_later(clock_monotonic_ms(), in_ms);

	if (due_ms < trip->due_ms)
		trip->due_ms = due_ms;
}

/* Queues what has ended; returns whether there is any. */
static bool
queue_settle(struct step_trip *trip)
{
	struct step_columns columns = { 0 };
	struct strbuf results = { 0 }, errors = { 0 }, delays = { 0 },
		      failed = { 0 };
	size_t i;

	for (i = 0; i < trip->count; i++) {
		struct step_process *process = &trip->processes[i];
		struct step_verdict verdict;

		if (process->state != STEP_ENDED)
			continue;
		verdict = step_policy_decide(trip->arena, &process->task,
		    &process->outcome, drand48());
		if (verdict.failures > 0 && !process->is_logged)
			log_failure(&process->task, &process->outcome,
			    &verdict);
		process->is_logged = true;
		if (verdict.delay_ms >= 0)
			note_due(trip, verdict.delay_ms);
		add_step(&columns, trip->arena, &process->task);
		strbuf_add_element(&results,
		    verdict.error != NULL ? NULL : process->outcome.result);
		strbuf_add_element(&errors, verdict.error);
		strbuf_add_element(&delays,
		    verdict.delay_ms < 0
			? NULL
			: arena_number(trip->arena, verdict.delay_ms));
		strbuf_add_element(&failed,
		    arena_number(trip->arena, verdict.failures));
	}
	if (columns.ids.len > 0) {
		const char *const params[] = { trip->number,
			trip->engine->application,
			strbuf_end_array(&columns.ids),
			strbuf_end_array(&columns.numbers),
			strbuf_end_array(&columns.attempts),
			strbuf_end_array(&results), strbuf_end_array(&errors),
			strbuf_end_array(&delays), strbuf_end_array(&failed) };

		db_queue(trip->db,
		    "select durable.step_settle($1, $2, $3, $4, $5, $6, $7, "
		    "$8, $9)",
		    9, params);
	}
	i = columns.ids.len;
	free_columns(&columns);
	strbuf_free(&results);
	strbuf_free(&errors);
	strbuf_free(&delays);
	strbuf_free(&failed);
	return i > 0;
}

/* Whether a step has ended that has said something of its progress. */
static bool
has_last_words(const struct step_trip *trip)
{
	size_t i;

	for (i = 0; i < trip->count; i++)
		if (trip->processes[i].state == STEP_ENDED &&
		    trip->processes[i].has_progress)
			return true;
	return false;
}

static bool
is_look_due(const struct step_trip *trip)
{
	return trip->may_be_lost || has_last_words(trip) ||
	    clock_monotonic_ms() - trip->looked_ms >= STEP_LOOK_MS;
}

/* Notes progress, and asks which steps are lost. */
static void
queue_look(struct step_trip *trip, const struct db_rows **lost)
{
	struct step_columns columns = { 0 };
	struct strbuf progress = { 0 };
	const char *params[5];
	size_t i;

	for (i = 0; i < trip->count; i++) {
		struct step_process *process = &trip->processes[i];

		if (process->state == STEP_IDLE)
			continue;
		add_step(&columns, trip->arena, &process->task);
		strbuf_add_element(&progress,
		    process->has_progress ? process->progress.text : NULL);
	}
	params[0] = trip->number;
	params[1] = strbuf_end_array(&columns.ids);
	params[2] = strbuf_end_array(&columns.numbers);
	params[3] = strbuf_end_array(&columns.attempts);
	params[4] = strbuf_end_array(&progress);
	db_queue_rows(trip->db, trip->arena,
	    "select workflow_uuid, function_id "
	    "from durable.step_look($1, $2, $3, $4, $5)",
	    5, params, lost);
	free_columns(&columns);
	strbuf_free(&progress);
}

static void
queue_take(struct step_trip *trip, size_t most, const struct db_rows **taken,
    const struct db_rows **next)
{
	const char *const params[] = { trip->number, trip->engine->application,
		trip->types, arena_number(trip->arena, (int64_t)most) };

	db_queue_rows(trip->db, trip->arena,
	    "select workflow_uuid, function_id, type, argument, attempt, "
	    "failures, progress from durable.step_take($1, $2, $3, $4)",
	    4, params, taken);
	db_queue_rows(trip->db, trip->arena, "select durable.step_next($1, $2)",
	    2, params + 1, next);
}

static int
number_in(const struct db_rows *rows, size_t row, int column)
{
	return (int)strtol(db_value(rows, row, column), NULL, 10);
}

/* Stops the steps of these rows. */
static void
stop_lost(struct step_trip *trip, const struct db_rows *lost)
{
	size_t row, i;

	for (row = 0; row < db_row_count(lost); row++)
		for (i = 0; i < trip->count; i++) {
			const struct step_task *task = &trip->processes[i].task;

			if (trip->processes[i].state == STEP_RUNNING &&
			    strcmp(task->id, db_value(lost, row, 0)) == 0 &&
			    task->number == number_in(lost, row, 1))
				step_process_stop(&trip->processes[i],
				    STEP_IS_LOST);
		}
}

static const struct step_type *
find_type(const struct engine *engine, const char *name, size_t *index)
{
	for (*index = 0; engine->steps[*index] != NULL; ++*index)
		if (strcmp(engine->steps[*index]->name, name) == 0)
			return engine->steps[*index];
	abort();
}

/* Hands the taken steps to the idle processes, of which there are enough. */
static void
hand_out(struct step_trip *trip, const struct db_rows *taken)
{
	enum { ID, NUMBER, TYPE, ARGUMENT, ATTEMPT, FAILURES, PROGRESS };
	size_t row, at = 0;

	for (row = 0; row < db_row_count(taken); row++, at++) {
		struct step_task task = { .id = db_value(taken, row, ID),
			.number = number_in(taken, row, NUMBER),
			.attempt = number_in(taken, row, ATTEMPT),
			.failures = number_in(taken, row, FAILURES),
			.argument = db_value(taken, row, ARGUMENT),
			.progress = db_value(taken, row, PROGRESS) };

		task.type = find_type(trip->engine, db_value(taken, row, TYPE),
		    &task.type_index);
		while (trip->processes[at].state != STEP_IDLE)
			at++;
		step_process_give(&trip->processes[at], &task);
		failpoint("step-given", db_fd(trip->db));
	}
}

/* Notes when the next step is due, after a take of so many at most. */
static void
note_next(struct step_trip *trip, const struct db_rows *taken,
    const struct db_rows *next, size_t most)
{
	const char *text = db_value(next, 0, 0);
	int64_t in_ms = text == NULL ? INT64_MAX : strtoll(text, NULL, 10);

	trip->more = db_row_count(taken) >= most;
	/* Another master has locked what is due. */
	if (!trip->more && in_ms < LOCKED_MS)
		in_ms = LOCKED_MS;
	trip->due_ms = INT64_MAX;
	note_due(trip, in_ms);
}

/* What has ended is written: its processes are idle. */
static void
note_settled(struct step_trip *trip)
{
	size_t i;

	for (i = 0; i < trip->count; i++)
		if (trip->processes[i].state == STEP_ENDED)
			step_process_settled(&trip->processes[i]);
}

static void
note_looked(struct step_trip *trip, const struct db_rows *lost)
{
	size_t i;

	trip->looked_ms = clock_monotonic_ms();
	trip->may_be_lost = false;
	for (i = 0; i < trip->count; i++)
		trip->processes[i].has_progress = false;
	stop_lost(trip, lost);
}

/* How many steps to take: as many as it has processes for, if any is due. */
static size_t
how_many(const struct step_trip *trip)
{
	int64_t now_ms = clock_monotonic_ms();

	if (trip->stopping ||
	    (!trip->more && now_ms < trip->due_ms &&
		now_ms - trip->looked_ms < STEP_LOOK_MS))
		return 0;
	return trip->count - step_trip_count(trip, STEP_RUNNING);
}

static void
note_failed_trip(struct step_trip *trip)
{
	const struct db_error *error = db_last_error(trip->db);

	if (error->outcome == DB_LOST) {
		session_lose(trip->session);
		return;
	}
	if (log_is_due(&trip->repeated_ms))
		log_warning("what external steps do is written again: %s",
		    error->message);
}

/* Returns false when the round trip failed, and is to be repeated. */
bool
step_trip_make(struct step_trip *trip)
{
	const struct db_rows *lost = NULL, *taken = NULL, *next = NULL;
	size_t most = how_many(trip);
	bool has_ended;

	arena_reset(trip->arena);
	if (is_look_due(trip))
		queue_look(trip, &lost);
	has_ended = queue_settle(trip);
	if (has_ended)
		failpoint("before-settle", db_fd(trip->db));
	if (most > 0)
		queue_take(trip, most, &taken, &next);
	db_sync(trip->db);
	if (has_ended)
		db_queue(trip->db,
		    "select durable.hint('durable_due', '{\"\"}')", 0, NULL);
	if (has_ended)
		failpoint("during-settle", db_fd(trip->db));
	if (most > 0)
		failpoint("during-take", db_fd(trip->db));
	if (db_finish(trip->db) != DB_DONE) {
		note_failed_trip(trip);
		return false;
	}
	if (has_ended)
		failpoint("after-settle", db_fd(trip->db));
	if (taken != NULL && db_row_count(taken) > 0)
		failpoint("step-taken", db_fd(trip->db));
	note_settled(trip);
	if (lost != NULL)
		note_looked(trip, lost);
	if (taken != NULL) {
		hand_out(trip, taken);
		note_next(trip, taken, next, most);
	}
	return true;
}

bool
step_trip_is_due(const struct step_trip *trip)
{
	return step_trip_count(trip, STEP_ENDED) > 0 || is_look_due(trip) ||
	    how_many(trip) > 0;
}

int64_t
step_trip_due_ms(const struct step_trip *trip)
{
	int64_t look_ms = trip->looked_ms + STEP_LOOK_MS;

	return !trip->stopping && trip->due_ms < look_ms &&
		step_trip_count(trip, STEP_RUNNING) < trip->count
	    ? trip->due_ms
	    : look_ms;
}
