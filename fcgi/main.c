/* SPDX-License-Identifier: MIT */
/*
 * widget-store.fcgi: the store's web half; it answers nginx over FastCGI.
 */
#include <sys/resource.h>

#include <signal.h>
#include <stdlib.h>
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

#define WORKERS_MAX 64

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

struct web_settings {
	struct serve serve; /* first, because the workers get a pointer to it */
	const char *socket, *token_path, *keys_path, *scheme;
	char *socket_open; /* where it listens: the master opens it once */
	struct signature_keys keys;
};

/* Takes what the options name; false when that is not right, as logged. */
static bool
apply(void *arg)
{
	struct web_settings *settings = arg;
	struct signature_keys keys = { 0 };
	char *token = NULL;

	if (settings->token_path != NULL) {
		token = operator_token_read(settings->token_path);
		if (token == NULL)
			return false;
	}
	if (settings->keys_path != NULL &&
	    !read_webhook_keys(&keys, settings->keys_path, settings->scheme)) {
		free(token);
		return false;
	}
	free(settings->serve.operator_token);
	settings->serve.operator_token = token;
	settings->keys = keys;
	settings->serve.webhook_keys = settings->keys_path == NULL
	    ? NULL
	    : &settings->keys;
	return true;
}

static int
reload(void *arg)
{
	struct web_settings *settings = arg;

	if (!options_read_again(apply, settings))
		return 0;
	if (strcmp(settings->socket, settings->socket_open) != 0)
		log_warning("the socket stays '%s' until a restart",
		    settings->socket_open);
	return settings->serve.workers;
}

static int
run(struct web_settings *settings)
{
	struct serve *serve = &settings->serve;
	const struct prefork_program program = { .count = serve->workers,
		.worker = serve_work,
		.arg = settings,
		.reload = reload };
	int status;

	if (!apply(settings))
		return 2;
	raise_descriptor_limit();
	serve->listen_fd = listen_open(settings->socket);
	if (serve->listen_fd < 0)
		return 1;
	settings->socket_open = strdup(settings->socket);
	if (settings->socket_open == NULL)
		memory_die();
	serve->metrics = metrics_new(WORKERS_MAX);
	status = prefork_run(&program);
	listen_close(settings->socket_open, serve->listen_fd);
	metrics_free(serve->metrics);
	free(settings->socket_open);
	free(serve->operator_token);
	return status;
}

int
main(int argc, char *argv[])
{
	struct web_settings settings = { .serve = { .conninfo = "",
					     .operator_conninfo = "",
					     .workers = 2,
					     .threads = 512,
					     .wait_timeout_ms = 20000,
					     .read_timeout_ms = 10000,
					     .memory_limit_mb = 1024 },
		.socket = "",
		.scheme = "standard" };
	struct serve *const serve = &settings.serve;
	bool core_dumps = false;
	const struct option_def defs[] = {
		{ "database", OPTION_TEXT, &serve->conninfo, 0, 0,
		    "connection string; empty: the PG* environment" },
		{ "socket", OPTION_TEXT, &settings.socket, 0, 0,
		    "where to listen; default: the inherited socket" },
		{ "workers", OPTION_NUMBER, &serve->workers, 1, WORKERS_MAX,
		    "worker processes, a connection to the database each" },
		{ "threads", OPTION_NUMBER, &serve->threads, 1, 1024,
		    "requests that a worker answers at a time" },
		{ "wait-timeout-ms", OPTION_NUMBER, &serve->wait_timeout_ms, 1,
		    600000, "how long a request waits for an event" },
		{ "read-timeout-ms", OPTION_NUMBER, &serve->read_timeout_ms, 1,
		    600000,
		    "how long nginx may take to send a request, or to take an "
		    "answer" },
		{ "memory-limit-mb", OPTION_NUMBER, &serve->memory_limit_mb, 0,
		    1048576, "MiB of data a worker may have; 0: no limit" },
		{ "webhook-secret-file", OPTION_TEXT, &settings.keys_path, 0, 0,
		    "secrets, one a line: only signed payments count; default: "
		    "any payment counts" },
		{ "webhook-scheme", OPTION_TEXT, &settings.scheme, 0, 0,
		    "how payments are signed: standard or stripe" },
		{ "operator-token-file", OPTION_TEXT, &settings.token_path, 0,
		    0, "the operators' token; default: no view of workflows" },
		{ "operator-database", OPTION_TEXT, &serve->operator_conninfo,
		    0, 0, "connection string of a member of durable_client" },
		{ "allow-crash", OPTION_YES_NO, &serve->allow_crash, 0, 0,
		    "whether the crash button works" },
		{ "machine-room", OPTION_YES_NO, &serve->machine_room, 0, 0,
		    "whether processes and workflows can be watched" },
		{ "core-dumps", OPTION_YES_NO, &core_dumps, 0, 0,
		    "whether a crash may leave a core, which has secrets" },
		{ .name = NULL }
	};

	/* Until the master takes SIGHUP: it has read nothing that may change. */
	signal(SIGHUP, SIG_IGN);
	log_open("widget-store.fcgi");
	options_read(argc, argv, VERSION, defs);
	if (!core_dumps)
		memory_forbid_cores();
	return run(&settings);
}
