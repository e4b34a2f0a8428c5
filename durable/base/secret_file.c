/* SPDX-License-Identifier: MIT */
#include "base/secret_file.h"

#include <sys/stat.h>

#include <errno.h>
#include <string.h>

#include "base/log.h"

bool
secret_file_is_public(FILE *file)
{
	struct stat found;

	return fstat(fileno(file), &found) == 0 &&
	    (found.st_mode & S_IROTH) != 0;
}

FILE *
secret_file_open(const char *path)
{
	FILE *file = fopen(path, "re");

	if (file == NULL) {
		log_error("cannot open '%s': %s", path, strerror(errno));
		return NULL;
	}
	if (!secret_file_is_public(file))
		return file;
	log_error("cannot use '%s': it holds a secret and every user may read "
		  "it: chmod 640 %s",
	    path, path);
	fclose(file);
	return NULL;
}
