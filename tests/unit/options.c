/* SPDX-License-Identifier: MIT */
/*
 * Options: the command line, the file, and the messages for mistakes.
 */
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/options.h"
#include "tests/unit/tap.h"

#define ARGS_MAX 8

static const char *database = "";
static int workers = 2;
static bool allow_crash;

static const struct option_def defs[] = { { "database", OPTION_TEXT, &database,
					      0, 0, "connection string" },
	{ "workers", OPTION_NUMBER, &workers, 1, 64, "worker processes" },
	{ "allow-crash", OPTION_YES_NO, &allow_crash, 0, 0, "may crash" },
	{ .name = NULL } };

static char path[] = "/tmp/t-options.XXXXXX";
static char said[4096];

/*
 * Reads the options in a child, which prints the values it got; keeps its
 * output in said and returns its exit status.
 */
static int
read_options(const char *const args[])
{
	char name[] = "/usr/bin/program", *argv[ARGS_MAX + 2] = { NULL };
	int pipe_fds[2], status, i;
	size_t len = 0;
	ssize_t got;
	pid_t pid;

	for (i = 0; args[i] != NULL; i++)
		continue;
	argv[0] = name;
	memcpy(argv + 1, args, (size_t)i * sizeof(argv[0]));
	if (pipe(pipe_fds) != 0 || (pid = fork()) < 0)
		abort();
	if (pid == 0) {
		dup2(pipe_fds[1], STDOUT_FILENO);
		dup2(pipe_fds[1], STDERR_FILENO);
		options_read(i + 1, argv, "1.2.3", defs);
		printf("%s|%d|%s", database, workers,
		    allow_crash ? "yes" : "no");
		fflush(stdout);
		_exit(0);
	}
	close(pipe_fds[1]);
	while (
	    (got = read(pipe_fds[0], said + len, sizeof(said) - 1 - len)) > 0)
		len += (size_t)got;
	said[len] = '\0';
	close(pipe_fds[0]);
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
write_file(const char *text)
{
	FILE *file = fopen(path, "w");

	if (file == NULL || fputs(text, file) == EOF || fclose(file) != 0)
		abort();
}

#define ARGS(...) \
	(const char *const[]) \
	{ \
		__VA_ARGS__, NULL \
	}

static void
gives(const char *const args[], const char *wanted, const char *title)
{
	int status = read_options(args);

	is_str(status == 0 ? said : "(refused)", wanted, title);
	if (status != 0)
		diag("%s", said);
}

/* Asserts exit status 2 and one line of output, which contains the part. */
static void
refuses(const char *const args[], const char *part, const char *title)
{
	int status = read_options(args);
	const char *newline = strchr(said, '\n');

	if (!ok(status == 2 && strstr(said, part) != NULL &&
		    strncmp(said, "program: ", 9) == 0 && newline != NULL &&
		    newline[1] == '\0',
		title))
		diag("status %d: %s", status, said);
}

static void
test_command_line(void)
{
	const char *const none[] = { NULL };

	gives(none, "|2|no", "without options the defaults hold");
	gives(ARGS("--database=host=/run", "--workers=5"), "host=/run|5|no",
	    "--name=value sets a value, which may contain =");
	gives(ARGS("--database", "--x", "--workers", "64"), "--x|64|no",
	    "--name value sets a value, which may begin with --");
	gives(ARGS("--database="), "|2|no", "a text may be empty");
	gives(ARGS("--allow-crash", "--workers=3"), "|3|yes",
	    "a yes-or-no option alone means yes");
	gives(ARGS("--allow-crash", "no"), "|2|no",
	    "yes or no may follow its option");
	gives(ARGS("--workers=3", "--workers=4"), "|4|no",
	    "the last of repeated options counts");
}

static void
test_file(void)
{
	write_file("# a comment\n\n  workers = 7  # another\r\n"
		   "database = user=x password=a#b\nallow-crash=yes");
	gives(ARGS("--config", path), "user=x password=a#b|7|yes",
	    "a file may set what the command line may");
	gives(ARGS("--workers=9", "--config", path),
	    "user=x password=a#b|9|yes", "the command line overrides the file");
	write_file("workers = 7\nwrokers = 8\n");
	refuses(ARGS("--config", path), "line 2: unknown option 'wrokers'",
	    "a misspelt name in a file is refused with its line");
	write_file("workers\n");
	refuses(ARGS("--config", path), "name = value",
	    "a line without = is refused");
	write_file("config = other\n");
	refuses(ARGS("--config", path), "unknown option 'config'",
	    "a file that names another file is refused");
	refuses(ARGS("--config", "/nonexistent"), "cannot open '/nonexistent'",
	    "a missing file is refused");
	refuses(ARGS("--config", "/tmp"), "cannot read '/tmp'",
	    "a folder in place of a file is refused");
	refuses(ARGS("--config", "/dev/zero"), "65536 bytes or more",
	    "a file without end is refused");
}

static void
test_public_file(void)
{
	chmod(path, 0644);
	write_file("database = host=/run user=x\n");
	gives(ARGS("--config", path), "host=/run user=x|2|no",
	    "a file that every user may read may have no password");
	write_file("workers = 3\ndatabase = user=x Password=y\n");
	refuses(ARGS("--config", path), "chmod 640",
	    "a file with a password that every user may read is refused");
	write_file("database = postgresql://x:y@host/z\n");
	refuses(ARGS("--config", path), "line 1: option 'database'",
	    "so is one with a password in a URI");
	write_file("database = postgresql://x@host:5432/z\n");
	gives(ARGS("--config", path), "postgresql://x@host:5432/z|2|no",
	    "a port is no password");
	chmod(path, 0640);
	write_file("database = user=x password=y\n");
	gives(ARGS("--config", path), "user=x password=y|2|no",
	    "a file with a password that a group may read is accepted");
}

static void
test_mistakes(void)
{
	refuses(ARGS("--wrokers=5"), "unknown option '--wrokers'",
	    "a misspelt name is refused");
	refuses(ARGS("workers"), "unexpected argument 'workers'",
	    "an argument that is not an option is refused");
	refuses(ARGS("--workers"), "needs a value",
	    "an option without its value is refused");
	refuses(ARGS("--workers=0"), "from 1 to 64",
	    "a number below the range is refused");
	refuses(ARGS("--workers=65"), "from 1 to 64",
	    "a number above the range is refused");
	refuses(ARGS("--workers=99999999999999999999"), "from 1 to 64",
	    "a number of 20 digits is refused");
	refuses(ARGS("--workers=4x"), "not '4x'",
	    "a number with a letter is refused");
	refuses(ARGS("--workers="), "from 1 to 64",
	    "an empty number is refused");
	refuses(ARGS("--allow-crash=maybe"), "yes or no",
	    "a value that is neither yes nor no is refused");
}

static void
test_questions(void)
{
	is_int(read_options(ARGS("--help")), 0, "--help ends with status 0");
	ok(strstr(said, "worker processes: 1 to 64 (2)") != NULL &&
		strstr(said, "--config FILE") != NULL,
	    "--help tells ranges and defaults");
	is_int(read_options(ARGS("--version")), 0,
	    "--version ends with status 0");
	is_str(said, "program 1.2.3\n", "--version tells the version");
}

int
main(void)
{
	int fd = mkstemp(path);

	if (fd < 0)
		abort();
	close(fd);
	test_command_line();
	test_file();
	test_public_file();
	test_mistakes();
	test_questions();
	unlink(path);
	return done_testing();
}
