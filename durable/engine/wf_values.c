/* SPDX-License-Identifier: MIT */
/*
 * The calls of a workflow's author for what differs from run to run: the time
 * and randomness.  Each is a step, so that a replay returns the same value.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <durable/workflow.h>
#include "base/arena.h"
#include "db/value.h"
#include "engine/run.h"
#include "engine/turn_api.h"

/* Fills len bytes, at most 256, which the kernel gives at once. */
static void
fill(void *bytes, size_t len)
{
	if (getrandom(bytes, len, 0) != (ssize_t)len)
		abort();
}

int64_t
wf_now_ms(struct workflow *wf)
{
	static const char name[] = "DBOS.now";
	int64_t now_ms = turn_now_ms(wf->turn);
	int number;

	if (run_call(wf, name, &number) == NULL)
		run_record_output(wf, number, name, wf_number(wf, now_ms),
		    now_ms);
	return json_object_get_int64(run_recorded(wf, number));
}

/* A new UUID of version 4 (RFC 9562), as stored JSON. */
static const char *
new_uuid(struct workflow *wf)
{
	unsigned char b[16];

	fill(b, sizeof(b));
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	return arena_printf(wf->arena,
	    "\"%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-"
	    "%02x%02x%02x%02x%02x%02x\"",
	    b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10],
	    b[11], b[12], b[13], b[14], b[15]);
}

const char *
wf_uuid(struct workflow *wf)
{
	static const char name[] = "DBOS.randomUUID";
	int number;

	if (run_call(wf, name, &number) == NULL)
		run_record_output(wf, number, name, new_uuid(wf),
		    turn_now_ms(wf->turn));
	return value_text(run_recorded(wf, number));
}

/* 53 random bits as a fraction, which a double holds exactly. */
static const char *
new_fraction(struct workflow *wf)
{
	uint64_t bits;

	fill(&bits, sizeof(bits));
	return value_encode(wf->arena,
	    value_own(wf->arena,
		json_object_new_double((double)(bits >> 11) * 0x1p-53)),
	    VALUE_PORTABLE);
}

double
wf_random(struct workflow *wf)
{
	static const char name[] = "DBOS.random";
	int number;

	if (run_call(wf, name, &number) == NULL)
		run_record_output(wf, number, name, new_fraction(wf),
		    turn_now_ms(wf->turn));
	return json_object_get_double(run_recorded(wf, number));
}
