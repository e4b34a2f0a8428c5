/* SPDX-License-Identifier: MIT */
/*
 * What a daemon serves.
 */
#include "engine/served.h"

#include <stdlib.h>
#include <string.h>

#include <durable/engine.h>

#include "base/arena.h"
#include "base/array_literal.h"
#include "base/memory.h"
#include "base/strbuf.h"

struct served {
	const struct engine *engine;
	int types_count, queues_count;
	struct strbuf all, runnable, types, queues, name;
	struct strbuf
	    all_queues;   /* array literal of what served_queues parts */
	char *superseded; /* array literal of names, or NULL */
};

/* Adds an element "name@version", and "@application" unless that is NULL. */
static void
add_type(struct served *served, struct strbuf *literal, const char *name,
    const char *version, const char *application)
{
	strbuf_reset(&served->name);
	strbuf_add_text(&served->name, name);
	strbuf_add_text(&served->name, "@");
	strbuf_add_text(&served->name, version);
	if (application != NULL) {
		strbuf_add_text(&served->name, "@");
		strbuf_add_text(&served->name, application);
	}
	strbuf_add_element(literal, served->name.text);
}

/* Whether an array literal has this name. */
static bool
has_name(struct arena *arena, const char *literal, const char *name)
{
	struct array_elements names = array_literal_read(arena, literal);
	const char *element;

	while (array_literal_next(&names, &element))
		if (strcmp(element, name) == 0)
			return true;
	return false;
}

/* Lists the types, without a version those that are not superseded. */
static void
list_runnable(struct served *served, struct strbuf *literal,
    const char *superseded)
{
	const struct workflow_type *const *type = served->engine->types;
	struct arena *arena = arena_new();

	strbuf_reset(literal);
	for (; *type != NULL; type++) {
		add_type(served, literal, (*type)->name, (*type)->version,
		    NULL);
		if (served_type(served->engine, (*type)->name, NULL) == *type &&
		    !has_name(arena, superseded, (*type)->name))
			add_type(served, literal, (*type)->name, "", NULL);
	}
	strbuf_end_array(literal);
	arena_free(arena);
}

struct served *
served_new(const struct engine *engine)
{
	struct served *served = memory_new(sizeof(*served));
	const struct workflow_type *const *type = engine->types;
	const char *const *queue = engine->queues;

	served->engine = engine;
	for (; *type != NULL; type++)
		served->types_count++;
	list_runnable(served, &served->all, NULL);
	list_runnable(served, &served->runnable, NULL);
	for (; !engine->all_queues && *queue != NULL; queue++) {
		strbuf_add_element(&served->all_queues, *queue);
		served->queues_count++;
	}
	strbuf_end_array(&served->all_queues);
	return served;
}

bool
served_set_queues(struct served *served, const char *queues)
{
	struct array_elements names;
	struct arena *arena;
	const char *name;

	if (strcmp(served->all_queues.text, queues) == 0)
		return false;
	strbuf_reset(&served->all_queues);
	strbuf_add_text(&served->all_queues, queues);
	served->queues_count = 0;
	arena = arena_new();
	names = array_literal_read(arena, queues);
	while (array_literal_next(&names, &name))
		served->queues_count++;
	arena_free(arena);
	return true;
}

bool
served_supersede(struct served *served, const char *names)
{
	const char *before = served->superseded == NULL ? "{}"
							: served->superseded;

	if (strcmp(before, names) == 0)
		return false;
	free(served->superseded);
	served->superseded = memory_text(names);
	list_runnable(served, &served->runnable, names);
	return true;
}

void
served_free(struct served *served)
{
	if (served == NULL)
		return;
	strbuf_free(&served->all);
	strbuf_free(&served->runnable);
	strbuf_free(&served->types);
	strbuf_free(&served->queues);
	strbuf_free(&served->all_queues);
	strbuf_free(&served->name);
	free(served->superseded);
	free(served);
}

const char *
served_runnable(const struct served *served)
{
	return served->runnable.text;
}

const char *
served_all(const struct served *served)
{
	return served->all.text;
}

const char *
served_types(struct served *served, const struct standby_partition *partition)
{
	const struct workflow_type *const *types = served->engine->types;
	int i;

	strbuf_reset(&served->types);
	for (i = 0; i < served->types_count; i++)
		if (partition == NULL ||
		    standby_partition_has(partition, i, served->types_count))
			add_type(served, &served->types, types[i]->name,
			    types[i]->version, served->engine->application);
	return strbuf_end_array(&served->types);
}

const char *
served_queues(struct served *served, const struct standby_partition *partition)
{
	struct array_elements names;
	struct arena *arena;
	const char *name;
	int i;

	if (partition == NULL || partition->parts <= 1)
		return served->all_queues.text;
	arena = arena_new();
	names = array_literal_read(arena, served->all_queues.text);
	strbuf_reset(&served->queues);
	for (i = 0; array_literal_next(&names, &name); i++)
		if (standby_partition_has(partition, i, served->queues_count))
			strbuf_add_element(&served->queues, name);
	strbuf_end_array(&served->queues);
	arena_free(arena);
	return served->queues.text;
}

const struct workflow_type *
served_type(const struct engine *engine, const char *name, const char *version)
{
	const struct workflow_type *const *type, *found = NULL;

	for (type = engine->types; *type != NULL; type++)
		if (strcmp((*type)->name, name) == 0 &&
		    (version == NULL || strcmp((*type)->version, version) == 0))
			found = *type;
	return found;
}
