/* SPDX-License-Identifier: MIT */
/*
 * The step master: the process of a daemon that has external steps run, by
 * processes of its own.  It takes those that are due and writes how they have
 * ended, many in one transaction, and has none open meanwhile.  Private to the
 * engine.
 */
#ifndef DURABLE_STEP_MASTER_H
#define DURABLE_STEP_MASTER_H

struct engine;
struct prefork_worker;

/* Works until the process is asked to stop.  Returns its exit status. */
int step_master_run(struct prefork_worker *self, const struct engine *engine);

#endif
