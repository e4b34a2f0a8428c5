/* SPDX-License-Identifier: MIT */
/*
 * A worker: turn after turn, and between them a rest until something is due.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <durable/engine.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/prefork.h"
#include "base/standby.h"
#include "db/monitor.h"
#include "db/session.h"
#include "engine/recovery.h"
#include "engine/served.h"
#include "engine/turn.h"

/*
 * Notifications are hints; this is how long a lost one may delay.  The first
 * worker looks after that; the others in case it cannot.
 */
#define SAFETY_INTERVAL_MS 1000
#define OTHERS_INTERVAL_MS 5000

/* One sweep in so many looks for sessions that are not read any more. */
#define UNREAD_SWEEPS      5

/*
 * A notification wakes every session that listens, whatever it is about, and
 * costs each a transaction.  After so many turns without a rest a worker
 * listens no more: it looks after each turn, until there is nothing to do.
 */
#define BUSY_TURNS         8

/* Between turns that are repeated. */
#define PAUSE_MIN_MS       5
#define PAUSE_MAX_MS       250

/* How often it is said at most that a turn is repeated. */
#define REPEATED_LOG_MS    10000

/*
 * The time-outs end what holds a turn up, and, at the server, a worker that is
 * frozen within one: a turn is silent for milliseconds between its statements.
 * A session that waits for a row of such a worker outlasts it, and so gets the
 * row.  The lock is what durable.daemon_workers counts.
 */
static const char setup[] = "set lock_timeout = '1500ms';"
			    "set statement_timeout = '15s';"
			    "set idle_in_transaction_session_timeout = '1s';"
			    "select pg_advisory_lock_shared(1146442305, 1);";

static const char *const listen_statements[] = {
	"listen dbos_notifications_channel", "listen durable_due", NULL
};

/*
 * A worker that is frozen while the server writes to it is not idle, and no
 * time-out ends what cannot be written: its statement is older than any may
 * be.  Nor is a worker idle that is frozen while it sends, which otherwise
 * takes no time.
 */
static const char end_unread[] =
    "select pg_terminate_backend(a.pid) "
    "from pg_stat_activity as a "
    "where a.usename = current_user "
    "and a.application_name = current_setting('application_name') "
    "and (a.wait_event = 'ClientWrite' "
    "and a.query_start < clock_timestamp() - interval '20 s' "
    "or a.state = 'active' and a.wait_event = 'ClientRead' "
    "and a.query_start < clock_timestamp() - interval '2 s')";

struct worker {
	const struct engine *engine;
	const struct prefork_worker *self;
	struct served *served;
	struct session *session;
	struct db *db; /* the session's */
	struct turn *turn;
	struct recovery *recovery;
	struct backoff backoff;  /* between turns that are repeated */
	bool partitioned;        /* the last turn took only a part of all */
	int64_t idle_since_ms;   /* nothing was due in the partition; 0: it was */
	bool stood_by;           /* instead of a turn */
	int busy_turns;          /* had or left to others, without a rest */
	int64_t repeated_ms;     /* when it was last logged that a turn is */
	int safety_interval_ms;
	int64_t swept_ms;
	unsigned sweeps;
};

/* Waits for input on the connection (-1: for nothing), the time or SIGTERM. */
static void
wait_for(const struct worker *worker, int fd, int timeout_ms)
{
	struct pollfd input = { .fd = fd, .events = POLLIN };
	const struct timespec timeout = { .tv_sec = timeout_ms / 1000,
		.tv_nsec = timeout_ms % 1000 * 1000000L };

	if (ppoll(&input, 1, &timeout, &worker->self->wait_mask) < 0 &&
	    errno != EINTR)
		abort();
}

/* Tells the database which version and queues this daemon serves. */
static bool
register_engine(struct worker *worker)
{
	const struct workflow_type *const *type = worker->engine->types;
	const char *params[3];

	while (type[1] != NULL)
		type++;
	params[0] = worker->engine->application;
	params[1] = (*type)->version;
	params[2] = served_queues(worker->served, NULL);
	db_queue(worker->db, "select durable.register($1, $2, $3)", 3, params);
	return db_finish(worker->db) == DB_DONE;
}

/* Opens the session.  Returns false when no repetition helps. */
static bool
worker_connect(struct worker *worker)
{
	turn_forget(worker->turn);
	switch (session_open(worker->session)) {
	case SESSION_READY:
		if (worker->self->slot != 0 || register_engine(worker))
			return true;
		session_lose(worker->session);
		break;
	case SESSION_AWAY:
		break;
	case SESSION_WRONG_SCHEMA:
		return false;
	}
	wait_for(worker, -1, session_pause_ms(worker->session));
	return true;
}

/* Reads what has arrived; returns whether there was a hint. */
static bool
take_notifications(struct worker *worker)
{
	const struct db_notification *notification;
	bool hinted = false;

	if (!db_consume(worker->db)) {
		session_lose(worker->session);
		return false;
	}
	while ((notification = db_next_notification(worker->db)) != NULL) {
		if (worker->engine->crash_channel != NULL &&
		    strcmp(notification->channel,
			worker->engine->crash_channel) == 0) {
			log_warning("the crash button was pressed: this worker "
				    "ends, the master starts another");
			raise(SIGKILL);
		}
		hinted = true;
	}
	return hinted;
}

static void
worker_sweep(struct worker *worker)
{
	const char *const params[] = { served_runnable(worker->served),
		worker->engine->application };
	int64_t now_ms = clock_monotonic_ms();

	if (now_ms - worker->swept_ms < worker->safety_interval_ms)
		return;
	worker->swept_ms = now_ms;
	db_queue(worker->db, "select durable.sweep($1, $2)", 2, params);
	if (worker->sweeps++ % UNREAD_SWEEPS == 0)
		db_queue(worker->db, end_unread, 0, NULL);
	if (db_finish(worker->db) == DB_LOST)
		session_lose(worker->session);
}

/*
 * Whether another worker has the turn that this one could have now: what woke
 * this one woke the others.  When there was more than a turn may take, there
 * is enough for all.
 */
static bool
stands_by(struct worker *worker)
{
	struct standby *standby = worker->self->standby;
	const struct standby_watch watch = standby_watch(standby);

	if (standby_is_mine(standby, worker->self->slot) ||
	    standby_is_saturated(standby))
		return false;
	wait_for(worker, -1, STANDBY_WATCH_MS);
	return !standby_take_over(standby, &watch, worker->self->slot);
}

/*
 * A turn of what is due and in this worker's partition.  When nothing has been
 * due there for a while, of whatever is due, for as long as that is enough for
 * all.
 */
static enum turn_outcome
run_due(struct worker *worker)
{
	int64_t now_ms = clock_monotonic_ms();
	struct turn_plan plan = {
		.partition = standby_partition(worker->self->standby,
		    worker->self->slot),
		.polls_again = !session_is_listening(worker->session)
	};
	enum turn_outcome outcome;
	bool helps;

	helps = plan.partition.parts > 1 && worker->idle_since_ms != 0 &&
	    now_ms - worker->idle_since_ms >= STANDBY_PARTITION_MS;
	if (helps)
		plan.partition.parts = 1;
	worker->partitioned = plan.partition.parts > 1;
	standby_begin(worker->self->standby);
	outcome = turn_run(worker->turn, &plan);
	if (!worker->partitioned || turn_took_any(worker->turn)) {
		if (!helps || !turn_was_full(worker->turn))
			worker->idle_since_ms = 0;
	} else if (worker->idle_since_ms == 0) {
		worker->idle_since_ms = now_ms;
	}
	return outcome;
}

/* For how long nothing will be due, as far as is known. */
static int
due_in_ms(const struct worker *worker)
{
	int64_t left_ms;

	if (!worker->stood_by)
		return turn_due_in_ms(worker->turn,
		    worker->partitioned ? STANDBY_PARTITION_MS
					: OTHERS_INTERVAL_MS);
	left_ms = standby_due_ms(worker->self->standby) - clock_monotonic_ms();
	return left_ms < 0 ? 0 : (int)left_ms;
}

/* At most every ten seconds: a missing table makes every turn be repeated. */
static void
log_repeated(struct worker *worker)
{
	const struct db_error *own = db_last_error(worker->db);
	int64_t now_ms = clock_monotonic_ms();

	if (worker->repeated_ms != 0 &&
	    now_ms - worker->repeated_ms < REPEATED_LOG_MS)
		return;
	worker->repeated_ms = now_ms;
	log_warning("a turn is repeated: %s",
	    own->outcome != DB_DONE ? own->message
				    : turn_error(worker->turn)->message);
}

/*
 * One step of the loop: a turn, or a look whether another worker has it.
 * Returns for how long nothing will be due; 0: there may be more at once.
 */
static int
worker_work(struct worker *worker)
{
	enum turn_outcome outcome;
	bool more;
	int idle_ms;

	more = recovery_is_needed(worker->recovery);
	worker->stood_by = !more && stands_by(worker);
	if (worker->stood_by)
		return due_in_ms(worker);
	outcome = more ? recovery_run(worker->recovery) : run_due(worker);
	if (outcome == TURN_REFUSED) {
		log_info("a turn's workflows run one by one: %s",
		    turn_error(worker->turn)->message);
		outcome = recovery_run_one_by_one(worker->recovery);
		more = true;
	}
	if (outcome == TURN_COMMITTED &&
	    recovery_try_suspect(worker->recovery, &outcome))
		more = true;
	switch (outcome) {
	case TURN_COMMITTED:
		backoff_reset(&worker->backoff);
		idle_ms = more ? 0 : due_in_ms(worker);
		standby_report(worker->self->standby,
		    turn_was_full(worker->turn),
		    clock_monotonic_ms() + idle_ms);
		return idle_ms;
	case TURN_REFUSED:
	case TURN_RETRY:
		log_repeated(worker);
		wait_for(worker, -1, backoff_next_ms(&worker->backoff));
		return 0;
	case TURN_LOST:
		session_lose(worker->session);
		break;
	}
	return 0;
}

static void
worker_listen(struct worker *worker, bool listen)
{
	worker->busy_turns = 0;
	if (session_listen(worker->session, listen) != DB_DONE)
		session_lose(worker->session);
}

/*
 * Between two looks for work: waits, unless there may be more.  What comes
 * while the worker does not listen is found by the look after it began to.  A
 * worker with a crash channel always listens.
 */
static void
worker_rest(struct worker *worker, int idle_ms)
{
	bool hinted = take_notifications(worker);

	if (!session_is_open(worker->session))
		return;
	/* The cached journals are another worker's now, or there are none. */
	if (worker->stood_by || idle_ms > TURN_SOON_MS)
		turn_forget(worker->turn);
	if (idle_ms > worker->safety_interval_ms)
		idle_ms = worker->safety_interval_ms;
	if (!session_is_listening(worker->session))
		hinted = worker->stood_by || turn_took_any(worker->turn);
	if (hinted || idle_ms == 0) {
		if (session_is_listening(worker->session) &&
		    ++worker->busy_turns >= BUSY_TURNS &&
		    worker->engine->crash_channel == NULL)
			worker_listen(worker, false);
	} else if (!session_is_listening(worker->session)) {
		worker_listen(worker, true);
	} else {
		worker->busy_turns = 0;
		wait_for(worker, db_fd(worker->db), idle_ms);
		take_notifications(worker);
	}
}

/* The loop.  Returns the exit status. */
static int
worker_loop(struct worker *worker)
{
	int idle_ms;

	while (!prefork_stopping()) {
		if (!session_is_open(worker->session)) {
			if (!worker_connect(worker))
				return PREFORK_EXIT_GIVE_UP;
			continue;
		}
		worker_sweep(worker);
		if (!session_is_open(worker->session))
			continue;
		idle_ms = worker_work(worker);
		if (session_is_open(worker->session))
			worker_rest(worker, idle_ms);
	}
	return 0;
}

/* A worker process: struct engine is arg. */
static int
work(struct prefork_worker *self, void *arg)
{
	const struct engine *engine = arg;
	const struct monitor_member member = { .program = "daemon",
		.self = self };
	struct worker worker = { .engine = engine,
		.self = self,
		.served = served_new(engine),
		.backoff = { .min_ms = PAUSE_MIN_MS, .max_ms = PAUSE_MAX_MS },
		.safety_interval_ms = self->slot == 0 ? SAFETY_INTERVAL_MS
						      : OTHERS_INTERVAL_MS };
	char statements[512];
	const struct session_options options = { .conninfo = engine->conninfo,
		.application_name = "durable worker",
		.setup = statements,
		.listen = listen_statements,
		.member = engine->machine_room ? &member : NULL };
	int status;

	snprintf(statements, sizeof(statements), "%s%s%s", setup,
	    engine->crash_channel == NULL ? "" : "listen ",
	    engine->crash_channel == NULL ? "" : engine->crash_channel);
	memory_limit(engine->memory_limit_mb);
	worker.session = session_new(&options);
	worker.db = session_db(worker.session);
	worker.turn = turn_new(engine, worker.served, worker.db,
	    self->crash_note);
	worker.recovery = recovery_new(engine, worker.served, worker.db,
	    worker.turn, self);
	status = worker_loop(&worker);
	recovery_free(worker.recovery);
	turn_free(worker.turn);
	session_free(worker.session);
	served_free(worker.served);
	return status;
}

int
engine_run(struct engine *engine, int workers)
{
	return prefork_run(workers, work, engine);
}
