/* SPDX-License-Identifier: MIT */
/*
 * widget-stored: the daemon that executes the store's workflows.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <durable/engine.h>
#include "base/log.h"
#include "base/memory.h"
#include "base/options.h"
#include "daemon/checkout.h"
#include "daemon/dispatch.h"
#include "daemon/notify.h"
#include "daemon/webhook.h"

#ifndef VERSION
#define VERSION "unknown"
#endif

/* The last one only when a receiver is set, because each costs every turn. */
static const struct workflow_type *types[] = { &checkout_type, &dispatch_type,
	NULL, NULL };

static const struct step_type *const steps[] = { &post_event_type, NULL };

static const char *const queues[] = { "checkout", DURABLE_INTERNAL_QUEUE,
	NULL };

static char host[256];
static int workers = 2;
static const char *notify_url, *notify_secret_file;
static bool allow_crash, core_dumps;

static struct engine engine = { .conninfo = "",
	.application = "widget-store",
	.executor = host,
	.types = types,
	.queues = queues,
	.turn_size = 256,
	.turn_limit_s = 30,
	.max_attempts = 10,
	.schema_patience_s = 300,
	.memory_limit_mb = 1024 };

/* Takes what the options name; false when that is not right, as logged. */
static bool
apply(void *arg)
{
	(void)arg;
	if (notify_url != NULL && !webhook_open(notify_url, notify_secret_file))
		return false;
	notify_is_on = notify_url != NULL;
	types[2] = notify_is_on ? &notify_type : NULL;
	engine.steps = notify_is_on ? steps : NULL;
	engine.crash_channel = allow_crash ? "widget_store_crash" : NULL;
	return true;
}

static int
reload(void)
{
	return options_read_again(apply, NULL) ? workers : 0;
}

int
main(int argc, char *argv[])
{
	const struct option_def defs[] = {
		{ "database", OPTION_TEXT, &engine.conninfo, 0, 0,
		    "connection string; empty: the PG* environment" },
		{ "workers", OPTION_NUMBER, &workers, 1, 64,
		    "worker processes, a connection each" },
		{ "turn-size", OPTION_NUMBER, &engine.turn_size, 1, 1000,
		    "workflows of a type, or of a queue, in a turn" },
		{ "turn-limit-s", OPTION_NUMBER, &engine.turn_limit_s, 1, 3600,
		    "seconds that a run may compute or sleep before its worker "
		    "is ended" },
		{ "schema-patience-s", OPTION_NUMBER, &engine.schema_patience_s,
		    1, 86400,
		    "how long a step waits for a missing table, function or "
		    "privilege before it fails" },
		{ "memory-limit-mb", OPTION_NUMBER, &engine.memory_limit_mb, 0,
		    1048576, "MiB of data a worker may have; 0: no limit" },
		{ "payment-timeout-ms", OPTION_NUMBER,
		    &checkout_payment_timeout_ms, 1, 86400000,
		    "how long a checkout waits for its payment" },
		{ "max-unpaid-per-address", OPTION_NUMBER, &checkout_max_unpaid,
		    0, 1000000,
		    "orders that one client address may leave unpaid at a "
		    "time; 0: no limit" },
		{ "dispatch-interval-ms", OPTION_NUMBER, &dispatch_interval_ms,
		    1, 86400000, "time between two steps of a dispatch" },
		{ "notify-url", OPTION_TEXT, &notify_url, 0, 0,
		    "where to post that an order is paid, cancelled or "
		    "dispatched; default: nowhere" },
		{ "notify-secret-file", OPTION_TEXT, &notify_secret_file, 0, 0,
		    "file with the key that signs these events" },
		{ "notify-timeout-ms", OPTION_NUMBER, &webhook_timeout_ms, 100,
		    50000, "how long their receiver may take" },
		{ "all-queues", OPTION_YES_NO, &engine.all_queues, 0, 0,
		    "serve every queue that is registered for the store, not "
		    "its own only" },
		{ "executor-id", OPTION_TEXT, &engine.executor, 0, 0,
		    "this daemon's name in the system database" },
		{ "allow-crash", OPTION_YES_NO, &allow_crash, 0, 0,
		    "whether the crash button kills the workers" },
		{ "machine-room", OPTION_YES_NO, &engine.machine_room, 0, 0,
		    "record which worker runs what, for the machine room" },
		{ "core-dumps", OPTION_YES_NO, &core_dumps, 0, 0,
		    "whether a crash may leave a core, which has secrets" },
		{ .name = NULL }
	};

	/* Until the master takes SIGHUP: it has read nothing that may change. */
	signal(SIGHUP, SIG_IGN);
	log_open("widget-stored");
	if (gethostname(host, sizeof(host) - 1) != 0)
		snprintf(host, sizeof(host), "local");
	options_read(argc, argv, VERSION, defs);
	if (!core_dumps)
		memory_forbid_cores();
	if (!apply(NULL))
		return DURABLE_EXIT_USAGE;
	engine.reload = reload;
	return durable_run(&engine, workers);
}
