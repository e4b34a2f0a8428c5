/* SPDX-License-Identifier: MIT */
/*
 * The calls of a workflow's author that read its arguments.
 */
#include <durable/workflow.h>

#include "db/value.h"
#include "engine/run.h"

/* Reads the stored arguments, which run.c has found valid, once a run. */
static void
read_arguments(struct workflow *wf)
{
	if (wf->has_arguments)
		return;
	value_decode_arguments(wf->arena, wf->input, wf->serialization,
	    &wf->positional, &wf->named);
	wf->has_arguments = true;
}

size_t
wf_arguments(struct workflow *wf)
{
	read_arguments(wf);
	return wf->positional == NULL
	    ? 0
	    : json_object_array_length(wf->positional);
}

json_object *
wf_argument(struct workflow *wf, size_t i)
{
	return i < wf_arguments(wf)
	    ? json_object_array_get_idx(wf->positional, i)
	    : NULL;
}

json_object *
wf_named(struct workflow *wf, const char *name)
{
	json_object *value = NULL;

	read_arguments(wf);
	json_object_object_get_ex(wf->named, name, &value);
	return value;
}
