/* SPDX-License-Identifier: MIT */
/*
 * A loop: what has ended and what is due goes through one round trip; then it
 * waits for its processes, for notifications and for the clock.
 */
#include "engine/step_master.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include <durable/engine.h>

#include "base/arena.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/prefork.h"
#include "base/strbuf.h"
#include "db/session.h"
#include "engine/step_trip.h"

#define PROCESSES     16 /* unless the engine says how many */

/* Between round trips that fail. */
#define REPEAT_MIN_MS 5
#define REPEAT_MAX_MS 250

/* How long steps may go on when the daemon stops. */
#define STOP_MS       10000

/* When the database is away, how long after that their ends are kept. */
#define STOP_AWAY_MS  5000

/* The last one ends the session of a frozen master, and so frees its steps. */
static const char setup[] = "set lock_timeout = '1500ms';"
			    "set statement_timeout = '15s';"
			    "set idle_in_transaction_session_timeout = '1s';"
			    "set idle_session_timeout = '10s';";

static const char *const listen_statements[] = { "listen durable_steps", NULL };

struct step_master {
	struct prefork_worker *self;
	struct step_trip trip;
	struct pollfd *polled;
	struct backoff backoff;
	int64_t
	    pause_until_ms;  /* clock: no round trip before; 0: none failed */
	int64_t stopping_ms; /* clock: since when; 0: it goes on */
};

/* Reads the notifications: something is due, or, with a payload, cancelled. */
static void
hear(struct step_trip *trip)
{
	const struct db_notification *notification;

	if (!db_consume(trip->db)) {
		session_lose(trip->session);
		return;
	}
	while ((notification = db_next_notification(trip->db)) != NULL)
		if (*notification->payload == '\0')
			trip->more = true;
		else
			trip->may_be_lost = true;
}

/* Until when to wait for files and signals; heeds the clock of processes. */
static int64_t
rest_until_ms(struct step_master *master)
{
	struct step_trip *trip = &master->trip;
	int64_t until_ms = master->pause_until_ms > 0 ? master->pause_until_ms
						      : step_trip_due_ms(trip);
	size_t i;

	for (i = 0; i < trip->count; i++) {
		int64_t due_ms = step_process_heed_clock(&trip->processes[i]);

		if (due_ms < until_ms)
			until_ms = due_ms;
	}
	return until_ms;
}

/* Waits until a process or the database speaks, a signal, or that time. */
static void
wait_for_any(struct step_master *master, int64_t until_ms)
{
	const struct step_trip *trip = &master->trip;
	int64_t left_ms = until_ms - clock_monotonic_ms();
	struct timespec timeout = { 0 };
	size_t i;

	if (left_ms > 0)
		timeout = (struct timespec){ .tv_sec = left_ms / 1000,
			.tv_nsec = left_ms % 1000 * 1000000L };
	for (i = 0; i < trip->count; i++)
		master->polled[i] = (struct pollfd){
			.fd = trip->processes[i].fd,
			.events = step_process_is_sending(&trip->processes[i])
			    ? POLLIN | POLLOUT
			    : POLLIN
		};
	master->polled[i] = (struct pollfd){ .fd = db_fd(trip->db),
		.events = POLLIN };
	if (ppoll(master->polled, trip->count + 1, &timeout,
		&master->self->wait_mask) < 0 &&
	    errno != EINTR)
		abort();
}

static void
attend(struct step_master *master)
{
	struct step_trip *trip = &master->trip;
	size_t i;

	wait_for_any(master, rest_until_ms(master));
	for (i = 0; i < trip->count; i++) {
		step_process_bury(&trip->processes[i]);
		step_process_talk(&trip->processes[i]);
	}
	if (session_is_open(trip->session))
		hear(trip);
}

/* Whether all is over, when the daemon stops. */
static bool
is_over(struct step_master *master)
{
	struct step_trip *trip = &master->trip;
	int64_t now_ms = clock_monotonic_ms();
	size_t i;

	if (!prefork_stopping())
		return false;
	trip->stopping = true;
	if (master->stopping_ms == 0)
		master->stopping_ms = now_ms;
	if (now_ms - master->stopping_ms >= STOP_MS)
		for (i = 0; i < trip->count; i++)
			step_process_stop(&trip->processes[i],
			    STEP_IS_SENT_BACK);
	if (now_ms - master->stopping_ms >= STOP_MS + STOP_AWAY_MS)
		return true;
	return step_trip_count(trip, STEP_IDLE) == trip->count;
}

/*
 * Connects, or makes a round trip, if that is due.  Returns false when the
 * database is of no use to this program.
 */
static bool
talk_to_database(struct step_master *master)
{
	struct step_trip *trip = &master->trip;

	if (clock_monotonic_ms() < master->pause_until_ms)
		return true;
	master->pause_until_ms = 0;
	if (!session_is_open(trip->session)) {
		if (!step_trip_connect(trip))
			return false;
	} else if (step_trip_is_due(trip)) {
		if (step_trip_make(trip))
			backoff_reset(&master->backoff);
		else
			master->pause_until_ms = clock_monotonic_ms() +
			    backoff_next_ms(&master->backoff);
	}
	if (!session_is_open(trip->session))
		master->pause_until_ms = clock_monotonic_ms() +
		    session_pause_ms(trip->session);
	return true;
}

/* For ppoll, which a signal without a handler would not interrupt. */
static void
note_death(int signal_number)
{
	(void)signal_number;
}

static void
heed_deaths(void)
{
	struct sigaction action = { .sa_handler = note_death };
	sigset_t deaths;

	sigemptyset(&action.sa_mask);
	sigemptyset(&deaths);
	sigaddset(&deaths, SIGCHLD);
	sigprocmask(SIG_BLOCK, &deaths, NULL);
	sigaction(SIGCHLD, &action, NULL);
}

static int
loop(struct step_master *master)
{
	while (!is_over(master)) {
		prefork_beat_if(master->self,
		    session_is_open(master->trip.session));
		if (!talk_to_database(master))
			return PREFORK_EXIT_GIVE_UP;
		attend(master);
	}
	return 0;
}

int
step_master_run(struct prefork_worker *self, const struct engine *engine)
{
	const struct session_options options = { .conninfo = engine->conninfo,
		.application_name = "durable steps",
		.setup = setup,
		.listen = listen_statements };
	size_t count = engine->step_processes > 0
	    ? (size_t)engine->step_processes
	    : PROCESSES;
	struct session *session = session_new(&options);
	struct strbuf types = { 0 };
	struct step_master master = { .self = self,
		.trip = { .engine = engine,
		    .session = session,
		    .db = session_db(session),
		    .arena = arena_new(),
		    .processes = step_processes_new(engine, count),
		    .count = count },
		.polled = calloc(count + 1, sizeof(*master.polled)),
		.backoff = { .min_ms = REPEAT_MIN_MS,
		    .max_ms = REPEAT_MAX_MS } };
	size_t i;
	int status;

	if (master.polled == NULL)
		abort();
	heed_deaths();
	srand48(self->pid ^ self->started_ms);
	for (i = 0; engine->steps[i] != NULL; i++)
		strbuf_add_element(&types, engine->steps[i]->name);
	master.trip.types = strbuf_end_array(&types);
	status = loop(&master);
	step_processes_free(master.trip.processes, count);
	session_free(session);
	strbuf_free(&types);
	arena_free(master.trip.arena);
	free(master.polled);
	return status;
}
