/* SPDX-License-Identifier: MIT */
#include "fcgi/operator_token.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/secret_file.h"
#include "fcgi/route.h"

#define TOKEN_MIN 16

char *
operator_token_read(const char *path)
{
	char line[512] = "", *token = NULL;
	FILE *file = secret_file_open(path);
	bool is_usable;

	if (file == NULL)
		return NULL;
	if (fgets(line, sizeof(line), file) != NULL)
		line[strcspn(line, "\n")] = '\0';
	fclose(file);
	is_usable = route_is_id(line) && strlen(line) >= TOKEN_MIN;
	if (!is_usable)
		log_error("the first line of %s is no token: it has to be %d "
			  "to 256 characters of A-Z a-z 0-9 . _ ~ : and -",
		    path, TOKEN_MIN);
	if (is_usable && (token = strdup(line)) == NULL)
		memory_die();
	return token;
}
