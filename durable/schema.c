/* SPDX-License-Identifier: MIT */
/*
 * The version of our part of the database.
 */
#include "schema.h"

#include <stdlib.h>

#include "db.h"
#include "log.h"

enum schema_state
schema_check(struct db *db, struct arena *arena)
{
	const struct db_rows *rows;
	const char *version;

	rows = db_query(db, arena, "select durable.version()", 0, NULL);
	if (rows == NULL && db_last_error(db)->outcome != DB_REFUSED &&
	    db_last_error(db)->outcome != DB_SCHEMA)
		return SCHEMA_UNKNOWN;
	version = rows == NULL ? NULL : db_value(rows, 0, 0);
	if (version == NULL) {
		log_error("the database is not prepared (%s): "
			  "run widget-store-install",
		    rows == NULL ? db_last_error(db)->message : "no version");
		return SCHEMA_WRONG;
	}
	if (strtol(version, NULL, 10) != SCHEMA_VERSION) {
		log_error(
		    "the database has version %s and this program needs "
		    "%d: run widget-store-install of the newer of the two",
		    version, SCHEMA_VERSION);
		return SCHEMA_WRONG;
	}
	return SCHEMA_CURRENT;
}
