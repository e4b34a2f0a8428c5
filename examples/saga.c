/* SPDX-License-Identifier: MIT */
/*
 * A saga: books a flight and a hotel, asks for an approval, and takes back what
 * is booked, the latest first, when a booking fails, the approval does not come
 * within an hour, or a tool cancels the workflow.  Needs the table
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

struct booking {
	const char *trip, *thing;
};

/* Takes a place; without one the check of places fails the step. */
static void
book(struct workflow *wf, const struct booking *booking)
{
	const char *const params[] = { booking->trip, booking->thing };

	wf_catch(wf);
	wf_sql_void(wf, wf_printf(wf, "book_%s", booking->thing),
	    "with taken as (update bookings set places = places - 1 "
	    "where trip = '' and what = $2) "
	    "insert into bookings (trip, what, state) "
	    "values ($1, $2, 'booked')",
	    2, params);
	if (wf_error(wf) != NULL)
		wf_fail(wf, "TripGivenUp", "no %s", booking->thing);
}

/* Compensates a booking. */
static void
give_back(struct workflow *wf, void *arg)
{
	const struct booking *booking = arg;
	const char *const params[] = { booking->trip, booking->thing };

	wf_sql_void(wf, wf_printf(wf, "give_back_%s", booking->thing),
	    "with given as (update bookings set places = places + 1 "
	    "where trip = '' and what = $2) "
	    "update bookings set state = 'given back' "
	    "where trip = $1 and what = $2",
	    2, params);
}

static json_object *
book_trip(struct workflow *wf, json_object *input)
{
	const char *trip = json_object_get_string(input), *approval;
	struct booking bookings[THINGS];
	size_t i;

	for (i = 0; i < THINGS; i++) {
		bookings[i] = (struct booking){ trip, things[i] };
		book(wf, &bookings[i]);
		/* Runs when the workflow is stopped from here on. */
		wf_push_cleanup(wf, give_back, &bookings[i]);
	}
	wf_set_event(wf, "state", wf_string(wf, "waits for an approval"));
	approval = wf_recv_string(wf, "approval", HOUR_MS);
	if (approval == NULL || strcmp(approval, "approved") != 0)
		wf_fail(wf, "TripGivenUp", "%s",
		    approval == NULL ? "no approval came" : approval);
	wf_sql_void(wf, "confirm",
	    "update bookings set state = 'confirmed' where trip = $1", 1,
	    &trip);
	for (i = 0; i < THINGS; i++)
		wf_pop_cleanup(wf, false);
	return wf_string(wf, "confirmed");
}

int
main(void)
{
	static const struct workflow_type trip_type = { .name = "book_trip",
		.version = "1",
		.function = book_trip };
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
