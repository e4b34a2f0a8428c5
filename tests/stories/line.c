/* SPDX-License-Identifier: MIT */
/*
 * A daemon behind a slow line, which sometimes stands still for a moment: what
 * goes on is no frozen worker and no silent server.  This program has a
 * progress.c that gives up earlier (see Makefile.am).  line.tap starts the
 * cluster and this program, and says in LINE_DIRECTORY where the line may have
 * its socket.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/stories/story.h"
#include "tests/unit/tap.h"

#define CHUNK     16384
#define CHUNK_MS  40  /* for so many bytes: 400 KB a second */
#define STALL_MS  400 /* after so many bytes more: */
#define STALL_LEN 262144

/* Takes 6 s, and some stalls. */
#define MUCH      2457600
#define LESS      "600000"

static struct sockaddr_un
address(const char *directory)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/.s.PGSQL.5432",
	    directory);
	return address;
}

static void
pause_ms(long ms)
{
	const struct timespec pause = { .tv_sec = ms / 1000,
		.tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&pause, NULL);
}

/* Carries what one end has sent, slowly; false when that end has closed. */
static bool
carry(int from, int to, long *carried)
{
	char bytes[CHUNK];
	ssize_t len = read(from, bytes, sizeof(bytes)), sent, part;

	if (len <= 0)
		return false;
	for (sent = 0; sent < len; sent += part)
		if ((part = write(to, bytes + sent, (size_t)(len - sent))) <= 0)
			return false;
	pause_ms(len * CHUNK_MS / CHUNK);
	*carried += len;
	if (*carried > STALL_LEN) {
		pause_ms(STALL_MS);
		*carried = 0;
	}
	return true;
}

/* The line of one connection, a process of its own. */
static void
run_line(int client, const char *server_directory)
{
	struct sockaddr_un server = address(server_directory);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct pollfd ends[2] = { { .fd = client, .events = POLLIN },
		{ .fd = fd, .events = POLLIN } };
	long carried[2] = { 0 };
	bool open = connect(fd, (struct sockaddr *)&server, sizeof(server)) ==
	    0;
	int i;

	while (open && poll(ends, 2, -1) > 0)
		for (i = 0; i < 2 && open; i++)
			if (ends[i].revents != 0)
				open = carry(ends[i].fd, ends[1 - i].fd,
				    &carried[i]);
	_exit(0);
}

/* Accepts connections until it is killed; each is a line of its own. */
static pid_t
start_lines(const char *directory, const char *server_directory)
{
	struct sockaddr_un own = address(directory);
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), client;
	pid_t pid;

	if (bind(listener, (struct sockaddr *)&own, sizeof(own)) != 0 ||
	    listen(listener, 16) != 0)
		abort();
	pid = fork();
	if (pid != 0) {
		close(listener);
		return pid;
	}
	signal(SIGCHLD, SIG_IGN);
	while ((client = accept(listener, NULL, NULL)) >= 0) {
		if (fork() == 0)
			run_line(client, server_directory);
		close(client);
	}
	_exit(1);
}

/* A large parameter, then a large result, which becomes a large journal. */
static json_object *
sender(struct workflow *wf, json_object *input)
{
	char *much = wf_alloc(wf, MUCH + 1);
	const char *const params[] = { much };

	(void)input;
	memset(much, 'x', MUCH);
	much[MUCH] = '\0';
	take_note(wf, "before");
	wf_sql(wf, "send", "select length($1) + nextval('test.begun')", 1,
	    params);
	wf_sql(wf, "receive", "select repeat('x', " LESS ")", 0, NULL);
	return json_object_new_string("done");
}

static json_object *
other(struct workflow *wf, json_object *input)
{
	(void)wf;
	(void)input;
	return NULL;
}

static const struct workflow_type types[] = { TYPE(sender) };
static const struct workflow_type other_types[] = { TYPE(other) };

int
main(void)
{
	static const struct engine engine = { .turn_size = 16,
		.turn_limit_s = 5,
		.max_attempts = 1 };
	const char *directory = getenv("LINE_DIRECTORY");
	const char *server_directory = getenv("PGHOST");
	pid_t lines, far, near;

	if (directory == NULL || server_directory == NULL)
		return 1;
	story_begin("create sequence test.begun;");
	/* It looks for frozen workers. */
	near = story_start_daemon(&engine, other_types, 1, 1);
	lines = start_lines(directory, server_directory);
	setenv("PGHOST", directory, 1);
	far = story_start_daemon(&engine, types, 1, 1);
	start("sender", "sender", "null");
	is_str(ended("sender"), "SUCCESS",
	    "a slow line ends no workflow with large messages");
	is_str(sql("select count(*) from test.notes"), "1",
	    "a step behind a slow line happens once");
	is_str(sql("select last_value from test.begun"), "1",
	    "a step with large messages behind a slow line is tried once");
	ok(story_stop_daemon(far), "the daemon behind the line stops");
	ok(story_stop_daemon(near), "the other daemon stops");
	kill(lines, SIGKILL);
	story_end();
	return done_testing();
}
