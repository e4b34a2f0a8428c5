/* SPDX-License-Identifier: MIT */
#include "fcgi/operator_token.h"

#include <sys/stat.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "fcgi/route.h"

#define TOKEN_MIN 16

static bool
is_secret(FILE *file, const char *path)
{
	struct stat found;

	if (fstat(fileno(file), &found) == 0 && (found.st_mode & S_IROTH) == 0)
		return true;
	log_error(
	    "every user may read the operators' token in %s: chmod o-r %s",
	    path, path);
	return false;
}

const char *
operator_token_read(const char *path)
{
	static char line[512];
	FILE *file = fopen(path, "re");
	bool is_usable = false;

	if (file == NULL) {
		log_error("cannot read the operators' token in %s: %s", path,
		    strerror(errno));
		return NULL;
	}
	if (is_secret(file, path)) {
		if (fgets(line, sizeof(line), file) != NULL)
			line[strcspn(line, "\n")] = '\0';
		is_usable = route_is_id(line) && strlen(line) >= TOKEN_MIN;
		if (!is_usable)
			log_error(
			    "the first line of %s is no token: it has to "
			    "be %d to 256 characters of A-Z a-z 0-9 . _ ~ "
			    ": and -",
			    path, TOKEN_MIN);
	}
	fclose(file);
	return is_usable ? line : NULL;
}
