/* SPDX-License-Identifier: MIT */
/*
 * What the stories about the engine share: a session of the test's own, a daemon
 * that runs the test's workflows, and questions about these.
 */
#ifndef STORIES_STORY_H
#define STORIES_STORY_H

#include <stdbool.h>
#include <sys/types.h>

#include <durable/engine.h>

#include "base/arena.h"
#include "db/db.h"

/* How long a story waits for what has to come. */
#define WAIT_S 60

/* An element of a list of workflow types, of version 1. */
#define TYPE(run) \
	{ \
		.name = #run, .version = "1", .function = (run) \
	}

/* The test's session, and the memory of what it returns. */
extern struct db *db;
extern struct arena *arena;

/*
 * Connects, makes the schema test with the table notes, and runs setup, which
 * may be empty.  Ends the test when that fails.
 */
void story_begin(const char *setup);

/* Disconnects. */
void story_end(void);

/*
 * Starts a daemon of application and queue "test", with this many workers and
 * with types_count types.  engine has its limits, and its executor's name if that
 * matters.
 */
pid_t story_start_daemon(const struct engine *engine,
    const struct workflow_type *types, size_t types_count, int workers);

/* Ends the daemon by SIGTERM; returns whether its status is 0. */
bool story_stop_daemon(pid_t daemon);

/*
 * Runs a statement and returns its first value, or NULL for null and, with a
 * diagnostic line, for an error.
 */
const char *sql(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Waits until a query returns what is wanted; false after WAIT_S seconds. */
bool wait_sql(const char *want, const char *query);

/* Starts a workflow of the application. */
void start(const char *id, const char *name, const char *input);

/*
 * Starts workflows of a type, "<prefix>1" and so on, all in one turn, with an
 * element of inputs, an array literal, each.
 */
void start_together(const char *prefix, const char *type, const char *inputs);

/* Waits for the end of a workflow and returns its status. */
const char *ended(const char *id);

/* Waits for the end of a workflow; its output or its error, else "". */
const char *output(const char *id);

/* The numbers and names of the steps in a workflow's journal. */
const char *steps(const char *id);

/* How often a workflow has taken a note. */
const char *notes(const char *id);

/* A step with an effect that other sessions see: one more note. */
void take_note(struct workflow *wf, const char *name);

/*
 * Workflows of several stories.  good takes two notes with a short sleep between
 * them; ticker takes one after each of three sleeps of input milliseconds;
 * sleeper sleeps an hour, or, with an input, a second and then that many
 * milliseconds; listener returns its first message on "topic".
 */
json_object *good(struct workflow *wf, json_object *input);
json_object *ticker(struct workflow *wf, json_object *input);
json_object *sleeper(struct workflow *wf, json_object *input);
json_object *listener(struct workflow *wf, json_object *input);

#endif
