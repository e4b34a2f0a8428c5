/* SPDX-License-Identifier: MIT */
/*
 * What a daemon serves.
 */
#include "engine/served.h"

#include <stdlib.h>
#include <string.h>

#include <durable/engine.h>

#include "base/memory.h"
#include "base/strbuf.h"

struct served {
	const struct engine *engine;
	int types_count, queues_count;
	struct strbuf runnable, types, queues, name;
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

struct served *
served_new(const struct engine *engine)
{
	struct served *served = memory_new(sizeof(*served));
	const struct workflow_type *const *type = engine->types;
	const char *const *queue = engine->queues;

	served->engine = engine;
	for (; *type != NULL; type++, served->types_count++) {
		add_type(served, &served->runnable, (*type)->name,
		    (*type)->version, NULL);
		if (served_type(engine, (*type)->name, NULL) == *type)
			add_type(served, &served->runnable, (*type)->name, "",
			    NULL);
	}
	strbuf_end_array(&served->runnable);
	for (; *queue != NULL; queue++)
		served->queues_count++;
	return served;
}

void
served_free(struct served *served)
{
	if (served == NULL)
		return;
	strbuf_free(&served->runnable);
	strbuf_free(&served->types);
	strbuf_free(&served->queues);
	strbuf_free(&served->name);
	free(served);
}

const char *
served_runnable(const struct served *served)
{
	return served->runnable.text;
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
	int i;

	strbuf_reset(&served->queues);
	for (i = 0; i < served->queues_count; i++)
		if (partition == NULL ||
		    standby_partition_has(partition, i, served->queues_count))
			strbuf_add_element(&served->queues,
			    served->engine->queues[i]);
	return strbuf_end_array(&served->queues);
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
