/* SPDX-License-Identifier: MIT */
/*
 * What a daemon serves, as the array literals that its SQL functions take: the
 * types and queues of struct engine, or a worker's partition of them.
 */
#ifndef DURABLE_SERVED_H
#define DURABLE_SERVED_H

#include "base/standby.h"

struct engine;
struct served;
struct workflow_type;

/* Lists what the engine serves.  The caller frees it with served_free. */
struct served *served_new(const struct engine *engine);
void served_free(struct served *served);

/*
 * name@version of every type, and name@ for a workflow that asks for no
 * version: what a worker may run, each once; all: also name@ of what is
 * superseded.  Valid until served_supersede.
 */
const char *served_runnable(const struct served *served);
const char *served_all(const struct served *served);

/*
 * Notes the names (an array literal) of which another daemon has a later version,
 * which takes the workflows that ask for none.  Returns whether this is new.
 */
bool served_supersede(struct served *served, const char *names);

/*
 * Replaces the queues (an array literal), of an engine that serves all of its
 * application.  Returns whether this is new.
 */
bool served_set_queues(struct served *served, const char *queues);

/*
 * The types in a partition, as durable.waits has them (name@version@application),
 * or the queues; partition NULL means all.  Valid until the next call.
 */
const char *
served_types(struct served *served, const struct standby_partition *partition);
const char *
served_queues(struct served *served, const struct standby_partition *partition);

/*
 * The type that runs workflows of this name and version; version NULL means
 * the last registered one.  NULL when there is none.
 */
const struct workflow_type *
served_type(const struct engine *engine, const char *name, const char *version);

#endif
