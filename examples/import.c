/* SPDX-License-Identifier: MIT */
/*
 * Imports the rows of a feed in pages: a child imports each page, many pages of
 * a turn in one commit, and a page whose row is wrong fails alone.  Needs the
 * tables
 *
 *	feed (id int primary key, price text)
 *	items (id int primary key, price_cents int)
 *
 *	select dbos.enqueue_workflow('import', 'imports',
 *	    array['{"last": 10000, "page": 500}'::json], workflow_id => 'monday');
 */
#include <durable/engine.h>

/* A page: input is the first and the last id. */
static json_object *
import_page(struct workflow *wf, json_object *input)
{
	const char *const params[] = {
		wf_number(wf,
		    json_object_get_int64(json_object_array_get_idx(input, 0))),
		wf_number(wf,
		    json_object_get_int64(json_object_array_get_idx(input, 1)))
	};

	return wf_sql(wf, "import_rows",
	    "with imported as (insert into items (id, price_cents) "
	    "select id, (price::numeric * 100)::int from feed "
	    "where id between $1::int and $2::int returning id) "
	    "select count(*) from imported",
	    2, params);
}

static const struct workflow_type page_type = { .name = "import_page",
	.version = "1",
	.function = import_page };

static int64_t
member(json_object *object, const char *key)
{
	return json_object_get_int64(json_object_object_get(object, key));
}

/* Returns how many rows were imported; fails when a page has failed. */
static json_object *
import(struct workflow *wf, json_object *input)
{
	int64_t last = member(input, "last"), page = member(input, "page");
	int64_t count = (last + page - 1) / page, imported = 0, bad = 0, i;
	const char **ids = wf_alloc(wf, (size_t)count * sizeof(*ids));
	json_object *result;

	for (i = 0; i < count; i++) {
		json_object *range = wf_own(wf, json_object_new_array());

		json_object_array_add(range,
		    json_object_new_int64(i * page + 1));
		json_object_array_add(range,
		    json_object_new_int64(
			i + 1 == count ? last : (i + 1) * page));
		ids[i] = wf_start(wf, &page_type, NULL, range);
	}
	for (i = 0; i < count; i++) {
		wf_catch(wf);
		result = wf_result(wf, ids[i]);
		if (wf_error(wf) != NULL)
			bad++;
		else
			imported += json_object_get_int64(result);
	}
	if (bad > 0)
		wf_fail(wf, "BadPages",
		    "%lld rows are imported; pages that failed: %lld",
		    (long long)imported, (long long)bad);
	return wf_int64(wf, imported);
}

int
main(void)
{
	static const struct workflow_type *const children[] = { &page_type,
		NULL };
	static const struct workflow_type import_type = { .name = "import",
		.version = "1",
		.function = import,
		.children = children };
	static const struct workflow_type *const types[] = { &import_type,
		&page_type, NULL };
	static const char *const queues[] = { "imports", DURABLE_INTERNAL_QUEUE,
		NULL };
	static const struct engine engine = { .conninfo = "",
		.application = "importer",
		.executor = "here",
		.types = types,
		.queues = queues,
		.turn_size = 64,
		.turn_limit_s = 30,
		.max_attempts = 10 };

	return durable_run(&engine, 2);
}
