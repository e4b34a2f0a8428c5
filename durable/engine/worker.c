/* SPDX-License-Identifier: MIT */
/*
 * A worker: turn after turn, and between them a rest until something is due.
 */
#include "engine/worker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <durable/engine.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "engine/recovery.h"
#include "engine/turn.h"

/* After so many turns without a rest a worker stops listening. */
#define BUSY_TURNS    8

/*
 * The first rest of a worker that was busy, or was told that more comes: what
 * durable.announce did not tell may commit after the worker's last look.
 */
#define FIRST_REST_MS 20

/* Waits until fd (-1: none) has input, the time is over or SIGTERM comes. */
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
 * Says whether this worker can run workflows: durable.daemon_workers counts the
 * advisory locks.  Returns false when the connection is lost.
 */
static bool
set_ready(struct worker *worker, bool ready)
{
	if (worker->ready == ready)
		return true;
	worker->ready = ready;
	db_queue(worker->db,
	    ready ? "select pg_advisory_lock_shared(1146442305, 1)"
		  : "select pg_advisory_unlock_shared(1146442305, 1)",
	    0, NULL);
	return db_finish(worker->db) == DB_DONE;
}

/*
 * Opens the session.  Returns false when the database or the connection is of
 * no use to this program.
 */
static bool
worker_connect(struct worker *worker)
{
	worker->ready = false;
	worker->rests = false;
	worker->schema_errors = 0;
	switch (session_open(worker->session)) {
	case SESSION_READY:
		if ((worker->self->slot != 0 ||
			sweep_register(&worker->sweep)) &&
		    set_ready(worker, true))
			return true;
		session_lose(worker->session);
		break;
	case SESSION_AWAY:
		break;
	case SESSION_REFUSED:
		return false;
	}
	wait_for(worker, -1, session_pause_ms(worker->session));
	return true;
}

/* Reads the notifications; returns whether there was one. */
static bool
take_notifications(struct worker *worker)
{
	const char *crash_channel = worker->engine->crash_channel;
	const struct db_notification *notification;
	bool notified = false;

	if (!db_consume(worker->db)) {
		session_lose(worker->session);
		return false;
	}
	while ((notification = db_next_notification(worker->db)) != NULL) {
		if (crash_channel != NULL &&
		    strcmp(notification->channel, crash_channel) == 0) {
			log_warning("the crash button was pressed: this worker "
				    "ends, the master starts another");
			raise(SIGKILL);
		}
		if (strcmp(notification->payload, "more") == 0)
			worker->first_rest = true;
		notified = true;
	}
	return notified;
}

/*
 * Logs a repeated turn, not each: a missing table repeats them all.  One turn
 * meets the schema's error of a step, which is then held off; when the next one
 * does, it is the engine's own, and this worker is not ready.  The other
 * workers shall find out, too.
 */
static void
note_repeated(struct worker *worker)
{
	const struct db_error *error = db_last_error(worker->db);

	if (error->outcome == DB_DONE)
		error = turn_error(worker->turn);
	if (log_is_due(&worker->repeated_ms))
		log_warning("a turn is repeated: %s", error->message);
	if (error->own != DB_SCHEMA || ++worker->schema_errors < 2)
		return;
	standby_hand_on(worker->self->standby, worker->self->slot);
	if (!set_ready(worker, false))
		session_lose(worker->session);
}

/*
 * Runs a turn, of the recovery if *more; if it is refused its workflows one by
 * one; and then a suspect.  Sets *more when there may be more to do at once.
 */
static enum turn_outcome
run_turns(struct worker *worker, bool *more)
{
	enum turn_outcome outcome;
	const struct turn_plan plan = { .partition = worker->member.partition,
		.polls_again = !session_is_listening(worker->session) };

	outcome = *more ? recovery_run(worker->recovery)
			: turn_run(worker->turn, &plan);
	if (outcome == TURN_REFUSED) {
		log_info("a turn's workflows run one by one: %s",
		    turn_error(worker->turn)->message);
		outcome = recovery_run_one_by_one(worker->recovery);
		*more = true;
	}
	if (outcome == TURN_COMMITTED &&
	    recovery_try_suspects(worker->recovery, &outcome))
		*more = true;
	return outcome;
}

/*
 * Runs turns, unless another worker is active.  Returns for how many
 * milliseconds nothing will be due; 0: there may be more to do at once.
 */
static int
worker_work(struct worker *worker)
{
	bool more = recovery_is_needed(worker->recovery);
	int64_t left_ms;
	int idle_ms;

	worker->stood_by = !more && !standby_ask(&worker->member);
	if (worker->stood_by) {
		left_ms = standby_due_ms(worker->self->standby) -
		    clock_monotonic_ms();
		return left_ms < 0 ? 0 : (int)left_ms;
	}
	switch (run_turns(worker, &more)) {
	case TURN_COMMITTED:
		backoff_reset(&worker->backoff);
		worker->schema_errors = 0;
		if (!set_ready(worker, true)) {
			session_lose(worker->session);
			return 0;
		}
		idle_ms = more ? 0
			       : turn_due_in_ms(worker->turn,
				     worker->member.partition.parts > 1
					 ? STANDBY_PARTITION_MS
					 : WORKER_IDLE_MS);
		standby_tell(&worker->member, turn_took_any(worker->turn),
		    turn_was_full(worker->turn),
		    clock_monotonic_ms() + idle_ms);
		return idle_ms;
	case TURN_REFUSED:
	case TURN_RETRY:
		note_repeated(worker);
		wait_for(worker, -1, backoff_next_ms(&worker->backoff));
		break;
	case TURN_LOST:
		session_lose(worker->session);
		break;
	}
	return 0;
}

/*
 * A notification wakes every session that listens, whatever it is about, and
 * costs each a transaction.  So a busy worker does not listen.  The advisory
 * lock tells durable.announce that a worker listens and would run what comes.
 */
static void
worker_listen(struct worker *worker, bool listen)
{
	bool rests = listen && !worker->stood_by;

	worker->busy_turns = 0;
	if (rests != worker->rests)
		db_queue(worker->db,
		    rests ? "select pg_advisory_lock_shared(1146442305, 2)"
			  : "select pg_advisory_unlock_shared(1146442305, 2)",
		    0, NULL);
	worker->rests = rests;
	worker->first_rest = rests;
	if (session_listen(worker->session, listen) != DB_DONE)
		session_lose(worker->session);
}

/* After large turns; the loop connects again, and looks what is due. */
static void
worker_shrink(struct worker *worker)
{
	turn_shrink(worker->turn);
	db_disconnect(worker->db);
	memory_trim();
}

/*
 * Waits, unless there may be more to do at once.  A busy worker stops
 * listening.  When it finds no work it listens again and has one more turn,
 * which finds what came meanwhile, before it waits.  With a crash channel it
 * always listens.  Before it waits it gives back what large turns have needed,
 * and deletes some finished workflows when that is due.
 */
static void
worker_rest(struct worker *worker, int idle_ms)
{
	bool listening = session_is_listening(worker->session);
	bool notified = take_notifications(worker);

	if (!session_is_open(worker->session))
		return;
	if (idle_ms > sweep_due_in_ms(&worker->sweep))
		idle_ms = sweep_due_in_ms(&worker->sweep);
	if (!listening)
		notified = worker->stood_by || turn_took_any(worker->turn);
	if (notified || idle_ms == 0) {
		if (listening && ++worker->busy_turns >= BUSY_TURNS &&
		    worker->engine->crash_channel == NULL)
			worker_listen(worker, false);
	} else if (!listening || worker->rests == worker->stood_by) {
		worker_listen(worker, true);
	} else if (db_take_swollen(worker->db)) {
		worker_shrink(worker);
	} else if (collector_due_in_ms(&worker->collector) == 0) {
		/* What comes meanwhile is at once another worker's. */
		standby_give(worker->self->standby, worker->self->slot,
		    (worker->self->slot + 1) % worker->workers);
		if (!collector_collect(&worker->collector))
			session_lose(worker->session);
	} else {
		if (idle_ms > collector_due_in_ms(&worker->collector))
			idle_ms = (int)collector_due_in_ms(&worker->collector);
		if (worker->first_rest && idle_ms > FIRST_REST_MS)
			idle_ms = FIRST_REST_MS;
		worker->first_rest = false;
		worker->busy_turns = 0;
		wait_for(worker, db_fd(worker->db), idle_ms);
		take_notifications(worker);
	}
}

int
worker_loop(struct worker *worker)
{
	int idle_ms;

	while (!prefork_stopping()) {
		prefork_beat_if(worker->self, session_is_open(worker->session));
		if (!session_is_open(worker->session)) {
			if (!worker_connect(worker))
				return PREFORK_EXIT_GIVE_UP;
		} else if (!sweep_if_due(&worker->sweep)) {
			session_lose(worker->session);
		} else if (session_is_open(worker->session)) {
			idle_ms = worker_work(worker);
			if (session_is_open(worker->session))
				worker_rest(worker, idle_ms);
		}
	}
	return 0;
}
