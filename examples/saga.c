/* SPDX-License-Identifier: MIT */
/*
 * A saga: books a flight and a hotel, asks for an approval, and takes back what
 * is booked, the latest first, when a booking fails or the approval does not
 * come within an hour.  Needs the table
 *
 *	bookings (trip text, what text, places int check (places >= 0),
 *	    state text, primary key (trip, what))
 *
 * with a row of trip '' for each thing that can be booked, and its places.
 *
 *	select dbos.enqueue_workflow('book_trip', 'trips',
 *	    array['"lisbon-7"'::json], workflow_id => 'lisbon-7');
 *	select dbos.send_message('lisbon-7', '"approved"', 'approval');
 */
#include <string.h>

#include <durable/engine.h>

#define HOUR_MS (INT64_C(3600) * 1000)

static const char *const things[] = { "flight", "hotel" };
#define THINGS (sizeof(things) / sizeof(things[0]))

/* Takes a place; without one the check of places fails the step. */
static void
book(struct workflow *wf, const char *trip, const char *thing)
{
	const char *const params[] = { trip, thing };

	wf_sql_void(wf, wf_printf(wf, "book_%s", thing),
	    "with taken as (update bookings set places = places - 1 "
	    "where trip = '' and what = $2) "
	    "insert into bookings (trip, what, state) "
	    "values ($1, $2, 'booked')",
	    2, params);
}

/* Compensates a booking. */
static void
give_back(struct workflow *wf, const char *trip, const char *thing)
{
	const char *const params[] = { trip, thing };

	wf_sql_void(wf, wf_printf(wf, "give_back_%s", thing),
	    "with given as (update bookings set places = places + 1 "
	    "where trip = '' and what = $2) "
	    "update bookings set state = 'given back' "
	    "where trip = $1 and what = $2",
	    2, params);
}

static const char *
end_well(struct workflow *wf, const char *trip)
{
	const char *const params[] = { trip };
	const char *approval;

	wf_set_event(wf, "state", wf_string(wf, "waits for an approval"));
	approval = wf_recv_string(wf, "approval", HOUR_MS);
	if (approval == NULL || strcmp(approval, "approved") != 0)
		return approval == NULL ? "no approval came" : approval;
	wf_sql_void(wf, "confirm",
	    "update bookings set state = 'confirmed' where trip = $1", 1,
	    params);
	return NULL;
}

static json_object *
book_trip(struct workflow *wf, json_object *input)
{
	const char *trip = json_object_get_string(input), *wrong = NULL;
	size_t booked;

	for (booked = 0; booked < THINGS && wrong == NULL; booked++) {
		wf_catch(wf);
		book(wf, trip, things[booked]);
		if (wf_error(wf) != NULL)
			wrong = wf_printf(wf, "no %s", things[booked]);
	}
	if (wrong == NULL)
		wrong = end_well(wf, trip);
	else
		booked--; /* the one that failed */
	if (wrong == NULL)
		return wf_string(wf, "confirmed");
	while (booked > 0)
		give_back(wf, trip, things[--booked]);
	wf_fail(wf, "TripGivenUp", "%s", wrong);
}

int
main(void)
{
	static const struct workflow_type trip_type = { "book_trip", "1",
		book_trip };
	static const struct workflow_type *const types[] = { &trip_type, NULL };
	static const char *const queues[] = { "trips", DURABLE_INTERNAL_QUEUE,
		NULL };
	static const struct engine engine = { .conninfo = "",
		.application = "travel",
		.executor = "here",
		.types = types,
		.queues = queues,
		.turn_size = 64,
		.turn_limit_s = 30,
		.max_attempts = 10 };

	return durable_run(&engine, 2);
}
