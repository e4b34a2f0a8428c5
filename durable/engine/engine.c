/* SPDX-License-Identifier: MIT */
/*
 * Runs the worker processes and makes the parts of each.
 */
#include <durable/engine.h>

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "db/monitor.h"
#include "engine/crew.h"
#include "engine/recovery.h"
#include "engine/served.h"
#include "engine/step_master.h"
#include "engine/step_policy.h"
#include "engine/turn.h"
#include "engine/worker.h"

/*
 * How often a worker sweeps, and how long it rests at most, because a
 * notification may be lost.  The others sweep in case the first one cannot, and
 * as often when they have to find new queues.
 */
#define SAFETY_INTERVAL_MS 1000
#define OTHERS_INTERVAL_MS WORKER_IDLE_MS

/*
 * A name and a version have fewer bytes together, so that durable.queue_key,
 * which cuts a longer type off, gives no other workflow the key of this type.
 */
#define TYPE_MAX           199

/* Between turns that are repeated. */
#define PAUSE_MIN_MS       5
#define PAUSE_MAX_MS       250

/*
 * The first two time-outs end statements that hold a turn up.  The third ends
 * the session of a worker that is frozen in a turn, where two statements follow
 * each other within milliseconds.  It is shorter than lock_timeout, so that a
 * session that waits for a row of that worker gets it.
 */
static const char setup[] = "set lock_timeout = '1500ms';"
			    "set statement_timeout = '15s';"
			    "set idle_in_transaction_session_timeout = '1s';";

/* DBOS's channel for messages; ours for all else that makes a workflow due. */
static const char *const listen_statements[] = {
	"listen dbos_notifications_channel", "listen durable_due", NULL
};

static int
run_worker(struct prefork_worker *self, const struct crew *crew)
{
	const struct engine *engine = crew->engine;
	const struct monitor_member member = { .program = "daemon",
		.self = self };
	char statements[512];
	const struct session_options options = { .conninfo = engine->conninfo,
		.application_name = "durable worker",
		.setup = statements,
		.listen = listen_statements,
		.member = engine->machine_room ? &member : NULL };
	struct session *session = session_new(&options);
	struct served *served = served_new(engine);
	struct worker worker = { .engine = engine,
		.self = self,
		.session = session,
		.db = session_db(session),
		.sweep = { .engine = engine,
		    .served = served,
		    .session = session,
		    .db = session_db(session),
		    .interval_ms = self->slot == 0 || engine->all_queues
			? SAFETY_INTERVAL_MS
			: OTHERS_INTERVAL_MS,
		    .notes_served = self->slot == 0,
		    .schedule = { .engine = engine,
			.served = served,
			.db = session_db(session),
			.began_ms = self->master_started_ms,
			.wakes = self->slot == 0 } },
		.member = { .standby = self->standby,
		    .slot = self->slot,
		    .wait_mask = &self->wait_mask },
		.collector = { .engine = engine, .db = session_db(session) },
		.workers = crew->workers,
		.backoff = { .min_ms = PAUSE_MIN_MS, .max_ms = PAUSE_MAX_MS } };
	int status;

	snprintf(statements, sizeof(statements), "%s%s%s", setup,
	    engine->crash_channel == NULL ? "" : "listen ",
	    engine->crash_channel == NULL ? "" : engine->crash_channel);
	memory_limit(engine->memory_limit_mb);
	worker.turn = turn_new(engine, served, worker.db, self->crash_note);
	if (crew->stats != NULL)
		turn_count_in(worker.turn, &crew->stats[self->slot]);
	worker.recovery = recovery_new(engine, served, worker.db, worker.turn,
	    self);
	status = worker_loop(&worker);
	recovery_free(worker.recovery);
	turn_free(worker.turn);
	session_free(session);
	served_free(served);
	return status;
}

int
engine_processes(const struct crew *crew)
{
	const struct engine *engine = crew->engine;
	bool has_steps = engine->steps != NULL && *engine->steps != NULL;

	return crew->workers + has_steps;
}

int
engine_work(struct prefork_worker *self, const void *arg)
{
	const struct crew *crew = arg;

	return self->slot < crew->workers ? run_worker(self, crew)
					  : step_master_run(self, crew->engine);
}

/* Whether a name may be served; logs why not. */
static bool
is_name(const char *what, const char *name)
{
	if (name != NULL && *name != '\0')
		return true;
	log_error("the engine cannot run: %s is empty", what);
	return false;
}

/* Whether the engine serves what workflows of this type start. */
static bool
serves_children(const struct workflow_type *const *types,
    const struct workflow_type *type)
{
	const struct workflow_type *const *child, *const *served;

	for (child = type->children; child != NULL && *child != NULL; child++) {
		for (served = types; *served != NULL; served++)
			if (strcmp((*served)->name, (*child)->name) == 0 &&
			    strcmp((*served)->version, (*child)->version) == 0)
				break;
		if (*served == NULL) {
			log_error("the engine cannot run: workflow type '%s' "
				  "starts '%s' of version '%s', which is not "
				  "among its types",
			    type->name, (*child)->name, (*child)->version);
			return false;
		}
	}
	return true;
}

static bool
can_serve_types(const struct workflow_type *const *types)
{
	const struct workflow_type *const *type, *const *other;

	if (types == NULL || *types == NULL) {
		log_error("the engine cannot run: it has no workflow types");
		return false;
	}
	for (type = types; *type != NULL; type++) {
		if (!is_name("the name of a workflow type", (*type)->name) ||
		    !is_name("the version of a workflow type",
			(*type)->version))
			return false;
		if (strlen((*type)->name) + strlen((*type)->version) >=
		    TYPE_MAX) {
			log_error(
			    "the engine cannot run: the name and the "
			    "version of workflow type '%s' have more than "
			    "%d bytes",
			    (*type)->name, TYPE_MAX - 1);
			return false;
		}
		if (strchr((*type)->version, '@') != NULL) {
			log_error("the engine cannot run: the version '%s' of "
				  "workflow type '%s' has an '@'",
			    (*type)->version, (*type)->name);
			return false;
		}
		if ((*type)->function == NULL) {
			log_error("the engine cannot run: workflow type '%s' "
				  "has no function",
			    (*type)->name);
			return false;
		}
		if (!serves_children(types, *type))
			return false;
		for (other = types; other < type; other++)
			if (strcmp((*other)->name, (*type)->name) == 0 &&
			    strcmp((*other)->version, (*type)->version) == 0) {
				log_error("the engine cannot run: it has two "
					  "workflow types '%s' of version '%s'",
				    (*type)->name, (*type)->version);
				return false;
			}
	}
	return true;
}

static bool
can_serve_queues(const char *const *queues)
{
	const char *const *queue, *const *other;

	if (queues == NULL || *queues == NULL) {
		log_error("the engine cannot run: it has no queues");
		return false;
	}
	for (queue = queues; *queue != NULL; queue++) {
		if (!is_name("the name of a queue", *queue))
			return false;
		/* A turn would take a workflow of it twice. */
		for (other = queues; other < queue; other++)
			if (strcmp(*other, *queue) == 0) {
				log_error("the engine cannot run: it has two "
					  "queues '%s'",
				    *queue);
				return false;
			}
	}
	return true;
}

static bool
can_run_steps(const struct step_type *const *steps)
{
	const struct step_type *const *type, *const *other;
	const char *what;

	for (type = steps; type != NULL && *type != NULL; type++) {
		if (!is_name("the name of a step type", (*type)->name))
			return false;
		if ((*type)->function == NULL) {
			log_error("the engine cannot run: step type '%s' has "
				  "no function",
			    (*type)->name);
			return false;
		}
		if (!step_policy_is_sensible(*type, &what)) {
			log_error("the engine cannot run: the %s of step type "
				  "'%s' is out of range",
			    what, (*type)->name);
			return false;
		}
		for (other = steps; other < type; other++)
			if (strcmp((*other)->name, (*type)->name) == 0) {
				log_error("the engine cannot run: it has two "
					  "step types '%s'",
				    (*type)->name);
				return false;
			}
	}
	return true;
}

/* Whether a number is at least this; logs why not. */
static bool
is_at_least(int least, const char *what, int number)
{
	if (number >= least)
		return true;
	log_error("the engine cannot run: %s is %d, and at least %d", what,
	    number, least);
	return false;
}

bool
engine_can_run(const struct engine *engine, int workers)
{
	if (engine->conninfo == NULL) {
		log_error("the engine cannot run: conninfo is NULL");
		return false;
	}
	return is_name("application", engine->application) &&
	    is_name("executor", engine->executor) &&
	    can_serve_types(engine->types) &&
	    (engine->all_queues || can_serve_queues(engine->queues)) &&
	    can_run_steps(engine->steps) &&
	    is_at_least(0, "step_processes", engine->step_processes) &&
	    is_at_least(1, "turn_size", engine->turn_size) &&
	    is_at_least(1, "turn_limit_s", engine->turn_limit_s) &&
	    is_at_least(1, "max_attempts", engine->max_attempts) &&
	    is_at_least(0, "schema_patience_s", engine->schema_patience_s) &&
	    is_at_least(0, "memory_limit_mb", engine->memory_limit_mb) &&
	    is_at_least(1, "the number of workers", workers);
}

static int
reload(void *arg)
{
	struct crew *crew = arg;
	int workers = crew->engine->reload();

	if (workers == 0 || !engine_can_run(crew->engine, workers))
		return 0;
	crew->workers = workers;
	return engine_processes(crew);
}

int
durable_run(const struct engine *engine, int workers)
{
	struct crew crew = { .engine = engine, .workers = workers };
	struct prefork_program program = { .worker = engine_work,
		.arg = &crew,
		.reload = engine->reload == NULL ? NULL : reload };

	if (!engine_can_run(engine, workers))
		return DURABLE_EXIT_USAGE;
	program.count = engine_processes(&crew);
	return prefork_run(&program);
}
