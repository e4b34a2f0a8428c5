/* SPDX-License-Identifier: MIT */
/*
 * widget-store.fcgi: the store's web half; it answers nginx over FastCGI.
 */
#include <sys/resource.h>

#include <stddef.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/options.h"
#include "base/prefork.h"
#include "fcgi/listen.h"
#include "fcgi/metrics.h"
#include "fcgi/operator_token.h"
#include "fcgi/serve.h"
#include "webhook/signature.h"

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

/* Reads the secrets of payments; false, with a line in the log: it cannot. */
static bool
read_webhook_keys(struct signature_keys *keys, const char *path,
    const char *scheme)
{
	if (strcmp(scheme, "standard") == 0)
		return signature_read_keys(keys, SIGNATURE_STANDARD, path);
	if (strcmp(scheme, "stripe") == 0)
		return signature_read_keys(keys, SIGNATURE_STRIPE, path);
	log_error("webhook-scheme is standard or stripe, not '%s'", scheme);
	return false;
}

int
main(int argc, char *argv[])
{
	static struct signature_keys keys;
	struct serve serve = { .conninfo = "",
		.operator_conninfo = "",
		.workers = 2,
		.threads = 512,
		.wait_timeout_ms = 20000,
		.read_timeout_ms = 10000,
		.memory_limit_mb = 1024 };
	const char *path = NULL, *token_path = NULL, *keys_path = NULL;
	const char *scheme = "standard";
	bool core_dumps = false;
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
		{ "read-timeout-ms", OPTION_NUMBER, &serve.read_timeout_ms, 1,
		    600000,
		    "how long nginx may take to send a request, or to take an "
		    "answer" },
		{ "memory-limit-mb", OPTION_NUMBER, &serve.memory_limit_mb, 0,
		    1048576, "MiB of data a worker may have; 0: no limit" },
		{ "webhook-secret-file", OPTION_TEXT, &keys_path, 0, 0,
		    "secrets, one a line: only signed payments count; default: "
		    "any payment counts" },
		{ "webhook-scheme", OPTION_TEXT, &scheme, 0, 0,
		    "how payments are signed: standard or stripe" },
		{ "operator-token-file", OPTION_TEXT, &token_path, 0, 0,
		    "the operators' token; default: no view of workflows" },
		{ "operator-database", OPTION_TEXT, &serve.operator_conninfo, 0,
		    0, "connection string of a member of durable_client" },
		{ "allow-crash", OPTION_YES_NO, &serve.allow_crash, 0, 0,
		    "whether the crash button works" },
		{ "machine-room", OPTION_YES_NO, &serve.machine_room, 0, 0,
		    "whether processes and workflows can be watched" },
		{ "core-dumps", OPTION_YES_NO, &core_dumps, 0, 0,
		    "whether a crash may leave a core, which has secrets" },
		{ .name = NULL }
	};
	int status;

	log_open("widget-store.fcgi");
	options_read(argc, argv, VERSION, defs);
	if (!core_dumps)
		memory_forbid_cores();
	if (token_path != NULL) {
		serve.operator_token = operator_token_read(token_path);
		if (serve.operator_token == NULL)
			return 2;
	}
	if (keys_path != NULL) {
		if (!read_webhook_keys(&keys, keys_path, scheme))
			return 2;
		serve.webhook_keys = &keys;
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
