/* SPDX-License-Identifier: MIT */
/*
 * What poison, that is workflows that segfault, loop for ever, allocate without
 * end or always fail, costs the healthy workflows beside it.  poison.tap starts
 * the cluster and this program.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <durable/engine.h>
#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "db/db.h"
#include "tests/unit/tap.h"

#define IN_FLIGHT  50   /* healthy workflows at any time */
#define SLEEP_MS   100  /* of each, so that one core is more than enough */
#define MEASURE_MS 2500 /* without the poison, before and after */
#define ROUNDS     3    /* an odd number */
#define WORKERS    3
#define ATTEMPTS   3
#define MEMORY_MB  128   /* a worker may have */
#define LIMIT_MS   60000 /* within which every poison must have ended */

static struct db *db;
static struct arena *arena;

/* Counts of all processes, in shared memory. */
static volatile struct {
	int segfaults, loops, hoards;
	int sated; /* how often a hoarder got all its memory */
} * counted;

/* Runs a query of one value, a number or a text. */
static const char *
sql(const char *query, int count, const char *const params[])
{
	const struct db_rows *rows = db_query(db, arena, query, count, params);

	if (rows == NULL) {
		diag("%s: %s", query, db_last_error(db)->message);
		exit(1);
	}
	return db_value(rows, 0, 0);
}

static json_object *
healthy(struct workflow *wf, json_object *input)
{
	(void)input;
	wf_sql(wf, "one", "select 1", 0, NULL);
	wf_sleep(wf, SLEEP_MS);
	return NULL;
}

static json_object *
segfaulter(struct workflow *wf, json_object *input)
{
	(void)wf;
	(void)input;
	counted->segfaults++;
	raise(SIGSEGV);
	return NULL;
}

static json_object *
looper(struct workflow *wf, json_object *input)
{
	volatile bool forever = true;

	(void)wf;
	(void)input;
	counted->loops++;
	while (forever)
		continue;
	return NULL;
}

/*
 * The process ends when it writes where no memory is.  Without a limit the
 * hoarder stops at four times the limit, for the host's sake, and returns.
 */
static json_object *
hoarder(struct workflow *wf, json_object *input)
{
	const size_t block = 1 << 20;
	char *got;
	int i;

	(void)wf;
	(void)input;
	counted->hoards++;
	for (i = 0; i < 4 * MEMORY_MB; i++) {
		got = malloc(block);
		memset(got, 1, block);
	}
	counted->sated++;
	return NULL;
}

static json_object *
failing(struct workflow *wf, json_object *input)
{
	(void)input;
	wf_sql(wf, "divide", "select 1 / 0", 0, NULL);
	return NULL;
}

static const struct workflow_type healthy_type = { "healthy", "1", healthy };
static const struct workflow_type segfaulter_type = { "segfaulter", "1",
	segfaulter };
static const struct workflow_type looper_type = { "looper", "1", looper };
static const struct workflow_type hoarder_type = { "hoarder", "1", hoarder };
static const struct workflow_type failing_type = { "failing", "1", failing };

static const char *const poisons[] = { "segfaulter", "looper", "hoarder",
	"failing" };
#define POISONS (sizeof(poisons) / sizeof(poisons[0]))

/* Notifies the workers of a new workflow, as a client does. */
static void
announce(void)
{
	sql("select pg_notify('durable_due', '')::text", 0, NULL);
}

static void
start(const char *name, const char *id)
{
	const char *params[] = { id, name };

	sql("select durable.client_submit(array[$1], array[$2], array['test'], "
	    "array[null::text], 'test', '{}', '{}', '{}', '{}', '{}')::text",
	    2, params);
	announce();
}

/* Starts healthy workflows up to IN_FLIGHT; returns how many have ended. */
static long
feed(void)
{
	static long started;
	long under_way =
	    strtol(sql("select count(*) from dbos.workflow_status where name = "
		       "'healthy' and status in ('ENQUEUED', 'PENDING')",
		       0, NULL),
		NULL, 10);
	const char *wanted = arena_printf(arena, "%ld", IN_FLIGHT - under_way);

	if (under_way < IN_FLIGHT) {
		sql("select durable.client_submit(array_agg(id), "
		    "array_agg('healthy'::text), array_agg('test'::text), "
		    "array_agg(null::text), 'test', "
		    "'{}', '{}', '{}', '{}', '{}')::text from (select "
		    "gen_random_uuid()::text as id "
		    "from generate_series(1, $1::int)) as s",
		    1, &wanted);
		announce();
	}
	started += IN_FLIGHT - under_way;
	return started - IN_FLIGHT;
}

static bool
poisons_ended(void)
{
	return strcmp(sql("select count(*) from dbos.workflow_status "
			  "where name <> 'healthy' and status in "
			  "('PENDING', 'ENQUEUED')",
			  0, NULL),
		   "0") == 0;
}

/* Healthy workflows per second: for a time, or until all poison has ended. */
static double
rate(bool poisoned)
{
	const struct timespec pause = { .tv_nsec = 5000000 };
	const int64_t begin_ms = clock_monotonic_ms();
	const long before = feed();
	int64_t ms = 0;
	long after = before;

	while (poisoned ? !poisons_ended() && ms < LIMIT_MS : ms < MEASURE_MS) {
		nanosleep(&pause, NULL);
		after = feed();
		ms = clock_monotonic_ms() - begin_ms;
	}
	diag("%ld healthy workflows in %ld ms", after - before, (long)ms);
	return (double)(after - before) * 1000 / (double)ms;
}

/*
 * Starts one poison of each kind and returns whether more healthy workflows end
 * a second than half of the rate without poison, before or after it, whichever is
 * less.
 */
static bool
healthy_beside_poison(int round)
{
	const char *id[POISONS];
	double before, with, after;
	size_t i;

	before = rate(false);
	for (i = 0; i < POISONS; i++) {
		id[i] = arena_printf(arena, "%s-%d", poisons[i], round);
		start(poisons[i], id[i]);
	}
	with = rate(true);
	after = rate(false);
	diag("%.0f/s without poison, %.0f/s with it, %.0f/s again without",
	    before, with, after);
	for (i = 0; i < POISONS; i++)
		is_str(sql("select status from dbos.workflow_status "
			   "where workflow_uuid = $1",
			   1, &id[i]),
		    strcmp(poisons[i], "failing") == 0
			? "ERROR"
			: "MAX_RECOVERY_ATTEMPTS_EXCEEDED",
		    arena_printf(arena, "%s is given up or fails", id[i]));
	return with > (before < after ? before : after) / 2;
}

/*
 * The first run and one in each worker may come before the suspect is noted, and
 * the first turn of suspects may have several.
 */
static bool
is_within_attempts(int count)
{
	return count <= ROUNDS * (1 + WORKERS + ATTEMPTS);
}

/*
 * The median round counts, because what other work of the machine leaves for us
 * varies from one second to the next.
 */
static void
test_poison(void)
{
	int round, above_half = 0;

	for (round = 0; round < ROUNDS; round++)
		above_half += healthy_beside_poison(round);
	ok(counted->hoards > 0 && counted->sated == 0,
	    "a workflow that allocates without end meets the limit");
	diag("%d segfaults, %d loops, %d hoards", counted->segfaults,
	    counted->loops, counted->hoards);
	ok(is_within_attempts(counted->segfaults) &&
		is_within_attempts(counted->loops) &&
		is_within_attempts(counted->hoards),
	    "poison runs for its attempts, once more, and once in each worker");
	ok(above_half > ROUNDS / 2,
	    "healthy workflows keep half of their rate beside poison");
}

int
main(void)
{
	static const struct workflow_type *const types[] = { &healthy_type,
		&segfaulter_type, &looper_type, &hoarder_type, &failing_type,
		NULL };
	static const char *const queues[] = { "test", DURABLE_INTERNAL_QUEUE,
		NULL };
	struct engine engine = { .conninfo = "",
		.application = "test",
		.executor = "tests",
		.types = types,
		.queues = queues,
		.turn_size = 16,
		.turn_limit_s = 1,
		.max_attempts = ATTEMPTS,
		.memory_limit_mb = MEMORY_MB };
	pid_t daemon;
	int status;

	counted = mmap(NULL, sizeof(*counted), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counted == MAP_FAILED)
		return 1;
	arena = arena_new();
	db = db_new("", "test");
	if ((daemon = fork()) == 0) {
		log_open("poison");
		_exit(durable_run(&engine, WORKERS));
	}
	if (!db_connect(db, NULL))
		return !ok(false, db_last_error(db)->message);
	test_poison();
	kill(daemon, SIGTERM);
	ok(waitpid(daemon, &status, 0) == daemon && status == 0,
	    "SIGTERM ends the daemon with status 0");
	db_free(db);
	arena_free(arena);
	return done_testing();
}
