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

#include "base/log.h"
#include "base/memory.h"
#include "base/secret_file.h"

#define EXIT_USAGE 2
#define FILE_LEN   65536
#define FAULT_LEN  1024

/* Where an option was given, for error messages. */
struct place {
	const char *file; /* NULL: the command line */
	int line;
	bool is_public; /* every user may read the file */
};

union value {
	const char *text;
	int number;
	bool yes;
};

static const char *program;

/* What options_read was called with, and what the variables held. */
static char **arguments;
static const char *program_version;
static const struct option_def *options;
static union value *defaults;

/* Text options of the file point into it. */
static char *file_text;

/* What is wrong. */
static char fault[FAULT_LEN];

/* Notes what is wrong; returns false. */
static bool __attribute__((format(printf, 2, 3)))
refuse(const struct place *place, const char *format, ...)
{
	int len = 0;
	va_list args;

	if (place->file != NULL)
		len = snprintf(fault, sizeof(fault),
		    "%s, line %d: ", place->file, place->line);
	if (len > FAULT_LEN / 2)
		len = FAULT_LEN / 2;
	va_start(args, format);
	vsnprintf(fault + len, sizeof(fault) - (size_t)len, format, args);
	va_end(args);
	return false;
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

static bool
assign_number(const struct option_def *def, const char *value,
    const struct place *place)
{
	char *end;
	long number;

	errno = 0;
	number = strtol(value, &end, 10);
	if (end == value || *end != '\0' || errno != 0 || number < def->min ||
	    number > def->max)
		return refuse(place,
		    "option '%s' needs a number from %d to %d, "
		    "not '%s'",
		    def->name, def->min, def->max, value);
	*(int *)def->value = (int)number;
	return true;
}

static bool
assign(const struct option_def *def, const char *value,
    const struct place *place)
{
	switch (def->type) {
	case OPTION_TEXT:
		*(const char **)def->value = value;
		break;
	case OPTION_NUMBER:
		return assign_number(def, value, place);
	case OPTION_YES_NO:
		if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
			return refuse(place,
			    "option '%s' is yes or no, not '%s'", def->name,
			    value);
		*(bool *)def->value = *value == 'y';
		break;
	}
	return true;
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

static bool
read_line(char *line, const struct option_def *defs, const struct place *place)
{
	const struct option_def *def;
	char *equals, *name;

	cut_comment(line);
	line = trim(line);
	if (*line == '\0')
		return true;
	equals = strchr(line, '=');
	if (equals == NULL)
		return refuse(place, "'%s' is not of the form name = value",
		    line);
	*equals = '\0';
	name = trim(line);
	def = find(defs, name, strlen(name));
	if (def == NULL)
		return refuse(place, "unknown option '%s'", name);
	equals = trim(equals + 1);
	if (place->is_public && has_password(equals))
		return refuse(place,
		    "option '%s' has a password and every user may read the "
		    "file: chmod 640 %s",
		    name, place->file);
	return assign(def, equals, place);
}

/* Sets *is_public to whether every user may read the file. */
static bool
load_file(const char *path, bool *is_public)
{
	static const struct place nowhere = { 0 };
	FILE *file = fopen(path, "re");
	size_t len;
	int error;

	if (file == NULL)
		return refuse(&nowhere, "cannot open '%s': %s", path,
		    strerror(errno));
	len = fread(file_text, 1, FILE_LEN, file);
	error = ferror(file) ? errno : 0;
	*is_public = secret_file_is_public(file);
	fclose(file);
	if (error != 0)
		return refuse(&nowhere, "cannot read '%s': %s", path,
		    strerror(error));
	if (len == FILE_LEN)
		return refuse(&nowhere,
		    "cannot read '%s': it has %d bytes or more", path,
		    FILE_LEN);
	if (memchr(file_text, '\0', len) != NULL)
		return refuse(&nowhere, "cannot read '%s': it has a NUL byte",
		    path);
	file_text[len] = '\0';
	return true;
}

static bool
read_file(const char *path, const struct option_def *defs)
{
	struct place place = { .file = path };
	char *rest = file_text, *line;

	if (!load_file(path, &place.is_public))
		return false;
	while ((line = strsep(&rest, "\n")) != NULL) {
		place.line++;
		if (!read_line(line, defs, &place))
			return false;
	}
	return true;
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
 * moves *at to it.  Returns NULL when there is none.
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
	else
		++*at;
	return next;
}

static bool
read_arguments(char *argv[], const struct option_def *defs,
    const struct option_def *config)
{
	static const struct place nowhere = { 0 };
	const struct option_def *def;
	const char *name, *value;
	size_t name_len;
	int i;

	for (i = 1; argv[i] != NULL; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			print_help(defs);
			exit(0);
		}
		if (strcmp(argv[i], "--version") == 0) {
			printf("%s %s\n", program, program_version);
			exit(0);
		}
		if (strncmp(argv[i], "--", 2) != 0)
			return refuse(&nowhere, "unexpected argument '%s'",
			    argv[i]);
		name = argv[i] + 2;
		name_len = strcspn(name, "=");
		def = find(config, name, name_len);
		if (def == NULL)
			def = find(defs, name, name_len);
		if (def == NULL)
			return refuse(&nowhere, "unknown option '--%.*s'",
			    (int)name_len, name);
		value = take_value(def, argv, &i);
		if (value == NULL || !assign(def, value, &nowhere))
			return false;
	}
	return true;
}

/* Reads the arguments and the file that --config names. */
static bool
read_all(void)
{
	const char *path = NULL;
	const struct option_def config[] = {
		{ "config", OPTION_TEXT, &path, 0, 0, NULL }, { .name = NULL }
	};

	/* Twice: first to find --config, then to override the file. */
	return read_arguments(arguments, options, config) &&
	    (path == NULL ||
		(read_file(path, options) &&
		    read_arguments(arguments, options, config)));
}

/* Copies the variables; the caller frees the result. */
static union value *
save(void)
{
	union value *values;
	size_t i, count = 0;

	while (options[count].name != NULL)
		count++;
	values = memory_new((count + 1) * sizeof(*values));
	for (i = 0; i < count; i++)
		switch (options[i].type) {
		case OPTION_TEXT:
			values[i].text = *(const char **)options[i].value;
			break;
		case OPTION_NUMBER:
			values[i].number = *(int *)options[i].value;
			break;
		case OPTION_YES_NO:
			values[i].yes = *(bool *)options[i].value;
			break;
		}
	return values;
}

static void
restore(const union value *values)
{
	size_t i;

	for (i = 0; options[i].name != NULL; i++)
		switch (options[i].type) {
		case OPTION_TEXT:
			*(const char **)options[i].value = values[i].text;
			break;
		case OPTION_NUMBER:
			*(int *)options[i].value = values[i].number;
			break;
		case OPTION_YES_NO:
			*(bool *)options[i].value = values[i].yes;
			break;
		}
}

void
options_read(int argc, char *argv[], const char *version,
    const struct option_def *defs)
{
	const char *slash;

	program = argc > 0 ? argv[0] : "";
	slash = strrchr(program, '/');
	if (slash != NULL)
		program = slash + 1;
	if (argc == 0)
		return;
	arguments = argv;
	program_version = version;
	options = defs;
	free(defaults);
	free(file_text);
	defaults = save();
	file_text = memory_new(FILE_LEN);
	if (read_all())
		return;
	fprintf(stderr, "%s: %s; see --help\n", program, fault);
	exit(EXIT_USAGE);
}

bool
options_read_again(bool (*apply)(void *arg), void *arg)
{
	char *text_before = file_text;
	union value *before;
	bool is_right;

	if (options == NULL)
		return apply(arg);
	before = save();
	file_text = memory_new(FILE_LEN);
	restore(defaults);
	is_right = read_all();
	if (!is_right)
		log_error("the configuration stays as it was: %s", fault);
	is_right = is_right && apply(arg);
	if (!is_right)
		restore(before);
	free(before);
	free(is_right ? text_before : file_text);
	if (!is_right)
		file_text = text_before;
	return is_right;
}
