/* SPDX-License-Identifier: MIT */
/*
 * Workflows that move money from one account to another in steps of all sorts,
 * and rest in between in all ways.
 */
#include "tests/stories/torture.h"

#include <stdio.h>
#include <string.h>

/* Each entry of the ledger is made once; the account changes with it. */
#define MOVE \
	"with noted as (insert into torture.ledger (id, part, account, amount) " \
	"values ($1, $2, $3::int, $4::bigint) returning account, amount) " \
	"update torture.accounts as a set balance = a.balance + n.amount " \
	"from noted as n where a.account = n.account returning a.account"

static const char move_many[] =
    "with given as (select * from unnest($1::text[], $2::text[], $3::int[], "
    "$4::bigint[]) with ordinality as u (id, part, account, amount, place)), "
    "noted as (insert into torture.ledger (id, part, account, amount) "
    "select g.id, g.part, g.account, g.amount from given as g), "
    "moved as (update torture.accounts as a set balance = a.balance + s.amount "
    "from (select g.account, sum(g.amount) as amount from given as g "
    "group by g.account) as s where a.account = s.account) "
    "select g.account from given as g order by g.place";

struct move {
	const char *params[4];
};

static json_object *
move_in_step(struct step *step, void *arg)
{
	const struct move *move = arg;

	step_sql(step, "select pg_notify('nothing', 'x')", 0, NULL);
	return json_object_get(step_sql(step, MOVE, 4, move->params));
}

/* Moves money in one of five ways. */
static void
move(struct workflow *wf, const char *part, int way, int account,
    int64_t amount)
{
	struct move move = { { wf_id(wf), part, wf_number(wf, account),
	    wf_number(wf, amount) } };

	switch (way) {
	case 0:
		wf_sql(wf, part, MOVE, 4, move.params);
		break;
	case 1:
		wf_sql_void(wf, part, MOVE, 4, move.params);
		break;
	case 2:
		wf_batch(wf, part, move_many, 4, move.params);
		break;
	case 3:
		wf_batch_void(wf, part, move_many, 4, move.params);
		break;
	default:
		wf_transaction(wf, part, move_in_step, &move);
		break;
	}
}

static json_object *
echo(struct workflow *wf, json_object *input)
{
	wf_sleep(wf, 1);
	return input;
}

const struct workflow_type echo_type = { .name = "echo",
	.version = "1",
	.function = echo };

/* Spends time in one of six ways; returns what that gave. */
static const char *
rest(struct workflow *wf, int way)
{
	const char *const params[] = { wf_id(wf) };
	json_object *text = wf_own(wf, json_object_new_string(wf_id(wf)));
	const char *child;

	switch (way) {
	case 0:
		wf_sleep(wf, 20);
		return wf_id(wf);
	case 1:
		wf_send(wf, wf_id(wf), "note", text);
		return wf_recv_string(wf, "note", 60000);
	case 2:
		wf_set_event(wf, "note", text);
		return json_object_get_string(
		    wf_get_event(wf, wf_id(wf), "note", 60000));
	case 3:
		child = wf_start(wf, &echo_type, NULL, text);
		return json_object_get_string(wf_result(wf, child));
	case 4:
		return json_object_get_string(wf_sql(wf, "read",
		    "select $1::text from accounts", 1, params));
	default:
		return wf_id(wf);
	}
}

static json_object *
transfer(struct workflow *wf, json_object *input)
{
	int amount = deed_number(input, "amount");
	const char *first, *second;

	move(wf, "debit", deed_number(input, "debit"),
	    deed_number(input, "from"), -amount);
	first = rest(wf, deed_number(input, "rest"));
	second = rest(wf, deed_number(input, "rest2"));
	move(wf, "credit", deed_number(input, "credit"),
	    deed_number(input, "to"), amount);
	return json_object_new_string(wf_printf(wf, "%s %s", first, second));
}

static void
make_transfer(struct chance *chance, struct deed *deed)
{
	deed_put_number(deed, "amount", 1 + chance_below(chance, 100));
	deed_put_number(deed, "from", 1 + chance_below(chance, ACCOUNTS));
	deed_put_number(deed, "to", 1 + chance_below(chance, ACCOUNTS));
	deed_put_number(deed, "debit", chance_below(chance, 5));
	deed_put_number(deed, "credit", chance_below(chance, 5));
	deed_put_number(deed, "rest", chance_below(chance, 6));
	deed_put_number(deed, "rest2", chance_below(chance, 6));
}

const struct kind right_kind = { "transfer",
	"every workflow that moves money ends right", transfer, 0, "SUCCESS",
	NULL, make_transfer };
