/* SPDX-License-Identifier: MIT */
/*
 * Journals: with any rows a run ends in one of the known ways, records no step
 * twice, and its replay with the recorded rows comes to the same end without
 * doing anything again.
 *
 * Input: a line of letters (which workflow; a: alone; d: past its deadline;
 * r: statements are refused; s: superjson; w: steps have waited for the schema
 * for too long), the workflow's input, then rows:
 *
 *	=step|number|name|output|error|format|child
 *	=message|topic|text|format
 *	=row|type|value|format|status|error
 *
 * where a field of one tilde is SQL's null and every statement returns the row.
 * The harness replaces the turn and the database.
 */
#include "fuzz.h"

#include <inttypes.h>

#include <durable/workflow.h>
#include "base/fiber.h"
#include "db/value.h"
#include "engine/turn_api.h"

/* Between these an entry makes the journal long, and nothing else. */
#define NUMBER_FAR     1024
#define NUMBER_TOO_FAR (1 << 24)

#define STEPS_MAX      128
#define MESSAGES_MAX   16
#define NOW_MS         INT64_C(1700000000000)

struct step_row {
	int number;
	struct entry entry;
};

/*
 * The statements of wf_message.c and wf_child.c, which have columns of their
 * own.
 */
#define EVENT_SQL  "from durable.workflow_event("
#define RESULT_SQL "select status, output, error, serialization"

struct db_rows {
	bool any;
	enum db_type type;
	const char *value, *format, *status, *error;
	const char *columns[4];
};

/* The rows of the database, and the acts of the run. */
struct turn {
	struct arena *arena;
	bool alone, refuses, held;
	struct db_rows rows;
	struct db_error error;
	struct step_row steps[STEPS_MAX];
	size_t steps_len, loaded;
	struct message messages[MESSAGES_MAX];
	size_t messages_len;
	size_t acts; /* statements, events, messages, children, consumed */
	const char *asked; /* the statement of a run that paused for it */
	bool starts_child;
	bool broken;
};

/* The database. */

size_t
db_row_count(const struct db_rows *rows)
{
	return rows->any ? 1 : 0;
}

const char *
db_value(const struct db_rows *rows, size_t row, int column)
{
	require(row == 0 && rows->any, "only existing rows are read");
	require(column >= 0 && column < 4, "only existing columns are read");
	return rows->columns[column];
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
	(void)column;
	return rows->type;
}

/* The turn. */

int64_t
turn_now_ms(const struct turn *turn)
{
	(void)turn;
	return NOW_MS;
}

struct arena *
turn_arena(struct turn *turn)
{
	return turn->arena;
}

bool
turn_is_alone(const struct turn *turn)
{
	return turn->alone;
}

static void
break_turn(struct turn *turn, struct workflow *wf)
{
	turn->broken = true;
	run_leave(wf, RUN_BROKEN);
}

static void
expect_params(size_t nparams, const char *const params[])
{
	size_t i;

	for (i = 0; i < nparams; i++)
		require(params[i] == NULL || strlen(params[i]) < SIZE_MAX,
		    "a parameter is a terminated text");
}

void
turn_tell(struct turn *turn, struct workflow *wf,
    const struct batch_statement *statement)
{
	(void)wf;
	turn->acts++;
	expect_params(statement->nparams, statement->params);
}

bool
turn_is_over(const struct turn *turn)
{
	(void)turn;
	return false;
}

const struct answer *
turn_ask(struct turn *turn, struct workflow *wf,
    const struct batch_statement *statement)
{
	turn->acts++;
	expect_params(statement->nparams, statement->params);
	if (turn->refuses && !turn->alone)
		break_turn(turn, wf);
	turn->asked = statement->sql;
	run_pause(wf);
	return &wf->answer;
}

const struct db_error *
turn_hold_off(struct turn *turn, struct workflow *wf, const char *step)
{
	(void)wf;
	require(step != NULL, "a step has a name or a statement");
	return turn->held ? &turn->error : NULL;
}

const struct db_error *
turn_step_error(const struct turn *turn, int number, const char *sql)
{
	(void)turn, (void)number, (void)sql;
	return NULL;
}

/* Puts the row's values where the statement wants them. */
static const struct db_rows *
answer(struct db_rows *rows, const char *sql)
{
	if (strstr(sql, RESULT_SQL) != NULL) {
		rows->columns[0] = rows->status;
		rows->columns[1] = rows->value;
		rows->columns[2] = rows->error;
		rows->columns[3] = rows->format;
		return rows;
	}
	rows->columns[0] = rows->value;
	rows->columns[1] = rows->format;
	/* An event's value is not null. */
	if (strstr(sql, EVENT_SQL) != NULL && rows->value == NULL)
		rows->columns[0] = "";
	return rows;
}

const struct db_rows *
turn_query(struct turn *turn, struct workflow *wf, const char *sql,
    size_t nparams, const char *const params[], const struct db_error **refused)
{
	expect_params(nparams, params);
	*refused = NULL;
	if (!turn->refuses)
		return answer(&turn->rows, sql);
	if (!turn->alone)
		break_turn(turn, wf);
	*refused = &turn->error;
	return NULL;
}

void
turn_savepoint(struct turn *turn)
{
	(void)turn;
}

void
turn_release(struct turn *turn)
{
	(void)turn;
}

void
turn_undo(struct turn *turn, struct workflow *wf, const struct db_error *error)
{
	(void)error;
	if (!turn->alone)
		break_turn(turn, wf);
}

/* The journal's primary key. */
static void
insert_step(struct turn *turn, const struct step_row *step)
{
	size_t i;

	for (i = 0; i < turn->steps_len; i++)
		require(turn->steps[i].number != step->number,
		    "a step is recorded once");
	require(turn->steps_len < STEPS_MAX,
	    "a workflow records at most STEPS_MAX steps");
	turn->steps[turn->steps_len++] = *step;
}

void *
turn_log_end(const struct turn *turn)
{
	(void)turn;
	return NULL;
}

void
turn_unlog(struct turn *turn, void *end)
{
	(void)turn, (void)end;
}

void
turn_add_step(struct turn *turn, const struct workflow *wf, int number,
    const struct entry *entry)
{
	const struct step_row step = { number, *entry };

	(void)wf;
	require(entry->name != NULL, "a step has a name");
	insert_step(turn, &step);
}

void
turn_add_continue(struct turn *turn, const struct workflow *wf, int number,
    const char *input)
{
	json_object *json;

	(void)wf;
	(void)number;
	turn->acts++;
	require(value_decode_argument(turn->arena, input, VALUE_PORTABLE,
		    &json),
	    "an input can be read");
}

void
turn_hint_due(struct turn *turn)
{
	(void)turn;
}

void
turn_add_event(struct turn *turn, const struct workflow *wf, int number,
    const char *key, const char *value)
{
	json_object *json;

	(void)wf;
	(void)number;
	turn->acts++;
	require(key != NULL &&
		value_decode(turn->arena, value, VALUE_PORTABLE, &json),
	    "an event can be read");
}

void
turn_add_message(struct turn *turn, const char *id, const char *topic,
    const char *text)
{
	json_object *json;

	turn->acts++;
	require(id != NULL && topic != NULL &&
		value_decode(turn->arena, text, VALUE_PORTABLE, &json),
	    "a message can be read");
}

void
turn_add_consumed(struct turn *turn, const struct message *message, int number)
{
	size_t i;

	(void)number;
	turn->acts++;
	for (i = 0; i < turn->messages_len; i++)
		if (turn->messages[i].id == message->id) {
			require(!turn->messages[i].consumed,
			    "a message is received once");
			turn->messages[i].consumed = true;
			return;
		}
	require(false, "a received message was in the rows");
}

const struct answer *
turn_ask_messages(struct turn *turn, struct workflow *wf, const char *topic,
    const struct message *last, int number)
{
	(void)turn, (void)wf, (void)topic, (void)last, (void)number;
	abort(); /* all messages are in the rows */
}

void
turn_log(struct turn *turn, enum log_level level, const char *format, ...)
{
	va_list args;

	(void)level;
	va_start(args, format);
	arena_vprintf(turn->arena, format, args);
	va_end(args);
}

const struct answer *
turn_start_child(struct turn *turn, struct workflow *wf,
    const struct child *child, int number)
{
	json_object *input;

	(void)number;
	require(child->id != NULL &&
		value_decode_argument(turn->arena, child->input, VALUE_PORTABLE,
		    &input),
	    "a child's input can be read");
	turn->starts_child = true;
	return turn_ask(turn, wf, &(struct batch_statement){ .sql = "" });
}

bool
turn_serves(const struct turn *turn, const struct workflow_type *type)
{
	(void)turn;
	return type != NULL;
}

void
turn_add_child(struct turn *turn, struct workflow *parent,
    const struct child *child)
{
	(void)parent;
	require(child->id != NULL, "a child has a name");
	turn->acts++;
}

/* Gives the paused run the answer that it asked for, if it did. */
static void
give_answer(struct turn *turn, struct workflow *wf)
{
	struct db_rows *rows = arena_alloc(turn->arena, sizeof(*rows));

	if (turn->asked == NULL)
		return;
	*rows = turn->rows;
	wf->answer = (struct answer){ .refused = turn->refuses ? &turn->error
							       : NULL,
		.rows = answer(rows, turn->asked) };
	if (turn->starts_child) {
		rows->any = true;
		rows->columns[0] = rows->type == DB_TYPE_VOID ? "conflict"
							      : "created";
	}
	turn->asked = NULL;
	turn->starts_child = false;
}

/* Workflows that make every call of the API, as authors do. */

static void
use_error(struct workflow *wf)
{
	const struct wf_error *error = wf_error(wf);

	if (error == NULL)
		return;
	require(error->name != NULL && error->message != NULL,
	    "an error has a name and a message");
	wf_log(wf, "%s: %s", error->name, error->message);
}

static json_object *
transaction(struct step *step, void *arg)
{
	json_object *value = step_sql(step, "select 1", 0, NULL);

	(void)arg;
	if (json_object_is_type(value, json_type_string))
		step_fail(step, "Refused", "%s", json_object_get_string(value));
	return json_object_get(value);
}

static json_object *
steps(struct workflow *wf, json_object *input)
{
	const char *params[] = { wf_number(wf, json_object_get_int64(input)),
		NULL };
	json_object *value;

	wf_catch(wf);
	value = wf_sql(wf, "sql", "select $1, $2", 2, params);
	use_error(wf);
	params[1] = json_object_get_string(value);
	wf_sql_void(wf, "void", "select $1, $2", 2, params);
	if (wf_sql_bool(wf, "bool", "select true", 0, NULL))
		wf_catch(wf);
	params[0] = wf_number(wf,
	    wf_sql_int64(wf, "int64", "select $1", 1, params));
	use_error(wf);
	wf_catch(wf);
	value = wf_transaction(wf, "transaction", transaction, NULL);
	use_error(wf);
	wf_batch_void(wf, "tell", "select $1", 1, params);
	wf_log(wf, "%s",
	    wf_batch_bool(wf, "ask", "select $1", 1, params) ? "yes" : "no");
	wf_log(wf, "done with %s", params[0]);
	return json_object_get(value);
}

static json_object *
messages(struct workflow *wf, json_object *input)
{
	const char *text;

	wf_send(wf, "other", NULL, json_object_get(input));
	text = wf_recv_string(wf, "topic", 1000);
	wf_catch(wf);
	wf_send(wf, "other", "topic",
	    text == NULL ? NULL : json_object_new_string(text));
	use_error(wf);
	wf_set_event(wf, "event",
	    wf_recv(wf, NULL, 0) == NULL ? NULL
					 : json_object_new_boolean(true));
	return text == NULL ? NULL : json_object_new_string(text);
}

static json_object *
waits(struct workflow *wf, json_object *input)
{
	json_object *value;

	wf_sleep(wf, json_object_is_type(input, json_type_string) ? 1000 : 0);
	wf_catch(wf);
	value = wf_get_event(wf, "other", "event", 0);
	use_error(wf);
	wf_sleep(wf, -1);
	value = json_object_get(value);
	wf_own(wf, value);
	wf_get_event(wf, "other", "event", 1000);
	return json_object_get(value);
}

static json_object *
children(struct workflow *wf, json_object *input)
{
	static const struct workflow_type type = { .name = "child",
		.version = "1",
		.function = steps };
	const char *id;
	json_object *value = NULL;

	wf_catch(wf);
	id = wf_start(wf, &type, NULL, json_object_get(input));
	use_error(wf);
	if (id != NULL) {
		wf_catch(wf);
		value = wf_result(wf, id);
		use_error(wf);
	}
	if (json_object_is_type(value, json_type_null))
		wf_fail(wf, "Nothing", "no result of %s",
		    wf_start(wf, &type, "named", NULL));
	return json_object_get(value);
}

static const struct workflow_type types[] = {
	{ .name = "steps", .version = "1", .function = steps },
	{ .name = "messages", .version = "1", .function = messages },
	{ .name = "waits", .version = "1", .function = waits },
	{ .name = "children", .version = "1", .function = children },
};
#define TYPES (sizeof(types) / sizeof(types[0]))

/* The input. */

static const char *
take_field(struct arena *arena, struct input *line)
{
	const char *text = input_take(arena, line, '|');

	return strcmp(text, "~") == 0 ? NULL : text;
}

static const char *
format_of(const char *letter)
{
	if (letter == NULL)
		return NULL;
	if (*letter == 's')
		return VALUE_SUPERJSON;
	return *letter == 'x' ? "py_pickle" : VALUE_PORTABLE;
}

static void
read_step(struct turn *turn, struct input *line)
{
	const char *number = take_field(turn->arena, line);
	const char *name = take_field(turn->arena, line);
	struct step_row step = {
		.number = number == NULL ? 0 : (int)strtol(number, NULL, 10)
	};
	size_t i;

	if (step.number > NUMBER_FAR && step.number < NUMBER_TOO_FAR)
		return;
	for (i = 0; i < turn->steps_len; i++)
		if (turn->steps[i].number == step.number)
			return;
	if (turn->steps_len == STEPS_MAX / 2)
		return;
	/* The column is not null. */
	step.entry.name = name == NULL ? "" : name;
	step.entry.output = take_field(turn->arena, line);
	step.entry.error = take_field(turn->arena, line);
	step.entry.serialization = format_of(take_field(turn->arena, line));
	step.entry.child = take_field(turn->arena, line);
	step.entry.started_ms = step.entry.completed_ms = NOW_MS - 1000;
	insert_step(turn, &step);
}

static void
read_message(struct turn *turn, struct input *line)
{
	struct message *message = &turn->messages[turn->messages_len];

	if (turn->messages_len == MESSAGES_MAX)
		return;
	message->id = arena_printf(turn->arena, "%zu", turn->messages_len++);
	message->topic = take_field(turn->arena, line);
	message->text = take_field(turn->arena, line);
	/* The column is not null. */
	if (message->text == NULL)
		message->text = "";
	message->serialization = format_of(take_field(turn->arena, line));
}

/* Makes the value one that PostgreSQL writes for the type. */
static void
read_row(struct turn *turn, struct input *line)
{
	const char *type = take_field(turn->arena, line);
	const char *value = take_field(turn->arena, line);
	struct db_rows *rows = &turn->rows;
	json_object *json;

	*rows = (struct db_rows){ .any = true,
		.type = DB_TYPE_TEXT,
		.value = value,
		.format = format_of(take_field(turn->arena, line)),
		.status = take_field(turn->arena, line),
		.error = take_field(turn->arena, line) };
	if (type == NULL || value == NULL)
		return;
	if (*type == 'b') {
		rows->type = DB_TYPE_BOOLEAN;
		rows->value = *value == 't' ? "t" : "f";
	} else if (*type == 'n') {
		rows->type = DB_TYPE_NUMBER;
		rows->value = arena_printf(turn->arena, "%lld",
		    strtoll(value, NULL, 10));
	} else if (*type == 'v') {
		rows->type = DB_TYPE_VOID;
	} else if (*type == 'j' &&
	    value_decode(turn->arena, value, VALUE_PORTABLE, &json)) {
		rows->type = DB_TYPE_JSON;
	}
}

static void
read_rows(struct turn *turn, struct input *input)
{
	while (input_has_more(input)) {
		const char *text = input_line(turn->arena, input);
		struct input line = { text, text + strlen(text) };
		const char *kind = input_take(turn->arena, &line, '|');

		if (strcmp(kind, "=step") == 0)
			read_step(turn, &line);
		else if (strcmp(kind, "=message") == 0)
			read_message(turn, &line);
		else if (strcmp(kind, "=row") == 0)
			read_row(turn, &line);
	}
	turn->loaded = turn->steps_len;
}

/* The run. */

static void
load(struct workflow *wf, struct turn *turn)
{
	size_t i;

	for (i = 0; i < turn->steps_len; i++)
		run_add_entry(wf, turn->steps[i].number, &turn->steps[i].entry);
	for (i = 0; i < turn->messages_len; i++)
		if (!turn->messages[i].consumed)
			run_add_message(wf, &turn->messages[i]);
}

static void
expect_end(const struct workflow *wf, const struct turn *turn)
{
	json_object *value;

	require((wf->end == RUN_BROKEN) == turn->broken,
	    "a run breaks when its turn does");
	switch (wf->end) {
	case RUN_RETURNED:
		require(value_decode(turn->arena, wf->output, wf->serialization,
			    &value),
		    "an output can be read");
		break;
	case RUN_FAILED:
		require(value_decode(turn->arena, wf->failure,
			    value_known(wf->serialization) ? wf->serialization
							   : VALUE_PORTABLE,
			    &value) &&
			json_object_is_type(value, json_type_object),
		    "a failure can be read");
		break;
	case RUN_SUSPENDED:
		require(wf->wait.wake_ms > NOW_MS,
		    "a run that waits is not due");
		require(wf->wait.kind != WAIT_MESSAGE || wf->wait.key != NULL,
		    "a wait for a message has a topic");
		require((wf->wait.kind != WAIT_EVENT &&
			    wf->wait.kind != WAIT_RESULT) ||
			wf->wait.target != NULL,
		    "a wait for a workflow has its id");
		break;
	case RUN_CANCELLED:
		require(wf->deadline_ms != 0,
		    "a run that is too late has a deadline");
		break;
	case RUN_BROKEN:
		break;
	case RUN_READY:
		require(false, "a run ends in a known way");
	}
}

static void
expect_same(const struct workflow *one, const struct workflow *other)
{
	require(one->end == other->end, "a replay comes to the same end");
	require(one->end != RUN_RETURNED ||
		strcmp(one->output, other->output) == 0,
	    "a replay has the same output");
	require(one->end != RUN_FAILED ||
		strcmp(one->failure, other->failure) == 0,
	    "a replay has the same failure");
	require(one->end != RUN_SUSPENDED ||
		(one->wait.kind == other->wait.kind &&
		    one->wait.wake_ms == other->wait.wake_ms),
	    "a replay waits for the same");
}

static void
run_to_end(struct fibers *fibers, struct turn *turn, struct workflow *wf)
{
	run_execute(wf, fibers);
	while (wf->end == RUN_READY) {
		give_answer(turn, wf);
		run_execute(wf, fibers);
	}
}

static void
try_run(struct turn *turn, struct workflow template)
{
	static struct fibers *fibers;
	struct workflow first = template, again = template;
	size_t acts, steps_len;

	if (fibers == NULL)
		fibers = fibers_new(1);

	load(&first, turn);
	run_to_end(fibers, turn, &first);
	expect_end(&first, turn);
	if (first.end == RUN_BROKEN)
		return;
	acts = turn->acts;
	steps_len = turn->steps_len;
	load(&again, turn);
	run_to_end(fibers, turn, &again);
	expect_same(&first, &again);
	require(turn->acts == acts && turn->steps_len == steps_len,
	    "a replay does nothing again");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct turn turn = { .arena = arena_new(),
		.error = { .outcome = DB_REFUSED,
		    .sqlstate = "P0001",
		    .message = "refused" } };
	struct input input = input_of(data, size);
	const char *letters = input_line(turn.arena, &input);
	struct workflow wf = { .turn = &turn,
		.type = &types[(unsigned char)*letters % TYPES],
		.id = "id",
		.input = input_line(turn.arena, &input),
		.serialization = strchr(letters, 's') != NULL ? VALUE_SUPERJSON
							      : VALUE_PORTABLE,
		.deadline_ms = strchr(letters, 'd') != NULL ? NOW_MS : 0 };

	turn.alone = strchr(letters, 'a') != NULL;
	turn.refuses = strchr(letters, 'r') != NULL;
	turn.held = strchr(letters, 'w') != NULL;
	read_rows(&turn, &input);
	try_run(&turn, wf);
	arena_free(turn.arena);
	return 0;
}
