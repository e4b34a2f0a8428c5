/* SPDX-License-Identifier: MIT */
/*
 * A worker: turn after turn, and in between waits for something to be due.
 */
#include "engine.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "arena.h"
#include "db.h"
#include "duty.h"
#include "log.h"
#include "monotonic.h"
#include "prefork.h"
#include "room.h"
#include "schema.h"
#include "strbuf.h"
#include "turn.h"

/* How long a worker is wary at most, when there is always more to do. */
#define WARY_MS            10000

/*
 * Notifications are hints; this is how long one that is lost may delay.  The
 * first worker looks after that; the others in case it cannot.
 */
#define SAFETY_INTERVAL_MS 1000
#define OTHERS_INTERVAL_MS 5000

/* For how long a worker runs workflows one by one at a time. */
#define ONE_BY_ONE_MS      5000

/* One sweep in so many looks for sessions that nobody reads. */
#define UNREAD_SWEEPS      5

/*
 * A notification wakes every session that listens, whatever it is about, and
 * costs each a transaction.  Who had so many turns without a rest listens no
 * more: it looks after each turn, until there is nothing to do.
 */
#define BUSY_TURNS         8

/* How often it is said at most that a turn is repeated. */
#define REPEATED_LOG_MS    10000

#define BACKOFF_MIN_MS     5
#define BACKOFF_MAX_MS     250

/*
 * The session.  The time-outs end what holds a turn up, and, at the server, a
 * worker that is frozen within one: a turn is silent for milliseconds between
 * its statements.  Who waits for such a worker's row outlasts it, and is not
 * held off.  The lock is what durable.daemon_workers counts.
 */
static const char setup[] = "set lock_timeout = '1500ms';"
			    "set statement_timeout = '15s';"
			    "set idle_in_transaction_session_timeout = '1s';"
			    "select pg_advisory_lock_shared(1146442305, 1);";

/*
 * A worker that is frozen while the server writes to it is not idle, and no
 * time-out ends what cannot be written.  A statement older than the time-out
 * can only be such a one.  Nor is one idle that is frozen while it sends its
 * statements, which otherwise takes no time.
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
	struct room_member member;
	struct db *db;
	struct turn *turn;
	struct arena *arena; /* of one step of the loop */
	/*
	 * At the start, when nobody knows what the last one died of: what is
	 * due is noted as suspect before it is run, until the backlog is done
	 * or this time has come.
	 */
	bool wary;
	int64_t wary_until_ms;
	bool shares;           /* in the last turn, what is due */
	int64_t idle_since_ms; /* there is nothing in its share; 0: there is */
	bool stood_by;         /* instead of a turn */
	bool listening;
	int busy_turns;  /* had or left to others, without a rest */
	bool complained; /* about the database being away */
	int backoff_ms;
	int safety_interval_ms;
	int64_t repeated_ms; /* when it was last logged that a turn is */
	int64_t swept_ms;
	unsigned sweeps;
};

const struct workflow_type *
engine_type(const struct engine *engine, const char *name, const char *version)
{
	const struct workflow_type *const *type, *found = NULL;

	for (type = engine->types; *type != NULL; type++)
		if (strcmp((*type)->name, name) == 0 &&
		    (version == NULL || strcmp((*type)->version, version) == 0))
			found = *type;
	return found;
}

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

/*
 * Waits longer every time, until something works again; not as long as
 * another worker that met this one and does the same.
 */
static void
back_off(struct worker *worker)
{
	wait_for(worker, -1,
	    worker->backoff_ms / 2 + (int)(random() % worker->backoff_ms));
	worker->backoff_ms *= 2;
	if (worker->backoff_ms > BACKOFF_MAX_MS)
		worker->backoff_ms = BACKOFF_MAX_MS;
}

static void
complain(struct worker *worker)
{
	if (!worker->complained)
		log_warning("cannot reach the database: %s",
		    db_last_error(worker->db)->message);
	worker->complained = true;
}

/* Drops a connection that is of no use; the loop makes a new one. */
static void
lose_connection(struct worker *worker)
{
	complain(worker);
	db_disconnect(worker->db);
}

/* Tells the database which version and queues this daemon serves. */
static bool
register_engine(struct worker *worker)
{
	const struct workflow_type *const *type = worker->engine->types;
	struct strbuf queues = { 0 };
	const char *const *queue;
	const char *params[3];
	enum db_outcome outcome;

	for (queue = worker->engine->queues; *queue != NULL; queue++)
		strbuf_add_element(&queues, *queue);
	while (type[1] != NULL)
		type++;
	params[0] = worker->engine->application;
	params[1] = (*type)->version;
	params[2] = strbuf_end_array(&queues);
	db_queue(worker->db, "select durable.register($1, $2, $3)", 3, params);
	outcome = db_finish(worker->db);
	strbuf_free(&queues);
	return outcome == DB_DONE;
}

enum connected { CONNECTED, NOT_CONNECTED, WRONG_SCHEMA };

static enum connected
connect_to_database(struct worker *worker)
{
	char *statements = arena_printf(worker->arena, "%s%s%s", setup,
	    worker->engine->crash_channel == NULL ? "" : "listen ",
	    worker->engine->crash_channel == NULL
		? ""
		: worker->engine->crash_channel);

	turn_forget(worker->turn);
	worker->listening = false;
	if (!db_connect(worker->db, statements)) {
		complain(worker);
		return NOT_CONNECTED;
	}
	switch (schema_check(worker->db, worker->arena)) {
	case SCHEMA_CURRENT:
		break;
	case SCHEMA_WRONG:
		return WRONG_SCHEMA;
	case SCHEMA_UNKNOWN:
		lose_connection(worker);
		return NOT_CONNECTED;
	}
	if ((worker->self->slot == 0 && !register_engine(worker)) ||
	    (worker->engine->machine_room &&
		!room_enter(worker->db, &worker->member))) {
		lose_connection(worker);
		return NOT_CONNECTED;
	}
	if (worker->complained)
		log_info("the database is back");
	worker->complained = false;
	worker->backoff_ms = BACKOFF_MIN_MS;
	return CONNECTED;
}

static void
be_wary(struct worker *worker)
{
	worker->wary = true;
	worker->wary_until_ms = monotonic_ms() + WARY_MS;
}

/* Reads what has arrived; returns whether there was a hint. */
static bool
take_notifications(struct worker *worker)
{
	const struct db_notification *notification;
	bool hinted = false;

	if (!db_consume(worker->db)) {
		lose_connection(worker);
		return false;
	}
	while ((notification = db_next_notification(worker->db)) != NULL) {
		if (worker->engine->crash_channel != NULL &&
		    strcmp(notification->channel,
			worker->engine->crash_channel) == 0) {
			log_warning("crashing, as asked");
			raise(SIGKILL);
		}
		hinted = true;
	}
	return hinted;
}

static void
sweep(struct worker *worker)
{
	const char *const params[] = { turn_types(worker->turn),
		worker->engine->application };
	int64_t now_ms = monotonic_ms();

	if (now_ms - worker->swept_ms < worker->safety_interval_ms)
		return;
	worker->swept_ms = now_ms;
	db_queue(worker->db, "select durable.sweep($1, $2)", 2, params);
	if (worker->sweeps++ % UNREAD_SWEEPS == 0)
		db_queue(worker->db, end_unread, 0, NULL);
	if (db_finish(worker->db) == DB_LOST)
		lose_connection(worker);
}

/* An array literal of one id. */
static const char *
only(struct strbuf *buf, const char *id)
{
	strbuf_reset(buf);
	strbuf_add_element(buf, id);
	return strbuf_end_array(buf);
}

/*
 * Runs one workflow in a turn of one, where an error that it makes is its
 * own; when even then its turn cannot be committed, it is failed, or waits
 * where somebody keeps locked what it wants.
 */
static enum turn_outcome
run_alone(struct worker *worker, const char *id)
{
	struct strbuf ids = { 0 };
	struct turn_plan plan = { .only = only(&ids, id), .alone = true };
	enum turn_outcome outcome = turn_run(worker->turn, &plan);

	if (outcome == TURN_REFUSED) {
		const struct db_error *error = turn_error(worker->turn);

		if (error->outcome == DB_RETRY)
			plan.put_off = true;
		else
			plan.condemned = arena_strdup(worker->arena,
			    error->message);
		outcome = turn_run(worker->turn, &plan);
	}
	strbuf_free(&ids);
	return outcome;
}

/*
 * Runs those of a refused turn one by one, so that only one meets its error.
 * Who is left when that has taken long is due again.
 */
static enum turn_outcome
run_culprits(struct worker *worker)
{
	int64_t until_ms = monotonic_ms() + ONE_BY_ONE_MS;
	enum turn_outcome outcome = TURN_COMMITTED;
	const char *const *culprits;
	const char **ids;
	size_t count, i;

	culprits = turn_culprits(worker->turn, &count);
	ids = arena_alloc(worker->arena, count * sizeof(*ids));
	for (i = 0; i < count; i++)
		ids[i] = arena_strdup(worker->arena, culprits[i]);
	for (i = 0; i < count && outcome == TURN_COMMITTED &&
	     monotonic_ms() < until_ms;
	     i++)
		outcome = run_alone(worker, ids[i]);
	return outcome;
}

/*
 * What the one before in this slot had in hand when it died, or this one when
 * it lost its connection; NULL: nothing.
 */
static const char *
left_in_hand(struct worker *worker)
{
	char *left = worker->self->legacy;

	if (*left == '?') {
		be_wary(worker);
		*left = '\0';
	}
	return *left == '\0' ? NULL : left;
}

/*
 * Notes what was left in hand, or else what is due, as suspect, in a
 * transaction of its own, and runs just that: if it kills this process too,
 * each of them runs alone afterwards.
 */
static enum turn_outcome
run_wary(struct worker *worker, const char *left)
{
	const struct engine *engine = worker->engine;
	const char *const params[] = { turn_types(worker->turn),
		turn_queues(worker->turn), engine->application,
		arena_number(worker->arena, engine->turn_size), left };
	const struct db_rows *rows;
	struct strbuf ids = { 0 };
	struct turn_plan plan = { 0 };
	enum turn_outcome outcome;
	size_t row;

	rows = db_query(worker->db, worker->arena,
	    "select durable.turn_suspect($1, $2, $3, $4, $5)", 5, params);
	if (rows == NULL)
		return db_last_error(worker->db)->outcome == DB_LOST
		    ? TURN_LOST
		    : TURN_RETRY;
	for (row = 0; row < db_row_count(rows); row++)
		strbuf_add_element(&ids, db_value(rows, row, 0));
	if (left != NULL)
		*worker->self->legacy = '\0';
	else
		worker->wary = db_row_count(rows) >=
			(size_t)engine->turn_size &&
		    monotonic_ms() < worker->wary_until_ms;
	plan.only = strbuf_end_array(&ids);
	outcome = turn_run(worker->turn, &plan);
	strbuf_free(&ids);
	return outcome;
}

/* An attempt counts only when it ended with the process or its session. */
static void
end_attempt(struct worker *worker, const char *id, bool survived)
{
	const char *const params[] = { id, survived ? "true" : "false" };

	db_queue(worker->db, "select durable.turn_attempted($1, $2)", 2,
	    params);
	if (db_finish(worker->db) == DB_LOST)
		lose_connection(worker);
}

/* Runs one suspect alone, its attempt counted before; false: there is none. */
static bool
run_suspect(struct worker *worker, enum turn_outcome *outcome)
{
	const char *const params[] = { turn_types(worker->turn),
		worker->engine->application,
		arena_number(worker->arena, worker->engine->max_attempts) };
	const struct db_rows *rows;
	const char *id;

	rows = db_query(worker->db, worker->arena,
	    "select workflow_uuid, attempts "
	    "from durable.turn_attempt($1, $2, $3)",
	    3, params);
	if (rows == NULL) {
		*outcome = db_last_error(worker->db)->outcome == DB_LOST
		    ? TURN_LOST
		    : TURN_RETRY;
		return true;
	}
	if (db_row_count(rows) == 0)
		return false;
	id = db_value(rows, 0, 0);
	if (strtol(db_value(rows, 0, 1), NULL, 10) >=
	    worker->engine->max_attempts) {
		log_error("wf=%s given up after %s attempts that ended with "
			  "their process",
		    id, db_value(rows, 0, 1));
		*outcome = TURN_COMMITTED;
	} else {
		*outcome = run_alone(worker, id);
		if (*outcome != TURN_LOST)
			end_attempt(worker, id, *outcome == TURN_RETRY);
	}
	return true;
}

/* What the worker's own statement met, or else what its turn did. */
static const char *
why(const struct worker *worker)
{
	const struct db_error *own = db_last_error(worker->db);

	return own->outcome != DB_DONE ? own->message
				       : turn_error(worker->turn)->message;
}

/* At most every ten seconds: a missing table makes every turn be repeated. */
static void
log_repeated(struct worker *worker)
{
	int64_t now_ms = monotonic_ms();

	if (worker->repeated_ms == 0 ||
	    now_ms - worker->repeated_ms >= REPEATED_LOG_MS) {
		log_warning("a turn is repeated: %s", why(worker));
		worker->repeated_ms = now_ms;
	}
}

/*
 * Whether another worker has the turn that this one could have now: what woke
 * this one woke the others.  When there was more than a turn may take, there
 * is enough for all.
 */
static bool
stands_by(struct worker *worker)
{
	struct duty *duty = worker->self->duty;
	const struct duty_watch watch = duty_watch(duty);

	if (duty_is_mine(duty, worker->self->slot) || duty_is_crowded(duty))
		return false;
	wait_for(worker, -1, DUTY_WATCH_MS);
	return !duty_take_over(duty, &watch, worker->self->slot);
}

/*
 * A turn of what is due and in this worker's share.  When there has been nothing
 * for a while, of whatever is due, for as long as that is enough for all.
 */
static enum turn_outcome
run_due(struct worker *worker)
{
	int64_t now_ms = monotonic_ms();
	struct turn_plan plan = { .share = duty_share(worker->self->duty,
				      worker->self->slot),
		.again = !worker->listening };
	enum turn_outcome outcome;
	bool helps;

	helps = plan.share.parts > 1 && worker->idle_since_ms != 0 &&
	    now_ms - worker->idle_since_ms >= DUTY_SHARE_MS;
	if (helps)
		plan.share.parts = 1;
	worker->shares = plan.share.parts > 1;
	duty_begin(worker->self->duty);
	outcome = turn_run(worker->turn, &plan);
	if (!worker->shares || turn_took_any(worker->turn)) {
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
		    worker->shares ? DUTY_SHARE_MS : OTHERS_INTERVAL_MS);
	left_ms = duty_due_ms(worker->self->duty) - monotonic_ms();
	return left_ms < 0 ? 0 : (int)left_ms;
}

/* One step of the loop.  Returns due_in_ms, 0 when there may be more at once. */
static int
work(struct worker *worker)
{
	enum turn_outcome outcome;
	const char *left;
	bool again;
	int idle_ms;

	sweep(worker);
	if (!db_connected(worker->db))
		return 0;
	left = left_in_hand(worker);
	again = worker->wary || left != NULL;
	worker->stood_by = !again && stands_by(worker);
	if (worker->stood_by)
		return due_in_ms(worker);
	outcome = again ? run_wary(worker, left) : run_due(worker);
	if (outcome == TURN_REFUSED) {
		log_info("a turn's workflows run one by one: %s",
		    turn_error(worker->turn)->message);
		outcome = run_culprits(worker);
		again = true;
	}
	if (outcome == TURN_COMMITTED && !worker->wary &&
	    turn_saw_suspects(worker->turn) && run_suspect(worker, &outcome))
		again = true;
	switch (outcome) {
	case TURN_COMMITTED:
		worker->backoff_ms = BACKOFF_MIN_MS;
		idle_ms = again ? 0 : due_in_ms(worker);
		duty_report(worker->self->duty, turn_was_full(worker->turn),
		    monotonic_ms() + idle_ms);
		return idle_ms;
	case TURN_REFUSED:
	case TURN_RETRY:
		log_repeated(worker);
		back_off(worker);
		return 0;
	case TURN_LOST:
		lose_connection(worker);
		back_off(worker);
		return 0;
	}
	return 0;
}

static void
set_listening(struct worker *worker, bool listening)
{
	if (listening) {
		db_queue(worker->db, "listen dbos_notifications_channel", 0,
		    NULL);
		db_queue(worker->db, "listen durable_due", 0, NULL);
	} else {
		db_queue(worker->db, "unlisten *", 0, NULL);
	}
	worker->listening = listening;
	worker->busy_turns = 0;
	if (db_finish(worker->db) != DB_DONE)
		lose_connection(worker);
}

/*
 * Between two looks for work: waits, unless there may be more.  What comes
 * while it does not listen is found by the look after it began to.  Who may be
 * asked to crash always listens.
 */
static void
rest(struct worker *worker, int idle_ms)
{
	bool hinted = take_notifications(worker);

	if (!db_connected(worker->db))
		return;
	/* Those are another one's now, or there are none. */
	if (worker->stood_by || idle_ms > TURN_SOON_MS)
		turn_forget(worker->turn);
	if (idle_ms > worker->safety_interval_ms)
		idle_ms = worker->safety_interval_ms;
	if (!worker->listening)
		hinted = worker->stood_by || turn_took_any(worker->turn);
	if (hinted || idle_ms == 0) {
		if (worker->listening && ++worker->busy_turns >= BUSY_TURNS &&
		    worker->engine->crash_channel == NULL)
			set_listening(worker, false);
	} else if (!worker->listening) {
		set_listening(worker, true);
	} else {
		worker->busy_turns = 0;
		wait_for(worker, db_fd(worker->db), idle_ms);
		take_notifications(worker);
	}
}

/*
 * Who allocates without end gets no more and dies, long before the host has
 * none left for the others.  AddressSanitizer's shadow is larger than any limit.
 */
static void
limit_memory(int limit_mb)
{
	struct rlimit limit;

#ifdef __SANITIZE_ADDRESS__
	limit_mb = 0;
#endif
	if (limit_mb == 0)
		return;
	limit.rlim_cur = limit.rlim_max = (rlim_t)limit_mb << 20;
	if (setrlimit(RLIMIT_DATA, &limit) != 0)
		log_warning("cannot limit the memory to %d MiB: %s", limit_mb,
		    strerror(errno));
}

int
engine_work(struct prefork_worker *self, void *arg)
{
	struct worker worker = { .engine = arg,
		.self = self,
		.member = { .program = "daemon", .self = self },
		.backoff_ms = BACKOFF_MIN_MS,
		.safety_interval_ms = self->slot == 0 ? SAFETY_INTERVAL_MS
						      : OTHERS_INTERVAL_MS,
		.arena = arena_new() };
	int status = 0, idle_ms;

	srandom((unsigned)getpid());
	limit_memory(worker.engine->memory_limit_mb);
	if (self->first)
		be_wary(&worker);
	worker.db = db_new(worker.engine->conninfo, "durable worker");
	worker.turn = turn_new(worker.engine, worker.db, self->legacy);
	while (!prefork_stopping()) {
		arena_reset(worker.arena);
		if (!db_connected(worker.db)) {
			enum connected connected = connect_to_database(&worker);

			if (connected == WRONG_SCHEMA) {
				status = PREFORK_EXIT_GIVE_UP;
				break;
			}
			if (connected == NOT_CONNECTED)
				back_off(&worker);
			continue;
		}
		idle_ms = work(&worker);
		if (db_connected(worker.db))
			rest(&worker, idle_ms);
	}
	if (worker.engine->machine_room)
		room_leave(worker.db, &worker.member);
	turn_free(worker.turn);
	db_free(worker.db);
	arena_free(worker.arena);
	return status;
}
