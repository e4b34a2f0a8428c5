/* SPDX-License-Identifier: MIT */
/*
 * The turn, with a database that answers what the test says: which workflows
 * it loads, what it writes and when it looks again.
 */
#include <inttypes.h>
#include <malloc.h>
#include <stdlib.h>
#include <time.h>

#include <durable/engine.h>
#include "base/arena.h"
#include "db/db.h"
#include "engine/recovery.h"
#include "engine/served.h"
#include "engine/turn.h"
#include "tests/unit/tap.h"

#define COLUMNS_MAX    16
#define ROWS_MAX       4
#define STATEMENTS_MAX 32
#define NOW_MS         INT64_C(1700000000000)

struct db_rows {
	size_t count;
	const char *values[ROWS_MAX][COLUMNS_MAX];
};

/* What the database says to a statement that contains a text. */
struct reply {
	const char *to;
	struct db_rows rows;
};

struct statement {
	const char *sql;
	const char *params[COLUMNS_MAX];
};

static struct arena *arena; /* of one turn */
static struct reply replies[8];
static struct statement statements[STATEMENTS_MAX];
static size_t replies_count, statements_count, round_trips;
static const char *broken_sql; /* the statement that fails */
static struct db_error failure, last_error;
static bool is_ended; /* the transaction, by a statement of a step */
static int answer_ms; /* how long the database takes for a round trip */

/* The database. */

void
db_queue_rows(struct db *db, struct arena *owner, const char *sql,
    size_t nparams, const char *const params[], const struct db_rows **rows)
{
	static const struct db_rows none;
	struct statement *statement = &statements[statements_count++];
	size_t i;

	(void)db, (void)owner;
	*statement = (struct statement){ .sql = sql };
	for (i = 0; i < nparams; i++)
		statement->params[i] = arena_strdup(arena, params[i]);
	if (broken_sql != NULL && strstr(sql, broken_sql) != NULL) {
		last_error = failure;
		last_error.sql = sql;
	}
	for (i = 0; i < replies_count; i++)
		if (strstr(sql, replies[i].to) != NULL)
			break;
	if (rows != NULL)
		*rows = i < replies_count ? &replies[i].rows : &none;
}

void
db_queue(struct db *db, const char *sql, size_t nparams,
    const char *const params[])
{
	db_queue_rows(db, NULL, sql, nparams, params, NULL);
}

const struct db_rows *
db_query(struct db *db, struct arena *owner, const char *sql, size_t nparams,
    const char *const params[])
{
	const struct db_rows *rows;

	db_queue_rows(db, owner, sql, nparams, params, &rows);
	round_trips++;
	return rows;
}

enum db_outcome
db_finish(struct db *db)
{
	const struct timespec answer = { .tv_nsec = answer_ms * 1000000L };

	(void)db;
	round_trips++;
	nanosleep(&answer, NULL);
	return last_error.outcome;
}

enum db_outcome
db_finish_within(struct db *db, size_t max_bytes)
{
	(void)max_bytes;
	return db_finish(db);
}

const struct db_error *
db_last_error(const struct db *db)
{
	(void)db;
	return &last_error;
}

void
db_sync(struct db *db)
{
	(void)db;
}

int
db_fd(const struct db *db)
{
	(void)db;
	return -1;
}

void
db_disconnect(struct db *db)
{
	(void)db;
}

bool
db_beat(struct db *db)
{
	(void)db;
	return true;
}

bool
db_in_transaction(const struct db *db)
{
	(void)db;
	return !is_ended;
}

size_t
db_row_count(const struct db_rows *rows)
{
	return rows->count;
}

const char *
db_value(const struct db_rows *rows, size_t row, int column)
{
	return rows->values[row][column];
}

int
db_column_count(const struct db_rows *rows)
{
	(void)rows;
	return 1;
}

const char *
db_column_name(const struct db_rows *rows, int column)
{
	(void)rows, (void)column;
	return "column";
}

enum db_type
db_column_type(const struct db_rows *rows, int column)
{
	(void)rows, (void)column;
	return DB_TYPE_NUMBER;
}

/* Rows as text: a line a row, a field a column; an empty field is null. */
static void
reply(const char *to, const char *lines)
{
	struct reply *added = &replies[replies_count++];
	char *rest = arena_strdup(arena, lines), *line, *field;
	int column;

	*added = (struct reply){ .to = to };
	while ((line = strsep(&rest, "\n")) != NULL) {
		for (column = 0; (field = strsep(&line, "|")) != NULL; column++)
			added->rows.values[added->rows.count][column] =
			    *field == '\0' ? NULL : field;
		added->rows.count++;
	}
}

/* A parameter, from 1, of the turn's last statement that contains a text. */
static const char *
sent(const char *to, int param)
{
	size_t i = statements_count;

	while (i-- > 0)
		if (strstr(statements[i].sql, to) != NULL)
			return statements[i].params[param - 1];
	return "no statement";
}

static bool
is_sent(const char *to)
{
	size_t i;

	for (i = 0; i < statements_count; i++)
		if (strstr(statements[i].sql, to) != NULL)
			return true;
	return false;
}

/* Workflows. */

static json_object *
sleeper(struct workflow *wf, json_object *input)
{
	(void)input;
	wf_sleep(wf, 200);
	wf_sleep(wf, 200);
	wf_sleep(wf, 200);
	return NULL;
}

static json_object *
listener(struct workflow *wf, json_object *input)
{
	(void)input;
	wf_sleep(wf, 200);
	wf_recv(wf, "t", 0);
	return NULL;
}

static json_object *
stepper(struct workflow *wf, json_object *input)
{
	(void)input;
	wf_sql(wf, "step", "select test.step()", 0, NULL);
	wf_sleep(wf, 200);
	return NULL;
}

static json_object *
two_steps(struct workflow *wf, json_object *input)
{
	(void)input;
	wf_sql(wf, "first", "select test.first()", 0, NULL);
	wf_sql(wf, "step", "select test.step()", 0, NULL);
	return NULL;
}

static const struct workflow_type all_types[] = {
	{ .name = "sleeper", .version = "1", .function = sleeper },
	{ .name = "listener", .version = "1", .function = listener },
	{ .name = "stepper", .version = "1", .function = stepper },
	{ .name = "two_steps", .version = "1", .function = two_steps },
};
static const struct workflow_type *const types[] = { &all_types[0],
	&all_types[1], &all_types[2], &all_types[3], NULL };
static const char *const queues[] = { "main", NULL };
static const struct engine engine = { .application = "app",
	.executor = "host",
	.types = types,
	.queues = queues,
	.turn_size = 2,
	.turn_limit_s = 30,
	.max_attempts = 3,
	.schema_patience_s = 300 };

static struct served *served;
static struct turn *turn;
static char crash_note[PREFORK_CRASH_NOTE_SIZE];

/* Makes a worker without a step that is held. */
static void
new_worker(void)
{
	turn_free(turn);
	turn = turn_new(&engine, served, NULL, crash_note);
}

/* A turn begins so many ms after NOW_MS, with nothing due. */
static void
begin_turn(int at_ms)
{
	arena_reset(arena);
	replies_count = 0;
	reply("durable.turn_begin",
	    arena_printf(arena, "%" PRId64 "|f|f", NOW_MS + at_ms));
	reply("durable.next_due", "");
}

static enum turn_outcome
run(const struct turn_plan *plan)
{
	enum turn_outcome outcome;

	statements_count = round_trips = 0;
	last_error = (struct db_error){ .outcome = DB_DONE };
	outcome = turn_run(turn, plan);
	broken_sql = NULL;
	return outcome;
}

static const struct turn_plan ordinary = { .only = NULL };

/* The row of turn_load of a workflow without a journal. */
static const char *
fresh(const char *id, const char *type)
{
	return arena_printf(arena, "%s|f|%s|1||portable_json||||||||||", id,
	    type);
}

/* A turn takes a new workflow of this type. */
static void
take_new(const char *type)
{
	begin_turn(0);
	reply("durable.turn_take", arena_printf(arena, "w|%s@1|||", type));
	reply("durable.turn_load", fresh("w", type));
	run(&ordinary);
}

static void
test_load(void)
{
	take_new("sleeper");
	ok(is_sent("durable.turn_load(durable.taken())"),
	    "the workflows of a turn are loaded");
	ok(is_sent("durable.turn_inbox(durable.taken())"),
	    "the messages of the workflows of a turn are loaded");
	is_str(sent("durable.turn_journal", 2), "{\"0\"}",
	    "a turn writes the steps that its runs have made");
	is_int((long long)round_trips, 2, "a turn makes two round trips");

	begin_turn(300);
	reply("durable.turn_take", "w|sleeper@1|||");
	reply("durable.turn_load",
	    arena_printf(arena,
		"w|f|sleeper|1||portable_json||||{0}|{DBOS.sleep}|{%" PRId64
		"}|{NULL}|{portable_json}|{NULL}|{1}",
		NOW_MS + 200));
	run(&ordinary);
	is_str(sent("durable.turn_journal", 2), "{\"1\"}",
	    "a workflow that was loaded repeats no step");

	begin_turn(0);
	reply("durable.turn_take", "w||||");
	reply("durable.turn_load", fresh("w", "sleeper"));
	run(&(struct turn_plan){ .only = "{w}" });
	is_str(sent("durable.turn_take", 6), "{w}",
	    "a turn of named workflows takes these");
	ok(!is_sent("durable.next_due"),
	    "a turn of named workflows does not ask when to look again");
}

static void
test_messages(void)
{
	static const char loaded[] =
	    "w|f|listener|1||portable_json||||{0}|{DBOS.sleep}|{1}|{NULL}|"
	    "{portable_json}|{NULL}|{1}";

	begin_turn(300);
	reply("durable.turn_take", "w|listener@1|7|1|");
	reply("durable.turn_load", loaded);
	reply("durable.turn_inbox", "w|m|t|\"x\"|portable_json");
	run(&ordinary);
	is_str(sent("durable.turn_consumed", 1), "{\"m\"}",
	    "a receiver that a timer group woke has its message");

	begin_turn(300);
	reply("durable.turn_take", "w|listener@1|7|1|");
	reply("durable.turn_load", loaded);
	run(&ordinary);
	is_str(sent("durable.turn_statuses", 2), "{\"SUCCESS\"}",
	    "a receiver without a message has its time-out");
}

/* A turn takes two sleepers of one timer group of so many. */
static void
take_group(int size)
{
	begin_turn(0);
	reply("durable.turn_take",
	    arena_printf(arena, "w|sleeper@1|7|%d|\nx|sleeper@1|7|%d|", size,
		size));
	reply("durable.turn_load",
	    arena_printf(arena, "%s\n%s", fresh("w", "sleeper"),
		fresh("x", "sleeper")));
	run(&ordinary);
}

/*
 * The two sleep until the same millisecond, unless one passes between their
 * calls: then their group is left, and the turn is tried again.
 */
static void
test_timer_group(void)
{
	int i = 0;

	do
		take_group(2);
	while (sent("durable.turn_timer_groups", 2) == NULL && ++i < 100);
	is_str(sent("durable.turn_timer_groups", 1), "{\"7\"}",
	    "a timer group whose workflows sleep again is moved");
	ok(sent("durable.turn_timer_groups", 2) != NULL,
	    "a timer group that is moved has its time");
	is_str(sent("durable.turn_timer_groups", 3), "{\"2\"}",
	    "a timer group that is moved has its size");
	ok(!is_sent("durable.turn_waits"),
	    "the waits of a timer group that is moved are not written");

	take_group(3);
	is_str(sent("durable.turn_timer_groups", 2), NULL,
	    "a turn that has a part of a timer group leaves it");
	is_str(sent("durable.turn_waits", 1), "{\"w\",\"x\"}",
	    "workflows that leave their timer group have waits of their own");
	is_str(sent("durable.turn_waits", 3),
	    "{\"sleeper@1@app\",\"sleeper@1@app\"}",
	    "a wait has the application of its workflow");
}

/* Whether a turn is full with two workflows; their columns from source on. */
static bool
is_full(const char *first, const char *second)
{
	begin_turn(0);
	reply("durable.turn_take",
	    arena_printf(arena, "w|%s\nx|%s", first, second));
	reply("durable.turn_load",
	    arena_printf(arena, "%s\n%s", fresh("w", "sleeper"),
		fresh("x", "sleeper")));
	run(&ordinary);
	return turn_was_full(turn);
}

static void
test_full(void)
{
	ok(is_full("sleeper@1|||", "sleeper@1|||"),
	    "a turn that left due waits is full");
	is_int(turn_due_in_ms(turn, 5000), 0, "a full turn repeats at once");
	ok(!is_sent("durable.next_due"),
	    "a full turn does not ask when to look again");
	ok(is_full("main|||", "main|||"),
	    "a turn that left enqueued workflows is full");
	ok(is_full("sleeper@1|7|3|", "sleeper@1|7|3|"),
	    "a turn that left part of a timer group is full");
	ok(is_full("sleeper@1|7|1|", "sleeper@1|8|1|"),
	    "a turn that left timer groups is full");
	begin_turn(0);
	reply("durable.turn_take",
	    "w|sleeper@1|||\nx|other@1|||\ny|sleeper@1|||");
	reply("durable.turn_load",
	    arena_printf(arena, "%s\n%s\n%s", fresh("w", "sleeper"),
		fresh("x", "sleeper"), fresh("y", "sleeper")));
	run(&ordinary);
	ok(turn_was_full(turn), "a turn that took both ends of a type is full");
	begin_turn(0);
	reply("durable.turn_take", "w||||\nx||||");
	reply("durable.turn_load",
	    arena_printf(arena, "%s\n%s", fresh("w", "sleeper"),
		fresh("x", "sleeper")));
	run(&(struct turn_plan){ .only = "{w,x}" });
	ok(!turn_was_full(turn), "a turn of named workflows is not full");
	ok(!is_full("sleeper@1|||", "main|||"),
	    "a turn that took one of each source is not full");
	ok(is_sent("durable.next_due"),
	    "a turn that is not full asks when to look again");
	ok(!is_full("sleeper@1|||", "sleeper@1|7|1|"),
	    "waits of a type and its timer groups are two sources");
}

static void
test_next_due(void)
{
	begin_turn(0);
	run(&ordinary);
	is_int(turn_due_in_ms(turn, 5000), 5000,
	    "a turn that knows of nothing due sleeps for the limit");
	ok(!turn_took_any(turn), "a turn that took nothing says so");
	is_int((long long)round_trips, 2,
	    "a turn that took nothing makes two round trips");
	is_str(sent("durable.next_due", 1),
	    "{\"sleeper@1@app\",\"listener@1@app\",\"stepper@1@app\","
	    "\"two_steps@1@app\"}",
	    "next_due is asked for the types of the turn");
	is_str(sent("durable.next_due", 2), "{\"main\"}",
	    "next_due is asked for the queues of the turn");
	is_str(sent("durable.next_due", 5),
	    arena_printf(arena, "%" PRId64, NOW_MS),
	    "next_due is asked with the begin of the turn");

	begin_turn(0);
	replies_count--;
	reply("durable.next_due",
	    arena_printf(arena, "%" PRId64, NOW_MS + 900));
	run(&ordinary);
	ok(turn_due_in_ms(turn, 5000) > 800 &&
		turn_due_in_ms(turn, 5000) <= 900,
	    "a worker sleeps until the time that next_due says");
	is_int(turn_due_in_ms(turn, 100), 100,
	    "a worker sleeps no longer than the limit");

	take_new("sleeper");
	ok(turn_due_in_ms(turn, 5000) > 100 &&
		turn_due_in_ms(turn, 5000) <= 208,
	    "a worker sleeps until the waits of its own turn are over");

	begin_turn(0);
	reply("durable.turn_take", "w|sleeper@1|||");
	reply("durable.turn_load", fresh("w", "sleeper"));
	run(&(struct turn_plan){ .polls_again = true });
	ok(!is_sent("durable.next_due"),
	    "a busy worker does not ask when to look again");
	is_int(turn_due_in_ms(turn, 5000), 0,
	    "a busy worker that took any looks again at once");
	begin_turn(0);
	run(&(struct turn_plan){ .polls_again = true });
	ok(is_sent("durable.next_due"),
	    "a busy worker that took nothing asks when to look again");

	begin_turn(0);
	*replies[0].rows.values[0] = arena_printf(arena, "%" PRId64, NOW_MS);
	replies[0].rows.values[0][1] = "t";
	run(&ordinary);
	ok(turn_saw_suspects(turn), "a turn says that there are suspects");
}

/* From which time on a turn looked for what is due. */
static const char *
looked_from(void)
{
	begin_turn(0);
	run(&ordinary);
	return sent("durable.turn_take", 7);
}

static void
test_look(void)
{
	char begun[24];

	snprintf(begun, sizeof(begun), "%" PRId64, NOW_MS - 2000);
	looked_from();
	is_str(looked_from(), "0", "a turn looks at everything that is due");
	answer_ms = 12;
	looked_from();
	is_str(looked_from(), begun,
	    "after a slow look a turn looks no further back than 2 s");
	is_str(sent("durable.next_due", 6), begun,
	    "next_due looks as far back as its turn");
	ok(turn_due_in_ms(turn, 5000) <= 12 * 20 + 200,
	    "a worker sleeps no longer than until it looks at everything");
	begin_turn(0);
	run(&(struct turn_plan){ .partition = { .part = 0, .parts = 2 } });
	is_str(sent("durable.turn_take", 7), "0",
	    "a turn with another partition looks at everything");
	looked_from();
	broken_sql = "durable.turn_take";
	failure = (struct db_error){ .outcome = DB_RETRY, .own = DB_RETRY };
	looked_from();
	is_str(looked_from(), "0",
	    "a turn behind one that failed looks at everything");
	answer_ms = 0;
	looked_from();
}

/* A turn takes a stepper that is held since this time; "": it is not. */
static enum turn_outcome
take_held(const char *held_since)
{
	begin_turn(0);
	reply("durable.turn_take",
	    arena_printf(arena, "w|stepper@1|||%s", held_since));
	reply("durable.turn_load", fresh("w", "stepper"));
	reply("test.step", "1");
	return run(&ordinary);
}

static const char *
ago(int64_t ms)
{
	return arena_printf(arena, "%" PRId64, NOW_MS - ms);
}

static void
test_held(void)
{
	broken_sql = "test.step";
	failure = (struct db_error){ .outcome = DB_RETRY,
		.own = DB_RETRY,
		.sqlstate = "55P03",
		.message = "locked" };
	is_int(take_held(""), TURN_RETRY,
	    "a step that meets a circumstance repeats its turn");

	is_int(take_held(""), TURN_COMMITTED,
	    "a turn without the step that is held commits");
	is_str(sent("durable.turn_waits", 4), "{\"held\"}",
	    "a workflow waits before a step that is held");
	ok(strtoll(sent("durable.turn_waits", 7) + 2, NULL, 10) - NOW_MS < 100,
	    "the wait of a held step says since when");

	take_held(ago(9000));
	is_str(sent("durable.turn_waits", 7),
	    arena_printf(arena, "{\"%s\"}", ago(9000)),
	    "a step that is held again keeps the time");

	new_worker();
	take_held(ago(9000));
	is_str(sent("durable.turn_waits", 4), "{\"timer\"}",
	    "another worker tries a step that is held");
	is_str(sent("durable.turn_waits", 7), NULL,
	    "a workflow whose step went well is held no more");

	broken_sql = "test.step";
	take_held("");
	take_held(ago(301000));
	is_str(sent("durable.turn_waits", 4), "{\"held\"}",
	    "a step that meets a lock is held without limit");
	begin_turn(0);
	reply("durable.turn_take",
	    arena_printf(arena, "w|two_steps@1|||%s", ago(9000)));
	reply("durable.turn_load", fresh("w", "two_steps"));
	reply("test.first", "1");
	run(&ordinary);
	ok(strtoll(sent("durable.turn_waits", 7) + 2, NULL, 10) >= NOW_MS,
	    "a second step that is held has a time of its own");

	new_worker();
	broken_sql = "test.step";
	failure.outcome = DB_SCHEMA;
	take_held("");
	take_held(ago(299000));
	is_str(sent("durable.turn_waits", 4), "{\"held\"}",
	    "a step waits for the schema as long as the engine is patient");
	take_held(ago(300000));
	is_str(sent("durable.turn_statuses", 2), "{\"ERROR\"}",
	    "a step that has waited for the schema for longer fails");
}

/* A statement of a step ends the transaction, as the server says. */
static void
test_ended_transaction(void)
{
	size_t count;

	new_worker();
	is_ended = true;
	begin_turn(0);
	reply("durable.turn_take", "w|stepper@1|||");
	reply("durable.turn_load", fresh("w", "stepper"));
	reply("test.step", "1");
	is_int(run(&ordinary), TURN_REFUSED,
	    "a turn whose transaction was ended is refused");
	ok(!is_sent("durable.turn_journal"),
	    "a turn whose transaction was ended records nothing");
	is_str(turn_error_suspects(turn, &count)->id, "w",
	    "a turn whose transaction was ended has suspects");
	is_int(run(&(struct turn_plan){ .only = "{w}", .alone = true }),
	    TURN_REFUSED, "a transaction that was ended is no step's result");
	is_ended = false;
}

/* A turn that meets this error, if any, when it loads what it took. */
static enum turn_outcome
meet(enum db_outcome outcome, const char *sqlstate)
{
	broken_sql = outcome == DB_DONE ? NULL : "durable.turn_load";
	failure = (struct db_error){ .outcome = outcome, .own = outcome };
	snprintf(failure.sqlstate, sizeof(failure.sqlstate), "%s", sqlstate);
	return take_held("");
}

static void
test_smaller(void)
{
	new_worker();
	meet(DB_RETRY, "40P01");
	is_int(turn_max_workflows(turn), 2, "a deadlock makes no turn smaller");
	meet(DB_RETRY, "57014");
	is_int(turn_max_workflows(turn), 1,
	    "a time-out makes the next turn smaller");
	meet(DB_LOST, "");
	is_int(turn_max_workflows(turn), 1,
	    "a turn takes one of each type at least");
	begin_turn(0);
	run(&ordinary);
	is_int(turn_max_workflows(turn), 1,
	    "a turn without work makes no turn larger");
	is_str(sent("durable.turn_take", 5), "1",
	    "a smaller turn takes fewer workflows");
	meet(DB_DONE, "");
	is_int(turn_max_workflows(turn), 2,
	    "a turn that commits makes the next larger");
	meet(DB_LOST, "");
	is_int(turn_max_workflows(turn), 1,
	    "a lost connection makes the next turn smaller");
	meet(DB_DONE, "");
	meet(DB_DONE, "");
	is_int(turn_max_workflows(turn), 2,
	    "no turn takes more than turn_size");
}

/* A turn without work, that sees suspects. */
static void
see_suspects(void)
{
	begin_turn(0);
	replies[0].rows.values[0][1] = "t";
	run(&ordinary);
	statements_count = 0;
}

/* Looks for a suspect many times; returns how many bytes that has kept. */
static size_t
memory_of_looks(struct recovery *recovery)
{
	enum turn_outcome outcome;
	size_t before, i;

	recovery_try_suspects(recovery, &outcome);
	before = mallinfo2().uordblks;
	for (i = 0; i < 20000; i++) {
		recovery_try_suspects(recovery, &outcome);
		statements_count = 0;
		arena_reset(arena);
	}
	return mallinfo2().uordblks - before;
}

static void
test_suspects(struct recovery *recovery)
{
	enum turn_outcome outcome;

	begin_turn(0);
	run(&ordinary);
	statements_count = 0;
	ok(!recovery_try_suspects(recovery, &outcome) &&
		!is_sent("durable.turn_attempt("),
	    "a worker that saw no suspects looks for none");
	ok(memory_of_looks(recovery) < 100000,
	    "a worker that saw no suspects needs no more memory");

	see_suspects();
	ok(!recovery_try_suspects(recovery, &outcome) &&
		is_sent("durable.turn_attempt("),
	    "a worker that saw suspects looks for one");
	ok(memory_of_looks(recovery) < 100000,
	    "a worker that finds no suspect needs no more memory");

	see_suspects();
	reply("durable.turn_attempt(", "w|2|1000");
	reply("durable.turn_take", "w||||");
	reply("durable.turn_load", fresh("w", "sleeper"));
	ok(recovery_try_suspects(recovery, &outcome) &&
		outcome == TURN_COMMITTED,
	    "a suspect is tried");
	is_str(sent("durable.turn_take", 6), "{\"w\"}",
	    "a suspect is tried alone");
	is_str(sent("durable.turn_attempted", 1), "{\"w\"}",
	    "an attempt whose session goes on is ended");

	see_suspects();
	reply("durable.turn_attempt(", "w|0|0\nx|0|0");
	reply("durable.turn_take", "w||||\nx||||");
	reply("durable.turn_load",
	    arena_printf(arena, "%s\n%s", fresh("w", "sleeper"),
		fresh("x", "sleeper")));
	ok(recovery_try_suspects(recovery, &outcome) &&
		outcome == TURN_COMMITTED,
	    "a cohort of suspects is tried");
	is_str(sent("durable.turn_take", 6), "{\"w\",\"x\"}",
	    "a cohort of suspects is tried together");
	is_str(sent("durable.turn_attempted", 1), "{\"w\",\"x\"}",
	    "an attempt at a cohort is ended for each");

	see_suspects();
	reply("durable.turn_attempt(", "w|3|0");
	ok(recovery_try_suspects(recovery, &outcome) &&
		!is_sent("durable.turn_take"),
	    "a suspect is not tried again after the last attempt");
}

/* The last parameter of turn_suspect after a crash note is found. */
static const char *
death(struct recovery *recovery, const char *note)
{
	snprintf(crash_note, sizeof(crash_note), "%s", note);
	begin_turn(0);
	reply("durable.turn_suspect", "");
	statements_count = 0;
	recovery_run(recovery);
	return sent("durable.turn_suspect", 7);
}

static void
test_attempts(struct prefork_worker *self, struct recovery *recovery)
{
	self->dead_pid = 7;
	self->died_ms = 1000;
	self->died_by_itself = true;
	is_str(death(recovery, "7{\"w\"}"), "1000",
	    "a process that ended itself while it ran one workflow counts");
	is_str(death(recovery, "7{\"w\",\"x\"}"), NULL,
	    "a process that ended itself while it ran several does not count");
	is_str(death(recovery, "6{\"w\"}"), NULL,
	    "a process that only found the crash note does not count");
	self->died_by_itself = false;
	is_str(death(recovery, "7{\"w\"}"), NULL,
	    "a process that was ended from outside does not count");
}

static void
test_crash_note(struct recovery *recovery)
{
	ok(!recovery_is_needed(recovery),
	    "without a crash note no recovery is needed");
	snprintf(crash_note, sizeof(crash_note), "7{\"w\",\"x\"}");
	ok(recovery_is_needed(recovery), "a crash note needs recovery");
	begin_turn(0);
	reply("durable.turn_suspect", "w");
	reply("durable.turn_take", "w||||");
	reply("durable.turn_load", fresh("w", "sleeper"));
	statements_count = 0;
	last_error.outcome = DB_DONE;
	is_int(recovery_run(recovery), TURN_COMMITTED,
	    "the workflows of a crash note are run");
	is_str(sent("durable.turn_suspect", 6), "{\"w\",\"x\"}",
	    "the workflows of a crash note become suspects");
	is_str(sent("durable.turn_take", 6), "{\"w\"}",
	    "of a crash note only the suspects are run");
	ok(*crash_note == '\0' && !recovery_is_needed(recovery),
	    "a crash note is used once");
}

static void
test_recovery(void)
{
	struct prefork_worker self = { .crash_note = crash_note };
	struct recovery *recovery;

	new_worker();
	recovery = recovery_new(&engine, served, NULL, turn, &self);
	test_suspects(recovery);
	test_crash_note(recovery);
	test_attempts(&self, recovery);
	recovery_free(recovery);
}

int
main(void)
{
	served = served_new(&engine);
	arena = arena_new();
	new_worker();
	test_load();
	test_timer_group();
	test_messages();
	test_full();
	test_next_due();
	test_look();
	test_held();
	test_smaller();
	test_ended_transaction();
	test_recovery();
	turn_free(turn);
	served_free(served);
	arena_free(arena);
	return done_testing();
}
