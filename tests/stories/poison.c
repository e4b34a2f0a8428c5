/* SPDX-License-Identifier: MIT */
/*
 * What poison, that is workflows that segfault, loop for ever, allocate without
 * end or always fail, costs the healthy workflows beside it.  Another daemon has
 * the same healthy workflows at the same time in another database, without the
 * poison, because what the machine has left for both varies.  poison.tap makes
 * the databases and starts this program.
 */
#include <signal.h>
#include <stdio.h>
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

#define IN_FLIGHT 50  /* healthy workflows of each daemon at any time */
#define SLEEP_MS  100 /* of each, so that one core is more than enough */
#define WORKERS   3
#define ATTEMPTS  3
#define MEMORY_MB 128    /* a worker may have */
#define LIMIT_MS  180000 /* within which every poison must have ended */

/* A database and its daemon. */
struct side {
	const char *conninfo;
	struct db *db;
	pid_t daemon;
	long started; /* healthy workflows */
};

static struct side poisoned = { .conninfo = "" };
static struct side control = { .conninfo = "dbname=control" };
static struct arena *arena;

/* Counts of all processes, in shared memory. */
static volatile struct {
	int segfaults, loops, hoards;
	int sated; /* how often a hoarder got all its memory */
} * counted;

/* Runs a query of one value, a number or a text. */
static const char *
sql(const struct side *side, const char *query, int count,
    const char *const params[])
{
	const struct db_rows *rows = db_query(side->db, arena, query, count,
	    params);

	if (rows == NULL) {
		diag("%s: %s", query, db_last_error(side->db)->message);
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

static const struct workflow_type healthy_type = { .name = "healthy",
	.version = "1",
	.function = healthy };
static const struct workflow_type segfaulter_type = { .name = "segfaulter",
	.version = "1",
	.function = segfaulter };
static const struct workflow_type looper_type = { .name = "looper",
	.version = "1",
	.function = looper };
static const struct workflow_type hoarder_type = { .name = "hoarder",
	.version = "1",
	.function = hoarder };
static const struct workflow_type failing_type = { .name = "failing",
	.version = "1",
	.function = failing };

static const char *const poisons[] = { "segfaulter", "looper", "hoarder",
	"failing" };
#define POISONS (sizeof(poisons) / sizeof(poisons[0]))

/* Notifies the workers of a new workflow, as a client does. */
static void
announce(const struct side *side)
{
	sql(side, "select pg_notify('durable_due', '')::text", 0, NULL);
}

static void
start(const char *name)
{
	sql(&poisoned,
	    "select durable.client_submit(array[$1], array[$1], array['test'], "
	    "array[null::text], 'test', '{}', '{}', '{}', '{}', '{}')::text",
	    1, &name);
	announce(&poisoned);
}

/* Starts healthy workflows up to IN_FLIGHT; returns how many have ended. */
static long
feed(struct side *side)
{
	long under_way =
	    strtol(sql(side,
		       "select count(*) from dbos.workflow_status where name = "
		       "'healthy' and status in ('ENQUEUED', 'PENDING')",
		       0, NULL),
		NULL, 10);
	const char *wanted = arena_printf(arena, "%ld", IN_FLIGHT - under_way);

	if (under_way < IN_FLIGHT) {
		sql(side,
		    "select durable.client_submit(array_agg(id), "
		    "array_agg('healthy'::text), array_agg('test'::text), "
		    "array_agg(null::text), 'test', "
		    "'{}', '{}', '{}', '{}', '{}')::text from (select "
		    "gen_random_uuid()::text as id "
		    "from generate_series(1, $1::int)) as s",
		    1, &wanted);
		announce(side);
	}
	side->started += IN_FLIGHT - under_way;
	return side->started - IN_FLIGHT;
}

static bool
poisons_ended(void)
{
	return strcmp(sql(&poisoned,
			  "select count(*) from dbos.workflow_status "
			  "where name <> 'healthy' and status in "
			  "('PENDING', 'ENQUEUED')",
			  0, NULL),
		   "0") == 0;
}

/*
 * Starts one poison of each kind; returns whether, until all have ended, more
 * than half as many healthy workflows end beside them as without them.
 */
static bool
healthy_beside_poison(void)
{
	const struct timespec pause = { .tv_nsec = 5000000 };
	const int64_t begin_ms = clock_monotonic_ms();
	long with = -feed(&poisoned), without = -feed(&control);
	size_t i;

	for (i = 0; i < POISONS; i++)
		start(poisons[i]);
	while (!poisons_ended() && clock_monotonic_ms() - begin_ms < LIMIT_MS) {
		nanosleep(&pause, NULL);
		feed(&poisoned);
		feed(&control);
	}
	with += feed(&poisoned);
	without += feed(&control);
	diag("%ld healthy workflows beside poison, %ld without, in %ld ms",
	    with, without, (long)(clock_monotonic_ms() - begin_ms));
	for (i = 0; i < POISONS; i++)
		is_str(sql(&poisoned,
			   "select status from dbos.workflow_status "
			   "where workflow_uuid = $1",
			   1, &poisons[i]),
		    strcmp(poisons[i], "failing") == 0
			? "ERROR"
			: "MAX_RECOVERY_ATTEMPTS_EXCEEDED",
		    arena_printf(arena, "%s is given up or fails", poisons[i]));
	return with > without / 2;
}

/*
 * The first run and one in each worker may come before the suspect is noted, and
 * the first turn of suspects may have several.
 */
static bool
is_within_attempts(int count)
{
	return count <= 1 + WORKERS + ATTEMPTS;
}

static void
test_poison(void)
{
	bool above_half = healthy_beside_poison();

	ok(counted->hoards > 0 && counted->sated == 0,
	    "a workflow that allocates without end meets the limit");
	diag("%d segfaults, %d loops, %d hoards", counted->segfaults,
	    counted->loops, counted->hoards);
	ok(is_within_attempts(counted->segfaults) &&
		is_within_attempts(counted->loops) &&
		is_within_attempts(counted->hoards),
	    "poison runs for its attempts, once more, and once in each worker");
	ok(above_half,
	    "healthy workflows keep half of their rate beside poison");
}

static void
begin(struct side *side, struct engine engine)
{
	engine.conninfo = side->conninfo;
	side->daemon = fork();
	if (side->daemon == 0) {
		log_open("poison");
		_exit(durable_run(&engine, WORKERS));
	}
	side->db = db_new(side->conninfo, "test");
	if (db_connect(side->db, NULL))
		return;
	printf("Bail out! %s\n", db_last_error(side->db)->message);
	exit(1);
}

static void
end(struct side *side)
{
	int status;

	kill(side->daemon, SIGTERM);
	ok(waitpid(side->daemon, &status, 0) == side->daemon && status == 0,
	    "SIGTERM ends the daemon with status 0");
	db_free(side->db);
}

int
main(void)
{
	static const struct workflow_type *const types[] = { &healthy_type,
		&segfaulter_type, &looper_type, &hoarder_type, &failing_type,
		NULL };
	static const char *const queues[] = { "test", DURABLE_INTERNAL_QUEUE,
		NULL };
	struct engine engine = { .application = "test",
		.executor = "tests",
		.types = types,
		.queues = queues,
		.turn_size = 16,
		.turn_limit_s = 1,
		.max_attempts = ATTEMPTS,
		.memory_limit_mb = MEMORY_MB };

	counted = mmap(NULL, sizeof(*counted), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counted == MAP_FAILED)
		return 1;
	arena = arena_new();
	begin(&poisoned, engine);
	begin(&control, engine);
	test_poison();
	end(&poisoned);
	end(&control);
	arena_free(arena);
	return done_testing();
}
