/* SPDX-License-Identifier: MIT */
/*
 * widget-store.fcgi: the store's web half; it answers nginx over FastCGI.
 */
#include <sys/resource.h>

#include <stddef.h>

#include "base/log.h"
#include "base/options.h"
#include "base/prefork.h"
#include "fcgi/listen.h"
#include "fcgi/metrics.h"
#include "fcgi/operator_token.h"
#include "fcgi/serve.h"

#ifndef VERSION
#define VERSION "unknown"
#endif

/* Every thread holds the descriptor of a connection. */
static void
raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		log_warning("cannot raise the limit of open files: fewer "
			    "threads than --threads may get a connection");
}

int
main(int argc, char *argv[])
{
	struct serve serve = { .conninfo = "",
		.operator_conninfo = "",
		.workers = 2,
		.threads = 512,
		.wait_timeout_ms = 20000 };
	const char *path = NULL, *token_path = NULL;
	const struct option_def defs[] = {
		{ "database", OPTION_TEXT, &serve.conninfo, 0, 0,
		    "connection string; empty: the PG* environment" },
		{ "socket", OPTION_TEXT, &path, 0, 0,
		    "where to listen; default: the inherited socket" },
		{ "workers", OPTION_NUMBER, &serve.workers, 1, 64,
		    "worker processes, a connection to the database each" },
		{ "threads", OPTION_NUMBER, &serve.threads, 1, 1024,
		    "requests that a worker answers at a time" },
		{ "wait-timeout-ms", OPTION_NUMBER, &serve.wait_timeout_ms, 1,
		    600000, "how long a request waits for an event" },
		{ "operator-token-file", OPTION_TEXT, &token_path, 0, 0,
		    "the operators' token; default: no view of workflows" },
		{ "operator-database", OPTION_TEXT, &serve.operator_conninfo, 0,
		    0, "connection string of a member of durable_client" },
		{ "allow-crash", OPTION_YES_NO, &serve.allow_crash, 0, 0,
		    "whether the crash button works" },
		{ "machine-room", OPTION_YES_NO, &serve.machine_room, 0, 0,
		    "whether processes and workflows can be watched" },
		{ .name = NULL }
	};
	int status;

	log_open("widget-store.fcgi");
	options_read(argc, argv, VERSION, defs);
	if (token_path != NULL) {
		serve.operator_token = operator_token_read(token_path);
		if (serve.operator_token == NULL)
			return 2;
	}
	raise_descriptor_limit();
	serve.listen_fd = listen_open(path);
	if (serve.listen_fd < 0)
		return 1;
	serve.metrics = metrics_new(serve.workers);
	status = prefork_run(serve.workers, serve_work, &serve);
	listen_close(path, serve.listen_fd);
	metrics_free(serve.metrics);
	return status;
}
