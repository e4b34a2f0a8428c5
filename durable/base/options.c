/* SPDX-License-Identifier: MIT */
/*
 * Reads options from the command line and from a file.
 */
#include "base/options.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret_file.h"

#define EXIT_USAGE 2
#define FILE_LEN   65536

/* Where an option was given, for error messages. */
struct place {
	const char *file; /* NULL: the command line */
	int line;
	bool is_public; /* every user may read the file */
};

static const char *program;

/* Static, because text options of the file point into it. */
static char file_text[FILE_LEN];

static void __attribute__((noreturn, format(printf, 2, 3)))
refuse(const struct place *place, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "%s: ", program);
	if (place->file != NULL)
		fprintf(stderr, "%s, line %d: ", place->file, place->line);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "; see --help\n");
	exit(EXIT_USAGE);
}

static const struct option_def *
find(const struct option_def *defs, const char *name, size_t name_len)
{
	for (; defs->name != NULL; defs++)
		if (strlen(defs->name) == name_len &&
		    strncmp(defs->name, name, name_len) == 0)
			return defs;
	return NULL;
}

static void
assign_number(const struct option_def *def, const char *value,
    const struct place *place)
{
	char *end;
	long number;

	errno = 0;
	number = strtol(value, &end, 10);
	if (end == value || *end != '\0' || errno != 0 || number < def->min ||
	    number > def->max)
		refuse(place,
		    "option '%s' needs a number from %d to %d, "
		    "not '%s'",
		    def->name, def->min, def->max, value);
	*(int *)def->value = (int)number;
}

static void
assign(const struct option_def *def, const char *value,
    const struct place *place)
{
	switch (def->type) {
	case OPTION_TEXT:
		*(const char **)def->value = value;
		break;
	case OPTION_NUMBER:
		assign_number(def, value, place);
		break;
	case OPTION_YES_NO:
		if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
			refuse(place, "option '%s' is yes or no, not '%s'",
			    def->name, value);
		*(bool *)def->value = *value == 'y';
		break;
	}
}

/* Cuts blanks off both ends, in place. */
static char *
trim(char *text)
{
	size_t len;

	text += strspn(text, " \t\r");
	len = strlen(text);
	while (len > 0 && strchr(" \t\r", text[len - 1]) != NULL)
		len--;
	text[len] = '\0';
	return text;
}

/* A # inside a word begins no comment, because a password may have one. */
static void
cut_comment(char *line)
{
	char *hash;

	for (hash = line; (hash = strchr(hash, '#')) != NULL; hash++) {
		if (hash == line || hash[-1] == ' ' || hash[-1] == '\t') {
			*hash = '\0';
			return;
		}
	}
}

/* Whether a value has a password: of a connection string, or of a URL. */
static bool
has_password(const char *value)
{
	const char *user = strstr(value, "://"), *at;

	if (strcasestr(value, "password") != NULL)
		return true;
	if (user == NULL || (at = strchr(user + 3, '@')) == NULL)
		return false;
	return memchr(user + 3, ':', (size_t)(at - user - 3)) != NULL;
}

static void
read_line(char *line, const struct option_def *defs, const struct place *place)
{
	const struct option_def *def;
	char *equals, *name;

	cut_comment(line);
	line = trim(line);
	if (*line == '\0')
		return;
	equals = strchr(line, '=');
	if (equals == NULL)
		refuse(place, "'%s' is not of the form name = value", line);
	*equals = '\0';
	name = trim(line);
	def = find(defs, name, strlen(name));
	if (def == NULL)
		refuse(place, "unknown option '%s'", name);
	equals = trim(equals + 1);
	if (place->is_public && has_password(equals))
		refuse(place,
		    "option '%s' has a password and every user may read the "
		    "file: chmod 640 %s",
		    name, place->file);
	assign(def, equals, place);
}

/* Returns whether every user may read the file. */
static bool
load_file(const char *path)
{
	static const struct place nowhere = { 0 };
	FILE *file = fopen(path, "re");
	bool is_public;
	size_t len;

	if (file == NULL)
		refuse(&nowhere, "cannot open '%s': %s", path, strerror(errno));
	len = fread(file_text, 1, sizeof(file_text), file);
	if (ferror(file))
		refuse(&nowhere, "cannot read '%s': %s", path, strerror(errno));
	if (len == sizeof(file_text))
		refuse(&nowhere, "cannot read '%s': it has %d bytes or more",
		    path, FILE_LEN);
	if (memchr(file_text, '\0', len) != NULL)
		refuse(&nowhere, "cannot read '%s': it has a NUL byte", path);
	file_text[len] = '\0';
	is_public = secret_file_is_public(file);
	fclose(file);
	return is_public;
}

static void
read_file(const char *path, const struct option_def *defs)
{
	struct place place = { .file = path };
	char *rest = file_text, *line;

	place.is_public = load_file(path);
	while ((line = strsep(&rest, "\n")) != NULL) {
		place.line++;
		read_line(line, defs, &place);
	}
}

static void
print_help(const struct option_def *defs)
{
	printf("usage: %s [--option value] ...\n\n"
	       "  --config FILE\n\toptions, one to a line: name = value\n",
	    program);
	for (; defs->name != NULL; defs++) {
		const char *text;

		switch (defs->type) {
		case OPTION_TEXT:
			text = *(const char **)defs->value;
			printf("  --%s TEXT\n\t%s", defs->name, defs->help);
			if (text != NULL && *text != '\0')
				printf(" (%s)", text);
			break;
		case OPTION_NUMBER:
			printf("  --%s N\n\t%s: %d to %d (%d)", defs->name,
			    defs->help, defs->min, defs->max,
			    *(int *)defs->value);
			break;
		case OPTION_YES_NO:
			printf("  --%s yes|no\n\t%s (%s)", defs->name,
			    defs->help, *(bool *)defs->value ? "yes" : "no");
			break;
		}
		putchar('\n');
	}
	printf("  --version\n  --help\n");
}

/*
 * The value of the option at argv[*at].  When the value is the next argument,
 * moves *at to it.
 */
static const char *
take_value(const struct option_def *def, char *argv[], int *at)
{
	static const struct place nowhere = { 0 };
	const char *equals = strchr(argv[*at], '='), *next = argv[*at + 1];

	if (equals != NULL)
		return equals + 1;
	if (def->type == OPTION_YES_NO &&
	    (next == NULL ||
		(strcmp(next, "yes") != 0 && strcmp(next, "no") != 0)))
		return "yes";
	if (next == NULL)
		refuse(&nowhere, "option '%s' needs a value", def->name);
	++*at;
	return next;
}

static void
read_arguments(char *argv[], const struct option_def *defs,
    const struct option_def *config, const char *version)
{
	static const struct place nowhere = { 0 };
	const struct option_def *def;
	const char *name;
	size_t name_len;
	int i;

	for (i = 1; argv[i] != NULL; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			print_help(defs);
			exit(0);
		}
		if (strcmp(argv[i], "--version") == 0) {
			printf("%s %s\n", program, version);
			exit(0);
		}
		if (strncmp(argv[i], "--", 2) != 0)
			refuse(&nowhere, "unexpected argument '%s'", argv[i]);
		name = argv[i] + 2;
		name_len = strcspn(name, "=");
		def = find(config, name, name_len);
		if (def == NULL)
			def = find(defs, name, name_len);
		if (def == NULL)
			refuse(&nowhere, "unknown option '--%.*s'",
			    (int)name_len, name);
		assign(def, take_value(def, argv, &i), &nowhere);
	}
}

void
options_read(int argc, char *argv[], const char *version,
    const struct option_def *defs)
{
	const char *path = NULL, *slash;
	const struct option_def config[] = {
		{ "config", OPTION_TEXT, &path, 0, 0, NULL }, { .name = NULL }
	};

	program = argc > 0 ? argv[0] : "";
	slash = strrchr(program, '/');
	if (slash != NULL)
		program = slash + 1;
	if (argc == 0)
		return;
	/* Twice: first to find --config, then to override the file. */
	read_arguments(argv, defs, config, version);
	if (path == NULL)
		return;
	read_file(path, defs);
	read_arguments(argv, defs, config, version);
}
