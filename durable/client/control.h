/* SPDX-License-Identifier: MIT */
/*
 * How a workflow is enqueued with options, by a client or in a transaction.
 */
#ifndef DURABLE_CONTROL_H
#define DURABLE_CONTROL_H

#include <json-c/json_object.h>

#include <durable/client.h>

/* Its one parameter are the options, JSON; its value is the id. */
extern const char control_enqueue_sql[];

/* The options that are asked for, an object for json_object_put. */
json_object *control_options(const struct client_enqueue *enqueue);

#endif
