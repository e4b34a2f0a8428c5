/* SPDX-License-Identifier: MIT */
/*
 * What people and programs see of rows.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

/* A character of UTF-8 begins with another byte than these. */
static bool
continues(char byte)
{
	return ((unsigned char)byte & 0xc0) == 0x80;
}

static int
width_of(const char *text)
{
	int width = 0;

	for (; *text != '\0'; text++)
		width += !continues(*text);
	return width;
}

/* Prints a text without control characters, of ASCII and of Latin-1. */
static void
print_plain(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			putchar('?');
		else if ((unsigned char)*text == 0xc2 &&
		    (unsigned char)text[1] < 0xa0) {
			putchar('?');
			text++;
		} else
			putchar(*text);
}

void
print_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("durable: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
}

static int
column_width(const PGresult *rows, int column)
{
	int widest = width_of(PQfname(rows, column));
	int row;

	for (row = 0; row < PQntuples(rows); row++) {
		int width = width_of(PQgetvalue(rows, row, column));

		if (width > widest)
			widest = width;
	}
	return widest;
}

/* The last column is not filled. */
static void
print_cell(const char *text, int width, bool last)
{
	print_plain(text);
	if (last)
		putchar('\n');
	else
		printf("%*s", width - width_of(text) + 2, "");
}

void
print_table(const PGresult *rows)
{
	int columns = PQnfields(rows), row, column;
	int widths[64];

	if (columns > 64)
		columns = 64;
	for (column = 0; column < columns; column++)
		widths[column] = column_width(rows, column);
	for (row = -1; row < PQntuples(rows); row++)
		for (column = 0; column < columns; column++)
			print_cell(row < 0 ? PQfname(rows, column)
					   : PQgetvalue(rows, row, column),
			    widths[column], column == columns - 1);
}

void
print_record(const PGresult *rows)
{
	int column;

	for (column = 0; column < PQnfields(rows); column++)
		if (!PQgetisnull(rows, 0, column)) {
			printf("%-20s ", PQfname(rows, column));
			print_plain(PQgetvalue(rows, 0, column));
			putchar('\n');
		}
}

void
print_json(const PGresult *rows)
{
	int row;

	putchar('[');
	for (row = 0; row < PQntuples(rows); row++)
		printf("%s%s", row == 0 ? "" : ",\n ",
		    PQgetvalue(rows, row, 0));
	puts("]");
}
