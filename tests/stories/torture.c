/* SPDX-License-Identifier: MIT */
/*
 * Rounds of hostile workflows of all kinds, generated from a seed, and of
 * workflows that move money beside them, in the turns of one daemon.  Each has
 * to come to what its kind says, and the books have to be right.  torture.tap
 * starts the cluster and this program.
 *
 *	torture [SECONDS [SEED]]
 */
#include "tests/stories/torture.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "tests/stories/story.h"
#include "tests/unit/tap.h"

/* In a round: workflows that move money; how long all may take. */
#define TRANSFERS 150
#define ROUND_S   120

#define BALANCE   "1000"

/* What a client_submit takes, and what each workflow has to come to. */
struct lists {
	struct strbuf ids, types, queues, inputs, statuses, says;
	size_t count;
};

static struct chance chance;

unsigned
chance_below(struct chance *from, unsigned limit)
{
	/* Knuth's MMIX; its upper bits are the better ones. */
	from->state = from->state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(from->state >> 33) % limit;
}

const char *
chance_of(struct chance *from, size_t count, const char *const texts[])
{
	return texts[chance_below(from, (unsigned)count)];
}

const char *
deed_text(json_object *input, const char *name)
{
	return json_object_get_string(json_object_object_get(input, name));
}

int
deed_number(json_object *input, const char *name)
{
	return json_object_get_int(json_object_object_get(input, name));
}

void
deed_put_text(struct deed *deed, const char *name, const char *text)
{
	json_object_object_add(deed->input, name, json_object_new_string(text));
}

void
deed_put_number(struct deed *deed, const char *name, unsigned number)
{
	json_object_object_add(deed->input, name,
	    json_object_new_int((int)number));
}

/* The hostile kinds, by number. */
static const struct kind *
hostile_kind(size_t number)
{
	return number < statement_kinds_count
	    ? &statement_kinds[number]
	    : &code_kinds[number - statement_kinds_count];
}

static size_t
hostile_kinds(void)
{
	return statement_kinds_count + code_kinds_count;
}

/* Runs a statement, and returns its rows. */
static const struct db_rows *
query(const char *sql, size_t nparams, const char *const params[])
{
	const struct db_rows *rows = db_query(db, arena, sql, nparams, params);

	if (rows == NULL) {
		diag("%s: %s", sql, db_last_error(db)->message);
		printf("Bail out! The test's own statement failed.\n");
		exit(1);
	}
	return rows;
}

static void
add(struct lists *lists, const struct kind *kind, const char *id)
{
	struct deed deed = { .input = json_object_new_object(),
		.status = kind->status,
		.says = kind->says };

	if (kind->make != NULL)
		kind->make(&chance, &deed);
	if (kind == &right_kind)
		deed.says = arena_printf(arena, "\"%s %s\"", id, id);
	strbuf_add_element(&lists->ids, id);
	strbuf_add_element(&lists->types, kind->name);
	strbuf_add_element(&lists->queues, "test");
	strbuf_add_element(&lists->inputs,
	    json_object_to_json_string(deed.input));
	strbuf_add_element(&lists->statuses, deed.status);
	strbuf_add_element(&lists->says, deed.says);
	lists->count++;
	json_object_put(deed.input);
}

/* Notes what each is to come to, and starts all in one transaction. */
static void
submit(struct lists *lists)
{
	const char *const expected[] = { strbuf_end_array(&lists->ids),
		strbuf_end_array(&lists->types),
		strbuf_end_array(&lists->inputs),
		strbuf_end_array(&lists->statuses),
		strbuf_end_array(&lists->says) };
	const char *const params[] = { expected[0], expected[1],
		strbuf_end_array(&lists->queues), expected[2] };

	query("insert into torture.expected "
	      "select * from unnest($1::text[], $2::text[], $3::jsonb[], "
	      "$4::text[], $5::text[])",
	    5, expected);
	query("select durable.client_submit($1, $2, $3, $4, 'test', "
	      "'{}', '{}', '{}', '{}', '{}')",
	    4, params);
	query("notify durable_due", 0, NULL);
	strbuf_free(&lists->ids);
	strbuf_free(&lists->types);
	strbuf_free(&lists->queues);
	strbuf_free(&lists->inputs);
	strbuf_free(&lists->statuses);
	strbuf_free(&lists->says);
	*lists = (struct lists){ 0 };
}

/* The kinds of a round's workflows, in an order of chance. */
static const struct kind **
shuffle(size_t *count)
{
	const struct kind **kinds, *kind;
	size_t i, n, other;
	int each;

	*count = TRANSFERS;
	for (n = 0; n < hostile_kinds(); n++)
		*count += (size_t)hostile_kind(n)->share;
	kinds = arena_alloc(arena,
	    *count * sizeof(kinds[0])); /* NOLINT(bugprone-sizeof-expression) */
	for (i = 0; i < TRANSFERS; i++)
		kinds[i] = &right_kind;
	for (n = 0; n < hostile_kinds(); n++)
		for (each = 0; each < hostile_kind(n)->share; each++)
			kinds[i++] = hostile_kind(n);
	for (i = *count - 1; i > 0; i--) {
		other = chance_below(&chance, (unsigned)i + 1);
		kind = kinds[i];
		kinds[i] = kinds[other];
		kinds[other] = kind;
	}
	return kinds;
}

/* Starts a round's workflows, some at a time; returns how many. */
static size_t
start_round(int round)
{
	struct lists lists = { 0 };
	const struct kind **kinds;
	size_t i, count;

	kinds = shuffle(&count);
	for (i = 0; i < count; i++) {
		add(&lists, kinds[i],
		    arena_printf(arena, "%d-%zu %s", round, i, kinds[i]->name));
		if (lists.count == 40 || i == count - 1)
			submit(&lists);
	}
	return count;
}

/*
 * What others do to the workflows: cancel them, put a deadline on them, send
 * them what cannot be read.  Each once, when the workflow is there to meet it.
 */
static void
interfere(void)
{
	query("update dbos.workflow_status as s set status = 'CANCELLED', "
	      "queue_name = null from torture.expected as e "
	      "where e.id = s.workflow_uuid and e.type = 'cancelled' "
	      "and s.status = 'PENDING'",
	    0, NULL);
	query("update dbos.workflow_status as s "
	      "set workflow_deadline_epoch_ms = durable.now_ms() "
	      "from torture.expected as e "
	      "where e.id = s.workflow_uuid and e.type = 'late' "
	      "and s.status = 'PENDING' "
	      "and s.workflow_deadline_epoch_ms is null",
	    0, NULL);
	query("with sent as (update torture.expected as e set input = null "
	      "from dbos.workflow_status as s "
	      "where e.id = s.workflow_uuid and e.type = 'receives' "
	      "and e.input is not null returning e.id, e.input) "
	      "insert into dbos.notifications (destination_uuid, topic, "
	      "message, serialization) select s.id, 'bad', "
	      "(select x.input ->> 'message' from torture.expected as x "
	      "where x.id = s.id), 'portable_json' from sent as s",
	    0, NULL);
}

/* Holds the row that some steps want; another process, that is killed. */
static pid_t
start_locker(void)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid != 0)
		return pid;
	db = db_new("", "locker");
	if (db_connect(db, NULL)) {
		query("begin", 0, NULL);
		query("update torture.locked set n = n", 0, NULL);
		sleep(4);
	}
	_exit(0);
}

/* Whether a workflow, s, has come to where its kind, e, says. */
#define SETTLED \
	"case when e.status = 'held' " \
	"then w.kind = e.status and w.kind is not null " \
	"else s.status not in ('PENDING', 'ENQUEUED') end"

#define WORKFLOWS \
	"from torture.expected as e " \
	"join dbos.workflow_status as s on s.workflow_uuid = e.id " \
	"left join dbos.workflow_output as o on o.workflow_uuid = e.id " \
	"left join durable.waits as w on w.workflow_uuid = e.id "

/* Waits until all have come to where they stay. */
static void
settle(void)
{
	static const char unsettled[] = "select count(*) filter (where not "
					"coalesce(" SETTLED
					", false)) " WORKFLOWS;
	const struct timespec pause = { .tv_nsec = 50000000 };
	int64_t end_ms = clock_monotonic_ms() + ROUND_S * INT64_C(1000);

	while (clock_monotonic_ms() < end_ms &&
	    strcmp(sql("%s", unsettled), "0") != 0) {
		interfere();
		nanosleep(&pause, NULL);
	}
}

/* Notes the verdicts of this round, and ends what still waits. */
static void
judge(void)
{
	query("insert into torture.verdicts select e.type, "
	      "coalesce(" SETTLED ", false) "
	      "and (e.status in ('any', 'held') "
	      "or e.status = s.status) "
	      "and (e.says is null or "
	      "strpos(coalesce(o.output, o.error), e.says) > 0), "
	      "format('%s: wanted %s %s, got %s %s %s; %s', e.id, e.status, "
	      "e.says, s.status, w.kind, "
	      "left(coalesce(o.output, o.error), 200), e.input) " WORKFLOWS,
	    0, NULL);
	query("update dbos.workflow_status set status = 'CANCELLED', "
	      "queue_name = null where status in ('PENDING', 'ENQUEUED')",
	    0, NULL);
	query("delete from torture.expected", 0, NULL);
}

/* Asserts for a kind that all its workflows came to what it says. */
static void
assert_kind(const struct kind *kind)
{
	const char *const params[] = { kind->name };
	const struct db_rows *wrong = query(
	    "select why from torture.verdicts where type = $1 and not is_right "
	    "limit 5",
	    1, params);
	const struct db_rows *all = query(
	    "select count(*) from torture.verdicts where type = $1", 1, params);
	size_t i;

	ok(db_row_count(wrong) == 0 && strcmp(db_value(all, 0, 0), "0") != 0,
	    arena_printf(arena, "%s (%s, %s)", kind->title, kind->name,
		db_value(all, 0, 0)));
	for (i = 0; i < db_row_count(wrong); i++)
		diag("%s", db_value(wrong, i, 0));
}

static void
assert_books(void)
{
	is_str(sql("select count(*) from (select l.id from torture.ledger as l "
		   "group by l.id having count(*) <> 2 or sum(l.amount) <> 0 "
		   "or count(distinct l.part) <> 2) as x"),
	    "0", "each transfer has moved its money once");
	is_str(sql("select count(*) from torture.accounts as a "
		   "where a.balance <> " BALANCE " + coalesce((select "
		   "sum(l.amount) from torture.ledger as l "
		   "where l.account = a.account), 0)"),
	    "0", "each account has what the ledger says");
	is_str(sql("select count(distinct l.id) = (select count(*) "
		   "from torture.verdicts where type = 'transfer') "
		   "from torture.ledger as l"),
	    "true", "each transfer is in the ledger");
	is_str(sql("select count(*) from torture.pair as p "
		   "where p.n <> (select count(*) from torture.verdicts as v "
		   "where v.type = 'crosses')"),
	    "0", "each workflow that met a deadlock took effect once");
	is_str(sql("select count(*) from pg_locks as l "
		   "where l.locktype = 'advisory' and l.classid = 77"),
	    "0", "no lock that a step took for the session is left");
}

/* Whether a session in which a step has left this is ended soon. */
static bool
is_ended_with(const char *what)
{
	const char *noted;

	query("truncate torture.sessions", 0, NULL);
	do {
		noted = arena_printf(arena, "%s %s", what, sql("select now()"));
		start(noted, "leftovers",
		    arena_printf(arena,
			"{\"way\": 0, \"sql\": \"select torture.leave(''%s'')\"}",
			what));
	} while (strcmp(ended(noted), "SUCCESS") == 0 &&
	    strcmp(sql("select count(*) from torture.sessions"), "0") == 0);
	return wait_sql("0",
	    "select count(*) from pg_stat_activity "
	    "join torture.sessions using (pid)");
}

/* One after the other, because a session ends with all that is in it. */
static void
assert_leftovers(void)
{
	const char *const *what;

	for (what = leftovers; *what != NULL; what++)
		ok(is_ended_with(*what),
		    arena_printf(arena, "a session with a %s left is ended",
			*what));
}

static pid_t
start_daemon(void)
{
	static const struct engine engine = { .turn_size = 32,
		.turn_limit_s = 2,
		.max_attempts = 2,
		.schema_patience_s = 2 };
	struct workflow_type *types = arena_alloc(arena,
	    (hostile_kinds() + 3) * sizeof(types[0]));
	size_t i;

	for (i = 0; i < hostile_kinds(); i++)
		types[i] = (struct workflow_type){
			.name = hostile_kind(i)->name,
			.version = "1",
			.function = hostile_kind(i)->function
		};
	types[i++] = (struct workflow_type){ .name = right_kind.name,
		.version = "1",
		.function = right_kind.function };
	types[i++] = echo_type;
	types[i++] = deep_type;
	fflush(stdout);
	return story_start_daemon(&engine, types, i, 3);
}

/* A round; returns how many workflows it had. */
static size_t
run_round(int round)
{
	size_t count = start_round(round);
	pid_t locker = start_locker();

	settle();
	judge();
	kill(locker, SIGKILL);
	waitpid(locker, NULL, 0);
	return count;
}

int
main(int argc, char *argv[])
{
	int64_t begun_ms = clock_monotonic_ms();
	int64_t lasts_ms = argc > 1 ? strtoll(argv[1], NULL, 10) * 1000 : 0;
	int round = 0;
	pid_t daemon;
	size_t i, count;

	chance.state = argc > 2 ? strtoull(argv[2], NULL, 10)
				: (uint64_t)time(NULL);
	diag("seed %llu", (unsigned long long)chance.state);
	story_begin("");
	daemon = start_daemon();
	do {
		count = run_round(++round);
		diag("round %d: %zu workflows, %d s", round, count,
		    (int)((clock_monotonic_ms() - begun_ms) / 1000));
		arena_reset(arena);
	} while (clock_monotonic_ms() - begun_ms < lasts_ms);
	for (i = 0; i < hostile_kinds(); i++)
		if (hostile_kind(i)->share > 0)
			assert_kind(hostile_kind(i));
	assert_kind(&right_kind);
	assert_books();
	assert_leftovers();
	ok(story_stop_daemon(daemon), "SIGTERM ends the daemon with status 0");
	story_end();
	return done_testing();
}
